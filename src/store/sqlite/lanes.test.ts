import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DirectoryError } from '../../directory/errors.ts'
import type { ListQuery } from '../../directory/query.ts'
import type { Store } from '../../directory/store.ts'
import { all, create, rules, times } from '../conformance.ts'
import { createLanes, type Lanes } from './lanes.ts'
import { openSqlite } from './store.ts'

const page: ListQuery = { filters: [], sort: [], offset: 0, limit: 10, count: true }
/** Each looks at everybody. */
const slow: ListQuery = { ...page, search: { text: 'nobody', names: ['bio', 'first_name'] } }
const quick: ListQuery = { ...page, filters: [{ name: 'first_name', comparison: 'eq', values: ['Ann'] }] }
const remembered: ListQuery = { ...page, filters: [{ name: 'phone', comparison: 'eq', values: ['1'] }] }

let folder: string
let store: Store
let lanes: Lanes
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roster-lanes-'))
  const onFatal = (error: Error) => {
    throw error
  }
  store = await openSqlite({ folder, rules, onFatal })
  await all(
    store,
    times(3, (n) => create({ first_name: n === 2 ? 'Ann' : 'Bob', phone: `${n}` })),
  )
  lanes = createLanes(join(folder, 'roster.db'))
})
afterEach(async () => {
  await lanes.close()
  await store.close()
  rmSync(folder, { recursive: true })
})

const failure = (work: Promise<unknown>): Promise<DirectoryError> =>
  work.then(
    () => Promise.reject(new Error('it was answered')),
    (error: DirectoryError) => error,
  )

describe('lists on SQLite', () => {
  test('that an index leads to are answered while there is no room for others', async () => {
    const slowOnes = times(65, () => lanes.list(slow))
    const refused = failure(lanes.list(slow))
    const answers = await Promise.all([quick, remembered].map((query) => lanes.list(query)))
    expect(answers.map(({ total }) => total)).toEqual([1, 1])
    expect((await refused).code).toBe('unavailable')
    await Promise.all(slowOnes)
  })

  test('are turned away when too many wait already, and only what came too late', async () => {
    const answers = await Promise.allSettled(times(70, () => lanes.list(slow)))
    const refused = answers.filter(({ status }) => status === 'rejected')
    // One is read, 64 wait.
    expect(refused).toHaveLength(5)
    for (const one of refused) expect(one).toMatchObject({ reason: { code: 'unavailable' } })
    expect(answers.slice(0, 65).every(({ status }) => status === 'fulfilled')).toBe(true)
    expect((await lanes.list(slow)).total).toBe(0)
  })

  test('are not read when nobody waits for them any more', async () => {
    const gone = new AbortController()
    const first = lanes.list(slow)
    const abandoned = times(64, () => failure(lanes.list(slow, gone.signal)))
    gone.abort()
    for (const error of await Promise.all(abandoned)) expect(error.code).toBe('unavailable')
    // Their places are free again.
    const others = times(64, () => lanes.list(slow))
    expect((await Promise.all([first, ...others])).map(({ total }) => total)).toEqual(times(65, () => 0))
  })

  test('end with the store: what is read is answered, what waits is not', async () => {
    const [first, ...waiting] = times(4, () => lanes.list(slow))
    const rejected = waiting.map(failure)
    await lanes.close()
    expect((await first)?.total).toBe(0)
    for (const error of await Promise.all(rejected)) expect(error.code).toBe('unavailable')
    expect((await failure(lanes.list(quick))).code).toBe('unavailable')
  })

  test('that fail do so alone', async () => {
    const wrong = { ...page, sort: [{ name: 'nothing' as 'id', descending: false }] }
    expect((await failure(lanes.list(wrong))).message).toMatch(/nothing/)
    expect((await lanes.list(quick)).total).toBe(1)
    expect((await lanes.list(remembered)).total).toBe(1)
  })
})
