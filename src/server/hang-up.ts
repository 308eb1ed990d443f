import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'

const ended = new WeakSet<Socket>()

/** Has the connection end with this answer: what follows on it may be what is left of a body. */
export function hangUp({ raw }: FastifyRequest, reply: FastifyReply): void {
  reply.header('connection', 'close')
  ended.add(raw.socket)
}

/**
 * Whether a request came after the one that its connection ends with. Node.js hands it on all the same
 * where it had been read already; RFC 9112, section 9.6: it must not be carried out.
 */
export function cameTooLate({ raw }: FastifyRequest): boolean {
  return ended.has(raw.socket)
}
