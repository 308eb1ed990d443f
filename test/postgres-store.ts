import { inject, onTestFinished } from 'vitest'
import type { Store } from '../src/directory/store.ts'
import { rules } from '../src/store/conformance.ts'
import { openPostgres, type PostgresOptions } from '../src/store/postgres/store.ts'
import {
  connectTo,
  createDatabase,
  createServerOfOwn,
  type Database,
  type Server,
  type Sql,
} from './postgres.ts'

/** What tests of PostgreSQL stand on: each is there until the test that asks for it is over. */

/** A database on the server that all tests share. */
export async function database(): Promise<Database> {
  const made = await createDatabase(inject('postgresUrl'))
  onTestFinished(made.drop)
  return made
}

/** A server that may be stopped and crashed. */
export async function server(options?: Parameters<typeof createServerOfOwn>[0]): Promise<Server> {
  const made = await createServerOfOwn(options)
  onTestFinished(made.remove)
  return made
}

export async function open(url: string, more: Partial<PostgresOptions> = {}): Promise<Store> {
  const store = await openPostgres({ url, rules, onWarning: () => {}, ...more })
  onTestFinished(store.close)
  return store
}

/** A connection beside the store's. */
export function connected(url: string): Sql {
  const sql = connectTo(url)
  onTestFinished(() => sql.end({ timeout: 0 }))
  return sql
}
