import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { type Document, type DocumentStore, documentRest, encodePayload } from '../../directory/document.ts'

/** What the writer can be asked to do with documents. */
export type DocumentTask = { readonly kind: 'document' } & (
  | { readonly verb: 'put'; readonly document: Encoded; readonly onlyIfNew: boolean }
  | { readonly verb: 'use'; readonly of: string; readonly id: string; readonly at: number }
  | { readonly verb: 'remove'; readonly of: string; readonly id: string }
  | { readonly verb: 'removeGroup'; readonly group: string }
)

/** A document whose payload is JSON already. */
type Encoded = Omit<Document, 'payload'> & { readonly payload: string }

export interface DocumentDone {
  readonly outcome: 'document'
  /** Whether there was something to be done. */
  readonly done: boolean
}

const columns = 'kind, id, payload, created_at, expires_at, used_at, group_id, alias, user_id'

/** Expired documents that go at once, at most. */
const perTask = 200

/** The writer's side: what it does happens inside the transaction under way. */
export function createDocumentWriter(db: DatabaseSync) {
  const insert = `INSERT INTO documents (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO`
  const add = db.prepare(`${insert} NOTHING`)
  const put = db.prepare(
    `${insert} UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at,
       used_at = coalesce(used_at, excluded.used_at), group_id = excluded.group_id, alias = excluded.alias,
       user_id = excluded.user_id`,
  )
  const expire = db.prepare(
    `DELETE FROM documents WHERE (kind, id) IN (
       SELECT kind, id FROM documents WHERE expires_at <= ? ORDER BY expires_at LIMIT ${perTask})`,
  )
  const use = db.prepare('UPDATE documents SET used_at = ? WHERE kind = ? AND id = ? AND used_at IS NULL')
  const remove = db.prepare('DELETE FROM documents WHERE kind = ? AND id = ?')
  const removeGroup = db.prepare('DELETE FROM documents WHERE group_id = ?')

  function run(task: DocumentTask): number | bigint {
    switch (task.verb) {
      case 'put': {
        const { kind, id, payload, createdAt, expiresAt, usedAt, group, alias, userId } = task.document
        const values = [createdAt, expiresAt, usedAt, group, alias, userId] as const
        return (task.onlyIfNew ? add : put).run(kind, id, payload, ...values).changes
      }
      case 'use':
        return use.run(task.at, task.of, task.id).changes
      case 'remove':
        return remove.run(task.of, task.id).changes
      case 'removeGroup':
        return removeGroup.run(task.group).changes
    }
  }

  return {
    run: (task: DocumentTask): DocumentDone => ({ outcome: 'document', done: Number(run(task)) > 0 }),
    /** @returns how many have gone */
    expire: (at: number): number => Number(expire.run(at - documentRest).changes),
  }
}

/**
 * Documents for a process that may not write itself.
 * @param db a connection for reading
 * @param run hands a task to the writer
 */
export function createDocumentStore(
  db: DatabaseSync,
  run: (task: DocumentTask) => Promise<DocumentDone>,
): DocumentStore {
  const byId = db.prepare(`SELECT ${columns} FROM documents WHERE kind = ? AND id = ?`)
  const byAlias = db.prepare(`SELECT ${columns} FROM documents WHERE kind = ? AND alias = ?`)
  const lasting = db.prepare(
    `SELECT ${columns} FROM documents WHERE kind = ? AND expires_at IS NULL ORDER BY created_at, id`,
  )
  const one = (row: Row | undefined) => (row === undefined ? undefined : toDocument(row))
  return {
    put: async (document, onlyIfNew = false) => {
      const encoded = { ...document, payload: encodePayload(document) }
      await run({ kind: 'document', verb: 'put', document: encoded, onlyIfNew })
    },
    find: async (kind, id) => one(byId.get(kind, id)),
    findByAlias: async (kind, alias) => one(byAlias.get(kind, alias)),
    list: async (kind) => lasting.all(kind).map(toDocument),
    use: async (of, id, at) => (await run({ kind: 'document', verb: 'use', of, id, at })).done,
    remove: async (of, id) => void (await run({ kind: 'document', verb: 'remove', of, id })),
    removeGroup: async (group) => void (await run({ kind: 'document', verb: 'removeGroup', group })),
  }
}

type Row = Readonly<Record<string, SQLOutputValue>>

function toDocument(row: Row): Document {
  const number = (value: SQLOutputValue | undefined) => (value == null ? null : Number(value))
  const text = (value: SQLOutputValue | undefined) => (value == null ? null : String(value))
  return {
    kind: String(row.kind),
    id: String(row.id),
    payload: JSON.parse(String(row.payload)) as Document['payload'],
    createdAt: Number(row.created_at),
    expiresAt: number(row.expires_at),
    usedAt: number(row.used_at),
    group: text(row.group_id),
    alias: text(row.alias),
    userId: number(row.user_id),
  }
}
