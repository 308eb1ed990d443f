import type { FastifyRequest } from 'fastify'

/**
 * The address of what lies at a path of this service; without a public one the path alone, which who asked
 * resolves by the address that they asked at (RFC 9110, section 10.2.2).
 * @param publicUrl where callers find the service, without a slash at the end
 */
export function addressOf(publicUrl: string | undefined, path: string): string {
  return `${publicUrl ?? ''}${path}`
}

/** What an address that has to be whole starts with: without a public one, as the request says; undefined where that is no host. */
export function originOf(
  { protocol, host }: FastifyRequest,
  publicUrl: string | undefined,
): string | undefined {
  if (publicUrl !== undefined) return publicUrl
  return /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host) ? `${protocol}://${host}` : undefined
}
