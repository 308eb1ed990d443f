import { type Count, type Counted, type Counters, count } from './counters.ts'
import { userNotFound } from './decision.ts'
import { refusal } from './errors.ts'
import { type Receipt, recall } from './receipt.ts'
import { isVisible, type User } from './user.ts'

/** What a store holds of the user whose counters are to be changed. */
export interface Counting {
  readonly user: User | undefined
  readonly counters: Counters
  /** What is kept under the key, where there is one. */
  readonly receipt: Receipt | undefined
}

export interface CountDecision {
  readonly outcome: Counted
  /** To be written together. */
  readonly write?: { readonly counters: Counters; readonly receipt?: Receipt }
}

/** Decides a change of counters: pure and synchronous, as `decide`. Who may ask was settled before. */
export function decideCount(
  { id, called, changes, problems = [], at, once, dryRun }: Count,
  { user, counters, receipt }: Counting,
): CountDecision {
  if (once !== undefined && !dryRun) {
    const known = recall(receipt, once, at)
    if (known?.outcome === 'counted') return { outcome: { ...known, replayed: true } }
    if (known?.outcome === 'refused') return { outcome: known }
    if (known !== undefined) throw new Error('a request has the hash of another kind')
  }
  if (user === undefined || !isVisible(user) || (called !== undefined && called !== user.uid))
    return { outcome: { outcome: 'refused', refusal: userNotFound } }
  const next = count(counters, changes)
  if ('problems' in next || problems.length > 0) {
    const found = [...problems, ...('problems' in next ? next.problems : [])]
    return { outcome: { outcome: 'refused', refusal: refusal('invalid', 'The request is not valid', found) } }
  }
  const told = { outcome: 'counted', counters: next } as const
  if (dryRun) return { outcome: told }
  const kept = once && { once, at, userId: id, told }
  return { outcome: told, write: { counters: next, ...(kept && { receipt: kept }) } }
}
