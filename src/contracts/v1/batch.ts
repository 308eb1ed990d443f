import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Passwords } from '../../access/passwords.ts'
import type { Once } from '../../directory/command.ts'
import type { BatchResult, Context, Directory, Result } from '../../directory/directory.ts'
import { DirectoryError, type Problem, type Refusal, refusal } from '../../directory/errors.ts'
import { lackOfScope } from '../../directory/policy.ts'
import { maxBatch } from '../../directory/store.ts'
import { namesTwice, readJsonObject } from '../body.ts'
import { context } from '../contract.ts'
import { previewOf, sendPreview } from './answer.ts'
import { conditionsOf } from './counters.ts'
import { decodeBody, isPlainJson } from './decode.ts'
import { refuse } from './errors.ts'
import type { Ids } from './ids.ts'
import { inTurn } from './in-turn.ts'
import { decodeOptions, decodeOptionsSlowly, type Options } from './options.ts'
import { decodeNew, hashSound, required, tryCreate } from './users.ts'
import { encodeUser, properties } from './wire.ts'

export interface BatchOptions {
  readonly directory: Directory
  readonly ids: Ids
  readonly passwords: Passwords
}

/** What is to be done, as far as it can be known from the request. */
type Asked = Pick<Update, 'patch' | 'shown' | 'problems'> & {
  readonly once?: Once | undefined
  readonly dryRun?: true | undefined
}
type Update = ReturnType<typeof decodeBody>
type Operation =
  | (Asked & { readonly kind: 'create'; readonly required: typeof required; readonly secret: string })
  | (Asked & { readonly kind: 'update'; readonly id: number; readonly called: string })

/** `POST /v1/users/batch`: many creations and updates, each for itself, or all or nothing. */
export function createBatch({ directory, ids, passwords }: BatchOptions) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const body = decodeBatch(request)
    const fast = decodeOptions(request)
    const problems = [...fast.problems, ...conditionsOf(request), ...body.problems]
    const lack = lackOfScope(request.actor, 'write')
    if (lack !== undefined) throw new DirectoryError(lack)
    if (problems.length > 0)
      throw new DirectoryError(refusal('invalid', 'The request is not valid', problems))
    const secret = body.operations.some((one) => isMember(one, 'data') && isMember(one.data, 'password'))
    const options = secret ? await decodeOptionsSlowly(request, passwords) : fast
    const operations = await Promise.all(body.operations.map((one, at) => decode(one, at, options)))
    const results = body.atomic ? await together(request, operations) : await oneByOne(request, operations)
    const told = results.map((result, at) => tell(result, request.id, operations[at], options.dryRun))
    const aborted = body.atomic && results.some(({ outcome }) => outcome === 'refused')
    if (aborted) return reply.code(409).send({ ...nothingDone, results: told })
    if (options.dryRun) return sendPreview(reply, { dry_run: true, status: 200, results: told })
    if (results.every((result) => 'replayed' in result)) reply.header('idempotency-replayed', 'true')
    return { results: told }
  }

  async function decode(one: unknown, at: number, { once, dryRun }: Options): Promise<Operation> {
    // A key is one line, so none of another request is like this.
    const own = { dryRun, once: once && { ...once, key: `${once.key}\n${at}` } }
    const { op, id, data, ...rest } = (isObject(one) ? one : {}) as Readonly<Record<string, unknown>>
    const problems: Problem[] = Object.keys(rest)
      .slice(0, 20)
      .map((name) => ({
        property: name.slice(0, 100),
        message: 'is not known here; an operation has op, data, and id where it updates',
      }))
    if (op !== 'create' && op !== 'update')
      problems.push({ property: 'op', message: 'must be create or update' })
    if (!isObject(data))
      problems.push({ property: 'data', message: 'must be an object of the properties of a user' })
    const values = isObject(data) ? data : {}
    if (op === 'update') {
      const uid = typeof id === 'string' ? id : ''
      if (uid === '') problems.push({ property: 'id', message: 'must be the id of a user' })
      const { problems: more, ...update } = decodeBody(values, properties, uid)
      return {
        ...own,
        ...update,
        kind: 'update',
        id: await ids(uid),
        called: uid,
        problems: [...problems, ...more],
      }
    }
    if (id !== undefined) problems.push({ property: 'id', message: 'is given by the service' })
    const { password = '', patch, problems: more } = decodeNew(values)
    return { ...own, kind: 'create', patch, required, secret: password, problems: [...problems, ...more] }
  }

  /**
   * Each for itself, those about the same things in their order. Where the key was used for another batch,
   * the first operation tells, before anything is done.
   */
  async function oneByOne(
    request: FastifyRequest,
    operations: readonly Operation[],
  ): Promise<readonly BatchResult[]> {
    const of = context(request)
    const [first, ...others] = operations
    if (first?.once === undefined) return inTurn(operations, lanesOf, (one) => alone(of, one))
    const result = await alone(of, first)
    if (result.outcome === 'refused' && result.refusal.code === 'idempotency_mismatch') {
      throw new DirectoryError(result.refusal)
    }
    return [result, ...(await inTurn(others, lanesOf, (one) => alone(of, one)))]
  }

  async function alone(of: Context, operation: Operation): Promise<BatchResult> {
    try {
      return await (operation.kind === 'update' ? directory.update(of, operation) : create(of, operation))
    } catch (error) {
      if (!(error instanceof DirectoryError)) throw error
      const { code, message, problems } = error
      return { outcome: 'refused', refusal: { code, message, problems } }
    }
  }

  async function create(
    of: Context,
    { secret, ...asked }: Extract<Operation, { kind: 'create' }>,
  ): Promise<Result> {
    const tried = await tryCreate(directory, of, asked, asked.once !== undefined)
    if (asked.dryRun && tried !== undefined) return tried
    return directory.create(of, { ...asked, password: await hashSound(passwords, secret, asked.problems) })
  }

  async function together(
    request: FastifyRequest,
    operations: readonly Operation[],
  ): Promise<readonly BatchResult[]> {
    const of = context(request)
    const bare = operations.map((operation) => (operation.kind === 'create' ? without(operation) : operation))
    if (operations.some(({ once }) => once === undefined)) {
      // Hashing is dear, so first it is seen whether it is worth it.
      const tried = await directory.batch(
        of,
        bare.map((one) => ({ ...one, dryRun: true })),
      )
      if (operations[0]?.dryRun || tried.some(({ outcome }) => outcome === 'refused')) return tried
    }
    const whole = await inTurn(
      operations,
      () => [],
      async (operation) => {
        if (operation.kind === 'update') return operation
        const password = await hashSound(passwords, operation.secret, operation.problems)
        return { ...without(operation), password }
      },
      hashedAtOnce,
    )
    return directory.batch(of, whole)
  }
}

function without(operation: Operation) {
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
const hashedAtOnce = 4

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
  if (!dryRun) return { status, body, ...(result.replayed && { replayed: true }) }
  const { changes } = previewOf(result, encodeUser)
  return { status, body, changes }
}

function toldOf(refused: Refusal, requestId: string, operation: Operation | undefined): object {
  const alone =
    operation?.kind === 'create'
      ? { method: 'POST', path: '/v1/users' }
      : { method: 'PATCH', path: '/v1/users/:id' }
  const { status, body } = refuse(refused, requestId, alone)
  return { status, body }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isMember<N extends string>(value: unknown, name: N): value is { readonly [M in N]: unknown } {
  return isObject(value) && Object.hasOwn(value, name)
}

interface Batch {
  readonly operations: readonly unknown[]
  readonly atomic: boolean
  readonly problems: readonly Problem[]
}

function decodeBatch(request: FastifyRequest): Batch {
  const body = readJsonObject(request, isPlainJson, 'application/json')
  if ('problem' in body) return { operations: [], atomic: false, problems: [body.problem] }
  const { operations, atomic = false, ...rest } = body.object as Readonly<Record<string, unknown>>
  const problems: Problem[] = Object.keys(rest)
    .slice(0, 50)
    .map((name) => ({
      property: name.slice(0, 100),
      message: 'is not known here; known are operations, atomic',
    }))
  if (namesTwice(body.text)) problems.push({ property: 'body', message: 'must not name a property twice' })
  if (typeof atomic !== 'boolean') problems.push({ property: 'atomic', message: 'must be true or false' })
  const isList = Array.isArray(operations) && operations.length > 0 && operations.length <= maxBatch
  if (!isList)
    problems.push({ property: 'operations', message: `must be a list of 1 to ${maxBatch} operations` })
  return { operations: isList ? operations : [], atomic: atomic === true, problems }
}
