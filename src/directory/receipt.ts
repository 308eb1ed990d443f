import type { Once } from './command.ts'
import type { Counters } from './counters.ts'
import type { Decision } from './decision.ts'
import { type Refusal, refusal } from './errors.ts'
import type { Outcome } from './store.ts'
import type { User } from './user.ts'

/** What became of a request with a key, to be told again when it is repeated. Only successes have one. */
export interface Receipt {
  readonly once: Once
  /** Milliseconds since 1970, UTC. */
  readonly at: number
  /** Whom it was about, 0 for no one user. Erasing that user removes the receipt. */
  readonly userId: number
  /** The user or the counters as they stood then, whatever has become of them since. */
  readonly told: Told
}

export type Told =
  | { readonly outcome: 'committed' | 'unchanged'; readonly user: User }
  | { readonly outcome: 'counted'; readonly counters: Counters }
  /**
   * The request is about no one user, and has begun, so its key is not good for another. Of several
   * commands each has a receipt of its own besides; else `about` names what is made or ended.
   */
  | { readonly outcome: 'begun'; readonly about: string | null }

type Refused = { readonly outcome: 'refused'; readonly refusal: Refusal }

/** Milliseconds that a receipt is good for; then its key is as new. */
export const receiptLife = 24 * 60 * 60 * 1000

export const otherRequest = refusal(
  'idempotency_mismatch',
  'This idempotency key was used for another request',
)

/** A refusal that a receipt does not stand before: who may not ask is not told what he was told when he might. */
export function comesFirst(decision: Decision): decision is Refused {
  return decision.outcome === 'refused' && ['unauthenticated', 'forbidden'].includes(decision.refusal.code)
}

/** What is told of a command that comes again. */
export function replay(known: Told | Refused): Outcome {
  if (known.outcome === 'refused') return known
  // The hash of a request says what kind it is of.
  if (known.outcome === 'counted' || known.outcome === 'begun')
    throw new Error('a command has the hash of another kind of request')
  return { ...known, replayed: true }
}

/** The request that a command is one of several of. */
export function wholeOf({ actor, whole, hash }: Once): Once | undefined {
  return whole === undefined ? undefined : { actor, key: whole, hash }
}

/** That a request has begun. */
export function begun(once: Once, at: number, about: string | null = null): Receipt {
  return { once, at, userId: 0, told: { outcome: 'begun', about } }
}

/** What a receipt has to say to a request that comes with its key; undefined where it is none or too old. */
export function recall(receipt: Receipt | undefined, once: Once, at: number): Told | Refused | undefined {
  if (receipt === undefined || at - receipt.at >= receiptLife) return undefined
  return receipt.once.hash === once.hash ? receipt.told : { outcome: 'refused', refusal: otherRequest }
}
