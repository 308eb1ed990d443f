import { expect, it, onTestFinished } from 'vitest'
import { database } from '../../../test/postgres-store.ts'
import { range } from '../conformance.ts'
import { createPool } from './pool.ts'
import type { Timeline } from './timeline.ts'

const unanswered = { code: 'UNANSWERED' }

it('a statement whose connection was dropped is not counted among those without an answer', async () => {
  const { url } = await database()
  const old = new Set<Timeline | undefined>()
  let promoted = false
  const pool = createPool(url, 2, {
    note: (timeline) => promoted || old.add(timeline),
    isOld: (timeline) => {
      if (!promoted || !old.has(timeline)) return false
      // The statement's time is up before the driver has told that it is over.
      for (const until = Date.now() + 1_000; Date.now() < until; );
      return true
    },
  })
  onTestFinished(pool.close)
  const write = { text: 'SELECT 1 AS one', lane: 'write' } as const
  expect(await pool.query(write)).toEqual([{ one: 1 }])
  const lost = expect(pool.query({ text: 'SELECT pg_sleep(30)', lane: 'write' }, 1_000)).rejects.toThrow()
  promoted = true
  await pool.query({ text: 'SELECT' })
  await lost
  expect(await pool.query(write)).toEqual([{ one: 1 }])
})

it('what reads is ended on the server when nobody waits for it any more, and its connection is free', async () => {
  const { url, sql } = await database()
  const pool = createPool(url, 2)
  onTestFinished(pool.close)
  const pids = async () => {
    const rows = await Promise.all(
      range(2).map(() => pool.query({ text: 'SELECT pg_backend_pid() AS pid, pg_sleep(0.1)' })),
    )
    return rows.map(([row]) => Number(row?.pid)).toSorted((a, b) => a - b)
  }
  const before = await pids()
  const slow = { text: 'SELECT pg_sleep(30)', answerWithin: 100 }
  await expect(pool.query(slow)).rejects.toMatchObject(unanswered)
  const underWay = () => sql`SELECT FROM pg_stat_activity WHERE state = 'active' AND query = ${slow.text}`
  await expect.poll(underWay, { timeout: 5_000 }).toHaveLength(0)
  expect(await pids()).toEqual(before)
})

it('what comes after a statement that was given up is not ended in its place', async () => {
  const { url, sql } = await database()
  // The server takes longer to end it than it goes on by itself.
  await sql.unsafe(
    `CREATE FUNCTION pg_cancel_backend(pid int) RETURNS boolean LANGUAGE plpgsql AS $$
       BEGIN PERFORM pg_sleep(0.4); RETURN pg_catalog.pg_cancel_backend(pid); END $$;
     DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$`,
  )
  const pool = createPool(url, 2)
  onTestFinished(pool.close)
  await pool.query({ text: 'SELECT' })
  await expect(pool.query({ text: 'SELECT pg_sleep(0.3)', answerWithin: 100 })).rejects.toMatchObject(
    unanswered,
  )
  await Promise.all(range(2).map(() => pool.query({ text: 'SELECT pg_sleep(0.6)' })))
})
