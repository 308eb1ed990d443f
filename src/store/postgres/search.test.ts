import { expect, it, onTestFinished } from 'vitest'
import { connected, database, open } from '../../../test/postgres-store.ts'
import type { Store } from '../../directory/store.ts'
import { all, committed, create, range, times, update } from '../conformance.ts'
import type { Searched } from '../search/people.ts'
import type { SearchSource } from '../search/serve.ts'
import { createSearchSource } from './search.ts'

/** A directory of some people, and what a thread that searches it reads. */
async function directory(people: number) {
  const { url, sql } = await database()
  const store = await open(url)
  await all(
    store,
    times(people, (n) => create({ username: `person-${n}` })),
  )
  const source = createSearchSource({ url })
  onTestFinished(source.close)
  return { store, sql, source }
}

/** Has a transaction of another application open, in another database of the same server, until the test is over. */
async function elsewhere(): Promise<void> {
  const { url } = await database()
  await connected(url).unsafe('BEGIN; CREATE TABLE others (id int)')
}

const idsOf = (rows: readonly Searched[] | undefined) => rows?.map(({ id }) => id).toSorted((a, b) => a - b)

async function everybody(source: SearchSource) {
  const pieces = await Array.fromAsync(source.everybody())
  return idsOf(pieces.flat())
}

const rename = (store: Store, ids: readonly number[], round: number) =>
  Promise.all(ids.map((id) => committed(store, update(id, { first_name: `${id} ${round}` }))))

it('what has changed is news once, however long a transaction of others stays open', async () => {
  const { store, source } = await directory(30)
  await elsewhere()
  expect(await everybody(source)).toHaveLength(30)
  for (const round of range(5)) {
    const ids = [1, 2, 3].map((n) => n + 5 * round - 5)
    await rename(store, ids, round)
    expect([idsOf(await source.news()), await source.news()]).toEqual([ids, []])
  }
})

it('a change with a lower number that is committed later is news too', async () => {
  const { store, sql, source } = await directory(3)
  await everybody(source)
  await sql.unsafe(
    `BEGIN; UPDATE users SET first_name = 'late', version = 2 WHERE id = 1;
     INSERT INTO changes (change_id, user_id, version, at, actor_kind, contract, request_id, kind, fields)
     VALUES (gen_random_uuid(), 1, 2, 0, 'operator', 'operator', 'r', 'updated', '{"first_name": [null, "late"]}')`,
  )
  await rename(store, [2], 1)
  expect(idsOf(await source.news())).toEqual([2])
  await rename(store, [3], 1)
  expect(idsOf(await source.news())).toEqual([3])
  await sql.unsafe('COMMIT')
  expect(await source.news()).toMatchObject([{ id: 1, first_name: 'late' }])
  expect(await source.news()).toEqual([])
})

it('what was taken in is news once more, and nothing is passed over, where the connection is another', async () => {
  const { store, sql, source } = await directory(3)
  await elsewhere()
  await everybody(source)
  await rename(store, [1], 1)
  expect(idsOf(await source.news())).toEqual([1])
  await sql.unsafe(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'roster'`,
  )
  await rename(store, [2], 1)
  expect(idsOf(await source.news())).toEqual([1, 2, 3])
  await rename(store, [3], 1)
  expect(idsOf(await source.news())).toEqual([3])
})

it('after more has come in than is taken in as news, everybody is read once', async () => {
  const { sql, source } = await directory(3)
  await elsewhere()
  await everybody(source)
  await sql.unsafe(
    `INSERT INTO changes (change_id, user_id, version, at, actor_kind, contract, request_id, kind, fields)
     SELECT gen_random_uuid(), 1, n, 0, 'operator', 'operator', 'r', 'updated', '{"first_name": [null, "x"]}'
     FROM generate_series(2, 210000) AS n`,
  )
  expect(await source.news()).toBeUndefined()
  expect(await everybody(source)).toEqual([1, 2, 3])
  expect(await source.news()).toEqual([])
})
