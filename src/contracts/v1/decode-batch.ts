import type { FastifyRequest } from 'fastify'
import type { Once, Preconditions } from '../../directory/command.ts'
import type { Problem } from '../../directory/errors.ts'
import { namesTwice } from '../../directory/json-text.ts'
import { maxBatch } from '../../directory/store.ts'
import { readJsonObject } from '../body.ts'
import { decodePreconditions } from '../request.ts'
import { type DecodedBody, decodeBody, isPlainJson } from './decode.ts'
import type { Ids } from './ids.ts'
import type { Options } from './options.ts'
import { decodeNew, required } from './users.ts'
import { properties } from './wire.ts'

/** What is to be done, as far as it can be known from the request. */
interface Asked extends Preconditions, DecodedBody {
  readonly once?: Once | undefined
  readonly dryRun?: true | undefined
}

export interface Creation extends Asked {
  readonly kind: 'create'
  readonly required: typeof required
  /** The password as it is to be, not hashed yet. */
  readonly secret: string
}

export interface Update extends Asked {
  readonly kind: 'update'
  readonly id: number
  readonly called: string
}

export type Operation = Creation | Update

export interface Batch {
  readonly operations: readonly unknown[]
  readonly atomic: boolean
  /** Whether there may be a password in it. */
  readonly isSecret: boolean
  readonly problems: readonly Problem[]
}

/** Reads the batch as a whole; its operations are read each for itself. */
export function decodeBatch(request: FastifyRequest): Batch {
  const body = readJsonObject(request, isPlainJson, 'application/json')
  if ('problem' in body) return { operations: [], atomic: false, isSecret: false, problems: [body.problem] }
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
  // Nothing may be kept that a password could be guessed from, wherever it stands and however it is written.
  const isSecret = /password|\\u/i.test(body.text)
  return { operations: isList ? operations : [], atomic: atomic === true, isSecret, problems }
}

/**
 * Reads one operation of a batch.
 * @param at its place, which names it among those with the same idempotency key
 */
export async function decodeOperation(
  one: unknown,
  at: number,
  { once, dryRun }: Options,
  ids: Ids,
): Promise<Operation> {
  // A key is one line, so none of another request is like this.
  const own = { dryRun, once: once && { ...once, key: `${once.key}\n${at}`, whole: once.key } }
  const { op, id, data, if_match, ...rest } = (isObject(one) ? one : {}) as Readonly<Record<string, unknown>>
  const problems: Problem[] = Object.keys(rest)
    .slice(0, 20)
    .map((name) => ({ property: name.slice(0, 100), message: notKnown }))
  if (op !== 'create' && op !== 'update')
    problems.push({ property: 'op', message: 'must be create or update' })
  if (!isObject(data))
    problems.push({ property: 'data', message: 'must be an object of the properties of a user' })
  const values = isObject(data) ? data : {}
  if (op === 'update') {
    const uid = typeof id === 'string' ? id : ''
    if (uid === '') problems.push({ property: 'id', message: 'must be the id of a user' })
    const { ifMatch, wrong } = decodeIfMatch(if_match)
    const { problems: more, ...update } = decodeBody(values, properties, uid)
    const all = [...problems, ...wrong, ...more]
    return { ...own, ...update, kind: 'update', ifMatch, id: await ids(uid), called: uid, problems: all }
  }
  if (id !== undefined) problems.push({ property: 'id', message: 'is given by the service' })
  if (if_match !== undefined)
    problems.push({ property: 'if_match', message: 'must be left out: nobody is there yet' })
  const { password = '', patch, problems: more } = decodeNew(values)
  return { ...own, kind: 'create', patch, required, secret: password, problems: [...problems, ...more] }
}

const notKnown =
  'is not known here; an operation has op, data, and where it updates id, and if_match if it likes'

/** As the header of that name, which is about one user and so is none of a batch. */
function decodeIfMatch(value: unknown) {
  if (value === undefined) return { wrong: [] }
  if (typeof value === 'string') {
    const { ifMatch, problems } = decodePreconditions({ headers: { 'if-match': value } })
    if (problems.length === 0) return { ifMatch, wrong: [] }
  }
  return { wrong: [{ property: 'if_match', message: 'must be * or a list of entity tags like "3"' }] }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
