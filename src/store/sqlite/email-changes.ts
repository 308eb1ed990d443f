import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import {
  type EmailChange,
  type EmailChangeStore,
  type EmailChangeWrites,
  keptFor,
} from '../../directory/email-change.ts'
import { ending, fromRow, names, put, select, toRow } from '../sql/email-changes.ts'
import { toSql } from './rows.ts'

/** The writer's side: what a unit says of e-mail changes, inside the transaction under way. */
export function createEmailChangeWriter(
  db: DatabaseSync,
): (userId: number, writes: EmailChangeWrites) => void {
  const write = db.prepare(put(`VALUES (${names.map(() => '?').join(', ')})`))
  const end = db.prepare(`UPDATE email_changes SET ${ending('?', '?')} WHERE id = ?`)
  const noUndo = db.prepare(
    'UPDATE email_changes SET undo_token = NULL WHERE user_id = ? AND undo_token IS NOT NULL AND ended_at >= ?',
  )
  return (userId, { ended, noUndoSince, put: changes = [] }) => {
    if (noUndoSince !== undefined) noUndo.run(userId, noUndoSince)
    if (ended !== undefined) end.run(ended.state, ended.at, ended.id)
    for (const change of changes) write.run(...valuesOf(change))
  }
}

/** Those that go at once, at most. */
const perTask = 200

/** Removes, inside the transaction under way, some that had long been over at that time; returns how many. */
export function createEmailChangeRemover(db: DatabaseSync): (at: number) => number {
  const remove = db.prepare(`DELETE FROM email_changes WHERE id IN (${select.over('?', `${perTask}`)})`)
  return (at) => Number(remove.run(at - keptFor).changes)
}

function valuesOf(change: EmailChange): SQLInputValue[] {
  const row = toRow(change) as Readonly<Record<string, string | number | boolean | null>>
  return names.map((name) => toSql(row[name] ?? null))
}

/** @param db a connection for reading */
export function createEmailChangeStore(db: DatabaseSync): EmailChangeStore {
  const byId = db.prepare(select.byId('?'))
  const ofUser = db.prepare(select.ofUser('?'))
  const lastConfirmed = db.prepare(select.lastConfirmed('?'))
  const due = db.prepare(select.due('?', '?'))
  return {
    get: async (id) => toChangeIf(byId.get(id)),
    list: async (userId) => ofUser.all(userId).map(toChange),
    lastConfirmed: async (userId) => toChangeIf(lastConfirmed.get(userId)),
    due: async (at, limit) => due.all(at, limit).map(toChange),
  }
}

const flags = ['old_verified', 'confirmed_by_new', 'confirmed_by_old']

function toChangeIf(row: Readonly<Record<string, unknown>> | undefined): EmailChange | undefined {
  return row === undefined ? undefined : toChange(row)
}

function toChange(row: Readonly<Record<string, unknown>>): EmailChange {
  return fromRow({ ...row, ...Object.fromEntries(flags.map((name) => [name, row[name] === 1])) })
}
