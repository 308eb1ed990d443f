import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Contract } from '../contracts/contract.ts'
import { DirectoryError, isPassing, type Problem, refusal } from '../directory/errors.ts'

export type Refuse = (
  error: DirectoryError,
  request: Pick<FastifyRequest, 'method' | 'url' | 'id' | 'routeOptions'>,
  reply: FastifyReply,
) => FastifyReply

/** Tells an error in the shape of the contract whose address was asked for. */
export function createRefusals(contracts: readonly Contract[], log: Logger): Refuse {
  return (error, request, reply) => {
    // The route and not the address, where there is one: an address can be written in many ways.
    const path = request.routeOptions.url ?? request.url.split('?', 1)[0] ?? ''
    const contract = contracts.find(({ owns }) => owns(request.method, path)) ?? contracts.at(-1)
    const reqId = request.id
    if (error.code === 'internal') log.error({ reqId, err: withoutValues(error.cause) }, 'request failed')
    // Who has gone was not turned away.
    if (isPassing(error) && !reply.raw.destroyed) {
      // What is away says why, and nothing of anybody.
      const cause = error.cause instanceof Error ? error.cause : error
      log.warn({ reqId, err: { ...withoutValues(cause), message: cause.message } }, 'request turned away')
    }
    const challenge = challengeOf(error)
    if (challenge !== undefined) reply.header('www-authenticate', challenge)
    const retryAfter = error.retryAfter ?? (isPassing(error) ? 1 : undefined)
    if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
    const answer = (contract as Contract).refuse(error, request.id, { method: request.method, path })
    // RFC 5789, section 2.2: 415 tells what would be understood.
    const { acceptPatch } = request.routeOptions.config ?? {}
    if (answer.status === 415 && acceptPatch !== undefined) reply.header('accept-patch', acceptPatch)
    return reply.code(answer.status).send(answer.body)
  }
}

/**
 * What the log may know of an error: its message can quote what was sent, or the row.
 */
export function withoutValues(error: unknown) {
  if (!(error instanceof Error)) return { message: 'no error, but something was thrown' }
  const { name, stack = '' } = error
  const frames = stack.split('\n').filter((line) => /^ {4}at .+:\d+:\d+\)?$/.test(line))
  return { name, ...('code' in error && { code: error.code }), stack: frames.join('\n') }
}

/** RFC 6750, section 3: it says no more than the realm to who sent no credentials. */
function challengeOf({ code, lack }: DirectoryError): string | undefined {
  if (code !== 'unauthenticated' && lack === undefined) return undefined
  const scope = lack?.error === 'insufficient_scope' ? `, scope="${lack.scope}"` : ''
  return `Bearer realm="roster"${lack === undefined ? '' : `, error="${lack.error}"`}${scope}`
}

export function invalid(problem: Problem): DirectoryError {
  return new DirectoryError(refusal('invalid', 'The request is not valid', [problem]))
}

export function toDirectoryError(error: unknown): DirectoryError {
  if (error instanceof DirectoryError) return error
  // The framework's own, of a request that it could not take.
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status >= 400 && status < 500) return invalid({ property: 'request', message: 'could not be read' })
  return new DirectoryError(refusal('internal', 'Something went wrong here'), { cause: error })
}

/** What a connection broke over. */
interface Broken extends NodeJS.ErrnoException {
  /** What was being read then. */
  readonly rawPacket?: unknown
}

/**
 * Answers what is no HTTP request: in the shape of the contract that it was meant for where that can be
 * seen, and else in one that is none's, with `error` and `message`.
 * @returns the status of the answer, undefined where nobody is left to be answered
 */
export function answerNoRequest(
  error: Broken,
  socket: Socket,
  contracts: readonly Contract[],
  requestId: string,
): number | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return undefined
  }
  const [status, message] = {
    HPE_HEADER_OVERFLOW: [431, 'has headers that are too large'] as const,
    ERR_HTTP_REQUEST_TIMEOUT: [408, 'took too long to arrive'] as const,
  }[error.code ?? ''] ?? [400, 'is no HTTP/1.1 request']
  const { code, message: said, problems } = invalid({ property: 'request', message })
  const refuse = ownerOf(error.rawPacket, contracts)?.refuse
  const none = { error: STATUS_CODES[status], message: `The request ${message}` }
  const body = JSON.stringify(refuse?.({ code, message: said, problems }, requestId).body ?? none)
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  return status
}

/** Whose address a request line names, where what was read begins with one. */
function ownerOf(packet: unknown, contracts: readonly Contract[]): Contract | undefined {
  if (!(packet instanceof Buffer)) return undefined
  const [, method = '', path = ''] =
    /^([A-Z-]+) (\/[\x21-\x3e\x40-\x7e]*)/.exec(packet.toString('latin1', 0, 2_048)) ?? []
  return path === '' ? undefined : contracts.find(({ owns }) => owns(method, path))
}
