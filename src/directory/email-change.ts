import { hash } from 'node:crypto'
import type { Actor } from './actor.ts'
import type { User } from './user.ts'

/**
 * An e-mail change: a person's address is replaced once whoever reads the new mailbox has said so. Until
 * then the old address stays, and the new one is nobody's: who confirms it first has it.
 */
export interface EmailChange {
  readonly id: string
  readonly userId: number
  readonly state: EmailChangeState
  /** The address that is replaced; null where there was none. */
  readonly oldEmail: string | null
  /** Whether the old address had been shown to be theirs: then the change can be undone from there. */
  readonly oldVerified: boolean
  readonly newEmail: string
  /** Who has to confirm. */
  readonly by: Confirmers
  readonly confirmedByNew: boolean
  readonly confirmedByOld: boolean
  /** Milliseconds since 1970, UTC, as all times here. */
  readonly requestedAt: number
  /** From then on it can not be confirmed. */
  readonly expiresAt: number
  /** When it stopped to be pending. */
  readonly endedAt: number | null
  /** Until then it can be undone; null where it never can. */
  readonly undoUntil: number | null
  /** SHA-256 of what proves that somebody reads a mailbox; null where nothing does any more. */
  readonly newToken: string | null
  readonly oldToken: string | null
  readonly undoToken: string | null
}

export type EmailChangeState = 'pending' | 'confirmed' | 'cancelled' | 'expired' | 'reverted'

/** What the log tells: the state, or what was done to a change that stays pending. */
export type EmailChangeStep =
  | EmailChangeState
  | 'replaced'
  | 'corrected'
  | 'resent'
  | 'confirmed_by_new'
  | 'confirmed_by_old'

/** Whose word a change needs: that of the new mailbox, or of the old one as well. */
export type Confirmers = 'new' | 'both'

/** What is written of e-mail changes in a unit. */
export interface EmailChangeWrites {
  /** One that was pending and is not any more; what could confirm it is worth nothing from now on. */
  readonly ended?: { readonly id: string; readonly state: EmailChangeState; readonly at: number }
  /** What the user's changes that ended since then could be undone by is worth nothing: milliseconds since 1970, UTC. */
  readonly noUndoSince?: number
  /** Changes as they are from now on, new ones too: they have the last word. */
  readonly put?: readonly EmailChange[]
}

export interface EmailChangeStore {
  readonly get: (id: string) => Promise<EmailChange | undefined>
  /** Those of a user, the latest first, at most `mostListed`. */
  readonly list: (userId: number) => Promise<readonly EmailChange[]>
  /** The one of a user that the address followed last, and was not undone. */
  readonly lastConfirmed: (userId: number) => Promise<EmailChange | undefined>
  /** Pending ones that had expired at that time, the oldest first, so many at most. */
  readonly due: (at: number, limit: number) => Promise<readonly EmailChange[]>
}

export const mostListed = 100

const hour = 60 * 60 * 1000

/** Milliseconds for which a change can be confirmed after the mails were sent. */
export const confirmableFor = 24 * hour
/** Milliseconds for which it can be undone after it was confirmed. */
export const undoableFor = 7 * 24 * hour

/** Milliseconds for which one that has ended is kept once it can not be undone any more; the log has it for ever. */
export const keptFor = 90 * 24 * hour

/** How addresses are changed: at once, or when confirmed from the new one, or from both. */
export const emailChangeModes = ['direct', 'confirm-new', 'confirm-both'] as const
export type EmailChangeMode = (typeof emailChangeModes)[number]

/**
 * Whose word it takes when an actor sets an address as a field; undefined where it is set at once. The setting
 * is for keys, and for people whom the operator's backend vouches for; others always confirm by the new
 * address at least, and an administrator stands in for an old mailbox that nobody reads any more. It depends on
 * nothing else (supabase/auth#2600).
 */
export function confirmersFor(
  { kind, vouched, scopes }: Actor,
  mode: EmailChangeMode,
): Confirmers | undefined {
  if (mode === 'confirm-both') return scopes.includes('admin') ? 'new' : 'both'
  if (mode === 'confirm-new') return 'new'
  return isOwnWord({ kind, vouched }) ? 'new' : undefined
}

/** Whether nobody but the person says that an address is theirs. */
export function isOwnWord({ kind, vouched }: Pick<Actor, 'kind'> & { vouched?: true | undefined }): boolean {
  return kind === 'person' && vouched !== true
}

/** A new address by the name under which an actor's requests go: what it takes to open a change. */
export interface Confirm {
  readonly by: Confirmers
  /** The id of the change that is opened. */
  readonly id: string
  readonly secrets: Secrets
  /** Somebody else has the address, and the caller may know that. */
  readonly isTaken?: boolean
  /** A change to the same address: while it is pending there is nothing to open. */
  readonly known?: string | undefined
  /** Nothing else is asked for, so an address that they have already is a mistake. */
  readonly isAll?: boolean
  /** The caller brings the token to the person, so no mail does. */
  readonly isHandedOut?: boolean | undefined
}

/** What it takes to tell the old mailbox that an address was set at once. */
export interface AtOnce {
  /** The id of the change that tells of it, where the old address was verified. */
  readonly id: string
  readonly undoSecret: string
  /** The address that it can be undone towards; null where it can not. */
  readonly backTo: string | null
}

/** Random texts that mails carry, for one change. A change keeps their hashes; a mail has them until it is sent. */
export interface Secrets {
  readonly new: string
  readonly old: string
}

/** What a link carries: it names the change and proves that somebody has read the mail. */
export function tokenOf(changeId: string, secret: string): string {
  return `${changeId}.${secret}`
}

/** The id of the change that a token is for; undefined for what can be none. */
export function changeIdIn(token: string): string | undefined {
  return /^(emc_[0-9a-z]{12,60})\.[\w-]{20,100}$/.exec(token)?.[1]
}

/** What a change keeps of a token. */
export function digestOf(token: string): string {
  return hash('sha256', token, 'hex')
}

export type Proof = 'new' | 'old' | 'undo'

/** What a token is good for at a time, to a user who has the change; undefined where for nothing. */
export function proofOf(
  change: EmailChange,
  { email_change }: Pick<User, 'email_change'>,
  token: string,
  at: number,
): Proof | undefined {
  const digest = digestOf(token)
  if (change.state === 'confirmed') {
    const isInTime = change.undoUntil !== null && at < change.undoUntil
    return isInTime && change.undoToken === digest ? 'undo' : undefined
  }
  if (!isPending(change, { email_change }, at)) return undefined
  if (change.newToken === digest) return 'new'
  return change.oldToken === digest ? 'old' : undefined
}

/** Whether a change can still be confirmed, corrected, sent again and cancelled. */
export function isPending(
  { id, state, expiresAt }: EmailChange,
  { email_change }: Pick<User, 'email_change'>,
  at: number,
): boolean {
  return state === 'pending' && email_change === id && at < expiresAt
}

/** The state to be shown: one whose time is over has expired, noted or not. */
export function stateAt({ state, expiresAt }: EmailChange, at: number): EmailChangeState {
  return state === 'pending' && at >= expiresAt ? 'expired' : state
}

/** A change that begins now. */
export function openChange(
  user: User,
  newEmail: string,
  { by, id, secrets }: Pick<Confirm, 'by' | 'id' | 'secrets'>,
  at: number,
): EmailChange {
  const change: EmailChange = {
    ...{ id, userId: user.id, state: 'pending', newEmail, by: user.email === null ? 'new' : by },
    ...{ oldEmail: user.email, oldVerified: user.email !== null && user.email_verified === true },
    ...{ confirmedByNew: false, confirmedByOld: false, requestedAt: at, expiresAt: at },
    ...{ endedAt: null, undoUntil: null, newToken: null, oldToken: null, undoToken: null },
  }
  return withTokens(change, secrets, at)
}

/**
 * To another address: as if it were opened now, since whatever was confirmed was confirmed of the address that
 * was wrong, and whoever corrects it may have less of a say than who opened it. They never have more.
 */
export function correctChange(
  user: User,
  { id, by: before, requestedAt }: EmailChange,
  newEmail: string,
  { by, secrets }: Pick<Confirm, 'by' | 'secrets'>,
  at: number,
): EmailChange {
  const stricter = before === 'both' ? before : by
  return { ...openChange(user, newEmail, { by: stricter, id, secrets }, at), requestedAt }
}

/** With tokens of its own for those who have not confirmed yet; the ones before are worth nothing. */
export function withTokens(change: EmailChange, secrets: Secrets, at: number): EmailChange {
  const { id, by, confirmedByNew, confirmedByOld } = change
  const digest = (secret: string) => digestOf(tokenOf(id, secret))
  return {
    ...change,
    expiresAt: at + confirmableFor,
    newToken: confirmedByNew ? null : digest(secrets.new),
    oldToken: by === 'new' || confirmedByOld ? null : digest(secrets.old),
  }
}

/** With the word of one of the mailboxes, whose token is then used up. */
export function confirmChange(change: EmailChange, by: 'new' | 'old'): EmailChange {
  return by === 'new'
    ? { ...change, confirmedByNew: true, newToken: null }
    : { ...change, confirmedByOld: true, oldToken: null }
}

export function isConfirmed({ by, confirmedByNew, confirmedByOld }: EmailChange): boolean {
  return confirmedByNew && (by === 'new' || confirmedByOld)
}

/** A change that is not pending any more: what could confirm it is gone. */
export function endChange(change: EmailChange, state: EmailChangeState, at: number): EmailChange {
  return { ...change, state, endedAt: at, newToken: null, oldToken: null }
}

/**
 * A change that the user's address follows from now on. The old mailbox can undo it for some time, if it was
 * shown to be theirs, by this change at the latest.
 */
export function settleChange(change: EmailChange, undoSecret: string, at: number): EmailChange {
  const settled = endChange(change, 'confirmed', at)
  if (!change.oldVerified && !change.confirmedByOld) return settled
  return { ...settled, undoUntil: at + undoableFor, undoToken: digestOf(tokenOf(change.id, undoSecret)) }
}
