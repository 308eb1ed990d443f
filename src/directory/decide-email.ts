import type { ChangeEmail, Replace, Update } from './command.ts'
import { type Committed, cancelled, commit, type EmailStep } from './commit.ts'
import {
  confirmChange,
  correctChange,
  type EmailChange,
  endChange,
  isConfirmed,
  isPending,
  openChange,
  proofOf,
  settleChange,
  withTokens,
} from './email-change.ts'
import { askingMails, changedMails, undoneMails } from './email-mails.ts'
import { type Refusal, refusal } from './errors.ts'
import type { FieldName } from './fields.ts'
import type { Mail } from './mail.ts'
import type { Relation } from './policy.ts'
import type { User } from './user.ts'

type Decided = Committed | Refusal

/** A step of a change that is there already, for whom `decide` has let through. */
export function decideStep(user: User, command: ChangeEmail): Decided {
  const { step, change } = command
  switch (step.do) {
    case 'correct': {
      const next = correctChange(user, change, String(step.email), step, command.at)
      return ask(user, command, next, 'corrected')
    }
    case 'resend':
      return ask(user, command, withTokens(change, step.secrets, command.at), 'resent')
    case 'cancel':
      return isPending(change, user, command.at) ? end(user, command, 'cancelled') : notPending
    case 'confirm':
      return confirm(user, command, step)
    case 'revert':
      return revert(user, command, step)
    case 'expire':
      return change.state === 'pending' && user.email_change === change.id && command.at >= change.expiresAt
        ? end(user, command, 'expired')
        : notPending
  }
}

const notPending = refusal('conflict', 'This e-mail change is not pending any more')

/** The same whether there ever was such a token, it was used, replaced or cancelled, or its time is over. */
export const uselessToken = refusal('invalid', 'The request is not valid', [
  { property: 'token', message: 'is not valid, or not any more' },
])

function ask(user: User, command: ChangeEmail, next: EmailChange, told: 'corrected' | 'resent'): Decided {
  const { change, step, at } = command
  if (!isPending(change, user, at)) return notPending
  if (!('secrets' in step)) throw new Error('what is sent needs tokens')
  const mails = askingMails(next, step.secrets, command, { notice: told === 'corrected' })
  return written(user, user, command, [], { told: ['pending', told], writes: { put: [next] } }, mails)
}

function end(user: User, command: ChangeEmail, state: 'cancelled' | 'expired'): Decided {
  const { change, at } = command
  const writes = { put: [endChange(change, state, at)] }
  return written(user, { ...user, email_change: null }, command, [], { told: ['pending', state], writes })
}

function confirm(
  user: User,
  command: ChangeEmail,
  { token, undoSecret }: Extract<ChangeEmail['step'], { do: 'confirm' }>,
): Decided {
  const { change, at } = command
  const by = proofOf(change, user, token, at)
  if (by !== 'new' && by !== 'old') return uselessToken
  const next = confirmChange(change, by)
  if (!isConfirmed(next)) {
    const step: EmailStep = { told: ['pending', `confirmed_by_${by}`], writes: { put: [next] } }
    return written(user, user, command, [], step)
  }
  const settled = settleChange(next, undoSecret, at)
  const step: EmailStep = { told: ['pending', 'confirmed'], writes: { put: [settled] } }
  const { after, changed } = moveTo(change.newEmail, user)
  return written(user, after, command, changed, step, changedMails(settled, undoSecret, command))
}

/**
 * Whoever undoes it does not trust what came of it: what was issued meanwhile ends, no later change can be
 * undone towards an address that came with it, and who reads that one is told.
 */
function revert(
  user: User,
  command: ChangeEmail,
  { token }: Extract<ChangeEmail['step'], { do: 'revert' }>,
): Decided {
  const { change, at } = command
  if (change.oldEmail === null || proofOf(change, user, token, at) !== 'undo') return uselessToken
  const reverted = { ...endChange(change, 'reverted', at), undoToken: null }
  const pending = user.email_change
  const ended = pending === null ? {} : { ended: { id: pending, state: 'cancelled', at } as const }
  const writes = { ...ended, noUndoSince: change.endedAt ?? 0, put: [reverted] }
  const { after, changed } = moveTo(change.oldEmail, user)
  const mails = undoneMails(change, user, command)
  const { outcome, unit } = written(
    user,
    after,
    command,
    changed,
    { told: ['confirmed', 'reverted'], writes },
    mails,
  )
  return { outcome, unit: { ...unit, tokensValidFrom: at } }
}

/**
 * An address that is set without anybody's confirming it. The mailbox that was shown to be theirs is told, and can
 * undo it; but the word of whoever looks after the directory is the last, whatever links were mailed before.
 */
export function setAtOnce(
  user: User,
  after: User,
  command: Update | Replace,
  { changed, relation }: { readonly changed: readonly FieldName[]; readonly relation: Relation },
): Committed {
  const { at, atOnce } = command
  const isVerified = user.email !== null && user.email_verified === true
  // What a key replaces without anybody's having confirmed it may be what a key was misused for.
  const isLast = relation === 'admin' || (relation === 'service' && isVerified)
  const pending = cancelled(user, after, at)
  const kept = { ...pending?.writes, ...(isLast && { noUndoSince: 0 }) }
  const step = { told: pending?.told, writes: kept }
  if (!isVerified || after.email === null || atOnce === undefined)
    return written(user, after, command, changed, step)
  const { id, undoSecret, backTo } = atOnce
  const by = { by: 'new', id, secrets: { new: undoSecret, old: undoSecret } } as const
  const opened = openChange(user, after.email, by, at)
  const oldVerified = relation !== 'admin' && backTo === user.email
  const settled = settleChange({ ...opened, oldVerified }, undoSecret, at)
  const mails = changedMails(settled, undoSecret, command)
  const set: EmailStep = {
    told: pending?.told ?? [null, 'confirmed'],
    writes: { ...kept, put: [settled] },
  }
  return written(user, after, command, changed, set, mails)
}

/** Whoever has an address now has shown that they read it. */
function moveTo(email: string, user: User) {
  const after: User = { ...user, email, email_verified: true, email_change: null }
  const names: readonly FieldName[] = ['email', 'email_verified']
  return { after, changed: names.filter((name) => after[name] !== user[name]) }
}

function written(
  user: User,
  after: User,
  command: ChangeEmail | Update | Replace,
  changed: readonly FieldName[],
  step: EmailStep,
  mails: readonly Mail[] = [],
): Committed {
  const { outcome, unit } = commit(user, after, 'updated', command, changed, step)
  return { outcome, unit: mails.length > 0 ? { ...unit, mails } : unit }
}
