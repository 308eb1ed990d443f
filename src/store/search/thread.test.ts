import { afterEach, expect, test } from 'vitest'
import type { SearchQuery } from '../../directory/search.ts'
import { createSearching, type Searching } from './thread.ts'

/** What is given to the thread that searches, and what is not. */

/** Answers each search with how many it has been given. */
const counting = `
import { parentPort } from 'node:worker_threads'
let given = 0
parentPort.on('message', ({ id, close }) => {
  if (close) parentPort.close()
  else parentPort.postMessage({ id, found: { users: [], total: ++given } })
})`

let searching: Searching
afterEach(() => searching.close())

function start(code: string): void {
  searching = createSearching(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {})
}

const query: SearchQuery = { has: {}, order: { by: 'id', descending: false }, offset: 0, limit: 1 }
const search = (signal?: AbortSignal) => searching.search(query, signal)
const searches = (count: number, signal?: AbortSignal) => Array.from({ length: count }, () => search(signal))
const refused = (work: Promise<unknown>) => expect(work).rejects.toMatchObject({ code: 'unavailable' })

/** As many as the thread is given at a time. */
const ahead = 4

test('a search that nobody waits for any more is not carried out, and its place is free again', async () => {
  start(counting)
  const gone = new AbortController()
  const first = searches(ahead)
  const abandoned = searches(256, gone.signal)
  await refused(search())
  gone.abort()
  await Promise.all(abandoned.map(refused))
  const others = searches(256)
  const totals = (await Promise.all([...first, ...others])).map(({ total }) => total)
  expect(totals).toEqual(Array.from({ length: ahead + 256 }, (_, n) => n + 1))
})

test('a search whose caller has gone before it comes is none', async () => {
  start(counting)
  await refused(search(AbortSignal.abort()))
  expect((await search()).total).toBe(1)
})

test('a search that is under way ends as ever when its caller goes', async () => {
  start(counting)
  const gone = new AbortController()
  const asked = search(gone.signal)
  gone.abort()
  expect((await asked).total).toBe(1)
})

test('where the thread ends, whoever waits is told, and the next search has another', async () => {
  start(`import { parentPort } from 'node:worker_threads'
    parentPort.on('message', ({ close }) => { if (close) parentPort.close(); else process.exit(1) })`)
  await Promise.all(searches(ahead + 10).map(refused))
  await refused(search())
})
