import type { Code } from '../../directory/errors.ts'
import type { Answer, Refused } from '../contract.ts'

/** For what never gets to a page, with the statuses of RFC 9110. */
const statuses = {
  invalid: 400,
  too_large: 413,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  unknown_path: 404,
  method_not_allowed: 405,
  not_acceptable: 406,
  precondition_failed: 412,
  precondition_required: 428,
  expectation_failed: 417,
  conflict: 409,
  idempotency_mismatch: 422,
  in_progress: 409,
  batch_aborted: 424,
  misdirected: 421,
  rate_limited: 429,
  unavailable: 503,
  outcome_unknown: 503,
  internal: 500,
} as const satisfies Record<Code, number>

export function refuse({ code, message }: Refused): Answer {
  return { status: statuses[code], body: { error: code, message } }
}
