import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Problem } from '../../directory/errors.ts'
import { type PictureKind, pictureKinds } from '../../directory/picture.ts'
import type { User } from '../../directory/user.ts'
import { mediaTypes } from '../../media/formats.ts'
import type { Pictures } from '../../media/pictures.ts'
import { streamOf } from '../../media/spool.ts'
import type { TakeFile } from '../form.ts'
import { generatedPath } from '../initials.ts'
import {
  picturePath,
  receiving,
  type Sent as SentPicture,
  type SentPictures,
  senderOf,
  type Take,
} from '../pictures.ts'
import { readFields, type Sent } from './decode.ts'
import type { Pictures as Addresses } from './wire.ts'

/** Where pictures are, for whoever finds the service at an address. */
export function picturesAt(origin: string): Addresses {
  return {
    avatar: (user) => `${origin}${avatarPath(user)}`,
    cover: ({ cover }) => (cover === null ? null : `${origin}${picturePath(cover, 1500)}`),
  }
}

function avatarPath(user: User): string {
  return user.avatar === null ? generatedPath(user) : picturePath(user.avatar, 256)
}

/** Of these bodies the files are read as they come. */
export const streamed = /^\s*multipart\/form-data\b/i

/** The fields of a body, and the pictures that came as files, or as text in base64. */
export interface Received {
  readonly fields: Sent
  readonly pictures: SentPictures
  readonly problems: readonly Problem[]
}

/**
 * Reads a body that may bring pictures, and does work with what it says; the files are removed after that.
 * @param names of the pictures that may come
 */
export function receive<T>(
  [request, reply]: readonly [FastifyRequest, FastifyReply],
  pictures: Pick<Pictures, 'receive' | 'glance' | 'maxBytes'>,
  names: readonly PictureKind[],
  work: (received: Received) => Promise<T>,
): Promise<T> {
  return receiving(pictures, senderOf(request, reply), async (take) => {
    const came = new Map<PictureKind, SentPicture>()
    const problems: Problem[] = []
    const note = (kind: PictureKind, sent: SentPicture) => {
      const message = pictures.glance(sent.file)
      if (came.has(kind)) problems.push({ property: kind, message: 'is one picture, and must be sent once' })
      else if (message !== undefined) problems.push({ property: sent.property, message })
      came.set(kind, sent)
    }
    const fields = await readFields(request, {
      takeFile: takeFiles(names, take, note),
      maxBytes: names.length * pictures.maxBytes + textBytes,
      maxText: (names.length + 1) * textBytes,
      valueBytes: (name) => (base64Of(names, name) === undefined ? undefined : textBytes),
    })
    for (const kind of names) {
      const property = `${kind}_base64`
      const value = fields.values.get(property)
      if (value === undefined || value === null || value === '') continue
      const bytes = fields.several.has(property) ? undefined : decodeBase64(value)
      if (bytes === undefined) problems.push({ property, message: isBase64 })
      else note(kind, { file: await take(streamOf(bytes)), property })
    }
    return work({ fields, pictures: came, problems })
  })
}

/** Of a form: what is no file, and of a picture as text. */
const textBytes = 1_048_576

/** The picture that a name with `_base64` is for. */
export function base64Of(names: readonly PictureKind[], name: string): PictureKind | undefined {
  return names.find((kind) => name === `${kind}_base64`)
}

const isBase64 = 'must be one text like image/png;base64,iVBORw0KGgo…'

const shape = new RegExp(
  `^(?:data:)?(?:${mediaTypes.join('|')}|image/jpg);base64,([A-Za-z0-9+/]+={0,2})$`,
  'i',
)

/** What the documents show, `image/png;base64,…`, and with what comes before that in an address (RFC 2397). */
function decodeBase64(value: unknown): Buffer | undefined {
  if (typeof value !== 'string') return undefined
  const comma = value.indexOf(',')
  // The text is long, and the head of it tells most of what can be wrong.
  if (comma > 40) return undefined
  const [, text] = shape.exec(value) ?? []
  return text === undefined || text.length % 4 === 1 ? undefined : Buffer.from(text, 'base64')
}

function takeFiles(
  names: readonly PictureKind[],
  take: Take,
  note: (kind: PictureKind, sent: SentPicture) => void,
): TakeFile {
  return async ({ name, filename, bytes }) => {
    const kind = pictureKinds.find((known) => known === name)
    if (kind === undefined || !names.includes(kind)) {
      bytes.resume()
      return { property: name.slice(0, 100), message: `must not be a file; files are ${names.join(' and ')}` }
    }
    const file = await take(bytes)
    // What browsers send of a field for a file in which none was chosen.
    if (filename === '' && file.size === 0) return undefined
    note(kind, { file, property: name })
    return undefined
  }
}
