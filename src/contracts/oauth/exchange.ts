import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyRequest } from 'fastify'

/** What a Koa app answers, to be sent by ours. */
export interface Answered {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly body: Buffer
}

type Callback = (request: IncomingMessage, response: ServerResponse) => Promise<void>

export interface Exchange {
  readonly callback: Callback
  /** What the app knows the address as, with its query. */
  readonly path: string
  /** As in messageOf. */
  readonly base: URL
  /** What is on the answer before the app writes to it. */
  readonly headers: OutgoingHttpHeaders
}

/**
 * Has a Koa app answer a request whose body has been read here. Both sides of it are objects of their own:
 * so bodies are bounded, logged and answered as everywhere else, and what the app sends goes the way that
 * all answers go, with request id, CORS and limits.
 */
export async function exchange(
  request: FastifyRequest,
  { callback, path, base, headers }: Exchange,
): Promise<Answered> {
  const asked = messageOf(request, path, base)
  const answer = new Recorded(asked)
  for (const [name, value] of Object.entries(headers)) answer.setHeader(name, value ?? '')
  await Promise.all([callback(asked, answer), answer.ended])
  return { status: answer.statusCode, headers: answer.getHeaders(), body: Buffer.concat(answer.chunks) }
}

/**
 * Where a request was sent: what the operator says, since a Host is whatever the caller says; without
 * that, there is no other to go by.
 */
export function baseOf({ headers }: FastifyRequest, publicUrl: string | undefined): URL {
  return URL.parse(publicUrl ?? `http://${headers.host}`) ?? new URL('http://localhost')
}

/**
 * The request as a library that works on Node's own objects wants it.
 * @param base where callers find the service: by TLS or not, whoever ends it, and under what path
 */
export function messageOf({ raw, body, id }: FastifyRequest, path: string, base: URL): IncomingMessage {
  const message = new IncomingMessage(raw.socket)
  message.method = raw.method ?? 'GET'
  message.url = path
  Object.assign(message, { originalUrl: `${base.pathname.replace(/\/$/, '')}${path}` })
  const { 'x-forwarded-host': _host, 'x-forwarded-for': _for, ...headers } = raw.headers
  const own = { host: base.host, 'x-forwarded-proto': base.protocol.slice(0, -1), 'x-request-id': id }
  message.headers = { ...headers, ...own }
  if (body instanceof Buffer) message.push(body)
  message.push(null)
  message.complete = true
  return message
}

/** Keeps what is written to it. */
export class Recorded extends ServerResponse {
  readonly chunks: Buffer[] = []
  readonly ended: Promise<void>
  #end: () => void

  constructor(request: IncomingMessage) {
    super(request)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#end = resolve
  }

  override write(chunk: unknown): boolean {
    this.#keep(chunk)
    return true
  }

  override end(chunk?: unknown): this {
    if (typeof chunk !== 'function') this.#keep(chunk)
    this.finished = true
    this.#end()
    this.emit('finish')
    return this
  }

  #keep(chunk: unknown): void {
    if (typeof chunk === 'string') this.chunks.push(Buffer.from(chunk))
    else if (chunk instanceof Uint8Array) this.chunks.push(Buffer.from(chunk))
  }
}
