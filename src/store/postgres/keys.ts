import type { Scope } from '../../directory/actor.ts'
import type { ApiKey, KeyStore } from '../../directory/key.ts'
import { isText } from '../../directory/query.ts'
import type { Row, Run, Statement } from './pool.ts'

const columns = 'id, name, scopes, created_at, expires_at, revoked_at, last_used_at'

const replaced = `UPDATE SET hash = $1, name = $3, scopes = $4, created_at = $5, expires_at = $6,
  revoked_at = $7, last_used_at = $8`

/**
 * API keys. What writes here does the same however often it is done, so it is tried again like what reads.
 * @param run runs a statement, again where it fails for a reason that passes
 */
export function createKeyStore(run: Run): KeyStore {
  const write = (text: string, parameters: Statement['parameters'] = []) =>
    run({ text, parameters, prepare: true, lane: 'write' })
  return {
    add: async ({ id, name, scopes, createdAt, expiresAt, revokedAt, lastUsedAt }, hash, onlyIfNew) => {
      await write(
        `INSERT INTO keys (hash, ${columns}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO ${onlyIfNew ? 'NOTHING' : replaced}`,
        [hash, id, name, scopes.join(' '), createdAt, expiresAt, revokedAt, lastUsedAt],
      )
    },
    list: async () => {
      const text = `SELECT ${columns} FROM keys ORDER BY created_at, id`
      return (await run({ text, prepare: true })).map(toKey)
    },
    find: async (hash) => {
      const text = `SELECT ${columns} FROM keys WHERE hash = $1`
      const [row] = await run({ text, parameters: [hash], prepare: true })
      return row === undefined ? undefined : toKey(row)
    },
    revoke: async (id, at) => {
      if (!isText(id)) return undefined
      const text = `UPDATE keys SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2 RETURNING ${columns}`
      const [row] = await write(text, [at, id])
      return row === undefined ? undefined : toKey(row)
    },
    used: async (times) => {
      // In one order everywhere, so that nodes that do it at once do not wait for each other in a circle.
      const sorted = [...times].sort(([one], [other]) => (one < other ? -1 : 1))
      await write(
        `UPDATE keys SET last_used_at = greatest(keys.last_used_at, use.at)
         FROM (
           SELECT id, use.at FROM jsonb_to_recordset($1::text::jsonb) AS use (id text, at bigint)
           JOIN keys USING (id) ORDER BY id FOR UPDATE OF keys
         ) AS use WHERE keys.id = use.id`,
        [JSON.stringify(sorted.map(([id, at]) => ({ id, at })))],
      )
    },
  }
}

function toKey(row: Row): ApiKey {
  const time = (value: unknown) => (value === null ? null : Number(value))
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
