import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createDatabase, type Database } from '../../../test/postgres.ts'
import type { ListQuery } from '../../directory/query.ts'
import type { Store } from '../../directory/store.ts'
import { all, create, rules, times } from '../conformance.ts'
import { openPostgres } from './store.ts'

let database: Database
let store: Store
beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'))
  store = await openPostgres({ url: database.url, rules, onWarning: () => {}, connections: 4 })
  await all(
    store,
    times(3, (n) => create({ first_name: n === 2 ? 'Ann' : 'Bob', phone: `${n}` })),
  )
})
afterAll(async () => {
  await store.close()
  await database.drop()
})

const page: ListQuery = { filters: [], sort: [], offset: 0, limit: 10, count: true }
/** Each looks at everybody. */
const slow: ListQuery = { ...page, search: { text: 'nobody', names: ['bio', 'first_name'] } }
const by = (name: 'first_name' | 'phone', value: string): ListQuery => ({
  ...page,
  filters: [{ name, comparison: 'eq', values: [value] }],
})

describe('lists on PostgreSQL', () => {
  test('that look at everybody take turns, a few at a time, and others need not wait for one', async () => {
    const slowOnes = Promise.allSettled(times(70, () => store.list(slow)))
    const quick = await Promise.all([store.list(by('first_name', 'Ann')), store.list(by('phone', '3'))])
    expect(quick.map(({ total }) => total)).toEqual([1, 1])
    const refused = (await slowOnes).filter(({ status }) => status === 'rejected')
    // Two are read, 64 wait.
    expect(refused).toHaveLength(4)
    for (const one of refused) expect(one).toMatchObject({ reason: { code: 'unavailable' } })
    expect((await store.list(slow)).total).toBe(0)
  })

  test('are not read when nobody waits for them any more', async () => {
    const gone = new AbortController()
    const first = times(2, () => store.list(slow))
    const abandoned = Promise.allSettled(times(64, () => store.list(slow, gone.signal)))
    gone.abort()
    for (const one of await abandoned) expect(one).toMatchObject({ reason: { code: 'unavailable' } })
    const others = times(62, () => store.list(slow))
    expect((await Promise.all([...first, ...others])).every(({ total }) => total === 0)).toBe(true)
  })

  test('show totals that are right, whichever node writes and however late a transaction commits', async () => {
    const other = await openPostgres({ url: database.url, rules, onWarning: () => {}, connections: 2 })
    const total = async (name: string) => (await store.list(by('first_name', name))).total
    const [ann] = (await store.list(by('first_name', 'Ann'))).users
    const begun = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    const lateOne = database.sql.begin(async (sql) => {
      await sql`UPDATE users SET first_name = 'Bob', version = version + 1 WHERE id = ${ann?.id ?? 0}`
      await sql`INSERT INTO changes (change_id, user_id, version, at, actor_kind, contract, request_id, kind, fields)
        VALUES (gen_random_uuid(), ${ann?.id ?? 0}, 2, 0, 'operator', 'operator', 'r', 'updated', '{"first_name": ["Ann", "Bob"]}')`
      begun.resolve()
      await held.promise
    })
    try {
      await begun.promise
      // Counted while it is under way, and made right by what is numbered after it.
      expect(await total('Bob')).toBe(2)
      for (let more = 1; more <= 3; more++) {
        await all(other, [create({ first_name: 'Bob' }), create({ first_name: 'Cid' })])
        expect(await total('Bob')).toBe(2 + more)
      }
      held.resolve()
      await lateOne
      expect([await total('Bob'), await total('Ann')]).toEqual([6, 0])
    } finally {
      held.resolve()
      await Promise.allSettled([lateOne, other.close()])
    }
  })
})
