import { Worker } from 'node:worker_threads'
import { callerGone, unavailable } from '../../directory/errors.ts'
import type { Found, SearchQuery } from '../../directory/search.ts'
import type { FromSearch, ToSearch } from './serve.ts'

/** Searches that may wait; the next one is turned away. */
const most = 256

/** Searches that the thread is given at a time: so many that it has the next one at hand when it is done with one. */
const ahead = 4

/** While everybody is read most of what is made is gone soon, and need not spread out before it is. */
const resourceLimits = { maxYoungGenerationSizeMb: 4 }

/** A directory with fewer ids is read so quickly that nobody needs to do so before it is searched. */
export const isWorthPreparing = (newestId: number) => newestId > 20_000

export interface Searching {
  readonly search: (query: SearchQuery, signal?: AbortSignal) => Promise<Found>
  /** Begins what the first search would have to wait for. */
  readonly prepare: () => void
  readonly close: () => Promise<void>
}

interface Job extends PromiseWithResolvers<Found> {
  readonly query: SearchQuery
}

/**
 * Searches in a thread of its own, which starts when it is first needed.
 * @param entry the module that the thread runs
 */
export function createSearching(entry: URL, workerData: unknown): Searching {
  const waiting = new Set<Job>()
  const underWay = new Map<number, Job>()
  let given = 0
  let worker: Worker | undefined
  let ended = Promise.resolve()
  let closing = false

  function start(): Worker {
    const started = new Worker(entry, { workerData, resourceLimits })
    const done = Promise.withResolvers<void>()
    ended = done.promise
    let cause: Error | undefined
    started.on('message', (message: FromSearch) => {
      const job = underWay.get(message.id)
      underWay.delete(message.id)
      if ('found' in message) job?.resolve(message.found)
      else {
        const error = unavailable('The search could not be done now', message.failed)
        // Those that waited for it are not to find out one after the other.
        for (const { reject } of [...(job === undefined ? [] : [job]), ...waiting]) reject(error)
        waiting.clear()
      }
      next()
    })
    started.on('error', (error: Error) => {
      cause = error
    })
    started.on('exit', () => {
      worker = undefined
      rejectAll(unavailable('The search could not be done now', cause))
      done.resolve()
    })
    return started
  }

  function next(): void {
    for (const job of waiting) {
      if (underWay.size >= ahead) return
      waiting.delete(job)
      underWay.set(++given, job)
      worker ??= start()
      post(worker, { id: given, query: job.query })
    }
  }

  function rejectAll(error: Error): void {
    for (const { reject } of [...underWay.values(), ...waiting]) reject(error)
    underWay.clear()
    waiting.clear()
  }

  return {
    async search(query, signal) {
      if (closing) throw unavailable('The store has been closed')
      if (waiting.size >= most) throw unavailable('Too many searches are waiting')
      if (signal?.aborted) throw callerGone()
      const job: Job = { query, ...Promise.withResolvers<Found>() }
      // What nobody waits for any more is not looked for.
      signal?.addEventListener('abort', () => {
        if (waiting.delete(job)) job.reject(callerGone())
      })
      waiting.add(job)
      next()
      return job.promise
    },

    prepare() {
      if (closing) return
      worker ??= start()
      post(worker, { prepare: true })
    },

    async close() {
      closing = true
      rejectAll(unavailable('The store has been closed'))
      if (worker === undefined) return
      post(worker, { close: true })
      await ended
    },
  }
}

function post(worker: Worker, message: ToSearch): void {
  worker.postMessage(message)
}
