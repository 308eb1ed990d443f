import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type { Kinds, Mail, Outbox, Taken, Taking } from '../../directory/mail.ts'

/** What the writer can be asked to do with mails. */
export type OutboxTask = { readonly kind: 'outbox' } & (
  | { readonly verb: 'add'; readonly mail: Mail }
  | { readonly verb: 'take'; readonly taking: Taking }
  | { readonly verb: 'remove'; readonly id: string }
  | {
      readonly verb: 'postpone'
      readonly taken: Pick<Taken, 'id' | 'tries' | 'userId'>
      readonly dueAt: number
    }
)

export interface OutboxDone {
  readonly outcome: 'outbox'
  readonly taken: readonly Taken[]
}

const columns = 'id, kind, address, user_id, at, expires_at, payload'

/** One statement for those of a kind, which an index leads to, and one for all but those of a kind, or all. */
interface ByKind {
  readonly ofOne: StatementSync
  readonly ofOthers: StatementSync
}

function prepareBoth(db: DatabaseSync, sqlFor: (meant: string) => string): ByKind {
  return { ofOne: db.prepare(sqlFor('kind = ?1')), ofOthers: db.prepare(sqlFor('kind IS NOT ?1')) }
}

const pick = ({ ofOne, ofOthers }: ByKind, { only }: Kinds) => (only === undefined ? ofOthers : ofOne)
/** The first parameter. */
const kindOf = ({ only, without }: Kinds) => only ?? without ?? null

const freeAmong = (meant: string) =>
  `${meant} AND due_at <= ?2 AND (taken_until IS NULL OR taken_until <= ?2)`

/** Keeps mails, inside the transaction under way. */
export function createMailWriter(db: DatabaseSync): (mail: Mail) => void {
  const insert = db.prepare(
    `INSERT INTO outbox (${columns}, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?5) ON CONFLICT (id) DO NOTHING`,
  )
  return ({ id, kind, to, userId, at, expiresAt, values }) =>
    void insert.run(id, kind, to, userId, at, expiresAt, JSON.stringify(values))
}

/** Whoever took mails before this process owned the folder is gone. */
export function releaseTaken(db: DatabaseSync): void {
  db.exec('UPDATE outbox SET taken_until = NULL WHERE taken_until IS NOT NULL')
}

/** The writer's side: runs a task inside the transaction under way. */
export function createOutboxWriter(db: DatabaseSync): (task: OutboxTask) => OutboxDone {
  const add = createMailWriter(db)
  const take = prepareBoth(
    db,
    (meant) => `UPDATE outbox SET taken_until = ?3, tries = tries + 1
      WHERE id IN (SELECT id FROM outbox WHERE ${freeAmong(meant)} ORDER BY due_at LIMIT ?4)
      RETURNING ${columns}, tries, due_at`,
  )
  const remove = db.prepare('DELETE FROM outbox WHERE id = ?')
  const postpone = db.prepare(
    'UPDATE outbox SET due_at = ?1, taken_until = NULL, user_id = ?2 WHERE id = ?3 AND tries = ?4',
  )

  function run(task: OutboxTask): readonly Taken[] {
    switch (task.verb) {
      case 'add':
        add(task.mail)
        return []
      case 'take': {
        const { at, until, most } = task.taking
        const rows: Row[] = pick(take, task.taking).all(kindOf(task.taking), at, until, most)
        return rows.toSorted((a, b) => Number(a.due_at) - Number(b.due_at)).map(toTaken)
      }
      case 'remove':
        remove.run(task.id)
        return []
      case 'postpone': {
        const { id, tries, userId } = task.taken
        postpone.run(task.dueAt, userId, id, tries)
        return []
      }
    }
  }

  return (task) => ({ outcome: 'outbox', taken: run(task) })
}

/**
 * Mails for a process that may not write itself.
 * @param db a connection for reading
 * @param run hands a task to the writer
 */
export function createOutbox(db: DatabaseSync, run: (task: OutboxTask) => Promise<OutboxDone>): Outbox {
  const anyDue = prepareBoth(db, (meant) => `SELECT 1 FROM outbox WHERE ${freeAmong(meant)} LIMIT 1`)
  const backlog = prepareBoth(
    db,
    (meant) => `SELECT count(*) AS count, min(at) AS oldest FROM outbox WHERE ${meant}`,
  )
  return {
    add: async (mail) => void (await run({ kind: 'outbox', verb: 'add', mail })),
    // Looked at first, since it is asked every few seconds, and the writer syncs for each task.
    take: async (taking) =>
      pick(anyDue, taking).get(kindOf(taking), taking.at) === undefined
        ? []
        : (await run({ kind: 'outbox', verb: 'take', taking })).taken,
    remove: async (id) => void (await run({ kind: 'outbox', verb: 'remove', id })),
    postpone: async ({ id, tries, userId }, dueAt) =>
      void (await run({ kind: 'outbox', verb: 'postpone', taken: { id, tries, userId }, dueAt })),
    backlog: async (kinds = {}) => {
      const row = pick(backlog, kinds).get(kindOf(kinds))
      return { count: Number(row?.count), oldest: row?.oldest == null ? null : Number(row.oldest) }
    },
  }
}

type Row = Readonly<Record<string, SQLOutputValue>>

function toTaken(row: Row): Taken {
  return {
    id: String(row.id),
    kind: row.kind as Mail['kind'],
    to: String(row.address),
    userId: row.user_id === null ? null : Number(row.user_id),
    at: Number(row.at),
    expiresAt: Number(row.expires_at),
    values: JSON.parse(String(row.payload)) as Mail['values'],
    tries: Number(row.tries),
  }
}
