import type { Unit } from './change.ts'
import type { Create, Import, Replace, Update } from './command.ts'
import { type Problem, type Refusal, refusal } from './errors.ts'
import type { Applied } from './patch.ts'
import type { User } from './user.ts'

/** What a command comes to, and the words and the order in which every kind of command is judged. */

export type Decision =
  | { readonly outcome: 'commit'; readonly unit: Unit }
  | { readonly outcome: 'unchanged'; readonly user: User }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }

export const userNotFound = refusal('not_found', 'User not found')

export function terms(
  command: Pick<Create | Update | Replace | Import, 'patch' | 'actor' | 'at'> &
    Partial<Pick<Update, 'required' | 'maxLength'>>,
) {
  const { required = [], maxLength = {} } = command
  return {
    patch: command.patch,
    contract: command.actor.contract,
    required,
    maxLength,
    at: command.at,
  }
}

/** The order of judgement within a sound record: not yours (403), not valid (400). */
export function judge(
  command: Create | Update | Replace | Import,
  applied: Applied,
  ownProblems: readonly Problem[],
): Refusal | undefined {
  if (applied.forbidden.length > 0) {
    const problems = applied.forbidden.map((field) => ({ field, message: 'is not yours to change' }))
    return refusal('forbidden', 'This field is not yours to change', problems)
  }
  return unsound([...(command.problems ?? []), ...ownProblems])
}

export function unsound(problems: readonly Problem[]): Refusal | undefined {
  return problems.length > 0 ? refusal('invalid', 'The request is not valid', problems) : undefined
}

export function refuse(refused: Refusal): Decision {
  return { outcome: 'refused', refusal: refused }
}

/** A new address has not been shown to be anybody's. */
export function withDoubt(current: User, { values, changed }: Applied): Pick<Applied, 'values' | 'changed'> {
  if (!changed.includes('email') || !current.email_verified) return { values, changed }
  return { values: { ...values, email_verified: false }, changed: [...changed, 'email_verified'] }
}
