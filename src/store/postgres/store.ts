import type { Unit } from '../../directory/change.ts'
import type { Command, Create } from '../../directory/command.ts'
import { decide } from '../../directory/decide.ts'
import { outcomeUnknown, unavailable } from '../../directory/errors.ts'
import type { Rules } from '../../directory/field-types.ts'
import { claimsTaken, type Outcome, type Store } from '../../directory/store.ts'
import {
  constraintOf,
  discard,
  failureOf,
  hostsOf,
  inWords,
  pause,
  type Sql,
  toWriteError,
} from './connection.ts'
import { migrate } from './migrate.ts'
import { createPool, firstConnection } from './pool.ts'
import { createQueues, plan, type Waiting } from './queue.ts'
import { createUnits } from './units.ts'

export interface PostgresOptions {
  /** postgres://user:password@host:port,host:port/database */
  readonly url: string
  readonly rules: Rules
  readonly onWarning: (warning: string) => void
  /** Connections, at most. */
  readonly connections?: number
}

/** Milliseconds after which a caller hears, whatever the database does: a little less than two seconds. */
const patience = 1_800

/** How a unit can end other than in an error: written, decided on a version that is gone, or refused. */
type Written = 'done' | 'stale' | Extract<Outcome, { outcome: 'refused' }>

/**
 * The directory in PostgreSQL, shared by any number of nodes.
 * @throws Error in words when the database can not be reached or used, or has a newer schema
 */
export async function openPostgres({
  url,
  rules,
  onWarning,
  connections = 8,
}: PostgresOptions): Promise<Store> {
  await prepare(url, onWarning)
  const pool = createPool(url, connections)
  const units = createUnits(pool)
  const queues = createQueues(settle)
  const underWay = new Set<Promise<unknown>>()
  let closed: Promise<void> | undefined

  /** Brings every command of a batch to its outcome. */
  async function settle(id: number, batch: readonly Waiting[]): Promise<void> {
    let rest = batch
    while (rest.length > 0) {
      const count = await settleSome(id, rest).catch((error: unknown) => {
        for (const { reject } of rest) reject(error)
        return rest.length
      })
      rest = rest.slice(count)
    }
  }

  /**
   * Decides as many commands as go together and writes them, again while others are in the way.
   * @returns how many were settled
   * @throws where nothing was written of any
   */
  async function settleSome(id: number, batch: readonly Waiting[]): Promise<number> {
    const deadline = batch[0]?.deadline ?? 0
    for (let tries = 0; ; tries++) {
      const { units: planned, outcomes } = plan(await units.get(id, deadline), batch, rules)
      const together = batch.slice(0, outcomes.length)
      let written: Written
      try {
        written = planned.length === 0 ? 'done' : await write(planned, deadline)
      } catch (error) {
        for (const { reject } of together) reject(error)
        return together.length
      }
      if (written !== 'stale') {
        for (const [i, { resolve }] of together.entries()) {
          const outcome = outcomes[i] as Outcome
          // Only a unit that is alone in its batch can be refused, so this one is meant.
          resolve(written !== 'done' && outcome.outcome === 'committed' ? written : outcome)
        }
        return together.length
      }
      if (Date.now() > deadline) throw unavailable('Other nodes keep changing this user')
      if (tries > 0) await pause(tries)
    }
  }

  /**
   * Writes units that were decided together. Where a connection breaks over it, the log tells, on
   * whichever server is the primary by then; where it has nothing, the very same is tried again, since
   * its version and its change_id let only one of the two through, should the first be on its way yet.
   */
  async function write(batch: readonly Unit[], deadline: number): Promise<Written> {
    const { change, take, user } = batch[0] as Unit
    let lost: unknown
    const wasWritten = async () => lost !== undefined && (await wasCommitted(change.changeId, deadline, lost))
    for (let tries = 1; ; tries++) {
      try {
        if (await units.write(batch, deadline)) return 'done'
        return (await wasWritten()) ? 'done' : 'stale'
      } catch (error) {
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
            const taken = await units.taken(take, user.id, deadline)
            if (taken.length > 0) return { outcome: 'refused', refusal: claimsTaken(taken) }
            // Whoever held them has let go in the meantime.
            break
          }
          default:
            throw lost === undefined ? toWriteError(error) : outcomeUnknown(error)
        }
        if (Date.now() > deadline) throw lost === undefined ? toWriteError(error) : outcomeUnknown(error)
        await pause(tries)
      }
    }
  }

  async function wasCommitted(changeId: string, deadline: number, cause: unknown): Promise<boolean> {
    try {
      return await units.wasCommitted(changeId, deadline)
    } catch {
      throw outcomeUnknown(cause)
    }
  }

  async function create(command: Create, deadline: number): Promise<Outcome> {
    // What is refused anyway shall not use up an id.
    const decision = decide(undefined, { ...command, id: command.id ?? 1 }, rules)
    if (decision.outcome !== 'commit') return decision
    for (;;) {
      const id = command.id ?? (await units.nextId(deadline))
      const { unit } = decideNew({ ...command, id })
      const written = await write([unit], deadline)
      if (written === 'done') return { outcome: 'committed', user: unit.user }
      if (written !== 'stale') return written
      if (command.id !== undefined) throw new Error('a new user needs an id that is free')
      await units.skipUsedIds(id, deadline)
    }
  }

  function decideNew(command: Create): { readonly unit: Unit } {
    const decision = decide(undefined, command, rules)
    if (decision.outcome !== 'commit') throw new Error('the id must make no difference')
    return decision
  }

  /** Does something that is to be answered in time, and that closing waits for. */
  function inTime<T>(work: (deadline: number) => Promise<T>): Promise<T> {
    if (closed !== undefined) return Promise.reject(unavailable('The store has been closed'))
    const promise = work(Date.now() + patience)
    underWay.add(promise)
    const done = () => underWay.delete(promise)
    promise.then(done, done)
    return promise
  }

  async function close(): Promise<void> {
    await Promise.allSettled(underWay)
    await pool.close()
  }

  return {
    change: (command: Command) =>
      inTime((deadline) =>
        command.kind === 'create' ? create(command, deadline) : queues.add(command.id, command, deadline),
      ),
    get: (id) => inTime((deadline) => units.get(id, deadline)),
    find: (claim) => inTime((deadline) => units.find(claim, deadline)),
    page: (query) => inTime((deadline) => units.page(query, deadline)),
    ready: () => inTime(async (deadline) => void (await units.get(1, deadline))),
    close: () => {
      closed ??= close()
      return closed
    },
  }
}

async function prepare(url: string, onWarning: (warning: string) => void): Promise<void> {
  let sql: Sql | undefined
  try {
    sql = await firstConnection(url)
    await migrate(sql)
    await warnOfLoss(sql, hostsOf(url).length, onWarning)
    await sql.end({ timeout: 1 })
  } catch (error) {
    if (sql !== undefined) discard(sql)
    throw new Error(`PostgreSQL can not be used (DATABASE_URL): ${inWords(error)}`, { cause: error })
  }
}

/** Tells how the server is set up to lose what it has acknowledged. */
async function warnOfLoss(sql: Sql, hosts: number, onWarning: (warning: string) => void): Promise<void> {
  const [row] = await sql`
    SELECT current_setting('synchronous_standby_names') AS standbys, current_setting('fsync') AS fsync`
  if (hosts > 1 && row?.standbys === '') {
    onWarning(
      'DATABASE_URL names several hosts, but the primary waits for no standby (synchronous_standby_names): a failover can lose updates that were acknowledged',
    )
  }
  if (row?.fsync === 'off') {
    onWarning(
      'The database does not wait for its disk (fsync = off): a crash can lose updates that were acknowledged',
    )
  }
}
