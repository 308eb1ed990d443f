import type { DatabaseSync } from 'node:sqlite'
import { readMigrations, refuseNewer } from '../sql/migrations.ts'

export const migrations = readMigrations(new URL('./migrations/', import.meta.url))

export const newestVersion = migrations.at(-1)?.version ?? 0

/**
 * Brings a database to a version, each step in a transaction of its own. A new database takes the
 * same steps as an old one, so the two can not differ.
 * @throws Error when a newer Roster has written the database
 */
export function migrate(db: DatabaseSync, to = newestVersion): void {
  const found = Number(db.prepare('PRAGMA user_version').get()?.user_version)
  refuseNewer(found, newestVersion)
  for (const { version, sql } of migrations) {
    if (version <= found || version > to) continue
    db.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${version}; COMMIT`)
  }
}
