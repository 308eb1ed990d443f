import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EmailLimits } from '../../access/email-limits.ts'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { context, markPending } from '../contract.ts'
import { conditionsOf, decodePreconditions } from '../request.ts'
import { decodeFlag, readFields, readTexts, tellIgnored } from './decode.ts'
import { type ById, knownId, type People } from './people.ts'

export interface EmailOptions {
  readonly directory: Directory
  readonly people: People
  readonly limits: Pick<EmailLimits, 'tryToken'>
}

type Query = Readonly<Record<string, string | readonly string[]>>

/**
 * One's own address, in two steps: the code of the first comes by mail, and only to the operator's own backend,
 * which speaks for people, in the answer. No answer tells whether anybody has an address, but that to whoever
 * reads its mail.
 */
export function createEmail({ directory, people, limits }: EmailOptions) {
  const { emailChanges } = directory

  return {
    change: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const id = await people.active(request)
      const { problems: unsound, ...preconditions } = decodePreconditions(request)
      const { values, several, problems: wrong } = await readFields(request)
      const problems = [...unsound, ...wrong]
      const flags: Record<string, boolean> = {}
      for (const name of flagNames) {
        const flag = several.has(name) ? undefined : decodeFlag(values.get(name))
        if (flag === undefined) problems.push({ property: name, message: 'must be true or false' })
        else flags[name] = flag
      }
      const email = values.get('new_email')
      if (several.has('new_email')) problems.push({ property: 'new_email', message: 'must be given once' })
      else if (email === '' || email === null)
        problems.push({ property: 'new_email', message: 'is required' })
      const isHanded = flags.confirm === true && request.actor.vouched === true
      const handsOut = isHanded ? ({ mailed: flags.send_email === true } as const) : undefined
      const asked = { id, email: email === '' || email === null ? undefined : email, problems, handsOut }
      const { token } = await named(emailChanges.request(context(request), { ...preconditions, ...asked }))
      const known: readonly string[] = ['new_email', ...flagNames]
      tellIgnored(
        reply,
        [...values.keys()].filter((name) => !known.includes(name)),
      )
      if (token === undefined) return reply.code(204).send()
      reply.header('cache-control', 'no-store')
      return { validation_code: token }
    },

    /** Whoever has the code needs nothing else: it is for one person and one address, and good once. */
    confirm: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const userId = knownId(request)
      const { texts, ignored, problems } = await readTexts(request, ['new_email', 'validation_code'])
      const { new_email: email = '', validation_code: token = '' } = texts
      const all = [...conditionsOf(request), ...problems]
      if (all.length > 0) throw new DirectoryError(refusal('invalid', 'The request is not valid', all))
      const asked = { requestId: request.id, contract: request.actor.contract }
      const { change } = await named(
        limits.tryToken(request.ip, () => emailChanges.confirm(asked, { token, userId, email })),
      )
      tellIgnored(
        reply,
        ignored.filter((name) => name !== 'confirm'),
      )
      // The old mailbox has to confirm as well.
      if (change?.state === 'pending') markPending(reply, { pending: true })
      return reply.code(204).send()
    },

    /** Whether a code would confirm something now, for whoever has it. */
    check: async (request: FastifyRequest<ById>) => {
      const userId = knownId(request)
      const { token, email_token: other } = request.query as Query
      const given = [token, other].filter((value) => value !== undefined)
      const [code] = given
      const isOne = given.length > 0 && given.every((value) => typeof value === 'string' && value === code)
      if (!isOne || typeof code !== 'string' || code === '') {
        const message = given.length === 0 || code === '' ? 'is required' : 'must be given once'
        const problem: Problem = { property: 'token', location: 'query', message }
        throw new DirectoryError(refusal('invalid', 'The request is not valid', [problem]))
      }
      const isUsable = () => emailChanges.isUsable(userId, code)
      return { is_valid: await limits.tryToken(request.ip, isUsable, (is) => !is) }
    },
  }
}

const flagNames = ['confirm', 'send_email'] as const

/** What is wrong, in the words of this contract. */
async function named<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error
    const problems = error.problems.map((problem): Problem => {
      if (problem.field === 'email') return { property: 'new_email', message: problem.message }
      return problem.property === 'token' ? { ...problem, property: 'validation_code' } : problem
    })
    throw new DirectoryError({ ...error, message: error.message, problems }, { cause: error.cause })
  }
}
