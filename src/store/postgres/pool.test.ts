import { expect, it, onTestFinished } from 'vitest'
import { database } from '../../../test/postgres-store.ts'
import { createPool } from './pool.ts'
import type { Timeline } from './timeline.ts'

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
