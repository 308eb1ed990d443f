import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { createDurations } from './durations.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** When the head of the request had been read, in milliseconds of the monotonic clock. */
    arrived: number
  }
}

/**
 * What can be seen of the service from outside: how long requests take, for Prometheus, and a line
 * in the log for each. A route and never an address is told: addresses can hold what is personal.
 *
 * An answered request is worth a line at `debug` only, since every update is in the change log
 * anyway, under the same request id; one that was refused, failed or was slow gets one at `info`.
 */
export function observe(log: Logger): Observed {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const durations = createDurations(
    'roster_http_request_duration_seconds',
    'Time from the head of the request to the head of the answer',
  )

  function observer(route: string) {
    const byMethod: Record<string, ((seconds: number) => void)[]> = {}
    const durationOf = (method: string, status: number) => {
      const byStatus = byMethod[method] ?? []
      const duration = durations.labelled({ method, route, status })
      byStatus[status] = duration
      byMethod[method] = byStatus
      return duration
    }
    return (method: string, status: number, ms: number, reqId: string) => {
      const duration = byMethod[method]?.[status] ?? durationOf(method, status)
      duration(ms / 1000)
      const level = status >= 400 || ms > 1000 ? 'info' : 'debug'
      if (log.isLevelEnabled(level))
        log[level]({ reqId, method, route, status, ms: Math.round(ms) }, 'request')
    }
  }

  const lost = observer('none')
  return {
    metrics: async () => durations.text() + (await registry.metrics()),

    routesOf(app) {
      app.decorateRequest('arrived', 0)
      app.addHook('onRequest', (request, _reply, done) => {
        request.arrived = performance.now()
        done()
      })
      // A hook for each route, because asking a request for its route builds an object every time; and
      // before the answer is sent, because hooks after it cost every answer two listeners.
      app.addHook('onRoute', (options) => {
        const seen = observer(options.url)
        const onSend = (
          request: FastifyRequest,
          reply: FastifyReply,
          _payload: unknown,
          done: () => void,
        ) => {
          seen(request.method, reply.statusCode, performance.now() - request.arrived, request.id)
          done()
        }
        options.onSend = [options.onSend ?? [], onSend].flat()
      })
    },

    unrouted: (request, status) => lost(request.method, status, 0, request.id),
  }
}

export interface Observed {
  /** What Prometheus reads. */
  readonly metrics: () => Promise<string>
  /** Watches every route that is added from now on. */
  readonly routesOf: (app: FastifyInstance) => void
  /** To be told of what no route answered. */
  readonly unrouted: (request: Pick<FastifyRequest, 'method' | 'id'>, status: number) => void
}
