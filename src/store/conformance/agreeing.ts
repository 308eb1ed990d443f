import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Command } from '../../directory/command.ts'
import type { Patch } from '../../directory/patch.ts'
import type { Outcome } from '../../directory/store.ts'
import { claimsOf, isVisible } from '../../directory/user.ts'
import { create, everybody, type Fixture, lifecycle, range, replace, update } from './commands.ts'
import { contradictions } from './contradictions.ts'
import { createModel } from './model.ts'
import { once } from './repeating.ts'

function mostly<A, B>(usual: fc.Arbitrary<A>, rare: fc.Arbitrary<B>): fc.Arbitrary<A | B> {
  return fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: rare })
}

const patches: fc.Arbitrary<Patch> = fc.record(
  {
    email: fc.constantFrom(...'abcdefgABCDEFG').map((letter) => `${letter}@example.com`),
    username: fc.constantFrom(...'abcdefgABCDEFG'),
    ext_id: fc.constantFrom(...'abcdefg'),
    first_name: mostly(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }),
      fc.string({ unit: 'binary' }),
    ),
    bio: mostly(fc.string({ unit: 'grapheme', maxLength: 6 }), fc.constantFrom(null, 7, '\ud800')),
    community_badge: fc.constantFrom(true, false, null),
    tags: fc.constantFrom(null, [], [{ id: 1, type: 't', name: 'n', description: '', color: '' }]),
  },
  { requiredKeys: [] },
)

const steps = fc.record({
  kind: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom('create', 'update', 'update', 'replace') },
    { weight: 3, arbitrary: fc.constantFrom('remove', 'restore', 'restore') },
    { weight: 1, arbitrary: fc.constant('erase') },
  ),
  id: fc.constantFrom<number>(1, 2, 3, 4, 1001, 1002),
  patch: patches,
  ifMatch: mostly(fc.constant(null), fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 })),
  /** Turns of the event loop that a writer lets pass first. */
  turns: fc.integer({ min: 0, max: 2 }),
  key: mostly(fc.constant(null), fc.constantFrom('a', 'b', 'c', 'd')),
  /** Whether the last request that had the key comes again, in place of this one. */
  again: fc.boolean(),
  /** Since the step before. */
  hours: mostly(fc.constant(0), fc.constantFrom(1, 13, 24)),
})

type Step = typeof steps extends fc.Arbitrary<infer S> ? S : never

/** A command, or several together, for good or to see what would come of them. */
const moves = fc.record({
  steps: fc.oneof(
    { weight: 4, arbitrary: fc.tuple(steps) },
    { weight: 1, arbitrary: fc.array(steps, { maxLength: 6 }) },
  ),
  together: fc.boolean(),
  dryRun: mostly(fc.constant(false), fc.constant(true)),
})

function toCommand({ kind, id, patch, ifMatch, key }: Step): Command {
  const asked = {
    ...(ifMatch !== null && { ifMatch }),
    ...(key !== null && { once: once(key, { hash: JSON.stringify([kind, id, patch, ifMatch]) }) }),
  }
  if (kind === 'create') return create(patch, asked)
  if (kind === 'update') return update(id, patch, asked)
  return kind === 'replace' ? replace(id, patch, asked) : { ...lifecycle(kind, id), ...asked }
}

/** Makes the commands of a sequence, whose times go on and whose keys come again. */
function createMaking() {
  const lastWith = new Map<string, Step>()
  let at = Date.UTC(2026, 0, 1)
  function meant(step: Step): Step {
    const { key, again } = step
    if (key === null) return step
    const earlier = (again && lastWith.get(key)) || step
    lastWith.set(key, earlier)
    return earlier
  }
  return (steps: readonly Step[], dryRun: boolean): Command[] => {
    const all = steps.map((step) => ({ ...meant(step), hours: step.hours }))
    // Which id the allocator would have given in a batch that was refused is not told, so nobody there is meant by it.
    const apart = all.length > 1 && all.some(({ kind }) => kind === 'create')
    return all.map((step) => {
      at += step.hours * 3_600_000 + 1
      const id = apart && step.id < 1_000 ? step.id + 1_000 : step.id
      return { ...toCommand({ ...step, id }), at, ...(dryRun && { dryRun }) }
    })
  }
}

/** The id that an outcome is about, where it tells of one. */
function idIn(outcome: Outcome | undefined): number | undefined {
  return outcome !== undefined && 'user' in outcome ? outcome.user.id : undefined
}

/** Fewer on a slow machine; and a failure is told before the test runs out of time, however much it could shrink. */
const runs = { numRuns: 25, interruptAfterTimeLimit: 60_000 }

/**
 * Tries a property on generated cases. The run that the time limit interrupts goes on regardless, and what
 * comes next may share a database with it: so it is waited for, and has to hold as well.
 */
async function holds<Case>(cases: fc.Arbitrary<Case>, run: (one: Case) => Promise<void>): Promise<void> {
  let last: Promise<void> = Promise.resolve()
  const property = fc.asyncProperty(cases, (one) => {
    last = run(one)
    return last
  })
  try {
    await fc.assert(property, runs)
  } finally {
    await Promise.allSettled([last])
  }
  await last
}

export function agreeingWithTheModel(open: () => Promise<Fixture>): void {
  it('answers and ends up as a simple model does, command by command and batch by batch', {
    timeout: 120_000,
  }, async () => {
    const sequences = fc.array(moves, { minLength: 1, maxLength: 50, size: 'max' })
    await holds(sequences, async (sequence) => {
      const { store, readLog, readAside, reopen, dispose } = await open()
      try {
        const model = createModel()
        const make = createMaking()
        for (const move of sequence) {
          const commands = make(move.steps, move.dryRun)
          const [command] = commands
          if (move.together || command === undefined || commands.length > 1) {
            const outcomes = await store.changeAll(commands)
            expect(outcomes).toEqual(model.changeAll(commands, outcomes.map(idIn)))
          } else {
            const outcome = await store.change(command)
            expect(outcome).toEqual(model.change(command, idIn(outcome)))
          }
        }
        for (const open of [async () => store, reopen]) {
          const current = await open()
          for (const user of model.users()) expect(await current.get(user.id)).toEqual(user)
          for (const one of model.users().flatMap(claimsOf))
            expect(await current.find(one)).toEqual(model.holder(one))
          const visible = model.users().filter(isVisible)
          expect(await everybody(current)).toEqual(visible.toSorted((a, b) => a.id - b.id))
          expect(await readLog()).toEqual(model.log())
          const receipts = model.receipts().toSorted((a, b) => (a.key < b.key ? -1 : 1))
          expect((await readAside()).receipts).toEqual(receipts)
        }
      } finally {
        await dispose()
      }
    })
  })

  it('keeps a history that adds up under writers who work at once', { timeout: 120_000 }, async () => {
    const writers = fc.array(fc.array(steps, { maxLength: 25, size: 'max' }), {
      minLength: 2,
      maxLength: 6,
      size: 'max',
    })
    await holds(writers, async (sequences) => {
      const { store, readLog, dispose } = await open()
      try {
        const committedIds: string[] = []
        const ids = new Set([...range(5), 1001, 1002])
        const write = async (sequence: readonly Step[]) => {
          for (const step of sequence) {
            for (let turn = 0; turn < step.turns; turn++) await new Promise(setImmediate)
            const command = toCommand(step)
            const outcome = await store.change(command)
            if (outcome.outcome !== 'committed' || outcome.replayed) continue
            committedIds.push(command.changeId)
            ids.add(outcome.user.id)
          }
        }
        await Promise.all(sequences.map(write))
        const log = await readLog()
        const users = await Promise.all([...ids].map(store.get))
        const known = users.filter((user) => user !== undefined)
        expect(contradictions(known, log)).toEqual([])
        expect(log.map(({ changeId }) => changeId).toSorted()).toEqual(committedIds.toSorted())
        const claims = known.flatMap((user) => claimsOf(user).map((one) => [one, user] as const))
        for (const [one, user] of claims) expect(await store.find(one)).toEqual(user)
      } finally {
        await dispose()
      }
    })
  })
}
