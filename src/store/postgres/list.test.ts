import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createDatabase, type Database } from '../../../test/postgres.ts'
import { database as databaseOfOwn, open } from '../../../test/postgres-store.ts'
import type { ListQuery, Sortable } from '../../directory/query.ts'
import type { Store } from '../../directory/store.ts'
import { all, create, rules, times } from '../conformance.ts'
import { createListReader } from './list.ts'
import type { Statement } from './pool.ts'
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
const by = (name: Sortable, value: string): ListQuery => ({
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

  test('share a count that began after they were asked for, where the log has more than is looked at', async () => {
    const { url, sql } = await databaseOfOwn()
    const own = await open(url)
    await all(own, [create({ first_name: 'Ann' }), create({ first_name: 'Bob' })])
    const others = await databaseOfOwn()
    await others.sql.unsafe('BEGIN; CREATE TABLE others (id int)')
    let holding = false
    const counts: PromiseWithResolvers<void>[] = []
    const { list } = createListReader(async ({ text, parameters = [] }) => {
      if (holding && text.includes('count(*)')) {
        const held = Promise.withResolvers<void>()
        counts.push(held)
        const rows = await sql.unsafe(text, [...parameters])
        await held.promise
        return rows
      }
      return await sql.unsafe(text, [...parameters])
    })
    // Settled as of now, and no further for as long as the transaction is open.
    await list(by('last_name', 'Ann'))
    holding = true
    await sql.unsafe("SELECT setval('changes_seq_seq', 100000)")
    const total = async () => (await list(by('first_name', 'Ann'))).total
    const begun = async (expected: number) => {
      await expect.poll(() => counts.length).toBe(expected)
      // Those who would count by themselves have had the time.
      for (const _ of times(50, (n) => n)) await sql`SELECT`
      expect(counts).toHaveLength(expected)
    }
    const early = total()
    await begun(1)
    await all(own, [create({ first_name: 'Ann' })])
    const late = times(20, total)
    await begun(1)
    counts[0]?.resolve()
    expect(await early).toBe(1)
    await begun(2)
    counts[1]?.resolve()
    expect(new Set(await Promise.all(late))).toEqual(new Set([2]))
    // Who shares one that fails has failed with it.
    const next = total()
    await begun(3)
    const unlucky = Promise.allSettled(times(20, total))
    await begun(3)
    counts[2]?.resolve()
    expect(await next).toBe(2)
    await begun(4)
    counts[3]?.reject(new Error('broken'))
    for (const one of await unlucky) expect(one).toMatchObject({ reason: { message: 'broken' } })
    expect(counts).toHaveLength(4)
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

interface Plan {
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Plan[]
}

/** How many rows the parts of a plan have looked at. */
function rowsRead({ 'Actual Rows': rows, 'Actual Loops': loops, Plans = [], ...more }: Plan): number {
  const own = (rows + (more['Rows Removed by Filter'] ?? 0)) * loops
  return Plans.reduce((sum, part) => sum + rowsRead(part), own)
}

describe('lists by what few people share', () => {
  const names = ['id', 'uid', 'email', 'username', 'ext_id', 'last_name', 'first_name', 'phone'] as const
  const people = 20_000

  test.for(['before', 'after'])(
    'look at nobody else, %s the server knows how many there are',
    async (when) => {
      const { url, sql } = await databaseOfOwn()
      await open(url)
      const own = names.map((name) => (name === 'id' ? 'n' : `'${name}-' || n`))
      await sql.unsafe(
        `INSERT INTO users (status, version, created_at, updated_at, ${names.join()})
         SELECT 'active', 1, n, n, ${own.join()} FROM generate_series(1, ${people}) AS n;
       INSERT INTO claims (kind, key, user_id) SELECT kind, kind || '-' || n, n
         FROM generate_series(1, ${people}) AS n, unnest('{uid,username,ext_id,email}'::text[]) AS kind`,
      )
      if (when === 'after') await sql.unsafe('ANALYZE')
      const sent: Statement[] = []
      const { list } = createListReader(async (statement) => {
        sent.push(statement)
        return await sql.unsafe(statement.text, [...(statement.parameters ?? [])])
      })
      for (const name of names)
        for (const sort of [[], [{ name: 'created_at', descending: true } as const]]) {
          const { users, total } = await list({ ...by(name, name === 'id' ? '77' : `${name}-77`), sort })
          expect([users.map(({ id }) => id), total]).toEqual([[77], 1])
        }
      for (const { text, parameters = [] } of sent.filter(({ text }) => text.includes('FROM users'))) {
        const [row] = await sql.unsafe(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, [...parameters])
        expect(rowsRead(row?.['QUERY PLAN'][0].Plan), text).toBeLessThan(20)
      }
    },
  )
})
