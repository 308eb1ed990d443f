import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Basis } from '../../directory/command.ts'
import type { Directory, Result } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal, unavailable } from '../../directory/errors.ts'
import type { FieldName } from '../../directory/fields.ts'
import { depthOf, namesTwice } from '../../directory/json-text.ts'
import { isOutdated } from '../../directory/outdated.ts'
import type { User } from '../../directory/user.ts'
import { readJson, typeOf } from '../body.ts'
import { context } from '../contract.ts'
import { decodePreconditions, entityTag, isNotModified } from '../request.ts'
import { sendUser } from './answer.ts'
import { type DecodedBody, decodeBody, decodeUpdate, patchTypes } from './decode.ts'
import { type Ids, thisOne } from './ids.ts'
import { applyOperations, type Operation, parseOperations } from './json-patch.ts'
import { decodeOptions } from './options.ts'
import { type ById, joined } from './users.ts'
import { encodeProfile, profileProperties } from './wire.ts'

const jsonPatch = 'application/json-patch+json'
export const profileTypes = `${patchTypes}, ${jsonPatch}`

/** Times that a JSON Patch is worked out anew because somebody else wrote what it depends on. */
const maxAttempts = 20

/** A user with every field that has a form here, to be changed by JSON, JSON Merge Patch or JSON Patch. */
export function createProfile({ directory, ids }: { readonly directory: Directory; readonly ids: Ids }) {
  const inLine = createLines()

  async function update(request: FastifyRequest<ById>) {
    const { id: uid } = request.params
    const id = await ids(uid)
    const options = decodeOptions(request)
    if (typeOf(request) === jsonPatch) return updateByOperations(request, id, options)
    const decoded = decodeUpdate(request, { properties: profileProperties, types: profileTypes, uid })
    const problems = joined(options.problems, decoded.problems)
    return directory.update(context(request), { ...decoded, ...options, problems, id, called: uid })
  }

  /**
   * JSON Patch is worked out from the record as it is now, and goes to the store with the values that it
   * depends on. The store refuses it where one of them has changed meanwhile, and it is worked out anew.
   * So what is applied was judged on the record that it is applied to, `test` included.
   */
  async function updateByOperations(
    request: FastifyRequest<ById>,
    id: number,
    options: ReturnType<typeof decodeOptions>,
  ): Promise<Result> {
    const { problems: wrong, ...preconditions } = decodePreconditions(request)
    const read = readOperations(request)
    const problems = [...options.problems, ...wrong, ...read.problems]
    const { id: called } = request.params
    const asked = { ...options, ...preconditions, problems, id, called }
    const of = context(request)

    async function attempt(): Promise<Result | undefined> {
      const user = thisOne(await directory.basis(of, id), called)
      const plan = problems.length > 0 ? nothing : workOut(user, read.operations)
      try {
        const all = { ...asked, ...plan, problems: joined(problems, plan.problems) }
        return await directory.update(of, all)
      } catch (error) {
        if (!isOutdated(error, Object.keys(plan.basis ?? {}))) throw error
        // It was in its turn, and there is no replay: the operations that failed are what is left to tell.
        if (plan.conflict !== undefined) throw new DirectoryError(refusal('conflict', plan.conflict))
        return undefined
      }
    }

    return (await attempt()) ?? inLine(id, () => again(attempt))
  }

  return {
    get: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { id: uid } = request.params
      const user = thisOne(await directory.get(context(request), await ids(uid)), uid)
      reply.header('etag', entityTag(user))
      return isNotModified(request, user) ? reply.code(304).send() : encodeProfile(user)
    },

    update: async (request: FastifyRequest<ById>, reply: FastifyReply) =>
      sendUser(reply, await update(request), encodeProfile),
  }
}

async function again(attempt: () => Promise<Result | undefined>): Promise<Result> {
  for (let n = 0; n < maxAttempts; n++) {
    const result = await attempt()
    if (result !== undefined) return result
  }
  throw unavailable('What the patch depends on changes faster than it can be applied')
}

/** Those who begin anew for one user do so one after the other, so as not to be in each other's way. */
function createLines() {
  const ends = new Map<number, Promise<void>>()
  return <T>(id: number, work: () => Promise<T>): Promise<T> => {
    const result = (ends.get(id) ?? Promise.resolve()).then(work)
    const end = result.then(
      () => {},
      () => {},
    )
    ends.set(id, end)
    end.then(() => ends.get(id) === end && ends.delete(id))
    return result
  }
}

interface Read {
  readonly operations: readonly Operation[]
  readonly problems: readonly Problem[]
}

function readOperations(request: FastifyRequest): Read {
  const none = (...problems: readonly Problem[]): Read => ({ operations: [], problems })
  const body = readJson(request, (type) => type === jsonPatch, jsonPatch)
  if ('problem' in body) return none(body.problem)
  // What compares values goes as deep as they are.
  if (depthOf(body.text) > 64)
    return none({ property: 'body', message: 'must not be nested deeper than 64 levels' })
  const parsed = parseOperations(body.value)
  // RFC 6902, section 4 and appendix A.13: an operation has one "op".
  if (namesTwice(body.text)) return none({ property: 'body', message: 'must not name a member twice' })
  if ('operations' in parsed) return { operations: parsed.operations, problems: [] }
  if (typeof parsed.faults === 'string') return none({ property: 'body', message: parsed.faults })
  return none(
    ...parsed.faults.slice(0, 50).map(({ at, message }) => ({ property: `operations[${at}]`, message })),
  )
}

interface Plan extends DecodedBody {
  readonly basis?: Basis
  /** Why it can not be applied to this record. */
  readonly conflict?: string
}

const nothing: Plan = { patch: {}, problems: [] }

/** Nobody has this version, so what depends on it is judged and not applied. */
const never: Basis = { version: 0 }

/** What the operations come to on a user: the fields that they write, and the values that this depends on. */
export function workOut(user: User, operations: readonly Operation[]): Plan {
  const before = encodeProfile(user)
  const applied = applyOperations(before, operations)
  if ('fault' in applied) {
    const { at, message } = applied.fault
    return { ...nothing, basis: never, conflict: `Operation ${at} can not be applied: ${message}` }
  }
  const { document } = applied
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    const problem = { property: 'body', message: 'must leave the profile a JSON object' }
    return { patch: {}, problems: [problem] }
  }
  const after = new Map<string, unknown>(Object.entries(document))
  const { written, basis } = dependenciesOf(user, operations)
  const body: [string, unknown][] = []
  for (const name of new Set([...Object.keys(before), ...after.keys()])) {
    // A member that was removed is a value that is cleared.
    const value = after.has(name) ? after.get(name) : null
    if (written === 'all' || written.has(name)) body.push([name, value])
  }
  return { ...decodeBody(Object.fromEntries(body), profileProperties, user.uid), basis }
}

/**
 * Which members operations write, and of which they need the value: all but those that are set or removed
 * as a whole, since that comes to the same whatever was there before.
 */
function dependenciesOf(user: User, operations: readonly Operation[]) {
  const written = new Set<string>()
  const needed = new Set<string>()
  let whole = false
  for (const operation of operations) {
    const paths = 'from' in operation ? [operation.from, operation.path] : [operation.path]
    for (const [at, path] of paths.entries()) {
      const [name] = path
      const isSource = paths.length === 2 && at === 0
      if (name === undefined) {
        whole = true
        continue
      }
      if (operation.op !== 'test' && !(isSource && operation.op === 'copy')) written.add(name)
      if (operation.op === 'test' || isSource || path.length > 1) needed.add(name)
    }
  }
  if (whole || needed.has('updated_at'))
    return { written: whole ? ('all' as const) : written, basis: { version: user.version } }
  const values = [...needed]
    .filter((name): name is FieldName => Object.hasOwn(profileProperties, name))
    .map((name) => [name, user[name]])
  return { written, basis: Object.fromEntries(values) as Basis }
}
