import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
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

/** Takes what is `only` and `without` as parameters 1 and 2, or null. */
const meant = '(?1 IS NULL OR kind = ?1) AND kind IS NOT ?2'
const free = `${meant} AND due_at <= ?3 AND (taken_until IS NULL OR taken_until <= ?3)`

const kindsOf = ({ only, without }: Kinds) => [only ?? null, without ?? null] as const

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
  const take = db.prepare(
    `UPDATE outbox SET taken_until = ?4, tries = tries + 1
     WHERE id IN (SELECT id FROM outbox WHERE ${free} ORDER BY due_at LIMIT ?5)
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
        const rows: Row[] = take.all(...kindsOf(task.taking), at, until, most)
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
  const anyDue = db.prepare(`SELECT 1 FROM outbox WHERE ${free} LIMIT 1`)
  const backlog = db.prepare(`SELECT count(*) AS count, min(at) AS oldest FROM outbox WHERE ${meant}`)
  return {
    add: async (mail) => void (await run({ kind: 'outbox', verb: 'add', mail })),
    // Looked at first, since it is asked every few seconds, and the writer syncs for each task.
    take: async (taking) =>
      anyDue.get(...kindsOf(taking), taking.at) === undefined
        ? []
        : (await run({ kind: 'outbox', verb: 'take', taking })).taken,
    remove: async (id) => void (await run({ kind: 'outbox', verb: 'remove', id })),
    postpone: async ({ id, tries, userId }, dueAt) =>
      void (await run({ kind: 'outbox', verb: 'postpone', taken: { id, tries, userId }, dueAt })),
    backlog: async (kinds = {}) => {
      const row = backlog.get(...kindsOf(kinds))
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
