import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Passwords } from '../../access/passwords.ts'
import type { BatchResult, Context, Directory, Result } from '../../directory/directory.ts'
import { DirectoryError, type Problem, type Refusal, refusal } from '../../directory/errors.ts'
import { lackOfScope } from '../../directory/policy.ts'
import type { Charge } from '../admit.ts'
import { context } from '../contract.ts'
import { conditionsOf, entityTag } from '../request.ts'
import { previewOf, sendPreview } from './answer.ts'
import { type Creation, decodeBatch, decodeOperation, type Operation } from './decode-batch.ts'
import { refuse } from './errors.ts'
import type { Ids } from './ids.ts'
import { inTurn } from './in-turn.ts'
import { decodeOptions, decodeOptionsSlowly } from './options.ts'
import { hashSound, tryCreate } from './users.ts'
import { encodeUser } from './wire.ts'

export interface BatchOptions {
  readonly directory: Directory
  readonly ids: Ids
  readonly passwords: Pick<Passwords, 'hash' | 'fingerprint'>
  readonly charge: Charge
}

/** `POST /v1/users/batch`: many creations and updates, each for itself, or all or nothing. */
export function createBatch({ directory, ids, passwords, charge }: BatchOptions) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { operations: sent, atomic, isSecret, problems: wrong } = decodeBatch(request)
    const fast = decodeOptions(request)
    const problems = [...fast.problems, ...conditionsOf(request, forEach), ...wrong]
    const lack = lackOfScope(request.actor, 'write')
    if (lack !== undefined) throw new DirectoryError(lack)
    if (problems.length > 0) return directory.exclusively(fast.once, async () => refuseAll(problems))
    const options = isSecret ? await decodeOptionsSlowly(request, passwords) : fast
    const { once, dryRun } = options
    const operations = await Promise.all(sent.map((one, at) => decodeOperation(one, at, options, ids)))
    const carryOut = atomic ? together : oneByOne
    const results = await directory.exclusively(once, async (kept) => {
      const left = kept === undefined || dryRun ? sent.length : await leftOf(operations)
      if (left > 0) await charge(request, reply, left)
      return carryOut(context(request), operations, kept !== undefined)
    })
    const mismatch = refusalsOf(results).find(({ code }) => code === 'idempotency_mismatch')
    if (mismatch !== undefined) throw new DirectoryError(mismatch)
    const told = results.map((result, at) => tell(result, request.id, operations[at], dryRun))
    const aborted = atomic && refusalsOf(results).length > 0
    if (aborted) return reply.code(409).send({ ...nothingDone, results: told })
    if (dryRun) return sendPreview(reply, { dry_run: true, status: 200, results: told })
    if (results.every((result) => 'replayed' in result)) reply.header('idempotency-replayed', 'true')
    return { results: told }
  }

  /** How many of a request that came before are still to be done: the others were paid for then. */
  async function leftOf(operations: readonly Operation[]): Promise<number> {
    const done = await inTurn(
      operations,
      () => [],
      async ({ once }) => once !== undefined && directory.isDone(once),
    )
    return done.filter((is) => !is).length
  }

  /** Each for itself, those about the same things in their order. */
  async function oneByOne(
    of: Context,
    operations: readonly Operation[],
    isRepeated: boolean,
  ): Promise<readonly BatchResult[]> {
    const ready = new Map<Operation, Ready>()
    const lookAhead = async (one: Operation) => {
      if (one.kind === 'create') ready.set(one, await prepare(of, one, isRepeated))
    }
    await inTurn(operations, () => [], lookAhead, hashedAtOnce)
    return inTurn(operations, lanesOf, (one) => alone(of, one, ready.get(one) ?? {}))
  }

  /** What can be done for a creation before its turn: hashing, which takes longest. */
  async function prepare(of: Context, operation: Creation, isRepeated: boolean): Promise<Ready> {
    const { secret, ...asked } = operation
    try {
      if (isRepeated) {
        const told = await repeated(of, operation)
        if (told !== undefined) return { told }
      }
      const tried = await directory.create(of, { ...asked, dryRun: true })
      return asked.dryRun ? { told: tried } : { password: await passwords.hash(secret) }
    } catch (error) {
      // In its turn it may be another matter, and is told in any case.
      if (error instanceof DirectoryError) return {}
      throw error
    }
  }

  /** What came of a creation, if it was carried out before: it is asked for in a way that makes nobody. */
  async function repeated(of: Context, { secret: _, ...asked }: Creation): Promise<Result | undefined> {
    const problems = [...asked.problems, notHashed]
    return directory.create(of, { ...asked, problems }).catch((error: unknown) => {
      if (error instanceof DirectoryError) return undefined
      throw error
    })
  }

  async function alone(of: Context, operation: Operation, ready: Ready): Promise<BatchResult> {
    try {
      if (operation.kind === 'update') return await directory.update(of, operation)
      return ready.told ?? (await create(of, operation, ready.password))
    } catch (error) {
      if (!(error instanceof DirectoryError)) throw error
      const { code, message, problems } = error
      return { outcome: 'refused', refusal: { code, message, problems } }
    }
  }

  async function create(of: Context, { secret, ...asked }: Creation, hashed?: string): Promise<Result> {
    if (hashed !== undefined) return directory.create(of, { ...asked, password: hashed })
    const tried = await tryCreate(directory, of, asked, asked.once !== undefined)
    if (asked.dryRun && tried !== undefined) return tried
    return directory.create(of, { ...asked, password: await hashSound(passwords, secret, asked.problems) })
  }

  async function together(
    of: Context,
    operations: readonly Operation[],
    isRepeated: boolean,
  ): Promise<readonly BatchResult[]> {
    const bare = operations.map(withoutSecret)
    // Hashing is dear, so first it is seen whether it is worth it.
    const first = isRepeated
      ? bare.map((one) => (one.kind === 'create' ? { ...one, problems: [...one.problems, notHashed] } : one))
      : bare.map((one) => ({ ...one, dryRun: true }))
    const tried = await directory.batch(of, first)
    const isRefused = refusalsOf(tried).length > 0
    if (isRepeated ? !isRefused : isRefused || operations[0]?.dryRun) return tried
    const whole = await inTurn(
      operations,
      () => [],
      async (one) => {
        if (one.kind === 'update') return one
        return { ...withoutSecret(one), password: await hashSound(passwords, one.secret, one.problems) }
      },
      hashedAtOnce,
    )
    return directory.batch(of, whole)
  }
}

/** What was found out about a creation before its turn. */
interface Ready {
  readonly told?: Result
  readonly password?: string
}

const forEach = 'must be left out: each operation has an if_match of its own'
const notHashed: Problem = { property: 'password', message: 'is not hashed yet' }

function refuseAll(problems: readonly Problem[]): never {
  throw new DirectoryError(refusal('invalid', 'The request is not valid', problems))
}

function refusalsOf(results: readonly BatchResult[]): readonly Refusal[] {
  return results.flatMap((one) => (one.outcome === 'refused' ? [one.refusal] : []))
}

function withoutSecret(operation: Operation) {
  if (operation.kind === 'update') return operation
  const { secret: _, ...rest } = operation
  return rest
}

/** What an operation must not overtake, nor be overtaken by: others on the same user, and others that may want the same name. */
function lanesOf(operation: Operation): readonly string[] {
  const user = operation.kind === 'update' ? [String(operation.id)] : []
  const { email, username } = operation.patch
  return email === undefined && username === undefined ? user : [...user, 'claims']
}

/**
 * Passwords of a batch that are hashed or wait for it at a time: as many as there are threads for it, at
 * most. Whoever else needs one hashed, to sign in for example, comes in between.
 */
export const hashedAtOnce = 4

const nothingDone = {
  error: 'batch_aborted',
  message: 'Nothing was done, since not all of it could be; results says what was wrong with which operation',
} as const

/** As the operation would have been answered alone. */
function tell(
  result: BatchResult,
  requestId: string,
  operation: Operation | undefined,
  dryRun: true | undefined,
): object {
  if (result.outcome === 'refused') return toldOf(result.refusal, requestId, operation)
  const status = result.outcome === 'created' ? 201 : 200
  const body = encodeUser(result.user)
  const pending = result.pending && { pending: ['email'] }
  if (!dryRun) {
    const etag = entityTag(result.user)
    return { status, etag, body, ...pending, ...(result.replayed && { replayed: true }) }
  }
  const { changes } = previewOf(result, encodeUser)
  return { status, body, ...pending, changes }
}

function toldOf(refused: Refusal, requestId: string, operation: Operation | undefined): object {
  const alone =
    operation?.kind === 'create'
      ? { method: 'POST', path: '/v1/users' }
      : { method: 'PATCH', path: '/v1/users/:id' }
  const { status, body } = refuse(refused, requestId, alone)
  return { status, body }
}
