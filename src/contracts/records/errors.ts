import type { Code } from '../../directory/errors.ts'
import type { Answer, Refused } from '../contract.ts'
import { properties } from './wire.ts'

/** The documented codes; those in the lower half are ours, for what the documents do not know. */
const answers = {
  invalid: [400, 'INVALID_FIELD'],
  too_large: [400, 'INVALID_FIELD'],
  unauthenticated: [401, 'UNAUTHORIZED'],
  forbidden: [403, 'FORBIDDEN'],
  not_found: [404, 'RESOURCE_NOT_FOUND'],
  unknown_path: [404, 'RESOURCE_NOT_FOUND'],
  internal: [500, 'SERVER_ERROR'],
  conflict: [409, 'EMAIL_ALREADY_EXISTS'],
  precondition_failed: [412, 'PRECONDITION_FAILED'],
  precondition_required: [428, 'PRECONDITION_REQUIRED'],
  expectation_failed: [417, 'EXPECTATION_FAILED'],
  method_not_allowed: [405, 'METHOD_NOT_ALLOWED'],
  not_acceptable: [406, 'NOT_ACCEPTABLE'],
  rate_limited: [429, 'RATE_LIMIT_EXCEEDED'],
  idempotency_mismatch: [422, 'IDEMPOTENCY_MISMATCH'],
  in_progress: [409, 'IN_PROGRESS'],
  batch_aborted: [424, 'BATCH_ABORTED'],
  misdirected: [421, 'MISDIRECTED_REQUEST'],
  unavailable: [503, 'SERVICE_UNAVAILABLE'],
  outcome_unknown: [503, 'OUTCOME_UNKNOWN'],
} as const satisfies Record<Code, readonly [status: number, code: string]>

/** Code, message, what was wrong with which field and where, and the id under which the log knows the request. */
export function refuse(refused: Refused, requestId: string): Answer {
  const [status, code] = answers[refused.code]
  const details = refused.problems.map((problem) => ({
    field: problem.field === undefined ? problem.property : (names.get(problem.field) ?? problem.field),
    reason: problem.message,
    location: problem.field === undefined ? (problem.location ?? 'body') : 'body',
  }))
  const first = details[0]
  const message =
    refused.code === 'conflict'
      ? 'User with this email already exists'
      : status === 400 && first !== undefined
        ? `The field \`${first.field}\` ${first.reason}`
        : refused.message
  return { status, body: { code, message, details, requestId } }
}

const names = new Map<string, string>(Object.entries(properties).map(([name, field]) => [field, name]))

export const errorSchema = {
  type: 'object',
  description: 'What was wrong',
  properties: {
    code: { type: 'string', enum: [...new Set(Object.values(answers).map(([, code]) => code))] },
    message: { type: 'string' },
    details: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          field: { type: 'string' },
          reason: { type: 'string' },
          location: { type: 'string', enum: ['query', 'path', 'header', 'body'] },
        },
        required: ['field', 'reason', 'location'],
      },
    },
    requestId: { type: 'string' },
  },
  required: ['code', 'message', 'details', 'requestId'],
} as const
