import { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads'
import type { Rules } from '../../directory/field-types.ts'
import type { CopierOptions, FromCopier, ToCopier } from './copier.ts'
import { createGroups, FatalError, isFailedSync, type Reply, type Task } from './group.ts'
import { migrate } from './migrate.ts'
import { releaseTaken } from './outbox.ts'

/**
 * The writer thread: it owns the only connection that writes. Messages that arrive while a group
 * commits form the next group, so the busier it is the more updates share one sync.
 */
export interface WriterOptions {
  readonly path: string
  readonly rules: Rules
  /** For tests of a full disk: the most pages that the database may have. */
  readonly maxPages?: number
}

/** Commands and replies go over as JSON text, which costs a third of a structured clone. */
export type ToWriter = { readonly batch: string } | { readonly close: true }
export type FromWriter = { readonly ready: true } | { readonly replies: string } | { readonly fatal: string }

/** Replies that go back as one message: a batch of a thousand large records has ten megabytes. */
const repliesAtOnce = 32
/** Committed units after which the write-ahead log is copied into the database. */
const unitsPerCheckpoint = 8_000
/** Milliseconds without a write after which it is copied anyway. */
const idleTime = 500

function open({ path, rules, maxPages }: WriterOptions) {
  const db = new DatabaseSync(path, { timeout: 5_000 })
  // Small pages halve the bytes that an update writes to the log; the size is fixed at creation.
  db.exec('PRAGMA page_size = 2048; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  // Where a plain sync leaves bytes in the drive's cache (macOS), this one does not; a long reader must not
  // leave a large log behind.
  db.exec('PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; PRAGMA journal_size_limit = 268435456')
  db.exec('PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16384; PRAGMA secure_delete = ON')
  if (maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${maxPages}`)
  migrate(db)
  releaseTaken(db)
  return { db, commit: createGroups(db, rules) }
}

function serve(port: MessagePort, options: WriterOptions): void {
  const { db, commit } = open(options)
  const checkpoint = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  const copier = startCopier(options.path, guarded(finishCopying))
  let sinceCheckpoint = 0
  let copying = false
  let idle: NodeJS.Timeout | undefined

  function copyToDatabase(): void {
    clearTimeout(idle)
    idle = undefined
    if (copying) return
    copying = true
    copier.ask('copy')
  }

  /** The little that came in since, so that the log can start anew. */
  function finishCopying(message: FromCopier): void {
    if ('failed' in message) throw new FatalError('A sync of the database failed', { cause: message.failed })
    copying = false
    sinceCheckpoint = 0
    try {
      checkpoint.get()
    } catch (error) {
      // A full disk only delays the copy. A failed sync can not be mended by trying again.
      if (isFailedSync(error)) throw new FatalError('A sync of the database failed', { cause: error })
    }
  }

  function runGroup(batches: readonly string[]): void {
    const replies = commit(batches.flatMap((batch) => JSON.parse(batch) as Task[]))
    for (let from = 0; from < replies.length; from += repliesAtOnce)
      post({ replies: JSON.stringify(replies.slice(from, from + repliesAtOnce)) })
    sinceCheckpoint += replies.reduce((count, reply) => count + written(reply), 0)
    if (sinceCheckpoint >= unitsPerCheckpoint) copyToDatabase()
    else if (sinceCheckpoint > 0) idle = idle?.refresh() ?? setTimeout(copyToDatabase, idleTime)
  }

  async function close(): Promise<void> {
    clearTimeout(idle)
    await copier.end()
    db.close()
    port.close()
  }

  function post(message: FromWriter): void {
    port.postMessage(message)
  }

  function guarded<A extends unknown[]>(work: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        work(...args)
      } catch (error) {
        post({ fatal: error instanceof Error ? `${error.message}: ${String(error.cause)}` : String(error) })
        port.close()
      }
    }
  }

  port.on(
    'message',
    guarded((first: ToWriter) => {
      const batches: string[] = []
      let closing = false
      for (let message: ToWriter | undefined = first; message !== undefined; ) {
        if ('batch' in message) batches.push(message.batch)
        else closing = true
        message = (receiveMessageOnPort(port) as { message: ToWriter } | undefined)?.message
      }
      if (batches.length > 0) runGroup(batches)
      if (closing) void close()
    }),
  )
  post({ ready: true })
}

function startCopier(path: string, onMessage: (message: FromCopier) => void) {
  const workerData: CopierOptions = { path }
  // It handles next to no objects, and shall not keep the writer alive.
  const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32 }
  const worker = new Worker(new URL('./copier.ts', import.meta.url), { workerData, resourceLimits })
  worker.unref()
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  worker.on('message', onMessage)
  const ask = (message: ToCopier) => worker.postMessage(message)
  return {
    ask,
    end: () => {
      ask('close')
      return ended
    },
  }
}

const nothingWritten: ReadonlySet<string> = new Set(['refused', 'previewed', 'unavailable', 'failed'])

/** How much a task may have written. */
function written(reply: Reply): number {
  if (reply.outcome === 'batch') return reply.outcomes.length
  return nothingWritten.has(reply.outcome) ? 0 : 1
}

if (parentPort !== null) serve(parentPort, workerData as WriterOptions)
