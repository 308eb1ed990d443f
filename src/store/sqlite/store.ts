import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Command } from '../../directory/command.ts'
import { outcomeUnknown, unavailable } from '../../directory/errors.ts'
import type { Rules } from '../../directory/field-types.ts'
import type { ListQuery } from '../../directory/query.ts'
import type { Outcome, Page, PageQuery, Store } from '../../directory/store.ts'
import type { User } from '../../directory/user.ts'
import { cachedUsers, createUserCache, type UserCache } from './cache.ts'
import { connect, listen, type Send } from './control.ts'
import type { Done, Reply, Task } from './group.ts'
import { createKeyStore, type KeyDone, type KeyTask } from './keys.ts'
import { list, lists } from './list.ts'
import { own } from './owner.ts'
import { columns, toSql, toUser, unpack } from './rows.ts'
import type { FromWriter, ToWriter, WriterOptions } from './writer.ts'

export interface SqliteOptions {
  readonly folder: string
  readonly rules: Rules
  /** Called once if the store can not go on; every waiting command has been rejected by then. */
  readonly onFatal: (error: Error) => void
  readonly onWarning?: (warning: string, error: Error) => void
  readonly maxPages?: number
}

/** Commands that may wait for the writer; the next one is turned away. */
const maxWaiting = 20_000

/**
 * Commands that go over as one message, at most: enough to spread its cost, few enough that the
 * writer works on the first ones while the rest of a burst is still being read.
 */
const batchSize = 8

/** Rows that a page looks at, whether they match or not: what one turn of the event loop may cost. */
const rowsPerPage = 1_000

/**
 * The directory in one SQLite file. Reading is done here, on a connection that can not write and
 * that sees only what is on disk; writing in a thread of its own (writer.ts).
 * @throws Error when another process owns the folder, or the SQLite of this runtime is too old
 */
export async function openSqlite(options: SqliteOptions): Promise<Store> {
  requireVersion()
  mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  const disown = own(options.folder)
  if (disown === undefined) throw new FolderInUse(options.folder)
  let writer: Awaited<ReturnType<typeof startWriter>> | undefined
  try {
    const path = databaseIn(options.folder)
    // SQLite gives the files beside it the same permissions. No connection is open yet, so no lock is lost.
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
    const cache = createUserCache(cachedUsers)
    writer = await startWriter({ ...options, path, cache })
    const { send, drain, close, isAlive } = writer
    const reader = openReader(path, cache)
    const control = await listen(options.folder, send).catch((error: Error) => {
      options.onWarning?.('no control socket: commands that write need the server stopped', error)
      return undefined
    })
    const shut = async () => {
      await drain()
      await control?.close()
      // The last connection to close makes the final checkpoint; a reader could not.
      reader.close()
      await close()
      disown()
    }
    let closed: Promise<void> | undefined
    return {
      ...writes(send),
      ...reader.reads,
      keys: createKeyStore(reader.db, keyWork(send)),
      ready: async () => {
        if (!isAlive()) throw unavailable('The store has stopped')
        reader.probe()
      },
      close: () => {
        closed ??= shut()
        return closed
      },
    }
  } catch (error) {
    await writer?.close()
    disown()
    throw error
  }
}

/**
 * The store for a command of the command line: through the process that owns the folder, where one
 * runs, or as its owner for as long as the command takes.
 */
export async function joinSqlite(options: SqliteOptions): Promise<Store> {
  const connection = await connect(options.folder)
  if (connection === undefined) return openSqlite(options)
  const { send, close } = connection
  const reader = openReader(databaseIn(options.folder), noCache)
  return {
    ...writes(send),
    ...reader.reads,
    keys: createKeyStore(reader.db, keyWork(send)),
    ready: async () => {},
    close: async () => {
      close()
      reader.close()
    },
  }
}

// Each kind of task has its own kind of reply.
const writes = (send: Send) => ({ change: (command: Command) => send(command) as Promise<Outcome> })
const keyWork = (send: Send) => (task: KeyTask) => send(task) as Promise<KeyDone>

/** Another process writes, so nothing that was read before is worth anything. */
const noCache: UserCache = { get: () => undefined, put: () => {}, refresh: () => {} }

const databaseIn = (folder: string) => join(folder, 'roster.db')

export class FolderInUse extends Error {
  override readonly name = 'FolderInUse'

  constructor(folder: string) {
    super(
      `The data folder ${folder} is in use by another process; give this one a folder of its own (ROSTER_DATA)`,
    )
  }
}

function requireVersion(): void {
  const version = process.versions.sqlite ?? '0'
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  // Older ones can lose what is in a log that is reset while it is copied (sqlite.org/wal.html#walresetbug).
  if (major * 1e6 + minor * 1e3 + patch < 3_051_003) {
    throw new Error(`This Node.js has SQLite ${version}; Roster needs 3.51.3 or newer`)
  }
}

interface Waiting {
  readonly resolve: (done: Done) => void
  readonly reject: (error: Error) => void
}

interface WriterThreadOptions extends SqliteOptions {
  readonly path: string
  readonly cache: UserCache
}

async function startWriter({ path, rules, onFatal, maxPages, cache }: WriterThreadOptions) {
  const workerData: WriterOptions = { path, rules, ...(maxPages !== undefined && { maxPages }) }
  const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData })
  const started = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  /** Batches that the writer has, in the order in which it will answer. */
  let sent: (readonly Waiting[])[] = []
  /** As JSON text. */
  let commands: string[] = []
  let waiting: Waiting[] = []
  let count = 0
  let running = false
  let closing = false
  let dead: Error | undefined
  let drained: (() => void) | undefined

  function flush(): void {
    if (waiting.length === 0) return
    sent.push(waiting)
    post({ batch: `[${commands.join()}]` })
    commands = []
    waiting = []
  }

  function post(message: ToWriter): void {
    worker.postMessage(message)
  }

  function answer(replies: readonly Reply[]): void {
    const batch = sent.shift() ?? []
    count -= batch.length
    for (let i = 0; i < batch.length; i++) {
      const { resolve, reject } = batch[i] as Waiting
      const reply = replies[i] as Reply
      switch (reply.outcome) {
        case 'committed':
        case 'unchanged': {
          const user = unpack(reply.user)
          cache.put(user)
          resolve({ outcome: reply.outcome, user })
          break
        }
        case 'refused':
        case 'key':
          resolve(reply)
          break
        case 'unavailable':
          reject(unavailable('The store can not write now', new Error(reply.reason)))
          break
        case 'failed':
          reject(new Error(`A command failed: ${reply.reason}`))
      }
    }
    if (count === 0) drained?.()
  }

  function die(error: Error): void {
    if (dead !== undefined) return
    dead = error
    started.reject(error)
    const [begun, unsent] = [sent.flat(), waiting]
    sent = []
    commands = []
    waiting = []
    count = 0
    for (const { reject } of begun) reject(outcomeUnknown(error))
    for (const { reject } of unsent) reject(unavailable('The store has stopped', error))
    drained?.()
    if (running) onFatal(error)
  }

  worker.on('message', (message: FromWriter) => {
    if ('replies' in message) answer(JSON.parse(message.replies) as Reply[])
    else if ('fatal' in message) die(new Error(message.fatal))
    else started.resolve()
  })
  worker.on('error', (error: Error) => die(error))
  worker.on('exit', () => {
    ended.resolve()
    die(new Error('The writer has ended'))
  })
  await started.promise
  running = true

  function send(task: Task): Promise<Done> {
    return new Promise((resolve, reject) => {
      if (dead !== undefined) return reject(unavailable('The store has stopped', dead))
      if (closing) return reject(unavailable('The store has been closed'))
      if (count >= maxWaiting) return reject(unavailable('Too many updates are waiting'))
      const text = JSON.stringify(task)
      if (waiting.length === 0) setImmediate(flush)
      commands.push(text)
      waiting.push({ resolve, reject })
      count++
      if (waiting.length >= batchSize) flush()
    })
  }

  /** Takes no more commands, and resolves when none waits any more. */
  function drain(): Promise<void> {
    closing = true
    return new Promise((resolve) => {
      if (count === 0) resolve()
      else drained = resolve
    })
  }

  async function close(): Promise<void> {
    if (dead === undefined) {
      dead = new Error('closed')
      post({ close: true })
    }
    await ended.promise
  }

  return { send, drain, close, isAlive: () => dead === undefined }
}

function openReader(path: string, cache: UserCache) {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
  db.exec('PRAGMA cache_size = -8192; PRAGMA query_only = ON')
  const byId = db.prepare(`SELECT ${columns.join(', ')} FROM users WHERE id = ?`)
  byId.setReturnArrays(true)
  const anybody = db.prepare('SELECT 1 FROM users LIMIT 1')
  const byClaim = db.prepare('SELECT user_id FROM claims WHERE kind = ? AND key = ?')
  const endOfPage = db.prepare(
    `SELECT max(id) AS last, count(*) AS rows FROM (SELECT id FROM users WHERE id > ? ORDER BY id LIMIT ${rowsPerPage})`,
  )

  function read(id: number): User | undefined {
    const row = byId.get(id) as unknown as Parameters<typeof toUser>[0] | undefined
    if (row === undefined) return undefined
    const user = toUser(row)
    cache.put(user)
    return user
  }

  function page({ after, everybody, ...conditions }: PageQuery): Page {
    const end = endOfPage.get(after)
    if (end === undefined || end.last === null) return { users: [], next: undefined }
    const last = Number(end.last)
    const { sql, values } = everybody ? lists.everybody : lists.where(conditions)
    const statement = db.prepare(
      `SELECT ${columns.join(', ')} FROM users
       WHERE id > ? AND id <= ? AND ${sql} ORDER BY id`,
    )
    statement.setReturnArrays(true)
    const rows = statement.all(after, last, ...values.map(toSql)) as unknown as Parameters<typeof toUser>[0][]
    const users = rows.map(toUser)
    users.forEach(cache.refresh)
    return { users, next: Number(end.rows) < rowsPerPage ? undefined : last }
  }

  return {
    reads: {
      get: async (id: number) => cache.get(id) ?? read(id),
      find: async ({ kind, key }: { kind: string; key: string }) => {
        const holder = byClaim.get(kind, key)
        // From the file, since the claim is: the cache may not have heard of it yet.
        return holder === undefined ? undefined : read(Number(holder.user_id))
      },
      // Others get their turn between the pages of a list, however few of them match.
      page: async (query: PageQuery) => {
        await nextTurn()
        return page(query)
      },
      list: async (query: ListQuery) => list(db, query),
    } satisfies Pick<Store, 'get' | 'find' | 'page' | 'list'>,
    db,
    probe: () => void anybody.get(),
    close: () => db.close(),
  }
}
