import type { Code } from '../../directory/errors.ts'
import type { Answer, Refused } from '../contract.ts'

/** The page knows 400 and 404; what it does not know has the status that RFC 9110 gives it. */
const statuses = {
  invalid: 400,
  too_large: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  unknown_path: 404,
  method_not_allowed: 405,
  not_acceptable: 406,
  precondition_failed: 412,
  precondition_required: 428,
  expectation_failed: 417,
  // An address that somebody else has: the page knows no 409, and one directory knows no twins.
  conflict: 400,
  idempotency_mismatch: 422,
  in_progress: 409,
  batch_aborted: 424,
  misdirected: 421,
  rate_limited: 429,
  unavailable: 503,
  outcome_unknown: 503,
  internal: 500,
} as const satisfies Record<Code, number>

/** `{"error": message, "fields": {name: message}}`; for a user who is not there the page wants `{}`. */
export function refuse({ code, message, problems }: Refused): Answer {
  const status = statuses[code]
  if (code === 'not_found') return { status, body: {} }
  const fields = problems.map(({ field, property, message: problem }) => [field ?? property, problem])
  return { status, body: { error: message, fields: Object.fromEntries(fields) } }
}

export const errorSchema = {
  type: 'object',
  description: 'What was wrong',
  properties: {
    error: { type: 'string', description: 'What was wrong, in words' },
    fields: {
      type: 'object',
      additionalProperties: { type: 'string' },
      description: 'What was wrong with each property or header',
    },
  },
  required: ['error', 'fields'],
} as const

export const notFoundSchema = {
  type: 'object',
  description: 'No user has this id',
  additionalProperties: false,
} as const
