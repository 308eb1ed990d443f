import { afterAll, beforeAll, describe, expect, inject } from 'vitest'
import type { Store } from '../src/directory/store.ts'
import { type Fixture, rules, storeConformance } from '../src/store/conformance.ts'
import { importConformance } from '../src/store/conformance-import.ts'
import { listConformance } from '../src/store/conformance-list.ts'
import { openPostgres } from '../src/store/postgres/store.ts'
import { createDatabase, type Database, readAside, readKept, readLog } from './postgres.ts'

/** The suite of every store, on a database whose transactions are isolated like this unless they say otherwise. */
export function conformsUnder(isolation: 'read committed' | 'serializable'): void {
  describe(`under ${isolation}`, () => {
    let database: Database
    let url: string
    beforeAll(async () => {
      database = await createDatabase(inject('postgresUrl'))
      url = `${database.url}?default_transaction_isolation=${encodeURIComponent(isolation)}`
      await (await open()).close()
    })
    afterAll(() => database.drop())

    const open = () => openPostgres({ url, rules, onWarning: fail })

    const fixture = async (): Promise<Fixture> => {
      await empty(database)
      let store: Store = await open()
      return {
        store,
        reopen: async () => {
          await store.close()
          store = await open()
          return store
        },
        readLog: () => readLog(database.sql),
        readAside: () => readAside(database.sql),
        dispose: async () => {
          await store.close()
          expect((await readKept(database.sql)).damage).toEqual([])
        },
      }
    }
    storeConformance('PostgreSQL', fixture)
    listConformance('PostgreSQL', fixture)
    importConformance('PostgreSQL', fixture)
  })
}

function fail(warning: string): void {
  throw new Error(warning)
}

/** Quicker than TRUNCATE, which makes new files. */
async function empty({ sql }: Database): Promise<void> {
  await sql.unsafe(
    `DELETE FROM users; DELETE FROM claims; DELETE FROM changes; DELETE FROM keys; DELETE FROM receipts;
     DELETE FROM counters; DELETE FROM passwords; DELETE FROM validity; DELETE FROM documents;
     DELETE FROM settings; DELETE FROM outbox; DELETE FROM email_changes; DELETE FROM pictures; DELETE FROM avatars;
     ALTER SEQUENCE user_ids RESTART; ALTER SEQUENCE changes_seq_seq RESTART`,
  )
}
