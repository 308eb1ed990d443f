import type { Unit } from '../../directory/change.ts'
import type { Command } from '../../directory/command.ts'
import { decide } from '../../directory/decide.ts'
import { type DirectoryError, unavailable } from '../../directory/errors.ts'
import type { Rules } from '../../directory/field-types.ts'
import type { Outcome } from '../../directory/store.ts'
import type { User } from '../../directory/user.ts'
import { standsAlone } from './statements.ts'

/** A command that waits for its outcome. */
export interface Waiting {
  readonly command: Command
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (error: unknown) => void
}

/** Commands of all users that may wait in this node; the next one is turned away. */
const maxWaiting = 20_000
/** Commands that are decided and written together, at most. */
const maxBatch = 100

/**
 * A queue for each user who is being changed: the commands that come while one is written wait, and
 * are then written together. So a user whom everybody changes costs no more than others, and only
 * another node can make a decision stale.
 * @param run settles every command that it is given, and never rejects; it resolves with a reason where
 * those who wait for the same user can not be served either
 */
export function createQueues(
  run: (id: number, batch: readonly Waiting[]) => Promise<DirectoryError | undefined>,
) {
  const queues = new Map<number, Waiting[]>()
  let count = 0

  async function work(id: number, queue: Waiting[]): Promise<void> {
    while (queue.length > 0) {
      const batch = queue.splice(0, maxBatch)
      const reason = await run(id, batch)
      count -= batch.length
      if (reason === undefined) continue
      for (const { reject } of queue) reject(reason)
      count -= queue.length
      queue.length = 0
    }
    queues.delete(id)
  }

  return {
    add(id: number, command: Command): Promise<Outcome> {
      if (count >= maxWaiting) return Promise.reject(unavailable('Too many updates are waiting'))
      count++
      return new Promise((resolve, reject) => {
        const waiting = { command, resolve, reject }
        const queue = queues.get(id)
        if (queue !== undefined) {
          queue.push(waiting)
          return
        }
        const started = [waiting]
        queues.set(id, started)
        void work(id, started)
      })
    },
  }
}

export interface Plan {
  /** What each of the commands comes to, once the units are written: as many as could be decided together. */
  readonly outcomes: readonly Outcome[]
  readonly units: readonly Unit[]
}

/**
 * Decides commands of one user in turn, each on what the ones before it leave, up to a unit that has to
 * be written alone.
 */
export function plan(current: User | undefined, batch: readonly Waiting[], rules: Rules): Plan {
  const outcomes: Outcome[] = []
  const units: Unit[] = []
  let user = current
  for (const { command } of batch) {
    const decision = decide(user, command, rules)
    if (decision.outcome !== 'commit') {
      outcomes.push(decision)
      continue
    }
    const { unit } = decision
    const alone = standsAlone(unit)
    if (alone && units.length > 0) break
    units.push(unit)
    outcomes.push({ outcome: 'committed', user: unit.user })
    user = unit.user
    if (alone) break
  }
  return { outcomes, units }
}
