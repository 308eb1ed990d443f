import { expect, it, onTestFinished } from 'vitest'
import { connected, database, open, server } from '../../../test/postgres-store.ts'
import { committed, create, update } from '../conformance.ts'
import { createLogTail } from './log-tail.ts'
import { createPool } from './pool.ts'

/** Looks at where the log is, by a clock that stands. */
function follow(url: string) {
  const pool = createPool(url, 1)
  onTestFinished(pool.close)
  let at = 0
  const { look } = createLogTail(pool.query, () => at)
  return {
    look,
    async lookAfterAnHour() {
      at += 3_600_000
      return look()
    },
  }
}

it('a commit that waits for a standby is waited for, however long that takes', async () => {
  const { url } = await server()
  const [store, sql] = [await open(url), connected(url)]
  await committed(store, create({ username: 'ann' }))
  const waiting = async () =>
    (await sql`SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'roster'`)
      .length
  const setStandbys = async (names: string) => {
    await sql.unsafe(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`)
    await sql`SELECT pg_reload_conf()`
  }
  await setStandbys('ANY 1 (*)')
  await expect
    .poll(async () => (await sql`SHOW synchronous_standby_names`)[0])
    .toEqual({ synchronous_standby_names: 'ANY 1 (*)' })
  const changing = store.change(update(1, { username: 'zed' })).catch(() => {})
  await expect.poll(waiting).toBe(1)
  const { look, lookAfterAnHour } = follow(url)
  for (const _ of [1, 2]) expect(await look()).toMatchObject({ newest: 2, settled: 0 })
  expect(await lookAfterAnHour()).toMatchObject({ newest: 2, settled: 0 })
  await setStandbys('')
  await changing
  await expect.poll(look).toMatchObject({ newest: 2, settled: 2 })
})

it('a transaction of others is waited for no longer than a while, unless it writes the log', async () => {
  const { url, sql } = await database()
  const store = await open(url)
  await committed(store, create({ username: 'ann' }))
  await sql.unsafe("BEGIN; INSERT INTO keys VALUES ('key', 'hash', 'name', 'read', 0)")
  const { look, lookAfterAnHour } = follow(url)
  for (const _ of [1, 2, 3]) expect(await look()).toMatchObject({ newest: 1, settled: 0 })
  expect(await lookAfterAnHour()).toMatchObject({ newest: 1, settled: 1 })
  await sql.unsafe('LOCK TABLE changes IN ROW EXCLUSIVE MODE')
  await committed(store, update(1, { username: 'zed' }))
  for (const _ of [1, 2, 3]) await look()
  expect(await lookAfterAnHour()).toMatchObject({ newest: 2, settled: 1 })
  await sql.unsafe('ROLLBACK')
  await expect.poll(look).toMatchObject({ newest: 2, settled: 2 })
})

it('after nobody has looked for long, not all that came since is still to be settled', async () => {
  const { url, sql } = await database()
  await open(url)
  const { look, lookAfterAnHour } = follow(url)
  expect(await look()).toMatchObject({ newest: 0, settled: 0 })
  await sql.unsafe("SELECT setval('changes_seq_seq', 300000)")
  expect(await lookAfterAnHour()).toMatchObject({ newest: 300_000, settled: 250_000 })
})
