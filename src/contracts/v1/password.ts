import type { FastifyReply, FastifyRequest } from 'fastify'
import { isCommonPassword } from '../../access/common-passwords.ts'
import type { Confirmation } from '../../access/confirmation.ts'
import type { Passwords } from '../../access/passwords.ts'
import type { SetPassword } from '../../directory/command.ts'
import type { Context, Directory, Result } from '../../directory/directory.ts'
import { DirectoryError, type Problem } from '../../directory/errors.ts'
import { readJsonObject } from '../body.ts'
import { context } from '../contract.ts'
import { decodePreconditions } from '../request.ts'
import { previewOf, sendPreview } from './answer.ts'
import { isPlainJson } from './decode.ts'
import type { Ids } from './ids.ts'
import { decodeOptions, decodeOptionsSlowly, markReplay } from './options.ts'
import { type ById, judgePassword } from './users.ts'
import { encodeUser } from './wire.ts'

export interface PasswordOptions {
  readonly directory: Directory
  readonly ids: Ids
  readonly passwords: Passwords
  readonly confirmation: Confirmation
}

type Asked = Omit<SetPassword, 'kind' | 'actor' | 'requestId' | 'changeId' | 'at' | 'password'>

/**
 * Changes a password. Who knows the current one may, and so may an administrator, who is not asked for it.
 * What is refused anyway is so before anything is hashed.
 */
export function createPassword({ directory, ids, passwords, confirmation }: PasswordOptions) {
  /** Without the conditions where it may be a repetition, which has changed what they are about. */
  async function attempt(of: Context, asked: Asked, isKeyed: boolean): Promise<Result> {
    const conditions = isKeyed ? { ifMatch: undefined, ifNoneMatch: undefined } : {}
    return directory.setPassword(of, { ...asked, ...conditions, password: '', dryRun: true })
  }

  /**
   * @param current what is said to be the current password, undefined where it need not be said
   * @param dear what costs: not done for what is only tried
   */
  async function change(
    request: FastifyRequest,
    asked: Asked,
    { current, next }: Said,
    dryRun: boolean,
  ): Promise<Result> {
    const who = { ip: request.ip, userId: asked.id }
    const isRight = current === undefined || (await confirmation.confirm({ ...who, password: current }))
    const problems = isRight ? (asked.problems ?? []) : [...(asked.problems ?? []), wrongPassword]
    if (dryRun) return directory.setPassword(context(request), { ...asked, problems, password: '', dryRun })
    const { once } = await decodeOptionsSlowly(request, passwords)
    const password = isRight ? await passwords.hash(next) : ''
    const result = await directory.setPassword(context(request), { ...asked, problems, once, password })
    // The current password was another when the request came first.
    if (!isRight) await confirmation.forgive(who)
    return result
  }

  return async (request: FastifyRequest<ById>, reply: FastifyReply) => {
    const { id: called } = request.params
    const id = await ids(called)
    const { problems: wrong, ...preconditions } = decodePreconditions(request)
    const options = decodeOptions(request)
    const { current, next, problems: others } = await decode(request)
    const asked = { ...preconditions, id, called, problems: [...wrong, ...options.problems, ...others] }
    const isTried = options.dryRun === true
    for (let tries = 1; ; tries++) {
      const { user } = await attempt(context(request), asked, options.once !== undefined)
      // The password that is confirmed must still be the current one when it is changed.
      const basis = current === undefined ? undefined : { version: user.version - 1 }
      try {
        const result = await change(request, { ...asked, basis }, { current, next }, isTried)
        if (isTried) return sendPreview(reply, { ...previewOf(result, encodeUser), status: 204 })
        markReplay(reply, result)
        return reply.code(204).send()
      } catch (error) {
        if (tries >= maxTries || !isOutdated(error)) throw error
      }
    }
  }
}

/** Of somebody whose record others keep changing meanwhile. */
const maxTries = 5

function isOutdated(error: unknown): boolean {
  if (!(error instanceof DirectoryError) || error.code !== 'precondition_failed') return false
  return error.problems.some(({ field }) => field === 'version')
}

const wrongPassword: Problem = { property: 'current_password', message: 'is not the current password' }

interface Said {
  readonly current: string | undefined
  readonly next: string
}

async function decode(request: FastifyRequest): Promise<Said & { readonly problems: readonly Problem[] }> {
  const body = readJsonObject(request, isPlainJson, 'application/json')
  if (!('object' in body)) return { current: undefined, next: '', problems: [body.problem] }
  const { current_password, new_password, ...rest } = body.object as Readonly<Record<string, unknown>>
  const problems: Problem[] = Object.keys(rest)
    .slice(0, 25)
    .map((property) => ({ property: property.slice(0, 100), message: notKnown }))
  const needsCurrent = !request.actor.scopes.includes('admin')
  if (current_password === undefined && needsCurrent)
    problems.push({ property: 'current_password', message: 'is required' })
  else if (current_password !== undefined && typeof current_password !== 'string')
    problems.push({ property: 'current_password', message: 'must be a string' })
  const wrong = judgePassword(new_password, 'new_password')
  if (wrong !== undefined) problems.push(wrong)
  else if (await isCommonPassword(String(new_password)))
    problems.push({ property: 'new_password', message: 'must not be one of the most common passwords' })
  // Longer than any password is, and not worth hashing.
  const current = needsCurrent ? String(current_password).slice(0, 1_000) : undefined
  return { current, next: String(new_password), problems }
}

const notKnown = 'is not known here; known are current_password, new_password'
