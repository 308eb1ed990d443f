import type { EmailChange } from '../../directory/email-change.ts'
import { mostListed } from '../../directory/email-change.ts'

/** The statements about e-mail changes, in the words that both databases know. */
const columnOf = {
  id: 'id',
  userId: 'user_id',
  state: 'state',
  oldEmail: 'old_email',
  oldVerified: 'old_verified',
  newEmail: 'new_email',
  by: 'by',
  confirmedByNew: 'confirmed_by_new',
  confirmedByOld: 'confirmed_by_old',
  requestedAt: 'requested_at',
  expiresAt: 'expires_at',
  endedAt: 'ended_at',
  undoUntil: 'undo_until',
  newToken: 'new_token',
  oldToken: 'old_token',
  undoToken: 'undo_token',
} as const satisfies Record<keyof EmailChange, string>

const entries = Object.entries(columnOf) as [keyof EmailChange, string][]

export const names = Object.values(columnOf)
const list = names.join(', ')

export const select = {
  byId: (id: string) => `SELECT ${list} FROM email_changes WHERE id = ${id}`,
  ofUser: (userId: string) =>
    `SELECT ${list} FROM email_changes WHERE user_id = ${userId}
     ORDER BY requested_at DESC, id DESC LIMIT ${mostListed}`,
  lastConfirmed: (userId: string) =>
    `SELECT ${list} FROM email_changes WHERE user_id = ${userId} AND state = 'confirmed'
     ORDER BY ended_at DESC, id DESC LIMIT 1`,
  due: (at: string, limit: string) =>
    `SELECT ${list} FROM email_changes WHERE state = 'pending' AND expires_at <= ${at}
     ORDER BY expires_at LIMIT ${limit}`,
  /** Those that had ended and could not be undone any more at that time, the oldest first. */
  over: (at: string, limit: string) =>
    `SELECT id FROM email_changes WHERE ended_at IS NOT NULL AND coalesce(undo_until, ended_at) <= ${at}
     ORDER BY coalesce(undo_until, ended_at) LIMIT ${limit}`,
}

/** @param source what the values come from: a list of them, or a query */
export function put(source: string): string {
  const kept = names.filter((name) => name !== 'id' && name !== 'user_id')
  return `INSERT INTO email_changes (${list}) ${source}
    ON CONFLICT (id) DO UPDATE SET ${kept.map((name) => `${name} = excluded.${name}`).join(', ')}`
}

/** What becomes of one that is pending no more, but for where it is. */
export const ending = (state: string, at: string) =>
  `state = ${state}, ended_at = ${at}, new_token = NULL, old_token = NULL`

export type Row = Readonly<Record<string, unknown>>

export function toRow(change: EmailChange): Row {
  return Object.fromEntries(entries.map(([name, column]) => [column, change[name]]))
}

export function fromRow(row: Row): EmailChange {
  return Object.fromEntries(entries.map(([name, column]) => [name, row[column]])) as unknown as EmailChange
}
