import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { generatedPicture } from '../contracts/initials.ts'
import { pictureFolder } from '../contracts/pictures.ts'
import { pictureType } from '../media/formats.ts'
import type { Pictures } from '../media/pictures.ts'

/** A day: what is made of initials may look better some time. */
const briefly = 'public, max-age=86400'
/** What has a name made of its content never changes (RFC 8246). */
const forEver = 'public, max-age=31536000, immutable'

/**
 * Serves the files of pictures, and those that are made of initials, to everybody: who has an address
 * has been shown it. Nothing here is ever active content, whatever somebody has sent.
 */
export function servePictures(app: FastifyInstance, pictures: Pick<Pictures, 'read'>): void {
  const hidden = { schema: { hide: true } }

  app.get<{ Params: { picture: string; file: string } }>(
    `${pictureFolder}/:picture/:file`,
    hidden,
    async (request, reply) => {
      const { picture, file } = request.params
      const bytes = await pictures.read(picture, file)
      if (bytes === undefined) return reply.callNotFound()
      passive(reply, pictureType, forEver, `"${picture.slice(0, 32)}-${file}"`)
      return isKnown(request, reply) ? reply.code(304).send() : reply.send(Buffer.from(bytes))
    },
  )

  app.get<{ Params: { file: string } }>(
    `${pictureFolder}/generated/:file`,
    hidden,
    async (request, reply) => {
      const svg = generatedPicture(request.params.file)
      if (svg === undefined) return reply.callNotFound()
      passive(reply, 'image/svg+xml', briefly, `"${request.params.file}-1"`)
      return isKnown(request, reply) ? reply.code(304).send() : reply.send(svg)
    },
  )
}

function passive(reply: FastifyReply, type: string, caching: string, etag: string): void {
  reply
    .type(type)
    .header('cache-control', caching)
    .header('etag', etag)
    .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; sandbox")
    .header('x-content-type-options', 'nosniff')
}

/** RFC 9110, section 13.1.2: compared weakly. */
function isKnown({ headers }: FastifyRequest, reply: FastifyReply): boolean {
  const tags = headers['if-none-match']
  if (tags === undefined) return false
  const etag = reply.getHeader('etag')
  return tags.trim() === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
