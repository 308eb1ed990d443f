import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Directory } from '../directory/directory.ts'
import type { User } from '../directory/user.ts'
import { originOf } from './address.ts'
import { context, goneSignal } from './contract.ts'
import { decodeList, linksOf } from './list-parameters.ts'
import type { Properties } from './request.ts'

type ListRequest = FastifyRequest<{ Querystring: Record<string, string | string[]> }>

/** Answers with the users that json-server's list parameters ask for; without any, with all of them. */
export async function sendList(
  request: FastifyRequest,
  reply: FastifyReply,
  { directory, publicUrl, properties, encode }: Listed,
): Promise<FastifyReply> {
  const { query, page } = decodeList((request as ListRequest).query, properties)
  const { total, pieces } = await directory.walk(context(request), query, goneSignal(reply))
  // Taken before the answer starts, so that a failure still gets a status of its own.
  const first = await pieces.next()
  if (total !== undefined) reply.header('x-total-count', total)
  if (page !== undefined && total !== undefined) {
    const links = linksOf(`${originOf(request, publicUrl) ?? ''}${request.url}`, page, {
      shown: first.value?.length ?? 0,
      total,
    })
    if (links !== undefined) reply.header('link', links)
  }
  reply.type('application/json; charset=utf-8')
  if (request.method === 'HEAD') return reply.send(Readable.from([]))
  const second = first.done ? first : await pieces.next()
  const text = (users: readonly User[]) => users.map((user) => JSON.stringify(encode(user))).join(',')
  if (second.done) return reply.send(`[${text(first.value ?? [])}]`)

  // Piece by piece, as the reader takes it: what grows with the list is a number for each person, where it is sorted.
  async function* body(): AsyncGenerator<string> {
    yield `[${text(first.value ?? [])}`
    yield `,${text(second.value ?? [])}`
    for await (const users of pieces) yield `,${text(users)}`
    yield ']'
  }
  return reply.send(Readable.from(body(), { objectMode: false }))
}

interface Listed {
  readonly directory: Directory
  /** What links start with; undefined for what each request says. */
  readonly publicUrl: string | undefined
  readonly properties: Properties
  readonly encode: (user: User) => unknown
}
