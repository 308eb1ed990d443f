import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import type { Scope } from '../../directory/actor.ts'
import type { ApiKey, KeyStore } from '../../directory/key.ts'

/** What the writer can be asked to do with keys. */
export type KeyTask = { readonly kind: 'key' } & (
  | { readonly verb: 'add'; readonly key: ApiKey; readonly hash: string; readonly onlyIfNew: boolean }
  | { readonly verb: 'revoke'; readonly id: string; readonly at: number }
  | { readonly verb: 'used'; readonly times: readonly (readonly [id: string, at: number])[] }
)

/** What comes of it: the key that was revoked, where there is one. */
export interface KeyDone {
  readonly outcome: 'key'
  readonly key: ApiKey | null
}

const columns = 'id, name, scopes, created_at, expires_at, revoked_at, last_used_at'

/** The writer's side: runs a task inside the transaction under way. */
export function createKeyWriter(db: DatabaseSync): (task: KeyTask) => KeyDone {
  const into = `INTO keys (hash, ${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
  const replace = db.prepare(`INSERT OR REPLACE ${into}`)
  const insert = db.prepare(`INSERT ${into} ON CONFLICT (id) DO NOTHING`)
  const revoke = db.prepare(
    `UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? RETURNING ${columns}`,
  )
  const used = db.prepare('UPDATE keys SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE id = ?')
  return (task) => {
    switch (task.verb) {
      case 'add': {
        const { id, name, scopes, createdAt, expiresAt, revokedAt, lastUsedAt } = task.key
        const add = task.onlyIfNew ? insert : replace
        add.run(task.hash, id, name, scopes.join(' '), createdAt, expiresAt, revokedAt, lastUsedAt)
        return { outcome: 'key', key: null }
      }
      case 'revoke': {
        const row = revoke.get(task.at, task.id)
        return { outcome: 'key', key: row === undefined ? null : toKey(row) }
      }
      case 'used':
        for (const [id, at] of task.times) used.run(at, id)
        return { outcome: 'key', key: null }
    }
  }
}

/**
 * Keys for a process that may not write itself.
 * @param db a connection for reading
 * @param run hands a task to the writer
 */
export function createKeyStore(db: DatabaseSync, run: (task: KeyTask) => Promise<KeyDone>): KeyStore {
  const byHash = db.prepare(`SELECT ${columns} FROM keys WHERE hash = ?`)
  const all = db.prepare(`SELECT ${columns} FROM keys ORDER BY created_at, id`)
  return {
    add: async (key, hash, onlyIfNew = false) =>
      void (await run({ kind: 'key', verb: 'add', key, hash, onlyIfNew })),
    list: async () => all.all().map(toKey),
    find: async (hash) => {
      const row = byHash.get(hash)
      return row === undefined ? undefined : toKey(row)
    },
    revoke: async (id, at) => (await run({ kind: 'key', verb: 'revoke', id, at })).key ?? undefined,
    used: async (times) => void (await run({ kind: 'key', verb: 'used', times: [...times] })),
  }
}

function toKey(row: Readonly<Record<string, SQLOutputValue>>): ApiKey {
  const time = (value: SQLOutputValue | undefined) => (value == null ? null : Number(value))
  return {
    id: String(row.id),
    name: String(row.name),
    scopes: String(row.scopes).split(' ') as Scope[],
    createdAt: Number(row.created_at),
    expiresAt: time(row.expires_at),
    revokedAt: time(row.revoked_at),
    lastUsedAt: time(row.last_used_at),
  }
}
