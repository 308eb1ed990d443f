import { METHODS } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { DirectoryError, refusal } from '../directory/errors.ts'

/** Which methods each address has, filled in as routes are added. */
export function collectRoutes(app: FastifyInstance): Map<string, Set<string>> {
  const routes = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = routes.get(url) ?? new Set()
    for (const one of Array.isArray(method) ? method : [method]) methods.add(one)
    routes.set(url, methods)
  })
  return routes
}

/** RFC 9110, section 15.5.6: 405 with Allow for every other method; OPTIONS tells the same. */
export function refuseOtherMethods(
  app: FastifyInstance,
  routes: ReadonlyMap<string, ReadonlySet<string>>,
): void {
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method))
      app.addHttpMethod(method, { hasBody: true })
  }
  for (const [url, methods] of [...routes]) {
    const allow = [...methods, 'OPTIONS'].sort().join(', ')
    const others = app.supportedMethods.filter((method) => !methods.has(method) && method !== 'OPTIONS')
    app.options(url, { schema: { hide: true } }, (_request, reply) =>
      reply.code(204).header('allow', allow).send(),
    )
    app.route({
      url,
      method: others,
      schema: { hide: true },
      // Before the body is looked at: nothing in it matters.
      onRequest: (_request, reply, done) => {
        reply.header('allow', allow)
        done(new DirectoryError(refusal('method_not_allowed', `This address knows ${allow}`)))
      },
      handler: () => {},
    })
  }
}
