import { readdirSync, readFileSync } from 'node:fs'

/** A step of a schema: the version that it leads to, which its file's name starts with. */
export interface Migration {
  readonly version: number
  readonly sql: string
}

/** The steps of a folder in their order. */
export function readMigrations(folder: URL): readonly Migration[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => ({ version: Number.parseInt(name, 10), sql: readFileSync(new URL(name, folder), 'utf8') }))
}

/** @throws Error when a newer Roster has written the database */
export function refuseNewer(found: number, newest: number): void {
  if (found > newest) {
    throw new Error(
      `The database has schema version ${found}, this Roster knows ${newest}: run the newer Roster that wrote it`,
    )
  }
}
