import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { EmailChange, EmailChangeStore, EmailChangeWrites } from '../../directory/email-change.ts'
import { ending, fromRow, names, put, select, toRow } from '../sql/email-changes.ts'
import { toSql } from './rows.ts'

/** The writer's side: what a unit says of e-mail changes, inside the transaction under way. */
export function createEmailChangeWriter(db: DatabaseSync): (writes: EmailChangeWrites) => void {
  const write = db.prepare(put(`VALUES (${names.map(() => '?').join(', ')})`))
  const end = db.prepare(`UPDATE email_changes SET ${ending('?', '?')} WHERE id = ?`)
  return ({ ended, put: changes = [] }) => {
    if (ended !== undefined) end.run(ended.state, ended.at, ended.id)
    for (const change of changes) write.run(...valuesOf(change))
  }
}

function valuesOf(change: EmailChange): SQLInputValue[] {
  const row = toRow(change) as Readonly<Record<string, string | number | boolean | null>>
  return names.map((name) => toSql(row[name] ?? null))
}

/** @param db a connection for reading */
export function createEmailChangeStore(db: DatabaseSync): EmailChangeStore {
  const byId = db.prepare(select.byId('?'))
  const ofUser = db.prepare(select.ofUser('?'))
  const due = db.prepare(select.due('?', '?'))
  return {
    get: async (id) => {
      const row = byId.get(id)
      return row === undefined ? undefined : toChange(row)
    },
    list: async (userId) => ofUser.all(userId).map(toChange),
    due: async (at, limit) => due.all(at, limit).map(toChange),
  }
}

const flags = ['old_verified', 'confirmed_by_new', 'confirmed_by_old']

function toChange(row: Readonly<Record<string, unknown>>): EmailChange {
  return fromRow({ ...row, ...Object.fromEntries(flags.map((name) => [name, row[name] === 1])) })
}
