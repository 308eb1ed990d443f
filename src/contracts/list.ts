import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { User } from '../directory/user.ts'

/**
 * Sends users as a JSON array, page by page as the reader takes it, so that memory does not grow
 * with the directory. What fits a page goes out in one piece.
 */
export async function sendList(
  reply: FastifyReply,
  pages: AsyncGenerator<readonly User[]>,
  encode: (user: User) => unknown,
): Promise<FastifyReply> {
  // Taken before the answer starts, so that a failure still gets a status of its own.
  const first = await pages.next()
  reply.type('application/json; charset=utf-8')
  if (reply.request.method === 'HEAD') return reply.send(Readable.from([]))
  const second = first.done ? first : await pages.next()
  const text = (users: readonly User[]) => users.map((user) => JSON.stringify(encode(user))).join(',')
  if (second.done) return reply.send(`[${text(first.value ?? [])}]`)

  async function* body(): AsyncGenerator<string> {
    yield `[${text(first.value ?? [])}`
    yield `,${text(second.value ?? [])}`
    for await (const users of pages) yield `,${text(users)}`
    yield ']'
  }
  return reply.send(Readable.from(body(), { objectMode: false }))
}
