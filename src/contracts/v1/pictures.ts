import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import type { PictureKind } from '../../directory/picture.ts'
import type { User } from '../../directory/user.ts'
import { mediaTypes } from '../../media/formats.ts'
import type { Pictures } from '../../media/pictures.ts'
import { addressOf } from '../address.ts'
import { badHeader } from '../body.ts'
import { context } from '../contract.ts'
import { createPictureUpdate, picturePaths, receiving, type SentPictures, senderOf } from '../pictures.ts'
import { decodePreconditions, entityTag } from '../request.ts'
import { previewOf, sendPreview, sendUser } from './answer.ts'
import { type Ids, thisOne } from './ids.ts'
import { decodeOptions, markReplay } from './options.ts'
import type { ById } from './users.ts'
import { encodeTime } from './wire.ts'

export interface PictureRoutesOptions {
  readonly directory: Directory
  readonly ids: Ids
  readonly pictures: Pictures
  /** What addresses start with; undefined for paths on this service. */
  readonly publicUrl: string | undefined
}

/** Whatever a body says that it is, it is read as it comes. */
export const streamed = /^/

/** A picture as the body of a request, for the avatar or the cover. */
export function createPictureRoutes({ directory, ids, pictures, publicUrl }: PictureRoutesOptions) {
  const update = createPictureUpdate({ directory, pictures })

  const encode = (kind: PictureKind) => (user: User) => {
    const paths = picturePaths(kind, user)
    const urls =
      paths &&
      Object.fromEntries(Object.entries(paths).map(([size, path]) => [size, addressOf(publicUrl, path)]))
    return { id: user.uid, [kind]: urls, updated_at: encodeTime(user.updated_at) }
  }

  /** Nobody's files are taken who may not change anything. */
  async function meant(request: FastifyRequest<ById>) {
    const { id: called } = request.params
    const id = await ids(called)
    thisOne(await directory.basis(context(request), id), called)
    return { id, called }
  }

  const put = (kind: PictureKind) => async (request: FastifyRequest<ById>, reply: FastifyReply) => {
    const who = await meant(request)
    const { problems: wrong, ...preconditions } = decodePreconditions(request)
    const unread = badHeader(request, isPicture, `one of ${mediaTypes.join(', ')}`)
    return receiving(pictures, senderOf(request, reply), async (take) => {
      const sent: SentPictures =
        unread === undefined && request.body !== undefined
          ? new Map([
              [kind, { file: await take(request.body as Readable).catch(tellBroken), property: 'body' }],
            ])
          : new Map()
      const hash = sent.get(kind)?.file.hash
      const { problems: others, ...options } = decodeOptions(request, hash)
      const problems: Problem[] = [...wrong, ...others]
      if (unread !== undefined) problems.push(unread)
      else if (hash === undefined)
        problems.push({ property: 'body', message: 'must be a picture, and is empty' })
      const asked = { ...preconditions, ...options, ...who, patch: {}, problems }
      return sendUser(reply, await update(context(request), asked, sent), encode(kind))
    })
  }

  const remove = (kind: PictureKind) => async (request: FastifyRequest<ById>, reply: FastifyReply) => {
    const { problems, ...preconditions } = decodePreconditions(request)
    const { problems: others, ...options } = decodeOptions(request)
    const { id: called } = request.params
    const asked = { ...preconditions, ...options, id: await ids(called), called, patch: { [kind]: null } }
    const result = await directory.update(context(request), { ...asked, problems: [...problems, ...others] })
    if (result.fields !== undefined)
      return sendPreview(reply, { ...previewOf(result, encode(kind)), status: 204 })
    markReplay(reply, result)
    return reply.code(204).header('etag', entityTag(result.user)).send()
  }

  return { put, remove }
}

/** A body that breaks off is no fault of ours. */
function tellBroken(error: unknown): never {
  if (error instanceof DirectoryError) throw error
  const problems = [{ property: 'body', message: 'could not be read' }]
  throw new DirectoryError(refusal('invalid', 'The request is not valid', problems), { cause: error })
}

const isPicture = (type: string) => type === 'image/jpg' || mediaTypes.includes(type)
