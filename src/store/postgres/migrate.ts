import { readMigrations, refuseNewer } from '../sql/migrations.ts'
import type { Sql } from './connection.ts'

export const migrations = readMigrations(new URL('./migrations/', import.meta.url))

export const newestVersion = migrations.at(-1)?.version ?? 0

/** The key of the advisory lock that nodes which start together take in turn. */
const migrationLock = 7_265_737_464

/**
 * Brings the schema to a version, all steps in one transaction, under a lock that other starting nodes
 * wait for. A schema that is there already needs no right to change it.
 * @param sql one connection, since the transaction spans several statements
 * @throws Error when a newer Roster has written the database
 */
export async function migrate(sql: Sql, to = newestVersion): Promise<void> {
  const [table] = await sql`SELECT to_regclass('schema_version')::text AS name`
  if (table?.name !== null && (await foundVersion(sql)) === to) return
  // Each statement after the lock must see what the node before did, whatever the server's default is.
  await sql.unsafe('BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = 0')
  await sql`SELECT pg_advisory_xact_lock(${migrationLock})`
  await sql`CREATE TABLE IF NOT EXISTS schema_version (version int NOT NULL)`
  const found = await foundVersion(sql)
  for (const { version, sql: step } of migrations) {
    if (version <= found || version > to) continue
    await sql.unsafe(step)
    await sql`INSERT INTO schema_version (version) VALUES (${version})`
  }
  await sql`COMMIT`
}

async function foundVersion(sql: Sql): Promise<number> {
  const [row] = await sql`SELECT coalesce(max(version), 0) AS version FROM schema_version`
  const found = Number(row?.version)
  refuseNewer(found, newestVersion)
  return found
}
