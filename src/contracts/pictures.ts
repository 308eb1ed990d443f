import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Update } from '../directory/command.ts'
import type { Context, Directory, Result } from '../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../directory/errors.ts'
import type { PictureKind } from '../directory/picture.ts'
import type { User } from '../directory/user.ts'
import { type Files, fileName, sizes } from '../media/formats.ts'
import type { Pictures } from '../media/pictures.ts'
import type { Sender, Spooled, Upload } from '../media/spool.ts'
import { goneSignal } from './contract.ts'

/** Pictures in requests and answers, the same for every contract that has them. */

export const pictureFolder = '/media'

/** Where the files of a picture are, on this service. */
export function picturePath(picture: string, size: number): string {
  return `${pictureFolder}/${picture}/${fileName(size)}`
}

/** Where all sizes of somebody's picture are, by their size; null where there is none. */
export function picturePaths(kind: PictureKind, user: User): Readonly<Record<string, string>> | null {
  const picture = user[kind]
  return picture === null
    ? null
    : Object.fromEntries(sizes[kind].toReversed().map((size) => [String(size), picturePath(picture, size)]))
}

/** Keeps a file of the request's until the request is over. */
export type Take = (bytes: Readable) => Promise<Spooled>

/** Whose uploads are counted together: the actor's, through whichever contract. */
export function senderOf({ actor: { kind, id } }: FastifyRequest, reply: FastifyReply): Sender {
  return { name: `${kind}:${id}`, gone: goneSignal(reply) }
}

/** Does work that takes files, and removes them whatever comes of it. */
export async function receiving<T>(
  pictures: Pick<Pictures, 'receive'>,
  sender: Sender,
  work: (take: Take) => Promise<T>,
): Promise<T> {
  let opening: Promise<Upload> | undefined
  try {
    return await work(async (bytes) => {
      opening ??= pictures.receive(sender)
      return (await opening).take(bytes)
    })
  } finally {
    const upload = await opening?.catch(() => undefined)
    await upload?.close()
  }
}

/** A file that was sent, and what it was called there. */
export interface Sent {
  readonly file: Spooled
  readonly property: string
}

export type SentPictures = ReadonlyMap<PictureKind, Sent>

type Asked = Parameters<Directory['update']>[1]

export interface PictureUpdateOptions {
  readonly directory: Pick<Directory, 'update'>
  readonly pictures: Pick<Pictures, 'glance' | 'render' | 'keep' | 'referenceOf'>
}

export type UpdateWithPictures = ReturnType<typeof createPictureUpdate>

/**
 * Updates somebody with pictures among the fields: all of it or nothing. What is refused anyway is so
 * before anything is decoded, and files are on disk before the record refers to them.
 */
export function createPictureUpdate({ directory, pictures }: PictureUpdateOptions) {
  /**
   * Throws where nothing can come of it.
   * @returns what is wrong with the rest, to be told with what is wrong with the pictures
   */
  async function attempt(of: Context, asked: Asked): Promise<readonly Problem[]> {
    try {
      await directory.update(of, { ...asked, once: undefined, dryRun: true })
    } catch (error) {
      if (!(error instanceof DirectoryError)) throw error
      if (error.code === 'invalid') return error.problems
      // A repetition has changed what its conditions are about.
      const mayPass = error.code === 'precondition_failed' || error.code === 'conflict'
      if (asked.once === undefined || !mayPass) throw error
    }
    return []
  }

  async function renderAll(sent: SentPictures) {
    const made = new Map<PictureKind, Files>()
    const problems: Problem[] = []
    await Promise.all(
      [...sent].map(async ([kind, { file, property }]) => {
        const rendered = await pictures.render(kind, file)
        if ('files' in rendered) made.set(kind, rendered.files)
        else problems.push({ property, message: rendered.problem })
      }),
    )
    return { made, problems }
  }

  return async (of: Context, asked: Asked, sent: SentPictures): Promise<Result> => {
    if (sent.size === 0) return directory.update(of, asked)
    const wrong = await attempt(of, asked)
    const { made, problems: unfit } = await renderAll(sent)
    const problems = [...wrong, ...unfit]
    // A request that is wrong and comes with a key may be answered as it was at first.
    if (problems.length > 0 && asked.once !== undefined) return directory.update(of, { ...asked, problems })
    if (problems.length > 0)
      throw new DirectoryError(refusal('invalid', 'The request is not valid', problems))
    const references: { [K in PictureKind]?: string } = {}
    for (const [kind, files] of made)
      references[kind] = asked.dryRun
        ? pictures.referenceOf(asked.id, kind, files)
        : await pictures.keep(asked.id, kind, files)
    const update: Omit<Update, 'kind' | 'actor' | 'requestId' | 'changeId' | 'at'> = {
      ...asked,
      patch: { ...asked.patch, ...references },
    }
    return directory.update(of, update)
  }
}
