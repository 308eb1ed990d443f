import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Context, createDirectory, type Directory } from '../directory/directory.ts'
import { outcomeUnknown } from '../directory/errors.ts'
import type { Store } from '../directory/store.ts'
import { openSqlite } from '../store/sqlite/store.ts'
import { newUid } from '../uid.ts'
import { type Clearable, type Counts, type ImportOptions, importPeople, type Told } from './import.ts'
import type { Person } from './people.ts'
import type { Row } from './rows.ts'

/** Who gets in and what is told, where the directory says no; whole files are in test/import.test.ts. */

const rules = { roles: [] }
const context: Context = {
  actor: { kind: 'operator', id: 'import', scopes: ['read', 'write', 'admin'], contract: 'operator' },
  requestId: 'import',
}

let folder: string
let store: Store
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'roster-transfer-'))
  store = await openSqlite({ folder, rules, onFatal: () => {} })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

function directoryOn(store: Store): Directory {
  return createDirectory({ store, rules, now: Date.now, newChangeId: randomUUID, newUid })
}

/** Begins to import rows, into the store that there is if no other is named. */
function take(
  rows: readonly Row[],
  options: Partial<Pick<ImportOptions, 'clear' | 'update'>> = {},
  into: Store = store,
) {
  const counts: Counts = { created: 0, updated: 0, skipped: 0, rejected: 0 }
  const told: Told[] = []
  async function* people(): AsyncGenerator<Person> {
    for (const [n, row] of rows.entries()) yield { ...row, line: n + 1 }
  }
  const done = importPeople(people(), counts, {
    ...{ update: false, clear: new Set(), vacated: new Map(), context, ...options },
    directory: directoryOn(into),
    secret: 'a secret',
    clearPictures: false,
    hasPicture: async () => false,
    adoptPicture: async () => {},
    onTold: (one) => told.push(one),
  })
  return { counts, told, done }
}

const row = (id: number, patch: Row['patch']): Row => ({ id, patch, source: {} })

test('what becomes of the rows beside one that the store can not take is counted and told', async () => {
  const change: Store['change'] = (command) =>
    command.id === 2 ? Promise.reject(outcomeUnknown()) : store.change(command)
  const rows = [1, 2, 3, 4, 5].map((id) => row(id, { email: id === 4 ? 'none' : `p${id}@example.com` }))
  const { counts, told, done } = take(rows, {}, { ...store, change })
  await expect(done).rejects.toMatchObject({ code: 'outcome_unknown' })
  expect(counts).toEqual({ created: 3, updated: 0, skipped: 0, rejected: 1 })
  expect(told).toMatchObject([{ line: 4, id: 4, rejected: true }])
})

describe('with --duplicate-email=clear and --username=clear', () => {
  const clear = new Set<Clearable>(['email', 'username'])
  beforeEach(async () => {
    const there = [
      row(1, { email: 'ann@example.com', username: 'ann' }),
      row(2, { email: 'bob@example.com', username: 'bob' }),
      row(3, { email: 'gone@example.com', username: 'gone' }),
      row(4, {}),
    ]
    await take(there).done
    await directoryOn(store).remove(context, { id: 3 })
  })

  test.each<[about: string, row: Row, outcome: keyof Counts, told: string[]]>([
    ['another address than here', row(2, { email: 'new@example.com' }), 'rejected', ['email']],
    ['another username than here', row(2, { username: 'new' }), 'rejected', ['username']],
    ['an address where there is none', row(4, { email: 'new@example.com' }), 'rejected', ['email']],
    ['an address that is none', row(9, { email: 'none' }), 'rejected', ['email']],
    [
      'an address that is none, and a name',
      row(9, { email: 'none', username: 'ann' }),
      'rejected',
      ['email'],
    ],
    ['a name that is none', row(9, { username: 'a b' }), 'created', ['username']],
    [
      'what others have',
      row(9, { email: 'ANN@example.com', username: 'Bob' }),
      'created',
      ['email', 'username'],
    ],
    [
      'what others have, here already',
      row(4, { email: 'ann@example.com', username: 'bob' }),
      'skipped',
      ['email', 'username'],
    ],
    ['the address of somebody who was removed', row(9, { email: 'gone@example.com' }), 'created', ['email']],
    ['the same, here already', row(4, { email: 'gone@example.com' }), 'skipped', ['email']],
  ])('%s', async (_about, one, outcome, names) => {
    const { counts, told, done } = take([one], { clear })
    await done
    expect(counts).toEqual({ created: 0, updated: 0, skipped: 0, rejected: 0, [outcome]: 1 })
    expect(told.map(({ rejected }) => rejected)).toEqual([outcome === 'rejected'])
    expect(told.flatMap(({ problems }) => problems.map(({ field }) => field))).toEqual(names)
  })
})
