import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyRequest } from 'fastify'

/** What a Koa app answers, to be sent by ours. */
export interface Answered {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly body: Buffer
}

type Callback = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/**
 * Has a Koa app answer a request whose body has been read here. Both sides of it are objects of their own:
 * so bodies are bounded, logged and answered as everywhere else, and what the app sends goes the way that
 * all answers go, with request id, CORS and limits.
 *
 * @param path what the app knows the address as, with its query
 * @param isSecure whether callers come through TLS, whoever ends it
 */
export async function exchange(
  request: FastifyRequest,
  {
    callback,
    path,
    isSecure,
  }: { readonly callback: Callback; readonly path: string; readonly isSecure: boolean },
): Promise<Answered> {
  const asked = messageOf(request, path, isSecure)
  const answer = new Recorded(asked)
  await Promise.all([callback(asked, answer), answer.ended])
  return { status: answer.statusCode, headers: answer.getHeaders(), body: Buffer.concat(answer.chunks) }
}

/** The request as a library that works on Node's own objects wants it. */
export function messageOf({ raw, body }: FastifyRequest, path: string, isSecure: boolean): IncomingMessage {
  const message = new IncomingMessage(raw.socket)
  message.method = raw.method ?? 'GET'
  message.url = path
  const { 'x-forwarded-host': _host, 'x-forwarded-for': _for, ...headers } = raw.headers
  message.headers = { ...headers, 'x-forwarded-proto': isSecure ? 'https' : 'http' }
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
