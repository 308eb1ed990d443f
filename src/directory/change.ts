import type { Actor } from './actor.ts'
import type { Claim } from './claims.ts'
import type { EmailChangeWrites } from './email-change.ts'
import type { Value } from './field-types.ts'
import type { FieldName } from './fields.ts'
import type { Mail } from './mail.ts'
import type { User } from './user.ts'

export type ChangeKind = 'created' | 'updated' | 'removed' | 'restored' | 'erased'

/** What a change did to one field: its old and its new value. */
export type FieldChange = readonly [before: Value | null, after: Value | null]

/** One committed update: a row of the change log, written in the same unit as what it explains. */
export interface Change {
  /** Random; names the change for ever. */
  readonly changeId: string
  readonly userId: number
  /** The version of the user that this change made. */
  readonly version: number
  /** Milliseconds since 1970, UTC. */
  readonly at: number
  readonly actor: Pick<Actor, 'kind' | 'id'>
  readonly contract: string
  readonly requestId: string
  readonly kind: ChangeKind
  /**
   * That the password was changed is told, and nothing of what it was or is. Of an e-mail change its state
   * is, before and after; where it stays pending, what was done to it. The status is told where it changes,
   * and always of somebody who had been removed.
   */
  readonly fields: { readonly [F in FieldName | 'status' | 'password' | 'email_change']?: FieldChange }
}

/**
 * What a store writes for one command, whole or not at all: the user row, the claims taken and
 * given up, and the row of the change log. An erasure also blanks the values in the user's older rows
 * of the log, and removes the password, the counters, the receipts, the
 * documents, the e-mail changes and the mails that are about the user, and since when tokens count.
 */
export interface Unit {
  readonly user: User
  /** What differs from what is stored, besides status, version and the time; everything for a new user. */
  readonly changed: readonly (FieldName | 'uid' | 'created_at' | 'email_change')[]
  readonly take: readonly Claim[]
  readonly release: readonly Claim[]
  readonly change: Change
  /** The hash of the password that the user has from now on. */
  readonly password?: string
  /** Ends what was issued to the user before: milliseconds since 1970, UTC. It never goes back. */
  readonly tokensValidFrom?: number
  /** To be sent once the unit is written, and not otherwise; about the unit's user. */
  readonly mails?: readonly Mail[]
  /** What becomes of e-mail changes of the user. */
  readonly emailChanges?: EmailChangeWrites
}
