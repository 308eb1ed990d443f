import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Change, Unit } from '../../directory/change.ts'
import type { Claim } from '../../directory/claims.ts'
import type { Command } from '../../directory/command.ts'
import { decide } from '../../directory/decide.ts'
import type { Refusal } from '../../directory/errors.ts'
import type { Rules } from '../../directory/field-types.ts'
import { claimsTaken, type Outcome } from '../../directory/store.ts'
import { maxId, type User } from '../../directory/user.ts'
import { cachedUsers, createUserCache } from './cache.ts'
import { createKeyWriter, type KeyDone, type KeyTask } from './keys.ts'
import { columns, type Packed, pack, toSql, toUser } from './rows.ts'

/** What the writer can be asked to do. */
export type Task = Command | KeyTask

/** What comes of it. */
export type Done = Outcome | KeyDone

/** A command's outcome, or why it has none: plain data, to be sent to the main thread. */
export type Reply =
  | { readonly outcome: 'committed' | 'unchanged'; readonly user: Packed }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }
  | KeyDone
  | { readonly outcome: 'unavailable'; readonly reason: string }
  | { readonly outcome: 'failed'; readonly reason: string }

/** After this the process must end: nobody knows which bytes are on disk (a sync failed). */
export class FatalError extends Error {
  override readonly name = 'FatalError'
}

/**
 * Decides and writes groups of commands: one group is one transaction and one sync, and each command
 * is decided inside it on what the ones before it left. A unit that fails does so alone; when the
 * transaction itself fails, so does the whole group.
 */
export function createGroups(db: DatabaseSync, rules: Rules): (tasks: readonly Task[]) => Reply[] {
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const rollback = db.prepare('ROLLBACK')
  const savepoint = db.prepare('SAVEPOINT unit')
  const release = db.prepare('RELEASE unit')
  const rollbackUnit = db.prepare('ROLLBACK TO unit')
  const units = createUnits(db)
  const runKeyTask = createKeyWriter(db)
  /** As the transaction under way leaves them: emptied when it fails. */
  let cache = createUserCache(cachedUsers)

  function run(task: Task): Reply {
    savepoint.run()
    try {
      const { reply, user } = perform(task)
      release.run()
      if (user !== undefined) cache.put(user)
      return reply
    } catch (error) {
      if (!db.isTransaction || isStorageFailure(error)) throw error
      rollbackUnit.run()
      release.run()
      return {
        outcome: 'failed',
        reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }
    }
  }

  function perform(task: Task): { readonly reply: Reply; readonly user?: User } {
    return task.kind === 'key' ? { reply: runKeyTask(task) } : decideAndWrite(task)
  }

  function decideAndWrite(command: Command): { readonly reply: Reply; readonly user?: User } {
    const id = command.id ?? units.allocate()
    const current = cache.get(id) ?? units.read(id)
    const named = command.kind === 'create' || command.kind === 'import' ? { ...command, id } : command
    const decision = decide(current, named, rules)
    if (decision.outcome === 'refused') return { reply: decision }
    if (decision.outcome === 'unchanged')
      return { reply: { outcome: 'unchanged', user: pack(decision.user) } }
    const taken = units.taken(decision.unit.take)
    if (taken.length > 0) return { reply: { outcome: 'refused', refusal: claimsTaken(taken) } }
    units.write(decision.unit)
    if (command.id === undefined) units.allocated(id)
    else if (command.kind === 'import') units.passed(id)
    const { user } = decision.unit
    return { reply: { outcome: 'committed', user: pack(user) }, user }
  }

  return (tasks) => {
    try {
      begin.run()
      const replies = tasks.map(run)
      commit.run()
      return replies
    } catch (error) {
      if (isFailedSync(error)) throw new FatalError('A sync of the database failed', { cause: error })
      if (db.isTransaction) rollback.run()
      cache = createUserCache(cachedUsers)
      const reason = error instanceof Error ? error.message : String(error)
      return tasks.map(() => ({ outcome: 'unavailable', reason }))
    }
  }
}

function createUnits(db: DatabaseSync) {
  const select = db.prepare(`SELECT ${columns.join(', ')} FROM users WHERE id = ?`)
  select.setReturnArrays(true)
  const insert = db.prepare(
    `INSERT INTO users (last_change, ${columns.join(', ')}) VALUES (?, ${columns.map(() => '?').join(', ')})`,
  )
  const updates = new Map<string, StatementSync>()
  const holder = db.prepare('SELECT user_id FROM claims WHERE kind = ? AND key = ?')
  const take = db.prepare('INSERT INTO claims (kind, key, user_id) VALUES (?, ?, ?)')
  const give = db.prepare('DELETE FROM claims WHERE kind = ? AND key = ?')
  const log = db.prepare(
    `INSERT INTO changes
       (previous, change_id, user_id, version, at, actor_kind, actor_id, contract, request_id, kind, fields)
     VALUES ((SELECT last_change FROM users WHERE id = ?1), ?2, ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`,
  )
  const blank = db.prepare(
    `WITH RECURSIVE chain (seq) AS (
       SELECT last_change FROM users WHERE id = ?
       UNION ALL
       SELECT previous FROM chain JOIN changes USING (seq) WHERE previous IS NOT NULL
     )
     UPDATE changes SET fields =
       (SELECT json_group_object(key, json_array(NULL, NULL)) FROM json_each(changes.fields))
     WHERE seq IN (SELECT seq FROM chain)`,
  )
  const nextId = db.prepare('SELECT next_id FROM allocator')
  const setNextId = db.prepare('UPDATE allocator SET next_id = ?')
  const raiseNextId = db.prepare('UPDATE allocator SET next_id = ?1 WHERE next_id < ?1')
  const endOfRun = db.prepare(
    `SELECT used.id + 1 AS free FROM users AS used LEFT JOIN users AS next ON next.id = used.id + 1
     WHERE used.id >= ? AND next.id IS NULL ORDER BY used.id LIMIT 1`,
  )

  function read(id: number): User | undefined {
    const row = select.get(id) as unknown as SQLInputRow | undefined
    return row === undefined ? undefined : toUser(row)
  }

  /** Statements that write only what changed; the few sets of fields that callers change are kept. */
  function updateOf(changed: Unit['changed']): StatementSync {
    const key = changed.join()
    let statement = updates.get(key)
    if (statement === undefined) {
      const assignments = ['last_change', 'status', 'version', 'updated_at', ...changed].map(
        (name) => `${name} = ?`,
      )
      statement = db.prepare(`UPDATE users SET ${assignments.join(', ')} WHERE id = ?`)
      if (updates.size >= 500) updates.clear()
      updates.set(key, statement)
    }
    return statement
  }

  /** @returns the sequence number of the new row */
  function writeLog(change: Change): number | bigint {
    const { changeId, userId, version, at, actor, contract, requestId, kind } = change
    if (kind === 'erased') blank.run(userId)
    const fields = JSON.stringify(change.fields)
    return log.run(userId, changeId, version, at, actor.kind, actor.id, contract, requestId, kind, fields)
      .lastInsertRowid
  }

  return {
    read,

    /** Those of the claims that somebody holds. */
    taken: (claims: readonly Claim[]): Claim[] =>
      claims.filter(({ kind, key }) => holder.get(kind, key) !== undefined),

    write({ user, changed, take: taken, release, change }: Unit): void {
      const seq = writeLog(change)
      if (user.version === 1) {
        insert.run(seq, ...columns.map((name) => toSql(user[name])))
      } else {
        const values: SQLInputValue[] = changed.map((name) => toSql(user[name]))
        updateOf(changed).run(seq, user.status, user.version, user.updated_at, ...values, user.id)
      }
      for (const { kind, key } of release) give.run(kind, key)
      for (const { kind, key } of taken) take.run(kind, key, user.id)
    },

    /** The first id from the allocator's mark on that names nobody; a run of used ones costs one query. */
    allocate(): number {
      const mark = Number(nextId.get()?.next_id)
      const id = read(mark) === undefined ? mark : Number(endOfRun.get(mark)?.free)
      if (id > maxId) throw new Error('There is no id left to give')
      return id
    },

    allocated(id: number): void {
      setNextId.run(id + 1)
    },

    /** The allocator gives no id below one that came from outside. */
    passed(id: number): void {
      raiseNextId.run(id + 1)
    },
  }
}

type SQLInputRow = Parameters<typeof toUser>[0]

interface SqliteError extends Error {
  /** The extended result code (sqlite.org/rescode.html). */
  readonly errcode: number
}

function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && 'errcode' in error
}

// BUSY, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
const storageFailures = new Set([5, 7, 8, 9, 10, 11, 13, 14, 15, 26])

function isStorageFailure(error: unknown): boolean {
  return isSqliteError(error) && storageFailures.has(error.errcode & 0xff)
}

// SQLITE_IOERR_FSYNC and SQLITE_IOERR_DIR_FSYNC
export function isFailedSync(error: unknown): boolean {
  return isSqliteError(error) && (error.errcode === 1034 || error.errcode === 1290)
}
