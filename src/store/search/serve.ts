import { setTimeout as pause } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import type { Found, SearchQuery } from '../../directory/search.ts'
import { isVisible, type User } from '../../directory/user.ts'
import { createPeople, type People, type Searched } from './people.ts'

/** Where a searching thread learns who there is, and what has become of them since. */
export interface SearchSource {
  /** How many there are, about. */
  readonly size: () => Promise<number>
  /**
   * Everybody, piece by piece. What is committed while they are read comes with them once more, or is news
   * afterwards, whether it was read already or not.
   */
  readonly everybody: () => AsyncIterable<readonly Searched[]> | Iterable<readonly Searched[]>
  /** Those of whom something has changed since everybody was read or the last news; undefined where those are too many. */
  readonly news: () => Promise<readonly Searched[] | undefined>
  /** Users by their ids, in whatever order. */
  readonly users: (ids: readonly number[]) => Promise<readonly User[]>
  readonly close: () => Promise<void>
}

export type ToSearch =
  | { readonly id: number; readonly query: SearchQuery }
  | { readonly prepare: true }
  | { readonly close: true }
export type FromSearch =
  | { readonly id: number; readonly found: Found }
  | { readonly id: number; readonly failed: Error }

/** Milliseconds between looks for news, so that a search finds few. */
const betweenLooks = 1_000
/** Looks after the last search; from then on they are rare. */
const busy = 60
const rarely = 20
/** Looks after which all is forgotten, and what it took of memory is free: where nobody has ever searched, and else. */
const [unused, idle] = [15 * 60, 24 * 3_600]

/**
 * Answers searches, one after the other: each on what was committed before it was asked for. When it is
 * told to prepare, it reads everybody before the first of them, but slowly, so that others get their turn.
 */
export function serveSearch(port: MessagePort, source: SearchSource): void {
  let people: People | undefined
  let waiting = 0
  let asked = 0
  /** Those asked up to here have failed, and why: they waited for what did. */
  let failed: { readonly upTo: number; readonly error: Error } | undefined
  let refreshing = false
  let looks = 0
  let patience = 0
  let last: Promise<unknown> = Promise.resolve()
  let closing = false

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work, work)
    last = turn
    return turn
  }

  async function current(): Promise<People> {
    const news = people === undefined || people.isWorn() ? undefined : await source.news()
    if (people !== undefined && news !== undefined) {
      for (const row of news) people.put(row)
      return people
    }
    people = undefined
    people = await everybody()
    // What came while they were read.
    return current()
  }

  async function everybody(): Promise<People> {
    const all = createPeople(await source.size())
    let began = performance.now()
    for await (const rows of source.everybody()) {
      for (const row of rows) all.put(row)
      // Nobody is kept waiting for it, so others come first; and whoever wants it to end is heard.
      await pause(waiting > 0 ? 0 : performance.now() - began)
      if (closing) throw new Error('the search has been closed')
      began = performance.now()
    }
    return all
  }

  async function search(query: SearchQuery): Promise<Found> {
    const { ids, total } = (await current()).search(query)
    if (ids.length === 0) return { users: [], total }
    const users = new Map((await source.users(ids)).map((user) => [user.id, user]))
    return { users: ids.flatMap((id) => users.get(id) ?? []).filter(isVisible), total }
  }

  /** What failed may have taken news along, so everybody is read anew. */
  function fail(cause: unknown): Error {
    people = undefined
    const error = cause instanceof Error ? cause : new Error(String(cause))
    failed = { upTo: asked, error }
    return error
  }

  /** One at a time: while it fails, no others come before the next search. */
  function refresh(): void {
    if (refreshing) return
    refreshing = true
    inTurn(() => current().catch(fail)).finally(() => {
      refreshing = false
    })
  }

  const timer = setInterval(() => {
    looks++
    if (looks > patience) people = undefined
    else if (looks <= busy || looks % rarely === 0 || people === undefined) refresh()
  }, betweenLooks).unref()

  /** @param place how many were asked up to this one */
  async function answer(id: number, query: SearchQuery, place: number): Promise<FromSearch> {
    try {
      if (failed !== undefined && place <= failed.upTo) return { id, failed: failed.error }
      return { id, found: await search(query) }
    } catch (error) {
      return { id, failed: fail(error) }
    } finally {
      waiting--
    }
  }

  port.on('message', (message: ToSearch) => {
    if ('close' in message) {
      closing = true
      clearInterval(timer)
      inTurn(source.close).finally(() => port.close())
      return
    }
    if (closing) return
    looks = 0
    patience = Math.max(patience, 'prepare' in message ? unused : idle)
    if ('prepare' in message) {
      refresh()
      return
    }
    waiting++
    const place = ++asked
    inTurn(() => answer(message.id, message.query, place)).then((told) => port.postMessage(told))
  })
}
