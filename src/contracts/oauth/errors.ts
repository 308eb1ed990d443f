import type { Code } from '../../directory/errors.ts'
import type { Answer, Refused } from '../contract.ts'

/** The codes of RFC 6749, section 5.2 and 4.1.2.1, as far as they fit; the statuses are those of HTTP. */
const answers = {
  invalid: [400, 'invalid_request'],
  too_large: [413, 'invalid_request'],
  unauthenticated: [401, 'invalid_client'],
  forbidden: [403, 'access_denied'],
  not_found: [404, 'invalid_request'],
  unknown_path: [404, 'invalid_request'],
  method_not_allowed: [405, 'invalid_request'],
  not_acceptable: [406, 'invalid_request'],
  precondition_failed: [412, 'invalid_request'],
  precondition_required: [428, 'invalid_request'],
  expectation_failed: [417, 'invalid_request'],
  conflict: [409, 'invalid_request'],
  idempotency_mismatch: [422, 'invalid_request'],
  in_progress: [409, 'invalid_request'],
  batch_aborted: [424, 'invalid_request'],
  misdirected: [421, 'invalid_request'],
  rate_limited: [429, 'temporarily_unavailable'],
  unavailable: [503, 'temporarily_unavailable'],
  outcome_unknown: [503, 'temporarily_unavailable'],
  internal: [500, 'server_error'],
} as const satisfies Record<Code, readonly [status: number, error: string]>

export function refuse({ code, message, problems }: Refused): Answer {
  const [status, error] = answers[code]
  const told = problems.map((problem) => `${problem.field ?? problem.property} ${problem.message}`)
  return { status, body: { error, error_description: [message, ...told].join('; ') } }
}
