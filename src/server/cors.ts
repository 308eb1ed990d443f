import type { FastifyInstance } from 'fastify'

const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE'
const headers = 'Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match'
const exposed =
  'Accept-Patch, Allow, ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, Roster-Ignored, Roster-Pending, WWW-Authenticate, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id, X-Total-Count'

/**
 * Lets pages of other origins call (Fetch Standard, section 3.2), each by its name: never `*`, and
 * no origin that the rule does not know. An origin that is not allowed gets an answer without
 * permission, so the browser keeps it from the page.
 */
export function allowOrigins(app: FastifyInstance, isAllowed: (origin: string) => boolean): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('vary', 'Origin')
    const { origin } = request.headers
    if (origin === undefined || !isAllowed(origin)) return done()
    reply.header('access-control-allow-origin', origin)
    reply.header('access-control-expose-headers', exposed)
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined)
      return done()
    reply.header('access-control-allow-methods', methods)
    reply.header('access-control-allow-headers', headers)
    reply.header('access-control-max-age', '600')
    reply.code(204).send()
  })
}
