import type { Code, Problem } from '../../directory/errors.ts'
import { isUnread } from '../body.ts'
import type { Answer, Refused } from '../contract.ts'

/** The documented statuses; what the documents do not know has that of RFC 9110. */
const answers = {
  invalid: [400, 'invalid'],
  too_large: [413, 'too_large'],
  unauthenticated: [401, 'not_authenticated'],
  forbidden: [403, 'permission_denied'],
  not_found: [404, 'not_found'],
  unknown_path: [404, 'not_found'],
  method_not_allowed: [405, 'method_not_allowed'],
  not_acceptable: [406, 'not_acceptable'],
  precondition_failed: [412, 'precondition_failed'],
  precondition_required: [428, 'precondition_required'],
  expectation_failed: [417, 'expectation_failed'],
  // The table of statuses knows no 409.
  conflict: [400, 'unique'],
  idempotency_mismatch: [422, 'idempotency_mismatch'],
  in_progress: [409, 'in_progress'],
  batch_aborted: [424, 'batch_aborted'],
  misdirected: [421, 'misdirected'],
  rate_limited: [429, 'throttled'],
  unavailable: [503, 'unavailable'],
  outcome_unknown: [503, 'outcome_unknown'],
  internal: [500, 'error'],
} as const satisfies Record<Code, readonly [status: number, code: string]>

interface Message {
  readonly message: string
  readonly code: string
}

/** What is wrong with no field in particular. */
const everything = 'non_field_errors'

/**
 * `{"errors": [{"field", "messages": [{"message", "code"}]}]}`, one entry for each field. The documents
 * show no body; this is what the client that comes with them reads.
 */
export function refuse({ code, message, problems }: Refused): Answer {
  const [status, general] = answers[code]
  const told = new Map<string, Message[]>()
  for (const problem of problems) {
    const name = nameOf(problem)
    const messages = told.get(name) ?? []
    const sentence = sentenceOf(name, problem.message)
    if (!messages.some((other) => other.message === sentence))
      messages.push({ message: sentence, code: codeOf(problem, code, general) })
    told.set(name, messages)
  }
  if (told.size === 0) told.set(everything, [{ message, code: general }])
  const errors = [...told].map(([field, messages]) => ({ field, messages }))
  return { status: code === 'invalid' && isUnread(problems) ? 415 : status, body: { errors } }
}

function nameOf({ field, property }: Problem): string {
  const name = field ?? property
  return name === 'body' || name === 'request' ? everything : name
}

function sentenceOf(name: string, message: string): string {
  return name === everything ? `The request ${message}` : `${name} ${message}`
}

/** In the words of the contract what the catalogue says in words of its own. */
function codeOf({ field, message }: Problem, code: Code, general: string): string {
  if (code !== 'invalid') return code === 'conflict' && field === undefined ? 'invalid' : general
  if (message === 'is required' || message === 'must not be null') return 'required'
  if (/^must be at least \d+ characters/.test(message)) return 'min_length'
  if (/^must (?:have (?:[01] to|at most)|be at most) \d+ (?:characters|bytes)/.test(message))
    return 'max_length'
  return 'invalid'
}

export const errorSchema = {
  type: 'object',
  description: 'What was wrong',
  properties: {
    errors: {
      type: 'array',
      description: 'An entry for each field; `non_field_errors` for what is about none',
      items: {
        type: 'object',
        properties: {
          field: { type: 'string' },
          messages: {
            type: 'array',
            items: {
              type: 'object',
              properties: { message: { type: 'string' }, code: { type: 'string' } },
              required: ['message', 'code'],
            },
          },
        },
        required: ['field', 'messages'],
      },
    },
  },
  required: ['errors'],
} as const
