import { randomBytes, randomUUID } from 'node:crypto'
import { METHODS } from 'node:http'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { createDoor, isAllowedOrigin } from './access/door.ts'
import type { Config } from './config.ts'
import { adoption } from './contracts/adoption/routes.ts'
import type { Contract } from './contracts/contract.ts'
import { records } from './contracts/records/routes.ts'
import { allowOrigins } from './cors.ts'
import { createDirectory } from './directory/directory.ts'
import { DirectoryError, refusal } from './directory/errors.ts'
import type { Store } from './directory/store.ts'
import { observe } from './observe.ts'
import { document } from './openapi.ts'

export interface AppOptions {
  readonly config: Config
  readonly store: Store
  readonly log: Logger
}

/** The service, put together: everything that it consists of is named here. */
export async function createApp({ config, store, log }: AppOptions): Promise<FastifyInstance> {
  const directory = createDirectory({ store, rules: config, now: Date.now, newChangeId: randomUUID, newUid })
  const door = createDoor({ open: config.openContracts, origins: config.corsOrigins })
  // The last one answers for every address that no other owns.
  const contracts: readonly Contract[] = [records({ upsert: config.recordsUpsert }), adoption]

  const refuse = createRefusals(contracts, log)
  const refuseUnrouted: Refuse = (error, request, reply) => {
    refuse(error, request, reply.header('x-request-id', request.id))
    observed.unrouted(request, reply.statusCode)
    return reply
  }
  const app = createServer(config, refuseUnrouted)
  const observed = observe(app, log)
  app.setErrorHandler((error, request, reply) => refuse(toDirectoryError(error), request, reply))
  app.setNotFoundHandler((request, reply) =>
    refuseUnrouted(
      new DirectoryError(refusal('unknown_path', 'There is nothing at this path')),
      request,
      reply,
    ),
  )
  allowOrigins(app, mayCall(config))
  await document(app)

  const routes = collectRoutes(app)
  for (const contract of contracts) {
    await app.register(async (scope) => {
      scope.addHook('onRequest', (request, _reply, done) => {
        request.actor = door(request.raw, contract.name)
        done()
      })
      contract.routes(scope, directory)
    })
  }
  refuseOtherMethods(app, routes)
  operate(app, store, observed.metrics)
  return app
}

function createServer(config: Config, refuseUnrouted: Refuse): FastifyInstance {
  const app = Fastify({
    bodyLimit: config.maxBody,
    genReqId: () => `req-${randomUUID()}`,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 16_384 },
    // A path that can not be decoded comes before any route.
    frameworkErrors: (_error, request, reply) => {
      const problem = {
        property: 'path',
        location: 'path',
        message: 'must be a path with sound percent-encoding',
      } as const
      refuseUnrouted(
        new DirectoryError(refusal('invalid', 'The request is not valid', [problem])),
        request,
        reply as FastifyReply,
      )
    },
  })
  // Bodies stay bytes until a contract decodes them; schemas describe and do not judge (contracts/schema.ts).
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setValidatorCompiler(() => () => true)
  app.decorateRequest('actor')
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    done()
  })
  return app
}

type Refuse = (
  error: DirectoryError,
  request: Pick<FastifyRequest, 'method' | 'url' | 'id'>,
  reply: FastifyReply,
) => FastifyReply

/** Tells an error in the shape of the contract whose address was asked for. */
function createRefusals(contracts: readonly Contract[], log: Logger): Refuse {
  return (error, request, reply) => {
    const [path = ''] = request.url.split('?', 1)
    const contract = contracts.find(({ owns }) => owns(request.method, path)) ?? contracts.at(-1)
    const reqId = request.id
    if (error.code === 'internal') log.error({ reqId, err: error.cause }, 'request failed')
    if (isPassing(error)) log.warn({ reqId, err: error.cause ?? error }, 'request turned away')
    if (error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer')
    if (isPassing(error)) reply.header('retry-after', '1')
    const answer = (contract as Contract).refuse(error, request.id)
    return reply.code(answer.status).send(answer.body)
  }
}

/** Whether the same request may succeed in a moment. */
function isPassing({ code }: DirectoryError): boolean {
  return code === 'unavailable' || code === 'outcome_unknown'
}

function toDirectoryError(error: unknown): DirectoryError {
  if (error instanceof DirectoryError) return error
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  // The framework's own: a body that is too large, or shorter or longer than it said.
  if (status >= 400 && status < 500) {
    const message = status === 413 ? 'is too large' : 'could not be read'
    return new DirectoryError(refusal('invalid', 'The request is not valid', [{ property: 'body', message }]))
  }
  return new DirectoryError(refusal('internal', 'Something went wrong here'), { cause: error })
}

/** Where the door is open to this machine, its pages may call; elsewhere those that the operator lists. */
function mayCall({ openContracts, corsOrigins }: Config): (origin: string) => boolean {
  return (origin) =>
    openContracts === 'loopback' ? isAllowedOrigin(origin, corsOrigins) : corsOrigins.includes(origin)
}

/** Which methods each address has, filled in as routes are added. */
function collectRoutes(app: FastifyInstance): Map<string, Set<string>> {
  const routes = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = routes.get(url) ?? new Set()
    for (const one of Array.isArray(method) ? method : [method]) methods.add(one)
    routes.set(url, methods)
  })
  return routes
}

/** RFC 9110, section 15.5.6: 405 with Allow for every other method; OPTIONS tells the same. */
function refuseOtherMethods(app: FastifyInstance, routes: ReadonlyMap<string, ReadonlySet<string>>): void {
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
      handler: (_request, reply) => {
        reply.header('allow', allow)
        throw new DirectoryError(refusal('method_not_allowed', `This address knows ${allow}`))
      },
    })
  }
}

/** What operators ask: is it alive, can it serve, how is it doing. */
function operate(app: FastifyInstance, store: Store, metrics: () => Promise<string>): void {
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

const letters = '0123456789abcdefghijklmnopqrstuvwxyz'

/** `usr_` and 16 random characters: 82 bits. */
function newUid(): string {
  let uid = 'usr_'
  while (uid.length < 20) {
    // 252 is the largest multiple of 36 below 256: each letter is as likely as the next.
    for (const byte of randomBytes(24)) if (byte < 252 && uid.length < 20) uid += letters[byte % 36]
  }
  return uid
}
