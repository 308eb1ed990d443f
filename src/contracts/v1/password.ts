import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Confirmation } from '../../access/confirmation.ts'
import { createPasswordChange } from '../../access/password-change.ts'
import { faultOfChosenPassword } from '../../access/password-rule.ts'
import type { Passwords } from '../../access/passwords.ts'
import type { Directory } from '../../directory/directory.ts'
import type { Problem } from '../../directory/errors.ts'
import { readJsonObject } from '../body.ts'
import { context } from '../contract.ts'
import { decodePreconditions } from '../request.ts'
import { previewOf, sendPreview } from './answer.ts'
import { isPlainJson } from './decode.ts'
import type { Ids } from './ids.ts'
import { decodeOptions, decodeOptionsSlowly, markReplay } from './options.ts'
import type { ById } from './users.ts'
import { encodeUser } from './wire.ts'

export interface PasswordOptions {
  readonly directory: Directory
  readonly ids: Ids
  readonly passwords: Passwords
  readonly confirmation: Confirmation
}

/** Changes a password. Who knows the current one may, and so may an administrator, who need not say it. */
export function createPassword({ directory, ids, passwords, confirmation }: PasswordOptions) {
  const change = createPasswordChange({ directory, passwords, confirmation })

  return async (request: FastifyRequest<ById>, reply: FastifyReply) => {
    const { id: called } = request.params
    const id = await ids(called)
    const { problems: wrong, ...preconditions } = decodePreconditions(request)
    const { once, dryRun, problems: unsound } = decodeOptions(request)
    const { current, next, problems: others } = await decode(request)
    const result = await change(context(request), {
      asked: { ...preconditions, id, called, dryRun, problems: [...wrong, ...unsound, ...others] },
      ip: request.ip,
      current: current === undefined ? undefined : { password: current, property: 'current_password' },
      next,
      once: once && (async () => (await decodeOptionsSlowly(request, passwords)).once),
    })
    if (dryRun) return sendPreview(reply, { ...previewOf(result, encodeUser), status: 204 })
    markReplay(reply, result)
    return reply.code(204).send()
  }
}

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
  const fault = await faultOfChosenPassword(new_password)
  if (fault !== undefined) problems.push({ property: 'new_password', message: fault })
  // Longer than any password is, and not worth hashing.
  const said = textOf(current_password).slice(0, 1_000)
  const current = current_password === undefined && !needsCurrent ? undefined : said
  return { current, next: textOf(new_password), problems }
}

/** What is no text has been found wrong already, and may be anything. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

const notKnown = 'is not known here; known are current_password, new_password'
