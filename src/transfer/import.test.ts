import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Context, createDirectory, type Directory } from '../directory/directory.ts'
import { outcomeUnknown, unavailable } from '../directory/errors.ts'
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

/** A row without an id. */
const nameless = (patch: Row['patch'], uid?: string): Row => ({
  patch,
  source: uid === undefined ? {} : { uid },
})

describe('a row without an id, and its own uid', () => {
  const uid = 'usr_abcdefghijkl'
  test.each<[about: string, update: boolean, phone: string, outcome: keyof Counts, kept: string]>([
    ['the same values', false, '1', 'skipped', '1'],
    ['others', false, '2', 'rejected', '1'],
    ['others, with --update', true, '2', 'updated', '2'],
  ])('is about who has that uid: %s', async (_about, update, phone, outcome, kept) => {
    await take([nameless({ phone: '1' }, uid)]).done
    const { counts, told, done } = take([nameless({ phone }, uid)], { update })
    await done
    expect(counts).toEqual({ created: 0, updated: 0, skipped: 0, rejected: 0, [outcome]: 1 })
    expect(told.map(({ id, problems }) => [id, problems[0]?.field])).toEqual(
      outcome === 'rejected' ? [[1, 'phone']] : [],
    )
    expect(await store.get(1)).toMatchObject({ uid, phone: kept })
  })
})

describe('a row with the id that a row without one came to', () => {
  const ann = nameless({ email: 'ann@example.com' })

  test.each([
    ['new', false, 'created'],
    ['new, with --update', true, 'created'],
    ['here from an earlier run', false, 'skipped'],
    ['here from an earlier run, with --update', true, 'skipped'],
  ] as const)('is not taken to be that person: %s', async (about, update, outcome) => {
    if (outcome === 'skipped') await take([ann]).done
    const same = row(1, { email: 'ann@example.com' })
    const { counts, told, done } = take([ann, row(1, { email: 'bob@example.com' }), same], { update })
    await done
    const skipped = outcome === 'skipped' ? 2 : 1
    expect(counts, about).toEqual({ created: 2 - skipped, updated: 0, skipped, rejected: 1 })
    expect(told).toMatchObject([
      {
        line: 2,
        id: 1,
        problems: [{ property: 'id', message: expect.stringContaining('a row before') }, { field: 'email' }],
      },
    ])
    expect(await store.get(1)).toMatchObject({ email: 'ann@example.com', version: 1 })
  })

  test('nor is what somebody else has left out of it', async () => {
    await take([row(9, { email: 'bob@example.com' })]).done
    const { counts, done } = take([ann, row(10, { email: 'bob@example.com' })], { clear: new Set(['email']) })
    await done
    expect(counts).toMatchObject({ created: 1, rejected: 1 })
  })

  test('waits for it, as it waits for those with ids', async () => {
    await take([row(5, { email: 'ann@example.com' })]).done
    const { counts, done } = take(
      [nameless({ email: 'ann@example.com', phone: '1' }), row(5, { phone: '2' })],
      { update: true },
    )
    await done
    expect(counts).toMatchObject({ updated: 1, rejected: 1 })
    expect(await store.get(5)).toMatchObject({ phone: '1' })
  })
})

test('what was left out of a row that is about somebody by their address is told', async () => {
  await take([row(5, { email: 'ann@example.com' })]).done
  const rows = [nameless({ email: 'ann@example.com', username: 'a b', phone: '1' })]
  const { counts, told, done } = take(rows, { clear: new Set(['username']), update: true })
  await done
  expect(counts).toMatchObject({ updated: 1 })
  expect(told).toMatchObject([{ line: 1, id: 5, problems: [{ field: 'username' }], rejected: false }])
})

test.each<[about: string, update: boolean, end: 'remove' | 'erase', outcome: keyof Counts]>([
  ['removed', false, 'remove', 'skipped'],
  ['removed, with --update', true, 'remove', 'rejected'],
  ['erased', false, 'erase', 'created'],
])('the same row without an id, when its person was %s', async (_about, update, end, outcome) => {
  const rows = [nameless({ phone: '1' })]
  await take(rows).done
  await directoryOn(store)[end](context, { id: 1 })
  const { counts, done } = take(rows, { update })
  await done
  expect(counts).toEqual({ created: 0, updated: 0, skipped: 0, rejected: 0, [outcome]: 1 })
})

test('a store that can not be asked for a moment is asked again', async () => {
  const rows = [nameless({ phone: '1' })]
  await take(rows).done
  let failures = 3
  const find: Store['find'] = (key) =>
    failures-- > 0 ? Promise.reject(unavailable('The store is away')) : store.find(key)
  const { counts, done } = take(rows, {}, { ...store, find })
  await done
  expect(counts).toMatchObject({ skipped: 1 })
})
