import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Command, Once } from '../../directory/command.ts'
import { unavailable } from '../../directory/errors.ts'
import type { Rules } from '../../directory/field-types.ts'
import type { Receipt } from '../../directory/receipt.ts'
import type { Outcome, Page, PageQuery, Store } from '../../directory/store.ts'
import type { User } from '../../directory/user.ts'
import { createSearching, isWorthPreparing } from '../search/thread.ts'
import { cachedUsers, createUserCache, type UserCache } from './cache.ts'
import { connect, listen, type Send } from './control.ts'
import { createCounterStore } from './counters.ts'
import { createCredentialReader } from './credentials.ts'
import { createDocumentStore } from './documents.ts'
import { createEmailChangeStore } from './email-changes.ts'
import type { Done, Task } from './group.ts'
import { createKeyStore } from './keys.ts'
import { createLanes } from './lanes.ts'
import { createListReader, lists } from './list.ts'
import { createOutbox } from './outbox.ts'
import { own } from './owner.ts'
import { createPictureStore } from './pictures.ts'
import { type Begun, createReceiptReader, type Expired } from './receipts.ts'
import { columns, toSql, toUser } from './rows.ts'
import type { SearchOptions } from './search.ts'
import { createSettingStore } from './settings.ts'
import { startWriter } from './thread.ts'

export interface SqliteOptions {
  readonly folder: string
  readonly rules: Rules
  /** Called once if the store can not go on; every waiting command has been rejected by then. */
  readonly onFatal: (error: Error) => void
  readonly onWarning?: (warning: string, error: Error) => void
  readonly maxPages?: number
}

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
    const lanes = createLanes(path)
    const searching = searchingIn(path)
    const shut = async () => {
      await drain()
      await control?.close()
      await lanes.close()
      await searching.close()
      // The last connection to close makes the final checkpoint; a reader could not.
      reader.close()
      await close()
      disown()
    }
    let closed: Promise<void> | undefined
    return {
      ...reader.reads,
      ...writes(send, reader.db),
      list: async (query, signal) => {
        const listing = await lanes.list(query, signal)
        listing.users.forEach(cache.refresh)
        return listing
      },
      listIds: lanes.listIds,
      search: searching.search,
      prepareSearch: () => {
        if (isWorthPreparing(reader.newestId())) searching.prepare()
      },
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
  const connection = await connect(options.folder).catch((error: Error) => error)
  if (connection instanceof Error) {
    return openSqlite(options).catch((error: unknown) => {
      if (!(error instanceof FolderInUse)) throw error
      throw new Error(
        `The process that uses the data folder ${options.folder} has no socket to be asked through (${connection.message}); stop it first, or wait if it is just starting`,
      )
    })
  }
  const { send, close } = connection
  const reader = openReader(databaseIn(options.folder), noCache)
  const searching = searchingIn(databaseIn(options.folder))
  return {
    ...reader.reads,
    ...writes(send, reader.db),
    list: async (query) => createListReader(reader.db).list(query),
    listIds: async (query) => createListReader(reader.db).listIds(query),
    search: searching.search,
    prepareSearch: searching.prepare,
    ready: async () => {},
    close: async () => {
      close()
      await searching.close()
      reader.close()
    },
  }
}

/** What goes through the writer, and what is read of it. */
function writes(send: Send, db: DatabaseSync) {
  // Each kind of task has its own kind of reply.
  const findReceipt = createReceiptReader(db)
  const run = <D extends Done>(task: Task) => send(task) as Promise<Done> as Promise<D>
  return {
    change: (command: Command) => send(command) as Promise<Outcome>,
    changeAll: async (commands: readonly Command[]) =>
      (await run<Extract<Done, { outcome: 'batch' }>>({ kind: 'batch', commands })).outcomes,
    receipt: async (once: Once) => findReceipt(once),
    begin: async (receipt: Receipt) => (await run<Begun>({ kind: 'begin', receipt })).receipt,
    expire: async (at: number) => (await run<Expired>({ kind: 'expire', at })).count,
    counters: createCounterStore(db, (count) => run(count)),
    keys: createKeyStore(db, (task) => run(task)),
    documents: createDocumentStore(db, (task) => run(task)),
    outbox: createOutbox(db, (task) => run(task)),
    emailChanges: createEmailChangeStore(db),
    settings: createSettingStore(db, (task) => run(task)),
    pictures: createPictureStore(db, (task) => run(task)),
  }
}

/** Another process writes, so nothing that was read before is worth anything. */
const noCache: UserCache = { get: () => undefined, put: () => {}, refresh: () => {} }

const searchingIn = (path: string) =>
  createSearching(new URL('./search.ts', import.meta.url), { path } satisfies SearchOptions)

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

function openReader(path: string, cache: UserCache) {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
  db.exec('PRAGMA cache_size = -8192; PRAGMA query_only = ON')
  const byId = db.prepare(`SELECT ${columns.join(', ')} FROM users WHERE id = ?`)
  byId.setReturnArrays(true)
  const anybody = db.prepare('SELECT 1 FROM users LIMIT 1')
  const newest = db.prepare('SELECT max(id) AS id FROM users')
  const credentials = createCredentialReader(db)
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
      credentials: async (id: number) => credentials(id),
    } satisfies Pick<Store, 'get' | 'find' | 'page' | 'credentials'>,
    db,
    newestId: () => Number(newest.get()?.id ?? 0),
    probe: () => void anybody.get(),
    close: () => db.close(),
  }
}
