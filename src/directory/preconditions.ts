import { isDeepStrictEqual } from 'node:util'
import type { Basis, Lifecycle, Preconditions, Replace, Update } from './command.ts'
import { type Refusal, refusal } from './errors.ts'
import type { Rules } from './field-types.ts'
import type { User } from './user.ts'

/** What a caller believes of the record, compared with how it is. */

/** RFC 9110, section 13.2.2: If-Match is evaluated first, then If-None-Match. */
export function unmet(
  { ifMatch, ifNoneMatch }: Preconditions,
  current: User | undefined,
): Refusal | undefined {
  if (ifMatch !== undefined && !matches(ifMatch, current)) {
    return refusal('precondition_failed', 'The user has changed since, or does not exist (If-Match)')
  }
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, current)) {
    return refusal('precondition_failed', 'The user exists in a version that was ruled out (If-None-Match)')
  }
  return undefined
}

function matches(versions: '*' | readonly number[], current: User | undefined): boolean {
  return current !== undefined && (versions === '*' || versions.includes(current.version))
}

/** RFC 6585, section 3: where the operator wants it, who changes somebody says which version they know. The operator need not. */
export function unguarded(command: Update | Replace | Lifecycle, rules: Rules): Refusal | undefined {
  const { ifMatch, actor } = command
  // Asking for another address, and for nothing else, changes none of what is shown.
  const isRequest = 'confirm' in command && command.confirm?.isAll
  const isAsked = rules.requireIfMatch && actor.contract !== 'operator' && !isRequest
  return isAsked && ifMatch === undefined ? refusal('precondition_required', versionNeeded) : undefined
}

const versionNeeded = 'If-Match is needed here: send the ETag of the user as you know it, or * for any'

/** Whether a patch was worked out from values that are others by now. */
export function outdated(basis: Basis | undefined, current: User): Refusal | undefined {
  if (basis === undefined) return undefined
  const names = Object.keys(basis) as (keyof Basis)[]
  const problems = names
    .filter((name) => !isDeepStrictEqual(basis[name], current[name]))
    .map((field) => ({ field, message: 'has changed since' }))
  return problems.length > 0
    ? refusal('precondition_failed', 'The user has changed since', problems)
    : undefined
}
