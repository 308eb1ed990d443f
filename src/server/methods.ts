import { METHODS } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { DirectoryError, refusal } from '../directory/errors.ts'

/** What can be done at an address. */
interface Place {
  readonly methods: Set<string>
  /** The media types that PATCH takes there, where the contract tells. */
  acceptPatch?: string
  leadsOn?: boolean
}

/** Which methods each address has, filled in as routes are added. */
export function collectRoutes(app: FastifyInstance): Map<string, Place> {
  const routes = new Map<string, Place>()
  app.addHook('onRoute', ({ url, method, config }) => {
    const place = routes.get(url) ?? { methods: new Set() }
    for (const one of Array.isArray(method) ? method : [method]) place.methods.add(one)
    if (config?.leadsOn) place.leadsOn = true
    if (config?.acceptPatch !== undefined) place.acceptPatch = config.acceptPatch
    routes.set(url, place)
  })
  return routes
}

/**
 * RFC 9110, section 15.5.6: 405 with Allow for every other method; OPTIONS tells the same. Both tell
 * what PATCH takes (RFC 5789, section 3.1).
 */
export function refuseOtherMethods(app: FastifyInstance, routes: ReadonlyMap<string, Place>): void {
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method))
      app.addHttpMethod(method, { hasBody: true })
  }
  for (const [url, { methods, acceptPatch, leadsOn }] of [...routes]) {
    const allow = [...methods, 'OPTIONS'].sort().join(', ')
    const others = app.supportedMethods.filter((method) => !methods.has(method) && method !== 'OPTIONS')
    const told = { allow, ...(acceptPatch !== undefined && { 'accept-patch': acceptPatch }) }
    if (leadsOn) {
      refuseAll(app, url, methods)
      continue
    }
    app.options(url, { schema: { hide: true } }, (_request, reply) => reply.code(204).headers(told).send())
    app.route({
      url,
      method: others,
      schema: { hide: true },
      // Before the body is looked at: nothing in it matters.
      onRequest: (_request, reply, done) => {
        reply.headers(told)
        done(new DirectoryError(refusal('method_not_allowed', `This address knows ${allow}`)))
      },
      handler: () => {},
    })
  }
}

/** Whoever would write to an address that only leads on is not sent on: clients turn that into a GET. */
function refuseAll(app: FastifyInstance, url: string, methods: ReadonlySet<string>): void {
  app.route({
    url,
    method: app.supportedMethods.filter((method) => !methods.has(method)),
    schema: { hide: true },
    onRequest: (_request, _reply, done) =>
      done(new DirectoryError(refusal('unknown_path', 'There is nothing at this path'))),
    handler: () => {},
  })
}
