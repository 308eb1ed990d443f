import type { FastifyRequest } from 'fastify'
import type { Preconditions } from '../../directory/command.ts'
import type { Problem } from '../../directory/errors.ts'
import type { FieldName } from '../../directory/fields.ts'
import { namesTwice } from '../../directory/json-text.ts'
import type { Patch } from '../../directory/patch.ts'
import { readJsonObject } from '../body.ts'
import { decodePreconditions, type Properties } from '../request.ts'
import { decodeTime } from './wire.ts'

/** What is wrong becomes a problem, to be told with everything else and in its turn. */
export interface DecodedBody {
  readonly patch: Patch
  /** The times that were sent back. */
  readonly shown?: Shown
  readonly problems: readonly Problem[]
}

export interface Decoded extends DecodedBody, Preconditions {}

type Shown = { created_at?: number; updated_at?: number }

/** More are not told, to keep the answer to a hostile body short. */
const maxProblems = 25

export const isPatchType = (type: string) =>
  type === 'application/json' || type === 'application/merge-patch+json'
export const patchTypes = 'application/json, application/merge-patch+json'
export const isPlainJson = (type: string) => type === 'application/json'

/** Decodes an update: JSON and a JSON Merge Patch (RFC 7396) say the same of an object without objects in it. */
export function decodeUpdate(request: FastifyRequest, { properties, types, uid }: Updated): Decoded {
  const { ifMatch, ifNoneMatch, problems: wrong } = decodePreconditions(request)
  const body = readJsonObject(request, isPatchType, types)
  const decoded =
    'object' in body ? decodeObject(body, properties, uid) : { patch: {}, problems: [body.problem] }
  if (wrong.length === 0 && ifMatch === undefined && ifNoneMatch === undefined) return decoded
  return { ...decoded, problems: [...wrong, ...decoded.problems], ifMatch, ifNoneMatch }
}

export interface Updated {
  readonly properties: Properties
  /** The media types that are told where the body has another. */
  readonly types: string
  readonly uid: string
}

function decodeObject(
  { object, text }: { readonly object: object; readonly text: string },
  properties: Properties,
  uid: string,
): DecodedBody {
  const decoded = decodeBody(object, properties, uid)
  // No value of these properties is an object, except within a list: only there is more than one level.
  if (!text.includes('[') || !namesTwice(text)) return decoded
  const problem = { property: 'body', message: 'must not name a property twice' }
  return { ...decoded, problems: [...decoded.problems, problem] }
}

/**
 * A body as a patch. What only the service sets may be sent back as it was shown.
 * @param uid the user's, undefined for one that is yet to be made
 */
export function decodeBody(body: object, properties: Properties, uid: string | undefined): DecodedBody {
  const patch: { [F in FieldName]?: unknown } = {}
  const problems: Problem[] = []
  let shown: Shown | undefined
  for (const [property, value] of Object.entries(body)) {
    if (Object.hasOwn(properties, property)) {
      patch[properties[property] as FieldName] = value
    } else if (property === 'id') {
      if (value !== uid || uid === undefined) problems.push({ property, message: isGiven })
    } else if (property === 'created_at' || property === 'updated_at') {
      const seconds = uid === undefined ? undefined : decodeTime(value)
      if (seconds === undefined) problems.push({ property, message: isSet })
      else shown = { ...shown, [property]: seconds }
    } else if (problems.length < maxProblems) {
      problems.push(unknown(property, properties))
    }
  }
  return shown === undefined ? { patch, problems } : { patch, problems, shown }
}

const isGiven = 'is given by the service and can not be changed'
const isSet = 'is set by the service and can not be changed'

/** The page has passwords changed elsewhere. */
const isElsewhere = 'is changed by its own endpoint, PUT /v1/users/{user_id}/password'

function unknown(property: string, properties: Properties): Problem {
  if (property === 'password') return { property, message: isElsewhere }
  const known = Object.keys(properties).join(', ')
  return { property: property.slice(0, 100), message: `is not known here; known are ${known}` }
}
