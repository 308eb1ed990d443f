import type { FastifyInstance } from 'fastify'
import type { Store } from '../directory/store.ts'

/**
 * What operators ask: is it alive, can it serve, how is it doing.
 * @param remarks what else is worth knowing of a service that is ready
 */
export function operate(
  app: FastifyInstance,
  store: Store,
  metrics: () => Promise<string>,
  remarks: () => Readonly<Record<string, string>> | undefined,
): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'ok' }))
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    try {
      if (closing) throw new Error('closing')
      await store.ready()
      return { status: 'ready', ...remarks() }
    } catch {
      return reply.code(503).send({ status: closing ? 'closing' : 'the store is not available' })
    }
  })
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics()),
  )
}
