import type { Unit } from './change.ts'
import type { Claim } from './claims.ts'
import type { Command, Once } from './command.ts'
import { decide, named } from './decide.ts'
import type { Decision } from './decision.ts'
import { refusal } from './errors.ts'
import type { Rules } from './field-types.ts'
import { begun, comesFirst, type Receipt, recall, replay, wholeOf } from './receipt.ts'
import { claimsTaken, type Outcome } from './store.ts'
import type { User } from './user.ts'

/** What a store holds, as far as it is asked for while commands are decided. */
export interface Ground {
  readonly user: (id: number) => User | undefined
  /** Who holds the claim. */
  readonly holder: (claim: Claim) => number | undefined
  /** What is kept under the key, expired or not. */
  readonly receipt: (once: Once) => Receipt | undefined
  /**
   * An id for a new user: the first that the allocator would give, or the next after one that it gave.
   * @param dryRun whether it is only to be shown
   */
  readonly freeId: (after: number | undefined, dryRun: boolean) => number
}

/** One command's share of what is to be written. */
export interface Step {
  /** Nothing, where a command with a key changed nothing. */
  readonly unit?: Unit
  readonly receipt?: Receipt
}

export interface Plan {
  /** What each of the commands comes to, once the steps are written. */
  readonly outcomes: readonly Outcome[]
  /** To be written in this order, all or none. */
  readonly steps: readonly Step[]
  /** The last id that the allocator gave for them. */
  readonly allocated?: number | undefined
  /** The largest id that came from outside, below which the allocator is to give none. */
  readonly passed?: number | undefined
}

/** What becomes of a command of a batch in which another is refused. */
export const aborted: Outcome = {
  outcome: 'refused',
  refusal: refusal('batch_aborted', 'Another operation of the batch was refused, so this one was not kept'),
}

/**
 * Decides commands that are carried out together or not at all, each on what the ones before it leave.
 * Where one is refused all are, and there is nothing to write. Pure but for what it asks the ground.
 */
export function decideAll(commands: readonly Command[], ground: Ground, rules: Rules): Plan {
  if (commands.some(({ dryRun }) => Boolean(dryRun) !== Boolean(commands[0]?.dryRun)))
    throw new Error('a batch is a preview as a whole or not at all')
  const staged = stage(ground)
  const steps: Step[] = []
  const outcomes = commands.map((command) => {
    const decided = decideOne(command, staged, rules)
    for (const step of decided.steps ?? []) {
      steps.push(step)
      staged.add(step)
    }
    return decided.outcome
  })
  if (outcomes.some(isRefused))
    return { outcomes: outcomes.map((one) => (isRefused(one) ? one : aborted)), steps: [] }
  if (commands[0]?.dryRun) return { outcomes, steps: [] }
  const imported = commands.flatMap(({ kind, id }) => (kind === 'import' && id !== undefined ? [id] : []))
  const passed = imported.length > 0 ? Math.max(...imported) : undefined
  return { outcomes, steps, allocated: staged.allocated(), passed }
}

function isRefused({ outcome }: Outcome): boolean {
  return outcome === 'refused'
}

interface Decided {
  readonly outcome: Outcome
  readonly steps?: readonly Step[]
}

function decideOne(command: Command, staged: Staged, rules: Rules): Decided {
  const { once, dryRun } = command
  const id = command.id ?? staged.freeId(Boolean(dryRun))
  const decision = decide(staged.user(id), named(command, id), rules)
  if (once !== undefined && !dryRun && !comesFirst(decision)) {
    const whole = wholeOf(once)
    const started = whole && recall(staged.receipt(whole), whole, command.at)
    if (started?.outcome === 'refused') return { outcome: started }
    const known = recall(staged.receipt(once), once, command.at)
    if (known !== undefined) return { outcome: replay(known) }
  }
  return settle(command, decision, staged)
}

function settle({ once, dryRun, at }: Command, decision: Decision, staged: Staged): Decided {
  if (decision.outcome === 'refused') return { outcome: decision }
  const unit = decision.outcome === 'commit' ? decision.unit : undefined
  const user = decision.outcome === 'commit' ? decision.unit.user : decision.user
  const taken = unit?.take.filter((claim) => staged.holder(claim) !== undefined) ?? []
  if (taken.length > 0) return { outcome: { outcome: 'refused', refusal: claimsTaken(taken) } }
  if (dryRun) {
    const change = unit === undefined ? null : { kind: unit.change.kind, fields: unit.change.fields }
    return { outcome: { outcome: 'previewed', user, change }, ...(unit && { steps: [{ unit }] }) }
  }
  const outcome = { outcome: unit === undefined ? 'unchanged' : 'committed', user } as const
  const receipt = once && { once, at, userId: user.id, told: outcome }
  if (unit === undefined && receipt === undefined) return { outcome }
  const step = { ...(unit && { unit }), ...(receipt && { receipt }) }
  const whole = once && wholeOf(once)
  if (whole === undefined || recall(staged.receipt(whole), whole, at) !== undefined)
    return { outcome, steps: [step] }
  return { outcome, steps: [step, { receipt: begun(whole, at) }] }
}

type Staged = ReturnType<typeof stage>

/** The ground, as the steps so far leave it. */
function stage(ground: Ground) {
  const users = new Map<number, User>()
  const holders = new Map<string, number | undefined>()
  const receipts = new Map<string, Receipt>()
  let proposed: number | undefined
  let allocated: number | undefined
  const claimName = ({ kind, key }: Claim) => `${kind} ${key}`
  const keyName = ({ actor, key }: Once) => JSON.stringify([actor, key])

  return {
    user: (id: number) => users.get(id) ?? ground.user(id),

    holder(claim: Claim): number | undefined {
      const name = claimName(claim)
      return holders.has(name) ? holders.get(name) : ground.holder(claim)
    },

    receipt(once: Once): Receipt | undefined {
      const own = receipts.get(keyName(once))
      if (own !== undefined) return own
      const found = ground.receipt(once)
      // Whoever is erased takes along what was kept of him before.
      return found !== undefined && users.get(found.userId)?.status === 'erased' ? undefined : found
    },

    freeId(dryRun: boolean): number {
      proposed = ground.freeId(allocated, dryRun)
      while (users.has(proposed)) proposed = ground.freeId(proposed, dryRun)
      return proposed
    },

    allocated: () => allocated,

    add({ unit, receipt }: Step): void {
      if (unit !== undefined) {
        const { user, take, release, change } = unit
        users.set(user.id, user)
        for (const claim of release) holders.set(claimName(claim), undefined)
        for (const claim of take) holders.set(claimName(claim), user.id)
        if (change.kind === 'created' && user.id === proposed) allocated = user.id
        if (change.kind === 'erased')
          for (const [name, { userId }] of receipts) if (userId === user.id) receipts.delete(name)
      }
      if (receipt !== undefined) receipts.set(keyName(receipt.once), receipt)
    },
  }
}
