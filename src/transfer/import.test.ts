import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDirectory } from '../directory/directory.ts'
import { outcomeUnknown } from '../directory/errors.ts'
import type { Store } from '../directory/store.ts'
import { openSqlite } from '../store/sqlite/store.ts'
import { newUid } from '../uid.ts'
import { importPeople, type Told } from './import.ts'
import type { Person } from './people.ts'

/** Who gets in and what is told, where the directory says no; whole files are in test/import.test.ts. */

const rules = { roles: [] }

async function withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'roster-transfer-'))
  const store = await openSqlite({ folder, rules, onFatal: () => {} })
  try {
    return await work(store)
  } finally {
    await store.close()
    await rm(folder, { recursive: true })
  }
}

test('what becomes of the rows beside one that the store can not take is counted and told', () =>
  withStore(async (store) => {
    const broken: Store = {
      ...store,
      change: (command) => (command.id === 2 ? Promise.reject(outcomeUnknown()) : store.change(command)),
    }
    const newChangeId = crypto.randomUUID.bind(crypto)
    const directory = createDirectory({ store: broken, rules, now: Date.now, newChangeId, newUid })
    async function* people(): AsyncGenerator<Person> {
      for (const id of [1, 2, 3, 4, 5])
        yield { line: id, id, patch: { email: id === 4 ? 'none' : `p${id}@example.com` }, source: {} }
    }
    const counts = { created: 0, updated: 0, skipped: 0, rejected: 0 }
    const told: Told[] = []
    const work = importPeople(people(), counts, {
      directory,
      context: {
        actor: { kind: 'operator', id: 'import', scopes: ['admin'], contract: 'operator' },
        requestId: 'import',
      },
      ...{ update: false, clear: new Set(), vacated: new Map() },
      secret: () => Buffer.alloc(32),
      onTold: (one) => told.push(one),
    })
    await expect(work).rejects.toMatchObject({ code: 'outcome_unknown' })
    expect(counts).toEqual({ created: 3, updated: 0, skipped: 0, rejected: 1 })
    expect(told).toMatchObject([{ line: 4, id: 4, rejected: true }])
  }))
