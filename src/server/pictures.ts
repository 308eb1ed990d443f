import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { goneSignal } from '../contracts/contract.ts'
import { generatedPicture } from '../contracts/initials.ts'
import { pictureFolder } from '../contracts/pictures.ts'
import { pictureType } from '../media/formats.ts'
import { isPictureFile, type Pictures } from '../media/pictures.ts'

/** A day: what is made of initials may look better some time. */
const briefly = 'public, max-age=86400'
/** What has a name made of its content never changes (RFC 8246). */
const forEver = 'public, max-age=31536000, immutable'

export interface PictureServing {
  readonly pictures: Pick<Pictures, 'read'>
  /** Counts who asks for what is not there; `admit` throws for who has done so too often. */
  readonly misses: { readonly admit: (ip: string) => void; readonly count: (ip: string) => void }
}

/**
 * Serves the files of pictures, and those that are made of initials, to everybody: who has an address
 * has been shown it. Nothing here is ever active content, whatever somebody has sent.
 */
export function servePictures(app: FastifyInstance, { pictures, misses }: PictureServing): void {
  const hidden = { schema: { hide: true } }

  app.get<{ Params: { picture: string; file: string } }>(
    `${pictureFolder}/:picture/:file`,
    hidden,
    async (request, reply) => {
      const { picture, file } = request.params
      if (!isPictureFile(picture, file)) return reply.callNotFound()
      const etag = `"${picture.slice(0, 32)}-${file}"`
      const known = knownTags(request)
      // Who has the tag has the bytes.
      if (known.includes(etag)) return passive(reply, pictureType, forEver, etag).code(304).send()
      misses.admit(request.ip)
      const bytes = await pictures.read(picture, file, goneSignal(reply))
      if (bytes === undefined) {
        misses.count(request.ip)
        return reply.callNotFound()
      }
      passive(reply, pictureType, forEver, etag)
      return known.includes('*') ? reply.code(304).send() : reply.send(Buffer.from(bytes))
    },
  )

  app.get<{ Params: { file: string } }>(
    `${pictureFolder}/generated/:file`,
    hidden,
    async (request, reply) => {
      const svg = generatedPicture(request.params.file)
      if (svg === undefined) return reply.callNotFound()
      const etag = `"${request.params.file}-1"`
      passive(reply, 'image/svg+xml', briefly, etag)
      const isKnown = knownTags(request).some((tag) => tag === etag || tag === '*')
      return isKnown ? reply.code(304).send() : reply.send(svg)
    },
  )
}

function passive(reply: FastifyReply, type: string, caching: string, etag: string): FastifyReply {
  return reply
    .type(type)
    .header('cache-control', caching)
    .header('etag', etag)
    .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; sandbox")
    .header('x-content-type-options', 'nosniff')
}

/** What If-None-Match names (RFC 9110, section 13.1.2): weak tags count as strong ones. */
function knownTags({ headers }: FastifyRequest): readonly string[] {
  return (headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''))
}
