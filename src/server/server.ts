import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Logger } from 'pino'
import type { Contract } from '../contracts/contract.ts'
import { DirectoryError, refusal } from '../directory/errors.ts'
import type { Observed } from './observe.ts'
import { answerNoRequest, createRefusals, invalid, type Refuse, toDirectoryError } from './refusals.ts'

export interface ServerOptions {
  /** The last one answers for every address that no other owns. */
  readonly contracts: readonly Contract[]
  readonly log: Logger
  readonly observed: Observed
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  readonly trustProxy: readonly string[]
}

/** The HTTP server that all contracts stand on, without a route yet. */
export function createServer({ contracts, log, observed, trustProxy }: ServerOptions): FastifyInstance {
  const refuse = createRefusals(contracts, log)
  const refuseUnrouted: Refuse = (error, request, reply) => {
    refuse(error, request, reply.header('x-request-id', request.id))
    observed.unrouted(request, reply.statusCode)
    return reply
  }
  const app = Fastify({
    trustProxy: trustProxy.length > 0 && [...trustProxy],
    requestTimeout: 60_000,
    // Node.js would answer without a body; the hook below tells what is missing.
    http: { requireHostHeader: false },
    clientErrorHandler: (error, socket) => {
      const id = newRequestId()
      const status = answerNoRequest(error, socket, contracts, id)
      if (status !== undefined) observed.unrouted({ method: 'none', id }, status)
    },
    genReqId: newRequestId,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 16_384 },
    // A path that can not be decoded comes before any route.
    frameworkErrors: (_error, request, reply) => {
      const message = 'must be a path with sound percent-encoding'
      refuseUnrouted(invalid({ property: 'path', location: 'path', message }), request, reply as FastifyReply)
    },
  })
  // Schemas describe and do not judge (contracts/schema.ts).
  app.setValidatorCompiler(() => () => true)
  app.setErrorHandler((error, request, reply) => refuse(toDirectoryError(error), request, reply))
  app.setNotFoundHandler((request, reply) => {
    const error = new DirectoryError(refusal('unknown_path', 'There is nothing at this path'))
    return refuseUnrouted(error, request, reply)
  })
  app.decorateRequest('actor')
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    const { headers, httpVersion } = request.raw
    if (headers.host === undefined && httpVersion !== '1.0') {
      return done(invalid({ property: 'Host', location: 'header', message: 'is required' }))
    }
    done()
  })
  observed.routesOf(app)
  return app
}

function newRequestId(): string {
  return `req-${randomUUID()}`
}
