import type { FastifyRequest } from 'fastify'
import type { Preconditions } from '../directory/command.ts'
import { DirectoryError, type Problem, refusal } from '../directory/errors.ts'
import type { FieldName } from '../directory/fields.ts'
import type { Patch } from '../directory/patch.ts'
import type { User } from '../directory/user.ts'
import { readJsonObject } from './body.ts'

/**
 * What the contracts have in common in reading a request. Nothing here throws: what is wrong becomes
 * a problem that goes along with the command, so that all of it is told at once and in the right order.
 */
export interface Decoded extends Preconditions {
  readonly patch: Patch
  /** The fields that must be named: none where the body could not be read, so as to tell that alone. */
  readonly required: readonly FieldName[]
  readonly problems: readonly Problem[]
}

/** The properties of a contract's body, each with its field. */
export type Properties = Readonly<Record<string, FieldName>>

/** More are not told, to keep the answer to a hostile body short. */
const maxProblems = 50

export interface Expected {
  readonly properties: Properties
  readonly required?: readonly FieldName[]
  /** The id of the user as shown: sending it back is no change. */
  readonly id?: number
}

/** Decodes a JSON body and the conditional headers. */
export function decodeWrite(request: FastifyRequest, { properties, required = [], id }: Expected): Decoded {
  const { ifMatch, ifNoneMatch, problems: headerProblems } = decodePreconditions(request)
  const body = readJsonObject(request, isJson, 'application/json')
  const isRead = 'object' in body
  const decoded = isRead ? toPatch(body.object, properties, id) : { patch: {}, problems: [body.problem] }
  return {
    patch: decoded.patch,
    required: isRead ? required : [],
    problems: headerProblems.length > 0 ? [...headerProblems, ...decoded.problems] : decoded.problems,
    ifMatch,
    ifNoneMatch,
  }
}

function toPatch(
  body: object,
  properties: Properties,
  id: number | undefined,
): Pick<Decoded, 'patch' | 'problems'> {
  const patch: { [F in FieldName]?: unknown } = {}
  const problems: Problem[] = []
  for (const [name, value] of Object.entries(body)) {
    if (Object.hasOwn(properties, name)) patch[properties[name] as FieldName] = value
    else if (name === 'id') {
      if (value !== id)
        problems.push({ property: 'id', message: 'is given by the service and can not be changed' })
    } else if (problems.length < maxProblems) {
      const known = Object.keys(properties).join(', ')
      problems.push({ property: name.slice(0, 100), message: `is not known here; known are ${known}` })
    }
  }
  return { patch, problems }
}

const jsonType = /^application\/(?:[\w!#$&^.-]+\+)?json$/

const isJson = (type: string) => type === 'application/json' || jsonType.test(type)

/** RFC 9110, sections 13.1.1 and 13.1.2. Tags that are not ours match nothing. */
export function decodePreconditions({
  headers,
}: Pick<FastifyRequest, 'headers'>): Preconditions & { readonly problems: readonly Problem[] } {
  const match = headers['if-match']
  const noneMatch = headers['if-none-match']
  if (match === undefined && noneMatch === undefined) return { problems: [] }
  const ifMatch = match === undefined ? undefined : parseTags(match, 'strong')
  const ifNoneMatch = noneMatch === undefined ? undefined : parseTags(noneMatch, 'weak')
  const problems: Problem[] = []
  const message = 'must be * or a list of entity tags like "3"'
  if (ifMatch === null) problems.push({ property: 'If-Match', location: 'header', message })
  if (ifNoneMatch === null) problems.push({ property: 'If-None-Match', location: 'header', message })
  return { problems, ifMatch: ifMatch ?? undefined, ifNoneMatch: ifNoneMatch ?? undefined }
}

/** The conditional headers that were sent, each a problem, for what has no version to make it depend on. */
export function conditionsOf(
  request: Pick<FastifyRequest, 'headers'>,
  message = 'must be left out: there is no ETag here',
): Problem[] {
  return refuseHeaders(request, ['If-Match', 'If-None-Match'], message)
}

/** Of some headers those that were sent, each a problem: who sends one relies on it. */
export function refuseHeaders(
  { headers }: Pick<FastifyRequest, 'headers'>,
  names: readonly string[],
  message: string,
): Problem[] {
  return names
    .filter((name) => headers[name.toLowerCase()] !== undefined)
    .map((property) => ({ property, location: 'header', message }))
}

// With the empty elements that section 5.6.1.2 wants recipients to overlook.
const tagList =
  /^[\s,]*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:\s*,[\s,]*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*[\s,]*$/
const tags = /(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/g

/** RFC 9110, section 8.8.3.2: If-Match compares strongly, so a weak tag never matches there. */
function parseTags(header: string, comparison: 'strong' | 'weak'): '*' | number[] | null {
  if (header.trim() === '*') return '*'
  if (header.length > 4096 || !tagList.test(header)) return null
  const versions: number[] = []
  for (const [, weak, opaque = ''] of header.matchAll(tags)) {
    if ((weak === undefined || comparison === 'weak') && /^[1-9]\d{0,15}$/.test(opaque))
      versions.push(Number(opaque))
  }
  return versions
}

/** The entity tag of a user, the same through every contract: its version. */
export function entityTag(user: User): string {
  return `"${user.version}"`
}

/**
 * Whether the caller of a GET or HEAD has this representation already (RFC 9110, section 13.2.2).
 * @throws DirectoryError `precondition_failed` when the caller asked for another one by If-Match
 */
export function isNotModified(request: FastifyRequest, user: User): boolean {
  const { ifMatch, ifNoneMatch } = decodePreconditions(request)
  if (ifMatch !== undefined && ifMatch !== '*' && !ifMatch.includes(user.version)) {
    throw new DirectoryError(refusal('precondition_failed', 'The user has changed since (If-Match)'))
  }
  return ifNoneMatch !== undefined && (ifNoneMatch === '*' || ifNoneMatch.includes(user.version))
}
