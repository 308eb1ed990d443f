import { outcomeUnknown } from '../../directory/errors.ts'
import { constraintOf, failureOf, pause, toReadError, toWriteError } from './connection.ts'
import { type Pool, patience, type Run } from './pool.ts'

// What is locked is then read as it is by now, which other levels would not do, whatever the server's default is.
const begin = { text: 'BEGIN ISOLATION LEVEL READ COMMITTED' }
const commit = { text: 'COMMIT' }

/** Where somebody else was first: a key, a claim or an id that was free is not any more. */
const races = new Set(['users_pkey', 'claims_pkey', 'receipts_actor_key_key', 'counters_pkey'])

export interface Attempt<T> {
  /** Reads, locks, decides and writes. */
  readonly work: (run: Run) => Promise<T>
  /** A change that is in the log if and only if what the work came to was committed. */
  readonly changeIdOf?: (result: T) => string | undefined
  /** Whether it may be done again, where no change can tell that it was done. */
  readonly repeatable: boolean
  /** Called before another try that a constraint has made necessary. */
  readonly onRace?: (constraint: string) => Promise<void>
}

/**
 * Runs a transaction of several statements, again where others were in the way. Where the connection
 * breaks over the commit the log tells; as long as it has nothing, the same is tried again: its locks,
 * its uid and its change_id let only one of the two through, should the first be on its way yet.
 */
export function createTransactions(
  { session }: Pick<Pool, 'session'>,
  committedOf: (changeIds: readonly string[], ms: number) => Promise<ReadonlySet<string>>,
) {
  return async function transact<T>({ work, changeIdOf, repeatable, onRace }: Attempt<T>): Promise<T> {
    let until = 0
    /** What a commit came to that nobody saw the end of. */
    let doubtful: { readonly result: T; readonly changeId: string } | undefined
    const hasHappened = async () => {
      if (doubtful === undefined) return false
      const left = Math.max(until - Date.now(), 1)
      const committed = await committedOf([doubtful.changeId], left).catch((error: unknown) => {
        throw outcomeUnknown(error)
      })
      return committed.size > 0
    }
    const doubt = ({ result }: { readonly result: T }, error: unknown) => {
      const changeId = changeIdOf?.(result)
      if (changeId === undefined && !repeatable) throw outcomeUnknown(error)
      return changeId === undefined ? undefined : { result, changeId }
    }
    for (let tries = 1; ; tries++) {
      let sent: { readonly result: T } | undefined
      try {
        const result = await session(async (run) => {
          await run(begin)
          const done = await work(run)
          sent = { result: done }
          await run(commit)
          return done
        })
        return doubtful !== undefined && (await hasHappened()) ? doubtful.result : result
      } catch (error) {
        until ||= Date.now() + patience
        const failure = failureOf(error)
        if (failure === 'lost' && sent !== undefined) {
          if (doubtful !== undefined) throw outcomeUnknown(error)
          doubtful = doubt(sent, error)
        }
        if (doubtful !== undefined && (await hasHappened())) return doubtful.result
        const isRace = failure === 'taken' && races.has(constraintOf(error))
        const passes = isRace || failure === 'again' || failure === 'lost'
        if (!passes || Date.now() > until) {
          if (doubtful !== undefined) throw outcomeUnknown(error)
          throw failure === 'lost' ? toReadError(error) : toWriteError(error)
        }
        if (isRace) await onRace?.(constraintOf(error))
        await pause(tries)
      }
    }
  }
}
