import type { FastifyReply, FastifyRequest } from 'fastify'
import type { User } from '../../directory/user.ts'
import type { Pictures } from './wire.ts'

/** Pictures for who has chosen none: a colour and a letter or two, made from the address alone. */

const folder = '/media/generated'

/** Where pictures are, for whoever finds the service at an address. */
export function generatedPictures(origin: string): Pictures {
  return {
    avatar: (user) => `${origin}${folder}/${user.id}-${initialsOf(user)}.svg`,
    cover: () => null,
  }
}

/** The letters are the first one of each part of the username: nothing that is not shown anyway. */
function initialsOf({ username }: User): string {
  const parts = (username ?? '').split(/[_-]+/).filter((part) => part !== '')
  const letters = parts.slice(0, 2).map((part) => part.charAt(0).toUpperCase())
  return letters.length > 0 ? letters.join('') : 'X'
}

export const generatedPath = `${folder}/:file`

export function sendGenerated(request: FastifyRequest<{ Params: { file: string } }>, reply: FastifyReply) {
  const [, id, letters] = /^([1-9]\d{0,15})-([A-Z0-9]{1,2})\.svg$/.exec(request.params.file) ?? []
  if (id === undefined || letters === undefined) return reply.callNotFound()
  const hue = (Number(id) * 137) % 360
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256" viewBox="0 0 256 256">' +
    `<rect width="256" height="256" fill="hsl(${hue} 45% 40%)"/>` +
    '<text x="128" y="128" dy=".36em" text-anchor="middle" font-family="sans-serif" font-size="112" ' +
    `fill="#fff">${letters}</text></svg>`
  return reply
    .type('image/svg+xml')
    .header('cache-control', 'public, max-age=86400, immutable')
    .header('content-security-policy', "default-src 'none'")
    .header('x-content-type-options', 'nosniff')
    .send(svg)
}
