import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client'

/**
 * What can be seen of the service from outside: how long requests take, for Prometheus, and a line
 * in the log for each. A route and never an address is told: addresses can hold what is personal.
 *
 * An answered request is worth a line at `debug` only, since every update is in the change log
 * anyway, under the same request id; one that was refused, failed or was slow gets one at `info`.
 */
export function observe(app: FastifyInstance): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const durations = new Histogram({
    name: 'roster_http_request_duration_seconds',
    help: 'Time from the request line to the last byte of the answer',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  })

  // A hook for each route, because asking a request for its route builds an object every time.
  app.addHook('onRoute', (options) => {
    const route = options.url
    const byOutcome = new Map<string, Histogram.Internal<string>>()
    const onResponse = (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
      const { method } = request
      const status = reply.statusCode
      const seconds = reply.elapsedTime / 1000
      const key = method + status
      let duration = byOutcome.get(key)
      if (duration === undefined) {
        duration = durations.labels({ method, route, status })
        byOutcome.set(key, duration)
      }
      duration.observe(seconds)
      const level = status >= 400 || seconds > 1 ? 'info' : 'debug'
      if (level === 'info' || app.log.level === 'debug' || app.log.level === 'trace') {
        request.log[level](
          { reqId: request.id, method, route, status, ms: Math.round(seconds * 1000) },
          'request',
        )
      }
      done()
    }
    options.onResponse = [options.onResponse ?? [], onResponse].flat()
  })
  return registry
}
