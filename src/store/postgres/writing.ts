import type { Unit } from '../../directory/change.ts'
import { DirectoryError, outcomeUnknown, unavailable } from '../../directory/errors.ts'
import { claimsTaken, type Outcome } from '../../directory/store.ts'
import { constraintOf, failureOf, isLocked, isShortage, pause, toWriteError } from './connection.ts'
import { createGathering } from './gathering.ts'
import { patience } from './pool.ts'
import { goesTogether, shapeOf, type Writing } from './statements.ts'
import type { Units } from './units.ts'

/** How a unit can end other than in an error: written, decided on a version that is gone, or refused. */
export type Written = 'done' | 'stale' | Extract<Outcome, { outcome: 'refused' }>

/** Users who are written by one statement, at most. */
const mostTogether = 100

/** A statement that may have been committed, and until when that can be found out. */
interface Lost {
  readonly error: unknown
  readonly until: number
}

interface Waiting {
  readonly writing: Writing
  readonly resolve: (written: Written | Promise<Written>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Sees to it that units are written, whatever happens to the statement: alone, or with those of other
 * users that set the same fields, by one statement.
 * @param isFull whether a statement that may wait for a lock would have to wait for others that do
 */
export function createWriting(units: Units, isFull: () => boolean) {
  const gather = createGathering({
    send: writeAll,
    most: mostTogether,
    kindOf: ({ writing }: Waiting) => shapeOf(writing),
  })

  /**
   * For units that were decided together. Others never make it wait or fail: those whom a statement for
   * several passes over are stale, as far as it can tell, and where it fails each goes on alone.
   */
  function together(writing: Writing): Promise<Written> {
    if (!goesTogether(writing)) return alone(writing)
    return new Promise((resolve, reject) => {
      if (!gather({ writing, resolve, reject })) reject(unavailable('Too many updates are waiting'))
    })
  }

  async function writeAll(waiting: readonly Waiting[]): Promise<void> {
    const [first] = waiting
    if (waiting.length === 1 && first !== undefined && !isFull()) {
      const written = alone(first.writing)
      first.resolve(written)
      return void (await Promise.allSettled([written]))
    }
    try {
      const written = await units.writeTogether(waiting.map(({ writing }) => writing))
      for (const { writing, resolve } of waiting)
        resolve(written.has(idOf(writing)) ? 'done' : passedOver(writing))
    } catch (error) {
      await settle(waiting, error).catch((unsettled) => {
        for (const { reject } of waiting) reject(unsettled)
      })
    }
  }

  /** What somebody else has that a new user wants, the id or claims, is told by a statement of its own. */
  function passedOver(writing: Writing): Written | Promise<Written> {
    return isNew(writing) ? alone(writing) : 'stale'
  }

  /** After a statement for several has failed. @throws what all of them shall hear */
  async function settle(waiting: readonly Waiting[], error: unknown): Promise<void> {
    const failure = failureOf(error)
    if (failure === 'lost') return lookUp(waiting, { error, until: Date.now() + patience })
    // Nobody's own trouble: it was not sent, or not answered, or the server takes no writes from anybody.
    if (error instanceof DirectoryError || failure === 'unanswered') throw toWriteError(error)
    const isWait = isLocked(error) && waiting.some(({ writing }) => isNew(writing))
    if (failure === 'away' && !isShortage(error) && !isWait) throw toWriteError(error)
    for (const { writing, resolve } of waiting) resolve(alone(writing))
  }

  async function lookUp(waiting: readonly Waiting[], lost: Lost): Promise<void> {
    const changeIds = waiting.map(({ writing }) => changeIdOf(writing))
    const committed = await units.committedOf(changeIds, patience).catch((failed: unknown) => {
      throw outcomeUnknown(failed)
    })
    for (const { writing, resolve } of waiting)
      resolve(committed.has(changeIdOf(writing)) ? 'done' : alone(writing, lost))
  }

  /**
   * Writes units of one user by a statement of their own. Where a connection breaks over it, the log tells,
   * on whichever server is the primary by then; where it has nothing, the very same is tried again, since
   * its version and its change_id let only one of the two through, should the first be on its way yet.
   */
  async function alone(writing: Writing, before?: Lost): Promise<Written> {
    const { change, take, user } = writing[0] as Unit
    let until = before?.until ?? 0
    let lost = before?.error
    async function wasWritten(): Promise<boolean> {
      if (lost === undefined) return false
      const left = Math.max(until - Date.now(), 1)
      const committed = await units.committedOf([change.changeId], left).catch((error: unknown) => {
        throw outcomeUnknown(error)
      })
      return committed.size > 0
    }
    for (let tries = 1; ; tries++) {
      try {
        if (await units.write(writing)) return 'done'
      } catch (error) {
        until ||= Date.now() + patience
        switch (failureOf(error)) {
          case 'lost':
            lost = error
            if (await wasWritten()) return 'done'
            break
          case 'again':
            // A new user is decided on nothing, so there is nothing to decide anew.
            if (lost === undefined && change.version > 1) return 'stale'
            break
          case 'taken': {
            if (await wasWritten()) return 'done'
            if (constraintOf(error) === 'users_pkey') return 'stale'
            if (constraintOf(error) !== 'claims_pkey') throw error
            const taken = await units.taken(take, user.id)
            if (taken.length > 0) return { outcome: 'refused', refusal: claimsTaken(taken) }
            // Whoever held them has let go in the meantime.
            break
          }
          default:
            throw lost === undefined ? toWriteError(error) : outcomeUnknown(error)
        }
        if (Date.now() > until) throw lost === undefined ? toWriteError(error) : outcomeUnknown(error)
        await pause(tries)
        continue
      }
      return (await wasWritten()) ? 'done' : 'stale'
    }
  }

  return { alone, together }
}

function idOf(writing: Writing): number {
  return (writing[0] as Unit).user.id
}

function changeIdOf(writing: Writing): string {
  return (writing[0] as Unit).change.changeId
}

function isNew(writing: Writing): boolean {
  return (writing[0] as Unit).change.version === 1
}
