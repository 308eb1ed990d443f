import { Worker } from 'node:worker_threads'
import { callerGone, unavailable } from '../../directory/errors.ts'
import type { Listing, ListQuery } from '../../directory/query.ts'
import { isQuick } from '../sql/cost.ts'
import { isRemembered } from './list.ts'
import type {
  Asked,
  FromReader,
  PackedUsers,
  Read,
  ReaderOptions,
  ReadIds,
  ReadUsers,
  ToReader,
} from './reader.ts'
import { unpack } from './rows.ts'

/**
 * Lists are read in threads of their own: one for those that an index of the file leads to, one for
 * those that one in memory does, which has to be built first, and one for those that look at everybody.
 * So the quick ones never wait for the others. Each starts when it is first needed.
 */
export interface Lanes {
  readonly list: (query: ListQuery, signal?: AbortSignal) => Promise<Listing>
  readonly listIds: (query: ListQuery, signal?: AbortSignal) => Promise<Float64Array>
  readonly close: () => Promise<void>
}

/** Lists that may wait; the next one is turned away. */
const mostQuick = 2_000
const mostSlow = 64

export function createLanes(path: string): Lanes {
  const lanes = {
    indexed: createLane(path, mostQuick),
    remembered: createLane(path, mostQuick),
    scanned: createLane(path, mostSlow),
  }
  return {
    async list(query, signal) {
      const { users, total } = await lanes[laneOf(query)].read<ReadUsers>({ query }, signal)
      return { users: (JSON.parse(users) as PackedUsers).map(unpack), total }
    },
    listIds: async (query, signal) =>
      (await lanes[laneOf(query)].read<ReadIds>({ idsOf: query }, signal)).ids,
    close: async () => void (await Promise.all(Object.values(lanes).map((lane) => lane.close()))),
  }
}

function laneOf(query: ListQuery): 'indexed' | 'remembered' | 'scanned' {
  const matched = query.filters.filter(({ comparison }) => comparison === 'eq').map(({ name }) => name)
  // As the reader has it, which looks into its memory where it has one for any of them.
  if (matched.some(isRemembered)) return 'remembered'
  return isQuick(query) ? 'indexed' : 'scanned'
}

/** Megabytes for what is used for a moment: rows and text come and go. */
const youngSize = 4

interface Job {
  readonly asked: Asked
  readonly resolve: (read: Read) => void
  readonly reject: (error: Error) => void
}

function createLane(path: string, most: number) {
  const waiting = new Set<Job>()
  let worker: Worker | undefined
  let underWay: Job | undefined
  let ended: PromiseWithResolvers<void> | undefined
  let closing = false

  function start(): Worker {
    const workerData: ReaderOptions = { path }
    const url = new URL('./reader.ts', import.meta.url)
    const started = new Worker(url, { workerData, resourceLimits: { maxYoungGenerationSizeMb: youngSize } })
    const done = Promise.withResolvers<void>()
    ended = done
    let cause: Error | undefined
    started.on('message', answered)
    started.on('error', (error: Error) => {
      cause = error
    })
    started.on('exit', () => {
      worker = undefined
      underWay?.reject(unavailable('The list could not be read now', cause))
      underWay = undefined
      done.resolve()
      next()
    })
    return started
  }

  function answered(message: FromReader): void {
    const job = underWay
    underWay = undefined
    if ('failed' in message) job?.reject(message.failed)
    else job?.resolve(message)
    next()
  }

  function next(): void {
    const [job] = waiting
    if (job === undefined || underWay !== undefined) return
    waiting.delete(job)
    underWay = job
    worker ??= start()
    post(worker, job.asked)
  }

  return {
    /** Each kind of question has its own kind of answer. */
    read<R extends Read>(asked: Asked, signal?: AbortSignal): Promise<R> {
      return new Promise<Read>((resolve, reject) => {
        if (closing) return reject(unavailable('The store has been closed'))
        if (waiting.size >= most) return reject(unavailable('Too many lists are waiting'))
        if (signal?.aborted) return reject(callerGone())
        const job: Job = { asked, resolve, reject }
        // What nobody waits for any more is not read.
        signal?.addEventListener('abort', () => {
          if (waiting.delete(job)) reject(callerGone())
        })
        waiting.add(job)
        next()
      }) as Promise<R>
    },

    async close(): Promise<void> {
      closing = true
      for (const { reject } of waiting) reject(unavailable('The store has been closed'))
      waiting.clear()
      if (worker === undefined) return
      post(worker, { close: true })
      await ended?.promise
    },
  }
}

function post(worker: Worker, message: ToReader): void {
  worker.postMessage(message)
}
