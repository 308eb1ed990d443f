import type { Circumstances } from './command.ts'
import { type EmailChange, type Secrets, tokenOf } from './email-change.ts'
import { type Mail, noticeLife } from './mail.ts'
import type { User } from './user.ts'

type Sending = Pick<Circumstances, 'changeId' | 'at'>

/**
 * What is written to the mailboxes of a change that waits for their word. Who has the new address already
 * makes no difference.
 * @param isHandedOut the caller brings the new mailbox its token
 */
export function askingMails(
  change: EmailChange,
  secrets: Secrets,
  sending: Sending,
  { isHandedOut = false, notice = true } = {},
): Mail[] {
  const { oldEmail, newEmail, expiresAt, confirmedByNew, confirmedByOld, by } = change
  const confirm = (to: string, at: 'new' | 'old'): Mail =>
    mail(change, sending, `confirm-${at}`, {
      ...{ kind: 'confirm_email', to, expiresAt },
      values: { token: tokenOf(change.id, secrets[at]), mailbox: at, email: newEmail },
    })
  const mails: Mail[] = []
  if (!confirmedByNew && !isHandedOut) mails.push(confirm(newEmail, 'new'))
  if (oldEmail === null) return mails
  if (by === 'both') return confirmedByOld ? mails : [...mails, confirm(oldEmail, 'old')]
  if (!notice) return mails
  const told = { kind: 'email_change_notice', to: oldEmail, expiresAt, values: {} } as const
  return [...mails, mail(change, sending, 'notice', told)]
}

/** What is written to the address that somebody new was made with. */
export function welcomeMail(change: EmailChange, { new: secret }: Secrets, sending: Sending): Mail {
  const { newEmail: to, expiresAt } = change
  const values = { token: tokenOf(change.id, secret) }
  return mail(change, sending, 'welcome', { kind: 'verify_account', to, expiresAt, values })
}

/** What the old mailbox is told when the address has changed: with a link that undoes it, if there is one. */
export function changedMails(change: EmailChange, undoSecret: string, sending: Sending): Mail[] {
  const { oldEmail: to, undoUntil } = change
  if (to === null) return []
  const values: Record<string, string> = undoUntil === null ? {} : { token: tokenOf(change.id, undoSecret) }
  const expiresAt = undoUntil ?? sending.at + noticeLife
  return [mail(change, sending, 'changed', { kind: 'email_changed', to, expiresAt, values })]
}

/** What the mailbox is told that an undone change gave the account to. */
export function undoneMails(change: EmailChange, { email: to }: User, sending: Sending): Mail[] {
  if (to === null || to === change.oldEmail) return []
  const expiresAt = sending.at + noticeLife
  return [mail(change, sending, 'undone', { kind: 'email_changed', to, expiresAt, values: {} })]
}

function mail(
  { userId }: EmailChange,
  { changeId, at }: Sending,
  name: string,
  said: Pick<Mail, 'kind' | 'to' | 'expiresAt' | 'values'>,
): Mail {
  // The id of the change in the log is random, and its mails are told apart by name.
  return { id: `${changeId}.${name}`, userId, at, ...said }
}
