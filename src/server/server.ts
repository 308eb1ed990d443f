import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Logger } from 'pino'
import type { Contract } from '../contracts/contract.ts'
import { DirectoryError, refusal } from '../directory/errors.ts'
import { cameTooLate, hangUp } from './hang-up.ts'
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
    // Twice what it would be: so that credentials that are too long are told so by the contract.
    http: { requireHostHeader: false, maxHeaderSize: 32_768 },
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
  // First, so that it has seen when a request came whatever becomes of it.
  observed.routesOf(app)
  app.addHook('onRequest', (request, reply, done) => {
    if (cameTooLate(request)) return void reply.hijack()
    reply.header('x-request-id', request.id)
    const { headers, httpVersion } = request.raw
    if (isUnexpected(headers)) {
      // Whether the body comes is for the client to say.
      hangUp(request, reply)
      return done(
        new DirectoryError(
          refusal('expectation_failed', 'Nothing but 100-continue is expected here', [expectProblem]),
        ),
      )
    }
    if (headers.host === undefined && httpVersion !== '1.0') {
      return done(invalid({ property: 'Host', location: 'header', message: 'is required' }))
    }
    done()
  })
  // Node.js would answer without a body; the hook above tells what is wrong.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  return app
}

/** RFC 9110, section 10.1.1: there is one expectation, and Node.js meets it. */
function isUnexpected({ expect }: IncomingHttpHeaders): boolean {
  return expect !== undefined && expect.toLowerCase() !== '100-continue'
}

const expectProblem = {
  property: 'Expect',
  location: 'header',
  message: 'must be 100-continue, or be left out',
} as const

function newRequestId(): string {
  return `req-${randomUUID()}`
}
