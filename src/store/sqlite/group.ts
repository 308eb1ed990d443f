import type { DatabaseSync } from 'node:sqlite'
import { decideAll, type Ground } from '../../directory/batch.ts'
import type { Command } from '../../directory/command.ts'
import type { Count, Counted } from '../../directory/counters.ts'
import { decide, named } from '../../directory/decide.ts'
import type { Rules } from '../../directory/field-types.ts'
import { claimsTaken, type Outcome } from '../../directory/store.ts'
import type { User } from '../../directory/user.ts'
import { cachedUsers, createUserCache } from './cache.ts'
import { createCounterWriter } from './counters.ts'
import { createDocumentWriter, type DocumentDone, type DocumentTask } from './documents.ts'
import { createEmailChangeRemover } from './email-changes.ts'
import { createKeyWriter, type KeyDone, type KeyTask } from './keys.ts'
import { createOutboxWriter, type OutboxDone, type OutboxTask } from './outbox.ts'
import { createPictureWriter, type PictureDone, type PictureTask } from './pictures.ts'
import { type BeginTask, type Begun, createReceipts, type Expired, type ExpireTask } from './receipts.ts'
import { type PackedOutcome, pack, packOutcome } from './rows.ts'
import { createSettingWriter, type SettingDone, type SettingTask } from './settings.ts'
import { createUnits } from './units.ts'

/** Commands that are carried out together or not at all. */
export interface Batch {
  readonly kind: 'batch'
  readonly commands: readonly Command[]
}

/** What the writer can be asked to do. */
export type Task =
  | Command
  | Batch
  | Count
  | KeyTask
  | BeginTask
  | ExpireTask
  | DocumentTask
  | SettingTask
  | OutboxTask
  | PictureTask

/** What comes of it. */
export type Done =
  | Outcome
  | { readonly outcome: 'batch'; readonly outcomes: readonly Outcome[] }
  | Counted
  | KeyDone
  | DocumentDone
  | SettingDone
  | OutboxDone
  | PictureDone
  | Begun
  | Expired

/** That, or why there is none: plain data, to be sent to the main thread. */
export type Reply =
  | PackedOutcome
  | { readonly outcome: 'batch'; readonly outcomes: readonly PackedOutcome[] }
  | Counted
  | KeyDone
  | DocumentDone
  | SettingDone
  | OutboxDone
  | PictureDone
  | Begun
  | Expired
  | { readonly outcome: 'unavailable'; readonly reason: string }
  | { readonly outcome: 'failed'; readonly reason: string }

interface Performed {
  readonly reply: Reply
  /** As they are now, where they were changed. */
  readonly users?: readonly User[]
}

/** After this the process must end: nobody knows which bytes are on disk (a sync failed). */
export class FatalError extends Error {
  override readonly name = 'FatalError'
}

/**
 * Decides and writes groups of commands: one group is one transaction and one sync, and each command
 * is decided inside it on what the ones before it left. A unit that fails does so alone; when the
 * storage fails, so does the whole group.
 */
export function createGroups(db: DatabaseSync, rules: Rules): (tasks: readonly Task[]) => Reply[] {
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const rollback = db.prepare('ROLLBACK')
  const savepoint = db.prepare('SAVEPOINT unit')
  const release = db.prepare('RELEASE unit')
  const rollbackUnit = db.prepare('ROLLBACK TO unit')
  const units = createUnits(db)
  const receipts = createReceipts(db)
  const runKeyTask = createKeyWriter(db)
  const runSettingTask = createSettingWriter(db)
  const runPictureTask = createPictureWriter(db)
  const documents = createDocumentWriter(db)
  const runOutboxTask = createOutboxWriter(db)
  const removeEmailChanges = createEmailChangeRemover(db)
  const runCount = createCounterWriter(db, receipts, readUser)
  const ground: Ground = {
    user: readUser,
    holder: units.holder,
    receipt: receipts.find,
    freeId: units.allocate,
  }
  /** As the transaction under way leaves them: emptied when it fails. */
  let cache = createUserCache(cachedUsers)

  function run(task: Task): Reply {
    const { reply, users } = perform(task)
    users?.forEach(task.kind === 'import' ? cache.refresh : cache.put)
    return reply
  }

  /** As `run`, in a savepoint of its own. */
  function runAlone(task: Task): Reply {
    savepoint.run()
    try {
      const reply = run(task)
      release.run()
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

  function expire(task: ExpireTask): Expired {
    const { outcome, count } = receipts.expire(task)
    return { outcome, count: count + documents.expire(task.at) + removeEmailChanges(task.at) }
  }

  function perform(task: Task): Performed {
    switch (task.kind) {
      case 'key':
        return { reply: runKeyTask(task) }
      case 'setting':
        return { reply: runSettingTask(task) }
      case 'picture':
        return { reply: runPictureTask(task) }
      case 'document':
        return { reply: documents.run(task) }
      case 'outbox':
        return { reply: runOutboxTask(task) }
      case 'count':
        return { reply: runCount(task) }
      case 'expire':
        return { reply: expire(task) }
      case 'begin':
        return { reply: receipts.begin(task) }
      case 'batch': {
        const { outcomes, users } = carryOut(task.commands)
        return { reply: { outcome: 'batch', outcomes }, users }
      }
      default: {
        if (task.once === undefined && !task.dryRun) return decideAndWrite(task)
        const { outcomes, users } = carryOut([task])
        return { reply: outcomes[0] as PackedOutcome, users }
      }
    }
  }

  /** The shortest way, for the many commands that ask for nothing more. */
  function decideAndWrite(command: Command): Performed {
    const id = command.id ?? units.allocate()
    const decision = decide(readUser(id), named(command, id), rules)
    if (decision.outcome === 'refused') return { reply: decision }
    if (decision.outcome === 'unchanged')
      return { reply: { outcome: 'unchanged', user: pack(decision.user) } }
    const taken = units.taken(decision.unit.take)
    if (taken.length > 0) return { reply: { outcome: 'refused', refusal: claimsTaken(taken) } }
    units.write(decision.unit)
    if (command.id === undefined) units.allocated(id)
    else if (command.kind === 'import') units.passed(id)
    const { user } = decision.unit
    return { reply: { outcome: 'committed', user: pack(user) }, users: [user] }
  }

  function carryOut(commands: readonly Command[]) {
    const { outcomes, steps, allocated, passed } = decideAll(commands, ground, rules)
    const users: User[] = []
    for (const { unit, receipt } of steps) {
      if (unit !== undefined) {
        units.write(unit)
        users.push(unit.user)
      }
      if (receipt !== undefined) receipts.add(receipt)
    }
    if (allocated !== undefined) units.allocated(allocated)
    if (passed !== undefined) units.passed(passed)
    return { outcomes: outcomes.map(packOutcome), users }
  }

  function readUser(id: number): User | undefined {
    return cache.get(id) ?? units.read(id)
  }

  function runGroup(tasks: readonly Task[], how: (task: Task) => Reply): Reply[] | Error {
    try {
      begin.run()
      const replies = tasks.map(how)
      commit.run()
      return replies
    } catch (error) {
      if (isFailedSync(error)) throw new FatalError('A sync of the database failed', { cause: error })
      if (db.isTransaction) rollback.run()
      cache = createUserCache(cachedUsers)
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  return (tasks) => {
    let replies = runGroup(tasks, run)
    // A unit that fails for a reason nobody expected is next to never, so the group is done again then,
    // rather than have a savepoint for every unit.
    if (replies instanceof Error && !isStorageFailure(replies)) replies = runGroup(tasks, runAlone)
    if (!(replies instanceof Error)) return replies
    const { message: reason } = replies
    return tasks.map(() => ({ outcome: 'unavailable', reason }))
  }
}

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
