import { readdirSync, readFileSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'

const folder = new URL('./migrations/', import.meta.url)

/** The steps in order; the number that a file starts with is the version that it leads to. */
export const migrations: readonly { readonly version: number; readonly sql: string }[] = readdirSync(folder)
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .map((name) => ({ version: Number.parseInt(name, 10), sql: readFileSync(new URL(name, folder), 'utf8') }))

export const newestVersion = migrations.at(-1)?.version ?? 0

/**
 * Brings a database to a version, each step in a transaction of its own. A new database takes the
 * same steps as an old one, so the two can not differ.
 * @throws Error when a newer Roster has written the database
 */
export function migrate(db: DatabaseSync, to = newestVersion): void {
  const found = Number(db.prepare('PRAGMA user_version').get()?.user_version)
  if (found > newestVersion) {
    throw new Error(
      `The database has schema version ${found}, this Roster knows ${newestVersion}: run the newer Roster that wrote it`,
    )
  }
  for (const { version, sql } of migrations) {
    if (version <= found || version > to) continue
    db.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${version}; COMMIT`)
  }
}
