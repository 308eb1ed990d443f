import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config } from './config.ts'
import type { Store } from './directory/store.ts'
import { openPostgres } from './store/postgres/store.ts'
import { backupSqlite } from './store/sqlite/backup.ts'
import { joinSqlite, openSqlite } from './store/sqlite/store.ts'

/** Which store the settings ask for: PostgreSQL where DATABASE_URL names it, else SQLite in the data folder. */

export interface StoreEvents {
  /** The store can not go on, and so the process should end. */
  readonly onFatal: (error: Error) => void
  readonly onWarning: (warning: string, error?: Error) => void
}

/** The store of a server. */
export function openStore(config: Config, events: StoreEvents): Promise<Store> {
  const { databaseUrl: url } = config
  if (url !== undefined) return openPostgres({ url, rules: config, ...events })
  return openSqlite({ folder: resolve(config.folder), rules: config, ...events })
}

/**
 * The store of a command, beside a server that may be running.
 * @param missing whether a directory that is not there is made
 */
export async function joinStore(
  config: Config,
  events: StoreEvents,
  missing: 'refused' | 'made' = 'refused',
): Promise<Store> {
  if (config.databaseUrl !== undefined) return openStore(config, events)
  const folder = missing === 'refused' ? existingFolder(config) : resolve(config.folder)
  return joinSqlite({ folder, rules: config, ...events })
}

/**
 * Copies the directory into a file, which opens as a database of its own.
 * @throws Error in words, also where the directory is in PostgreSQL, which has better tools for it
 */
export function backupStore(config: Config, file: string): void {
  if (config.databaseUrl !== undefined)
    throw new Error(
      'The directory is in PostgreSQL (DATABASE_URL): copy it with pg_dump, or the whole server with pg_basebackup',
    )
  backupSqlite(existingFolder(config), file)
}

function existingFolder(config: Config): string {
  const folder = resolve(config.folder)
  if (!existsSync(join(folder, 'roster.db')))
    throw new Error(`There is no directory in ${folder} (ROSTER_DATA)`)
  return folder
}

/** Where the data is, without what is secret. */
export function whereabouts({ databaseUrl, folder }: Config): string {
  return databaseUrl?.replace(/\/\/[^@/]*@/, '//') ?? join(resolve(folder), 'roster.db')
}
