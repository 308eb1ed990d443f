import type { FastifyInstance } from 'fastify'
import type { Store } from '../directory/store.ts'

/** What operators ask: is it alive, can it serve, how is it doing. */
export function operate(app: FastifyInstance, store: Store, metrics: () => Promise<string>): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'ok' }))
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    try {
      if (closing) throw new Error('closing')
      await store.ready()
      return { status: 'ready' }
    } catch {
      return reply.code(503).send({ status: closing ? 'closing' : 'the store is not available' })
    }
  })
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics()),
  )
}
