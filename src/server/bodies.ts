import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { DirectoryError, type Refusal, refusal } from '../directory/errors.ts'
import { hangUp } from './hang-up.ts'
import { invalid } from './refusals.ts'

/**
 * Bodies stay bytes until a contract decodes them: whatever their type says, `request.body` is a
 * Buffer, or undefined where none came.
 *
 * The framework's own parser is passed over. It parses the media type, opens an asynchronous scope
 * and copies the bytes for every request, a quarter of what a whole update costs the main thread.
 * To be called when all routes are there: until then their schemas may describe bodies.
 *
 * A body of a type that a route wants as it comes (`streams`) is the stream that it comes in, and the
 * route has its own limits.
 *
 * @param limit of a body, in bytes; a larger one is refused as `too_large`
 */
export function readBodies(app: FastifyInstance, limit: number): void {
  app.addHook('preHandler', (request, reply, done) => {
    const { raw } = request
    if (!hasBody(raw)) return done()
    if (isStreamed(request)) {
      request.body = raw
      return done()
    }
    readBody(raw, limit, (error, body) => {
      // What is left of the body would be taken for the next request.
      if (error !== undefined) hangUp(request, reply)
      request.body = body
      done(error)
    })
  })
  app.addHook('onSend', (request, reply, _payload, done) => {
    // Nobody reads the rest any more.
    if (request.body === request.raw && !request.raw.complete) reply.header('connection', 'close')
    done()
  })
  for (const method of app.supportedMethods) {
    app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
  }
}

function isStreamed({ routeOptions, raw }: FastifyRequest): boolean {
  const { streams } = routeOptions.config
  return streams?.test(raw.headers['content-type'] ?? '') ?? false
}

/** RFC 9112, section 6: a request has a body when it says how long it is, or that it comes in chunks. */
function hasBody({ method, headers }: IncomingMessage): boolean {
  if (method === 'GET' || method === 'HEAD') return false
  return (
    headers['transfer-encoding'] !== undefined ||
    (headers['content-length'] !== undefined && headers['content-length'] !== '0')
  )
}

type Read = (error: Error | undefined, body?: Buffer) => void

function readBody(source: IncomingMessage, limit: number, done: Read): void {
  if (Number(source.headers['content-length']) > limit) {
    done(new DirectoryError(tooLarge))
    return
  }
  let first: Buffer | undefined
  let more: Buffer[] | undefined
  let size = 0
  let over = false
  const end = (error: Error | undefined, body?: Buffer) => {
    if (over) return
    over = true
    done(error, body)
  }
  source.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > limit) return end(new DirectoryError(tooLarge))
    if (first === undefined) first = chunk
    else {
      more ??= [first]
      more.push(chunk)
    }
  })
  source.on('end', () => end(undefined, more === undefined ? first : Buffer.concat(more)))
  source.on('error', () => end(invalid({ property: 'body', message: 'could not be read' })))
}

const tooLarge: Refusal = refusal('too_large', 'The request is too large', [
  { property: 'body', message: 'is too large' },
])
