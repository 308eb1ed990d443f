import type { Change } from './change.ts'
import type { Claim } from './claims.ts'
import type { Command, Once } from './command.ts'
import type { CounterStore } from './counters.ts'
import type { Credentials } from './credentials.ts'
import type { DocumentStore } from './document.ts'
import type { EmailChangeStore } from './email-change.ts'
import type { Problem, Refusal } from './errors.ts'
import { refusal } from './errors.ts'
import type { KeyStore } from './key.ts'
import type { Outbox } from './mail.ts'
import type { PictureStore } from './picture.ts'
import type { Conditions, Listing, ListQuery } from './query.ts'
import type { Receipt } from './receipt.ts'
import type { Found, SearchQuery } from './search.ts'
import type { SettingStore } from './settings.ts'
import type { User } from './user.ts'

/** Commands that a batch may have. */
export const maxBatch = 1_000

export type Outcome =
  /** Where it is replayed, the user is as it stood when the request came for the first time. */
  | { readonly outcome: 'committed' | 'unchanged'; readonly user: User; readonly replayed?: true }
  /** The user as it would be, under the id that a new one would get now, and what the log would say: null for nothing. */
  | {
      readonly outcome: 'previewed'
      readonly user: User
      readonly change: Pick<Change, 'kind' | 'fields'> | null
    }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }

export interface PageQuery extends Conditions {
  /** Users with a greater id only: the id that the page before ended with, or 0. */
  readonly after: number
  /** Also those who were removed or erased, and whatever the conditions. */
  readonly everybody?: true
}

export interface Page {
  /** Visible users, or everybody, in the order of their ids. A page may be empty and still not be the last. */
  readonly users: readonly User[]
  /** Where the next page starts; undefined after the last. */
  readonly next: number | undefined
}

/**
 * Where the directory is kept. Every adapter passes the suite in `store/conformance.ts`.
 *
 * All methods may reject with a DirectoryError: `unavailable` when nothing was written, or
 * `outcome_unknown` when that can not be said (the store died over it). Neither was acknowledged.
 */
export interface Store {
  /**
   * Reads the current user, decides the command on it, and writes the unit whole or not at all.
   * Resolves only after what it tells is on disk; whatever it resolves with, later reads agree.
   * A claim that someone else holds is refused with `conflict`, naming every such field.
   */
  readonly change: (command: Command) => Promise<Outcome>
  /**
   * Carries out up to `maxBatch` commands together or not at all, each decided on what the ones before
   * it leave. Where some are refused nothing is written; the others are then `batch_aborted`.
   */
  readonly changeAll: (commands: readonly Command[]) => Promise<readonly Outcome[]>
  /** What is kept of a request with a key, expired or not. */
  readonly receipt: (once: Once) => Promise<Receipt | undefined>
  /**
   * Keeps a receipt of its own, unless one that has not expired has its key.
   * @returns the one that is kept, on disk
   */
  readonly begin: (receipt: Receipt) => Promise<Receipt>
  /**
   * Removes receipts that had expired at that time, documents that had some time before, and e-mail changes
   * that had been over for long (`keptFor`), a few at once, so that nobody waits for it.
   * @returns how many; 0 when none is left
   */
  readonly expire: (at: number) => Promise<number>
  /** The record whatever its status, undefined where the id never named anybody. */
  readonly get: (id: number) => Promise<User | undefined>
  /** The user who holds the claim. */
  readonly find: (claim: Claim) => Promise<User | undefined>
  /** A page of bounded cost; paging by `next` neither repeats nor loses anybody while others are added. */
  readonly page: (query: PageQuery) => Promise<Page>
  readonly counters: CounterStore
  /** What lets somebody come in as the user; undefined where the id never named anybody. */
  readonly credentials: (id: number) => Promise<Credentials | undefined>
  /** API keys. */
  readonly keys: KeyStore
  /** What the authorization server keeps. */
  readonly documents: DocumentStore
  /** Mails that wait to be sent. */
  readonly outbox: Outbox
  /** Which pictures there are, and whose. */
  readonly pictures: PictureStore
  /** Addresses that wait to be confirmed, and what became of them; units write them. */
  readonly emailChanges: EmailChangeStore
  /** What people want to be told of. */
  readonly settings: SettingStore
  /**
   * The users that a query asks for, and how many there are; what was acknowledged before is in it.
   * @param signal tells that nobody waits for it any more; then it rejects, if it has not begun
   */
  readonly list: (query: ListQuery, signal?: AbortSignal) => Promise<Listing>
  /** The ids of those users, in the same order, for who reads more of them than fit into memory. */
  readonly listIds: (query: ListQuery, signal?: AbortSignal) => Promise<Float64Array>
  /** People as other people look for them; what was acknowledged before is in it, and the signal is that of `list`. */
  readonly search: (query: SearchQuery, signal?: AbortSignal) => Promise<Found>
  /** Begins what the first search would have to wait for, beside everything else; where that is little, nothing. */
  readonly prepareSearch: () => void
  /** Resolves when the store can be read and takes commands. */
  readonly ready: () => Promise<void>
  /** Finishes what was accepted, then lets go of everything. */
  readonly close: () => Promise<void>
}

/** The refusal for claims that someone else holds, the same from every store. */
export function claimsTaken(claims: readonly Claim[]): Refusal {
  const problems: Problem[] = claims.map(({ kind }) => ({
    field: kind,
    message: 'is taken by another user',
  }))
  return refusal('conflict', 'Another user has this value', problems)
}
