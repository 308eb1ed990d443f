import type { Change } from '../../directory/change.ts'
import type { Command, Once } from '../../directory/command.ts'
import { decide } from '../../directory/decide.ts'
import { refusal } from '../../directory/errors.ts'
import { claimsTaken, type Outcome } from '../../directory/store.ts'
import { claimsOf, type User } from '../../directory/user.ts'
import { blank, rules } from './commands.ts'

interface Kept {
  readonly hash: string
  readonly at: number
  readonly about: number
  readonly told: Outcome
}

const day = 24 * 60 * 60 * 1000
const mismatch = refusal('idempotency_mismatch', 'This idempotency key was used for another request')
const aborted = refusal(
  'batch_aborted',
  'Another operation of the batch was refused, so this one was not kept',
)

/** The store in its simplest form: maps, a list, and the directory's own decisions about one command. */
export function createModel() {
  let users = new Map<number, User>()
  let kept = new Map<string, Kept>()
  let log: Change[] = []
  let mark = 1
  /** Ids for users who come to nothing. */
  let unborn = Number.MAX_SAFE_INTEGER

  const holder = (one: { kind: string; key: string }) =>
    [...users.values()].find((user) =>
      claimsOf(user).some(({ kind, key }) => kind === one.kind && key === one.key),
    )

  /** @returns what undoes all that is done from here on */
  function save(): () => void {
    const before = { users: new Map(users), kept: new Map(kept), log: [...log], mark }
    return () => {
      ;({ users, kept, log, mark } = before)
    }
  }

  function recall(once: Once, at: number): Outcome | undefined {
    const known = kept.get(`${once.actor} ${once.key}`)
    if (known === undefined || at - known.at >= day) return undefined
    return known.hash === once.hash
      ? ({ ...known.told, replayed: true } as Outcome)
      : { outcome: 'refused', refusal: mismatch }
  }

  function apply(command: Command, given: number | undefined): Outcome {
    const id = command.id ?? given ?? unborn--
    const current = command.kind === 'create' ? undefined : users.get(id)
    const decision = decide(current, command.kind === 'create' ? { ...command, id } : command, rules)
    const once = command.dryRun ? undefined : command.once
    const known = once && recall(once, command.at)
    if (known !== undefined) return known
    if (decision.outcome === 'refused') return decision
    const taken = decision.outcome === 'commit' ? decision.unit.take.filter(holder) : []
    if (taken.length > 0) return { outcome: 'refused', refusal: claimsTaken(taken) }
    const user = decision.outcome === 'commit' ? decision.unit.user : decision.user
    if (decision.outcome === 'commit') {
      const { change } = decision.unit
      if (command.kind === 'create') {
        if (id < mark || users.has(id)) throw new Error(`${id} was given twice`)
        if (given !== undefined) mark = id + 1
      }
      users.set(id, user)
      if (user.status === 'erased') forget(id)
      log.push(change)
    }
    const told = { outcome: decision.outcome === 'commit' ? 'committed' : 'unchanged', user } as const
    if (once !== undefined)
      kept.set(`${once.actor} ${once.key}`, { hash: once.hash, at: command.at, about: user.id, told })
    if (!command.dryRun) return told
    const change = decision.outcome === 'commit' ? decision.unit.change : undefined
    return {
      outcome: 'previewed',
      user,
      change: change ? { kind: change.kind, fields: change.fields } : null,
    }
  }

  function forget(id: number): void {
    log = log.map((row) => (row.userId === id ? { ...row, fields: blank(row.fields) } : row))
    for (const [name, { about }] of kept) if (about === id) kept.delete(name)
  }

  /**
   * All or none of the commands.
   * @param given the ids that the store's allocator gave, where it told of any: which ones is its own affair
   */
  function changeAll(commands: readonly Command[], given: readonly (number | undefined)[]): Outcome[] {
    const undo = save()
    const outcomes = commands.map((command, n) => apply(command, given[n]))
    const refused = outcomes.some(({ outcome }) => outcome === 'refused')
    if (refused || commands.some(({ dryRun }) => dryRun)) undo()
    if (!refused) return outcomes
    return outcomes.map((one) => (one.outcome === 'refused' ? one : { outcome: 'refused', refusal: aborted }))
  }

  return {
    users: () => [...users.values()],
    receipts: () =>
      [...kept].map(([name, { about }]) => ({ key: String(name.split(' ').at(-1)), userId: about })),
    holder,
    log: () => log,
    change: (command: Command, given: number | undefined) => changeAll([command], [given])[0],
    changeAll,
  }
}
