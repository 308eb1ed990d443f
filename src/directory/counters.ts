import type { Once } from './command.ts'
import type { Problem, Refusal } from './errors.ts'

/**
 * Numbers about a user that change often and by themselves: they have no version, no row in the
 * change log and no event, and are kept beside the record.
 */
export const counterNames = [
  'followings_counter',
  'followers_counter',
  'posts_counter',
  'discussions_counter',
  'polls_counter',
  'statuses_counter',
  'categories_counter',
  'reputation',
] as const

export type CounterName = (typeof counterNames)[number]
export type Counters = Readonly<Record<CounterName, number>>

/** Both take whole numbers from -(2^53-1) to 2^53-1. */
export type CounterChange = { readonly set: number } | { readonly increment: number }
export type CounterChanges = Readonly<Partial<Record<CounterName, CounterChange>>>

/** Changes counters of a user, all that it names or none. */
export interface Count {
  readonly kind: 'count'
  readonly id: number
  /** The uid that the caller said; see Request. */
  readonly called?: string | undefined
  readonly changes: CounterChanges
  /** Milliseconds since 1970, UTC. */
  readonly at: number
  /** What the contract found wrong before the record was known. */
  readonly problems?: readonly Problem[]
  readonly once?: Once | undefined
  /** Only tells what the counters would be. */
  readonly dryRun?: boolean | undefined
}

export type Counted =
  | { readonly outcome: 'counted'; readonly counters: Counters; readonly replayed?: true }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }

/** As they are until somebody sets them. */
export const noCounters = Object.fromEntries(counterNames.map((name) => [name, 0])) as Counters

/** A reputation can be lost beyond what was won; nothing else can be less than none. */
export const lowest = (name: CounterName) => (name === 'reputation' ? -Number.MAX_SAFE_INTEGER : 0)

/** Whether it is wrong whatever the counters are. */
export function isWrongCount({ changes, problems }: Count): boolean {
  return (
    Boolean(problems?.length) || Object.values(changes).some((change) => !Number.isSafeInteger(sent(change)))
  )
}

function sent(change: CounterChange): number {
  return 'set' in change ? change.set : change.increment
}

/** What the counters come to, or every reason why not. */
export function count(
  current: Counters,
  changes: CounterChanges,
): Counters | { readonly problems: readonly Problem[] } {
  const next: Record<CounterName, number> = { ...current }
  const problems: Problem[] = []
  for (const name of counterNames) {
    const change = changes[name]
    if (change === undefined) continue
    if (!Number.isSafeInteger(sent(change))) {
      problems.push({ field: name, message: 'must be a whole number' })
      continue
    }
    next[name] = 'set' in change ? change.set : current[name] + change.increment
    if (!Number.isSafeInteger(next[name]) || next[name] < lowest(name)) {
      const message = `must stay between ${lowest(name)} and ${Number.MAX_SAFE_INTEGER}`
      problems.push({ field: name, message })
    }
  }
  return problems.length > 0 ? { problems } : next
}

/** Where counters are kept. Both may reject with a DirectoryError as the store's other methods do. */
export interface CounterStore {
  /** Of all these users in one query; of whom there is nothing to be said, zeros. */
  readonly get: (ids: readonly number[]) => Promise<ReadonlyMap<number, Counters>>
  /** On disk when it resolves. Increments of many at once all count. */
  readonly change: (count: Count) => Promise<Counted>
}
