import type { FastifyReply } from 'fastify'
import type { Change } from '../../directory/change.ts'
import type { Result } from '../../directory/directory.ts'
import type { User } from '../../directory/user.ts'
import { markPending } from '../contract.ts'
import { entityTag } from '../request.ts'
import { markReplay } from './options.ts'

type Encode = (user: User) => object

/** What a write is answered with: the user as it is now, or what would have come of it. */
export function sendUser(reply: FastifyReply, result: Result, encode: Encode): unknown {
  markPending(reply, result)
  if (result.fields !== undefined) return sendPreview(reply, previewOf(result, encode))
  reply.header('etag', entityTag(result.user))
  markReplay(reply, result)
  return encode(result.user)
}

/** As text, since the serializer of the route knows what it answers when it is not only tried. */
export function sendPreview(reply: FastifyReply, told: object): FastifyReply {
  return reply.code(200).type('application/json; charset=utf-8').send(JSON.stringify(told))
}

export interface Preview {
  readonly dry_run: true
  readonly status: number
  readonly user: object | null
  /** Old and new value of each field that would change. */
  readonly changes: object
}

/**
 * What a dry run tells: the status and the user that would come, and each change with old and new value.
 * @param before whom it would erase, since no account is kept of the values of the erased
 */
export function previewOf({ user, outcome, fields = {} }: Result, encode: Encode, before?: User): Preview {
  const isErased = before !== undefined
  return {
    dry_run: true,
    status: isErased ? 204 : outcome === 'created' ? 201 : 200,
    user: isErased ? null : encode(user),
    changes: changesOf(fields, before),
  }
}

function changesOf(fields: Change['fields'], before: User | undefined): object {
  const names = Object.keys(fields) as (keyof typeof fields)[]
  const told = names.map((name) => {
    const [old, value] = fields[name] ?? [null, null]
    return [name, { old: before === undefined || name === 'password' ? old : before[name], new: value }]
  })
  return Object.fromEntries(told)
}
