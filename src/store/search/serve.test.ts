import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { noFields, type User } from '../../directory/user.ts'
import { type FromSearch, type SearchSource, serveSearch, type ToSearch } from './serve.ts'

/** When everybody is read, and what ends it. */

const user = (id: number): User => ({
  ...noFields,
  ...{ id, uid: '', status: 'active', version: 1, created_at: 0, updated_at: 0, username: `person-${id}` },
})

const ports: MessagePort[] = []
afterEach(() => {
  for (const port of ports.splice(0)) port.close()
})

/** A thread's other end, on a source that counts how often everybody was read. */
function serve(more: Partial<SearchSource> = {}) {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1)
  let readings = 0
  const source: SearchSource = {
    size: async () => 3,
    *everybody() {
      readings++
      yield [user(1), user(2)]
      yield [user(3)]
    },
    news: async () => [],
    users: async (ids) => ids.map(user),
    close: async () => {},
    ...more,
  }
  serveSearch(port2, source)
  const send = (message: ToSearch) => port1.postMessage(message)
  const closed = new Promise<void>((resolve) => port1.once('close', resolve))
  let asked = 0
  const search = () =>
    new Promise<FromSearch>((resolve) => {
      const id = ++asked
      port1.on('message', (told: FromSearch) => told.id === id && resolve(told))
      const order = { by: 'id', descending: false } as const
      send({ id, query: { has: {}, order, offset: 0, limit: 2 } })
    })
  return { send, search, closed, readings: () => readings }
}

const all = { id: expect.any(Number), found: { total: 3, users: [user(1), user(2)] } }

test('everybody is read once, before the first search or when it is prepared', async () => {
  const one = serve()
  expect(await one.search()).toEqual(all)
  expect(await one.search()).toEqual(all)
  expect(one.readings()).toBe(1)

  const other = serve()
  other.send({ prepare: true })
  await expect.poll(other.readings).toBe(1)
  expect(await other.search()).toEqual(all)
  expect(other.readings()).toBe(1)
})

test('a search that comes while everybody is being read waits for that, and for no other reading', async () => {
  const { send, search, readings } = serve()
  send({ prepare: true })
  expect(await search()).toEqual(all)
  expect(readings()).toBe(1)
})

test('closing ends a reading that is under way', async () => {
  let read = 0
  const { send, closed } = serve({
    *everybody() {
      for (;;) yield [user(++read)]
    },
  })
  send({ prepare: true })
  await expect.poll(() => read).toBeGreaterThan(3)
  send({ close: true })
  await closed
})

test('after a failure everybody is read anew', async () => {
  let fails = false
  const { search, readings } = serve({
    news: async () => {
      if (fails) throw new Error('the database is away')
      return []
    },
  })
  expect(await search()).toEqual(all)
  fails = true
  expect(await search()).toMatchObject({ failed: { message: 'the database is away' } })
  fails = false
  expect(await search()).toEqual(all)
  expect(readings()).toBe(2)
})

test('searches that wait while one fails have failed with it, and the next one is tried', async () => {
  const outcomes: PromiseWithResolvers<number>[] = []
  const { search } = serve({
    size: () => {
      const outcome = Promise.withResolvers<number>()
      outcomes.push(outcome)
      return outcome.promise
    },
  })
  const searches = Promise.all([search(), search(), search()])
  await expect.poll(() => outcomes.length).toBe(1)
  outcomes[0]?.reject(new Error('the database is away'))
  for (const one of await searches) expect(one).toMatchObject({ failed: { message: 'the database is away' } })
  const next = search()
  await expect.poll(() => outcomes.length).toBe(2)
  outcomes[1]?.resolve(3)
  expect(await next).toEqual(all)
})

test('looks that fail do not pile up before the next search', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const outcomes: PromiseWithResolvers<number>[] = []
  const { send, search } = serve({
    size: () => {
      const outcome = Promise.withResolvers<number>()
      outcomes.push(outcome)
      return outcome.promise
    },
  })
  send({ prepare: true })
  await expect.poll(() => outcomes.length).toBe(1)
  vi.advanceTimersByTime(30_000)
  outcomes[0]?.reject(new Error('the database is away'))
  const found = search()
  await expect.poll(() => outcomes.length).toBe(2)
  outcomes[1]?.reject(new Error('it is still away'))
  expect(await found).toMatchObject({ failed: { message: 'it is still away' } })
})
