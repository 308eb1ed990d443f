import type { FastifyReply, FastifyRequest } from 'fastify'
import type { PasswordChange } from '../../access/password-change.ts'
import { faultOfChosenPassword, faultOfPassword } from '../../access/password-rule.ts'
import { context } from '../contract.ts'
import { decodePreconditions } from '../request.ts'
import { readTexts, tellIgnored } from './decode.ts'
import type { ById, People } from './people.ts'

export interface PasswordOptions {
  readonly people: People
  readonly change: PasswordChange
}

/** One's own password, for who knows the current one. */
export function createPassword({ people, change }: PasswordOptions) {
  return async (request: FastifyRequest<ById>, reply: FastifyReply) => {
    const id = await people.own(request)
    const { problems: wrong, ...preconditions } = decodePreconditions(request)
    const { texts, ignored, problems } = await readTexts(request, ['password', 'new_password'])
    const fault = texts.new_password === undefined ? undefined : await judgeNewPassword(texts.new_password)
    const weak = fault === undefined ? [] : [{ property: 'new_password', message: fault }]
    await change(context(request), {
      asked: { ...preconditions, id, problems: [...wrong, ...problems, ...weak] },
      ip: request.ip,
      // Longer than any password is, and not worth hashing.
      current: { password: (texts.password ?? '').slice(0, 1_000), property: 'password' },
      next: texts.new_password ?? '',
    })
    tellIgnored(reply, ignored)
    return reply.code(204).send()
  }
}

/** As `judgePassword`, for one that somebody chooses in place of another: none of those that many have. */
export async function judgeNewPassword(value: string): Promise<string | undefined> {
  return judgePassword(value) ?? faultOfChosenPassword(value)
}

const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u]

/** 8 to 128 characters, of at least three of the four kinds; what is wrong, where something is. */
export function judgePassword(value: unknown): string | undefined {
  const fault = faultOfPassword(value === null || value === '' ? undefined : value)
  if (fault !== undefined) return fault
  const isMixed = kinds.filter((kind) => kind.test(String(value))).length >= 3
  return isMixed ? undefined : 'must have three of these: small letters, capital letters, digits, others'
}
