import type { Code, Problem } from '../../directory/errors.ts'
import { isUnread } from '../body.ts'
import type { Answer, Asked, Refused } from '../contract.ts'
import { operationAt } from './operations.ts'

/** The documented codes; what the documents do not know has the status of RFC 9110 and a code of ours. */
const answers = {
  invalid: [400, 'validation_error'],
  too_large: [413, 'payload_too_large'],
  unauthenticated: [401, 'unauthorized'],
  forbidden: [403, 'forbidden'],
  not_found: [404, 'not_found'],
  unknown_path: [404, 'not_found'],
  method_not_allowed: [405, 'method_not_allowed'],
  not_acceptable: [406, 'not_acceptable'],
  precondition_failed: [412, 'precondition_failed'],
  precondition_required: [428, 'precondition_required'],
  expectation_failed: [417, 'expectation_failed'],
  conflict: [409, 'conflict'],
  idempotency_mismatch: [422, 'idempotency_mismatch'],
  in_progress: [409, 'request_in_progress'],
  batch_aborted: [424, 'batch_aborted'],
  misdirected: [421, 'misdirected_request'],
  rate_limited: [429, 'rate_limit_exceeded'],
  unavailable: [503, 'service_unavailable'],
  outcome_unknown: [503, 'outcome_unknown'],
  internal: [500, 'internal_error'],
} as const satisfies Record<Code, readonly [status: number, error: string]>

type Details = Readonly<Record<string, readonly string[]>>

/** The page's `{error, message, details}`; details only where there is something to tell by name. */
export function refuse(refused: Refused, _requestId: string, asked?: Asked): Answer {
  const [status, error] = answers[refused.code]
  const body = (message: string, details: Details = {}) =>
    Object.keys(details).length > 0 ? { error, message, details } : { error, message }
  switch (refused.code) {
    case 'invalid':
      return invalid(refused.problems)
    case 'conflict':
      return { status, body: conflict(refused, body) }
    case 'forbidden':
      return { status, body: forbidden(refused, asked, body) }
    case 'unknown_path':
      return { status, body: body('Resource not found') }
    default:
      return { status, body: body(refused.message, detailsOf(refused.problems)) }
  }
}

type Body = (message: string, details?: Details) => object

/** 400, but 415 where the body is of a type or a coding that is not read (RFC 9110, section 15.5.16). */
function invalid(problems: readonly Problem[]): Answer {
  const details = detailsOf(problems)
  if (isUnread(problems)) {
    const message = 'The body is of a type that is not read here'
    return { status: 415, body: { error: 'unsupported_media_type', message, details } }
  }
  const [first] = problems
  // The page about queries has words of its own for what is wrong in one.
  const error = problems.every(isAboutQuery) && first !== undefined ? 'invalid_parameter' : 'validation_error'
  const message =
    error === 'invalid_parameter' ? `Invalid ${first?.property} parameter` : 'Invalid request parameters'
  return { status: 400, body: { error, message, details } }
}

function isAboutQuery({ field, location }: Problem & { readonly location?: string }): boolean {
  return field === undefined && location === 'query'
}

const conflicts: Readonly<Record<string, string>> = {
  email: 'User with this email already exists',
  username: 'Username already taken',
}

/** With the words of the pages; two conflicts at once are told by name besides. */
function conflict({ message, problems }: Refused, body: Body): object {
  const taken = problems.map(({ field }) => [
    field,
    conflicts[field ?? ''] ?? `${titleOf(field)} already taken`,
  ])
  if (taken.length === 0) return body(message)
  if (taken.length === 1) return body(String(taken[0]?.[1]))
  return body(String(taken[0]?.[1]), Object.fromEntries(taken.map(([field, told]) => [field, [told]])))
}

/** Says what is not permitted, and what is missing. The page shows DELETE's without more. */
function forbidden({ message, problems }: Refused, asked: Asked | undefined, body: Body): object {
  const operation = asked && operationAt(asked.method, asked.path)
  if (operation === undefined) return body(message, detailsOf(problems))
  const told = `Insufficient permissions to ${operation.words}`
  if (problems.length > 0) return body(told, detailsOf(problems))
  return operation.words === 'delete user' ? body(told) : body(told, { permission: [message] })
}

/** What is wrong with each property, in the order in which it was found. */
function detailsOf(problems: readonly Problem[]): Details {
  const details = new Map<string, string[]>()
  for (const problem of problems) {
    const name = problem.field ?? problem.property
    const told = details.get(name) ?? []
    for (const one of say(problem)) if (!told.includes(one)) told.push(one)
    details.set(name, told)
  }
  return Object.fromEntries(details)
}

/** The problems of the catalogue for which the page's word is enough: neither the syntax nor the length is right. */
const badSyntax = /^must (?:be an e-mail address|have \d+ to \d+ characters)/
const invalidEmail = 'Invalid email format'

/** Whole sentences, since the page's are; those about a query come as they are to be told. */
function say(problem: Problem): readonly string[] {
  if (problem.field === 'email' && problem.message.startsWith('must ')) {
    return badSyntax.test(problem.message) ? [invalidEmail] : [invalidEmail, `Email ${problem.message}`]
  }
  if (problem.field !== undefined) return [`${titleOf(problem.field)} ${problem.message}`]
  if (problem.location === 'query') return [problem.message]
  const isHeader = problem.location === 'header'
  return [
    `${isHeader || !ours.has(problem.property) ? problem.property : titleOf(problem.property)} ${problem.message}`,
  ]
}

const ours: ReadonlySet<string> = new Set([
  'body',
  'password',
  'current_password',
  'new_password',
  'token',
  'email',
  'created_at',
  'updated_at',
])

/** `first_name` as people say it: First name. */
function titleOf(name = ''): string {
  const words = name.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

export const errorSchema = {
  type: 'object',
  description: 'What was wrong',
  properties: {
    error: { type: 'string', description: 'What kind of error it is, for programs' },
    message: { type: 'string', description: 'What was wrong, in words' },
    details: {
      type: 'object',
      additionalProperties: { type: 'array', items: { type: 'string' } },
      description: 'What was wrong with each property, parameter or header',
    },
  },
  required: ['error', 'message'],
} as const
