import { randomUUID } from 'node:crypto'
import { type Document, type DocumentStore, documentRest, encodePayload } from '../../directory/document.ts'
import { isText } from '../../directory/query.ts'
import type { Row, Run, Statement } from './pool.ts'

const columns = 'kind, id, payload, created_at, expires_at, used_at, group_id, alias, user_id'

const put = (conflict: string) => `INSERT INTO documents (${columns})
  VALUES ($1, $2, $3::text::jsonb, $4, $5, $6, $7, $8, $9) ON CONFLICT (kind, id) DO ${conflict}`

const replaced = `UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at,
  used_at = coalesce(documents.used_at, excluded.used_at), group_id = excluded.group_id,
  alias = excluded.alias, user_id = excluded.user_id`

/**
 * Documents. What writes here does the same however often it is done, so it is tried again like what reads.
 * @param run runs a statement, again where it fails for a reason that passes
 */
export function createDocumentStore(run: Run): DocumentStore {
  const write = (text: string, parameters: Statement['parameters'] = []) =>
    run({ text, parameters, prepare: true, lane: 'write' })
  const read = async (where: string, parameters: readonly string[]) => {
    if (!parameters.every(isText)) return []
    const text = `SELECT ${columns} FROM documents WHERE ${where}`
    return (await run({ text, parameters, prepare: true })).map(toDocument)
  }
  return {
    put: async (document, onlyIfNew) => {
      const { kind, id, createdAt, expiresAt, usedAt, group, alias, userId } = document
      const own = [kind, id, encodePayload(document), createdAt, expiresAt, usedAt, group, alias, userId]
      await write(put(onlyIfNew ? 'NOTHING' : replaced), own)
    },
    find: async (kind, id) => (await read('kind = $1 AND id = $2', [kind, id]))[0],
    findByAlias: async (kind, alias) => (await read('kind = $1 AND alias = $2', [kind, alias]))[0],
    list: (kind) => read('kind = $1 AND expires_at IS NULL ORDER BY created_at, id', [kind]),
    use: async (kind, id, at) => {
      // Asked again after a connection was lost, it may find that it was itself the first.
      const rows = await write(
        `UPDATE documents SET used_at = $1, used_by = $2
         WHERE kind = $3 AND id = $4 AND (used_at IS NULL OR used_by = $2) RETURNING id`,
        [at, randomUUID(), kind, id],
      )
      return rows.length > 0
    },
    remove: async (kind, id) => {
      if (isText(id)) await write('DELETE FROM documents WHERE kind = $1 AND id = $2', [kind, id])
    },
    removeGroup: async (group) => void (await write('DELETE FROM documents WHERE group_id = $1', [group])),
  }
}

/** Documents that go at once, at most. */
const perStatement = 1_000

/** The statement that removes some of those that had expired some time before; nodes do not wait for each other. */
export function expiredDocuments(at: number): Statement {
  const text = `DELETE FROM documents USING (
      SELECT kind, id FROM documents WHERE expires_at <= $1 ORDER BY expires_at LIMIT ${perStatement}
      FOR UPDATE SKIP LOCKED
    ) AS oldest WHERE documents.kind = oldest.kind AND documents.id = oldest.id RETURNING documents.id`
  return { text, parameters: [at - documentRest], prepare: true, lane: 'write' }
}

function toDocument(row: Row): Document {
  const number = (value: unknown) => (value == null ? null : Number(value))
  const text = (value: unknown) => (value == null ? null : String(value))
  return {
    kind: String(row.kind),
    id: String(row.id),
    payload: row.payload as Document['payload'],
    createdAt: Number(row.created_at),
    expiresAt: number(row.expires_at),
    usedAt: number(row.used_at),
    group: text(row.group_id),
    alias: text(row.alias),
    userId: number(row.user_id),
  }
}
