import type { Unit } from '../../directory/change.ts'
import { type EmailChangeStore, keptFor } from '../../directory/email-change.ts'
import { isText } from '../../directory/query.ts'
import { ending, fromRow, names, put, type Row, select, toRow } from '../sql/email-changes.ts'
import type { Statement } from './pool.ts'

/** What units say of e-mail changes, the last word on each of them, as lists for statements. */
export function emailChangeRows(units: readonly Unit[]) {
  const kept = new Map<string, Row>()
  const ended = new Map<string, Row>()
  const noUndo = new Map<number, number>()
  for (const { user, emailChanges } of units) {
    const { ended: end, noUndoSince, put: changes = [] } = emailChanges ?? {}
    if (noUndoSince !== undefined) {
      noUndo.set(user.id, Math.min(noUndoSince, noUndo.get(user.id) ?? noUndoSince))
      for (const [id, row] of kept)
        if (row.user_id === user.id && Number(row.ended_at ?? 0) >= noUndoSince)
          kept.set(id, { ...row, undo_token: null })
    }
    if (end !== undefined) {
      const { id, state, at } = end
      const own = kept.get(id)
      if (own === undefined) ended.set(id, { user_id: user.id, id, state, at })
      else kept.set(id, { ...own, state, ended_at: at, new_token: null, old_token: null })
    }
    for (const change of changes) kept.set(change.id, toRow(change))
  }
  return {
    kept: [...kept.values()],
    ended: [...ended.values()],
    // A statement changes no row twice, so what is kept is left to that.
    noUndo: [...noUndo].map(([user_id, since]) => ({ user_id, since, kept: [...kept.keys()] })),
  }
}

const types = names.map((name) => {
  if (name === 'old_verified' || name.startsWith('confirmed_by_')) return `${name} boolean`
  return /_(id|at|until)$/.test(name) ? `${name} bigint` : `${name} text`
})

/**
 * The statements that write these.
 * @param given a list of rows, as a parameter of type jsonb
 * @param users a further table that says, by the column `id`, of whom they are written
 */
export const keepChanges = (given: string, users?: string) =>
  put(
    `SELECT ${names.map((name) => `given.${name}`).join(', ')}
     FROM jsonb_to_recordset(${given}) AS given (${types.join(', ')})
     ${users === undefined ? '' : `JOIN ${users} ON ${users}.id = given.user_id`} WHERE true`,
  )

export const endChanges = (given: string, users?: string) =>
  `UPDATE email_changes SET ${ending('given.state', 'given.at')}
   FROM jsonb_to_recordset(${given}) AS given (user_id bigint, id text, state text, at bigint)
   ${users === undefined ? '' : `JOIN ${users} ON ${users}.id = given.user_id`}
   WHERE email_changes.id = given.id`

export const clearUndo = (given: string, users?: string) =>
  `UPDATE email_changes SET undo_token = NULL
   FROM jsonb_to_recordset(${given}) AS given (user_id bigint, since bigint, kept jsonb)
   ${users === undefined ? '' : `JOIN ${users} ON ${users}.id = given.user_id`}
   WHERE email_changes.user_id = given.user_id AND email_changes.undo_token IS NOT NULL
     AND email_changes.ended_at >= given.since AND NOT jsonb_exists(given.kept, email_changes.id)`

/** Those that go at once, at most. */
const perStatement = 1_000

/** The statement that removes some that had long been over at that time; nodes do not wait for each other. */
export function endedEmailChanges(at: number): Statement {
  const text = `DELETE FROM email_changes USING (
      ${select.over('$1', `${perStatement}`)} FOR UPDATE SKIP LOCKED
    ) AS oldest WHERE email_changes.id = oldest.id RETURNING email_changes.id`
  return { text, parameters: [at - keptFor], prepare: true, lane: 'write' }
}

/** @param run runs a statement, again where it fails for a reason that passes */
export function createEmailChangeStore(
  run: (statement: Statement) => Promise<readonly Row[]>,
): EmailChangeStore {
  const read = async (text: string, ...parameters: (string | number)[]) =>
    (await run({ text, parameters, prepare: true })).map(fromRow)
  return {
    get: async (id) => (isText(id) ? (await read(select.byId('$1'), id))[0] : undefined),
    list: (userId) => read(select.ofUser('$1'), userId),
    lastConfirmed: async (userId) => (await read(select.lastConfirmed('$1'), userId))[0],
    due: (at, limit) => read(select.due('$1', '$2'), at, limit),
  }
}
