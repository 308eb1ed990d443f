import { Worker } from 'node:worker_threads'
import { DirectoryError, unavailable } from '../../directory/errors.ts'
import type { Found, SearchQuery } from '../../directory/search.ts'
import type { FromSearch, ToSearch } from './serve.ts'

/** Searches that may wait; the next one is turned away. */
const most = 256

/** While everybody is read most of what is made is gone soon, and need not spread out before it is. */
const resourceLimits = { maxYoungGenerationSizeMb: 4 }

/** A directory with fewer ids is read so quickly that nobody needs to do so before it is searched. */
export const isWorthPreparing = (newestId: number) => newestId > 20_000

export interface Searching {
  readonly search: (query: SearchQuery) => Promise<Found>
  /** Begins what the first search would have to wait for. */
  readonly prepare: () => void
  readonly close: () => Promise<void>
}

/**
 * Searches in a thread of its own, which starts when it is first needed.
 * @param entry the module that the thread runs
 */
export function createSearching(entry: URL, workerData: unknown): Searching {
  const waiting = new Map<number, PromiseWithResolvers<Found>>()
  let asked = 0
  let worker: Worker | undefined
  let ended = Promise.resolve()
  let closing = false

  function start(): Worker {
    const started = new Worker(entry, { workerData, resourceLimits })
    const done = Promise.withResolvers<void>()
    ended = done.promise
    let cause: Error | undefined
    started.on('message', (message: FromSearch) => {
      const job = waiting.get(message.id)
      waiting.delete(message.id)
      if ('found' in message) job?.resolve(message.found)
      else job?.reject(unavailable('The search could not be done now', message.failed))
    })
    started.on('error', (error: Error) => {
      cause = error
    })
    started.on('exit', () => {
      worker = undefined
      for (const { reject } of waiting.values())
        reject(unavailable('The search could not be done now', cause))
      waiting.clear()
      done.resolve()
    })
    return started
  }

  return {
    async search(query) {
      if (closing) throw unavailable('The store has been closed')
      if (waiting.size >= most) throw unavailable('Too many searches are waiting')
      const job = Promise.withResolvers<Found>()
      const id = ++asked
      waiting.set(id, job)
      worker ??= start()
      post(worker, { id, query })
      return job.promise
    },

    prepare() {
      if (closing) return
      worker ??= start()
      post(worker, { prepare: true })
    },

    async close() {
      closing = true
      for (const { reject } of waiting.values()) reject(new DirectoryError(gone))
      waiting.clear()
      if (worker === undefined) return
      post(worker, { close: true })
      await ended
    },
  }
}

const gone = { code: 'unavailable', message: 'The store has been closed', problems: [] } as const

function post(worker: Worker, message: ToSearch): void {
  worker.postMessage(message)
}
