import type { ChangeEmail } from './command.ts'
import { type Committed, commit, type EmailStep } from './commit.ts'
import {
  confirmChange,
  correctChange,
  type EmailChange,
  endChange,
  isConfirmed,
  isPending,
  proofOf,
  settleChange,
  withTokens,
} from './email-change.ts'
import { askingMails, changedMails } from './email-mails.ts'
import { type Refusal, refusal } from './errors.ts'
import type { FieldName } from './fields.ts'
import type { Mail } from './mail.ts'
import type { User } from './user.ts'

type Decided = Committed | Refusal

/** A step of a change that is there already, for whom `decide` has let through. */
export function decideStep(user: User, command: ChangeEmail): Decided {
  const { step, change } = command
  switch (step.do) {
    case 'correct': {
      const next = correctChange(change, String(step.email), step.secrets, command.at)
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
  const { isHandedOut = false } = step
  const mails = askingMails(next, step.secrets, command, { isHandedOut, notice: told === 'corrected' })
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
 * Whoever undoes it does not trust what came of it: what was issued meanwhile ends, and no later change can
 * be undone towards an address that came with it.
 */
function revert(
  user: User,
  command: ChangeEmail,
  { token, later }: Extract<ChangeEmail['step'], { do: 'revert' }>,
): Decided {
  const { change, at } = command
  if (change.oldEmail === null || proofOf(change, user, token, at) !== 'undo') return uselessToken
  const reverted = { ...endChange(change, 'reverted', at), undoToken: null }
  const put = [reverted, ...later.map((one) => ({ ...one, undoToken: null }))]
  const pending = user.email_change
  const ended = pending === null ? {} : { ended: { id: pending, state: 'cancelled', at } as const }
  const step: EmailStep = { told: ['confirmed', 'reverted'], writes: { ...ended, put } }
  const { after, changed } = moveTo(change.oldEmail, user)
  const { outcome, unit } = written(user, after, command, changed, step)
  return { outcome, unit: { ...unit, tokensValidFrom: at } }
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
  command: ChangeEmail,
  changed: readonly FieldName[],
  step: EmailStep,
  mails: readonly Mail[] = [],
): Committed {
  const { outcome, unit } = commit(user, after, 'updated', command, changed, step)
  return { outcome, unit: mails.length > 0 ? { ...unit, mails } : unit }
}
