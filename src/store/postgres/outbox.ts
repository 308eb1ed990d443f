import type { Kinds, Mail, Outbox, Taken } from '../../directory/mail.ts'
import type { Row, Run, Statement } from './pool.ts'

const columns = 'id, kind, address, user_id, at, expires_at, payload'

/** The rows of mails, and how to read them from a parameter of type jsonb. */
export const mailRows = {
  of: ({ id, kind, to, userId, at, expiresAt, values }: Mail) => ({
    id,
    kind,
    address: to,
    user_id: userId,
    at,
    expires_at: expiresAt,
    payload: values,
  }),
  columns: `${columns}, due_at`,
  values: columns
    .split(', ')
    .concat('at')
    .map((name) => `mail.${name}`)
    .join(', '),
  type: '(id text, kind text, address text, user_id bigint, at bigint, expires_at bigint, payload jsonb)',
}

const add = `INSERT INTO outbox (${mailRows.columns}) SELECT ${mailRows.values}
  FROM jsonb_to_recordset($1::text::jsonb) AS mail ${mailRows.type} ON CONFLICT (id) DO NOTHING`

/** Those of a kind, which an index leads to, or all but those of a kind, or all. */
const meantBy = ({ only }: Kinds) => (only === undefined ? 'kind IS DISTINCT FROM $1' : 'kind = $1')
/** The first parameter. */
const kindOf = ({ only, without }: Kinds) => only ?? without ?? null

// Nodes that look at the same time pass over what another is taking.
const take = (kinds: Kinds) => `WITH due AS (
    SELECT id FROM outbox WHERE ${meantBy(kinds)} AND due_at <= $2 AND (taken_until IS NULL OR taken_until <= $2)
    ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED
  )
  UPDATE outbox SET taken_until = $3, tries = tries + 1 FROM due WHERE outbox.id = due.id
  RETURNING ${columns
    .split(', ')
    .map((name) => `outbox.${name}`)
    .join(', ')}, tries, due_at`

/**
 * Mails. What writes here does the same however often it is done, so it is tried again like what reads;
 * mails that were taken by a statement whose answer was lost come back when their time is over.
 * @param run runs a statement, again where it fails for a reason that passes
 */
export function createOutbox(run: Run): Outbox {
  const write = (text: string, parameters: NonNullable<Statement['parameters']>) =>
    run({ text, parameters, prepare: true, lane: 'write' })
  return {
    add: async (mail) => void (await write(add, [JSON.stringify([mailRows.of(mail)])])),
    take: async ({ at, until, most, ...kinds }) => {
      const rows = await write(take(kinds), [kindOf(kinds), at, until, most])
      return rows.toSorted((a, b) => Number(a.due_at) - Number(b.due_at)).map(toTaken)
    },
    remove: async (id) => void (await write('DELETE FROM outbox WHERE id = $1', [id])),
    postpone: async ({ id, tries, userId }, dueAt) =>
      void (await write(
        'UPDATE outbox SET due_at = $1, taken_until = NULL, user_id = $2 WHERE id = $3 AND tries = $4',
        [dueAt, userId, id, tries],
      )),
    backlog: async (kinds = {}) => {
      const text = `SELECT count(*) AS count, min(at) AS oldest FROM outbox WHERE ${meantBy(kinds)}`
      const [row] = await run({ text, parameters: [kindOf(kinds)], prepare: true })
      return { count: Number(row?.count), oldest: row?.oldest == null ? null : Number(row.oldest) }
    },
  }
}

function toTaken(row: Row): Taken {
  return {
    id: String(row.id),
    kind: row.kind as Mail['kind'],
    to: String(row.address),
    userId: row.user_id == null ? null : Number(row.user_id),
    at: Number(row.at),
    expiresAt: Number(row.expires_at),
    values: row.payload as Mail['values'],
    tries: Number(row.tries),
  }
}
