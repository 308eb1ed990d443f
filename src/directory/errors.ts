import type { Scope } from './actor.ts'

/**
 * Every way in which Roster refuses, as one closed list. Each contract owns a table from code to its
 * own status and words, so a new code does not compile until every contract answers it.
 */
export const codes = [
  'invalid',
  'too_large',
  'unauthenticated',
  'forbidden',
  'not_found',
  'unknown_path',
  'method_not_allowed',
  'not_acceptable',
  'precondition_failed',
  'precondition_required',
  'expectation_failed',
  'conflict',
  'idempotency_mismatch',
  'in_progress',
  'batch_aborted',
  'misdirected',
  'rate_limited',
  'unavailable',
  'outcome_unknown',
  'internal',
] as const

export type Code = (typeof codes)[number]

/**
 * One thing that is wrong. `field` names an entry of the field catalogue, which each contract
 * translates to its own property name; `property` is a name as it came in, from the body where
 * `location` says nothing else.
 */
export type Problem =
  | { readonly field: string; readonly property?: never; readonly message: string }
  | {
      readonly property: string
      readonly field?: never
      readonly location?: 'query' | 'path' | 'header'
      readonly message: string
    }

/** What credentials lack that were sent, in the words of RFC 6750, section 3.1. */
export type Lack =
  | { readonly error: 'invalid_token' }
  | { readonly error: 'insufficient_scope'; readonly scope: Scope }

/** Plain data, so that a store may decide in another thread and send the answer over. */
export interface Refusal {
  readonly code: Code
  readonly message: string
  readonly problems: readonly Problem[]
  readonly lack?: Lack | undefined
  /** Seconds after which the same may succeed. */
  readonly retryAfter?: number | undefined
}

export function refusal(code: Code, message: string, problems: readonly Problem[] = []): Refusal {
  return { code, message, problems }
}

/** The one error that callers are meant to see. `message` and `problems` are safe to show; `cause` is for the log. */
export class DirectoryError extends Error {
  readonly code: Code
  readonly problems: readonly Problem[]
  readonly lack: Lack | undefined
  readonly retryAfter: number | undefined

  constructor(refused: Refusal, options?: ErrorOptions) {
    super(refused.message, options)
    this.name = 'DirectoryError'
    this.code = refused.code
    this.problems = refused.problems
    this.lack = refused.lack
    this.retryAfter = refused.retryAfter
  }
}

/** Too much was asked in too short a time. */
export function rateLimited(retryAfter: number): DirectoryError {
  const message = `Rate limit exceeded. Try again in ${retryAfter} seconds`
  return new DirectoryError({ ...refusal('rate_limited', message), retryAfter })
}

/** Whether the same request may succeed in a moment. */
export function isPassing(error: unknown): error is DirectoryError {
  return error instanceof DirectoryError && (error.code === 'unavailable' || error.code === 'outcome_unknown')
}

export function unavailable(message: string, cause?: unknown): DirectoryError {
  return new DirectoryError(refusal('unavailable', message), { cause })
}

/** Nobody waits for the answer any more. */
export function callerGone(): DirectoryError {
  return unavailable('The caller has gone')
}

/** Whether a command was carried out could not be found out in time. Asking again later tells. */
export function outcomeUnknown(cause?: unknown): DirectoryError {
  const message = 'The update may or may not have been saved; read the user again before repeating it'
  return new DirectoryError(refusal('outcome_unknown', message), { cause })
}

/**
 * What is left of a request once something of it may be committed. Where that is `unavailable` the request is
 * not: it would be told that nothing was done, and never will be.
 */
export async function afterCommit<T>(rest: Promise<T>): Promise<T> {
  try {
    return await rest
  } catch (error) {
    throw error instanceof DirectoryError && error.code === 'unavailable' ? outcomeUnknown(error) : error
  }
}
