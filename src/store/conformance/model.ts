import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Change } from '../../directory/change.ts'
import type { Command } from '../../directory/command.ts'
import { decide } from '../../directory/decide.ts'
import type { Patch } from '../../directory/patch.ts'
import { claimsTaken, type Outcome } from '../../directory/store.ts'
import { claimsOf, isVisible, type User } from '../../directory/user.ts'
import {
  blank,
  create,
  everybody,
  type Fixture,
  idsOf,
  lifecycle,
  range,
  replace,
  rules,
  update,
} from './commands.ts'
import { contradictions } from './contradictions.ts'

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
  id: fc.integer({ min: 1, max: 6 }),
  patch: patches,
  ifMatch: mostly(fc.constant(null), fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 })),
  /** Turns of the event loop that a writer lets pass first. */
  turns: fc.integer({ min: 0, max: 2 }),
})

type Step = typeof steps extends fc.Arbitrary<infer S> ? S : never

function toCommand({ kind, id, patch, ifMatch }: Step) {
  const asked = ifMatch === null ? {} : { ifMatch }
  if (kind === 'create') return create(patch, asked)
  if (kind === 'update') return update(id, patch, asked)
  return kind === 'replace' ? replace(id, patch, asked) : { ...lifecycle(kind, id), ...asked }
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
  it('answers and ends up as a simple model does, command by command', { timeout: 120_000 }, async () => {
    const sequences = fc.array(steps, { minLength: 1, maxLength: 60, size: 'max' })
    await holds(sequences, async (sequence) => {
      const { store, readLog, reopen, dispose } = await open()
      try {
        const model = createModel()
        for (const command of sequence.map(toCommand)) {
          const outcome = await store.change(command)
          expect(outcome).toEqual(model.change(command, idsOf([outcome])[0]))
        }
        for (const open of [async () => store, reopen]) {
          const current = await open()
          for (const user of model.users.values()) expect(await current.get(user.id)).toEqual(user)
          for (const one of [...model.users.values()].flatMap(claimsOf))
            expect(await current.find(one)).toEqual(model.holder(one))
          const visible = [...model.users.values()].filter(isVisible).toSorted((a, b) => a.id - b.id)
          expect(await everybody(current)).toEqual(visible)
          expect(await readLog()).toEqual(model.log())
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
        const ids = new Set(range(5))
        const write = async (sequence: readonly Step[]) => {
          for (const step of sequence) {
            for (let turn = 0; turn < step.turns; turn++) await new Promise(setImmediate)
            const command = toCommand(step)
            const outcome = await store.change(command)
            if (outcome.outcome !== 'committed') continue
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

/** The store in its simplest form: a map, a list, and the directory's own decisions. */
function createModel() {
  const users = new Map<number, User>()
  let log: Change[] = []
  let mark = 1
  const holder = (one: { kind: string; key: string }) =>
    [...users.values()].find((user) =>
      claimsOf(user).some(({ kind, key }) => kind === one.kind && key === one.key),
    )
  return {
    users,
    holder,
    log: () => log,
    /** @param given the id that the store's allocator gave, where it committed: which one is its own affair */
    change(command: Command, given?: number): Outcome {
      const id = command.id ?? given ?? Number.MAX_SAFE_INTEGER
      if (command.kind === 'create' && (id < mark || users.has(id))) throw new Error(`${id} was given twice`)
      const decision = decide(users.get(id), command.kind === 'create' ? { ...command, id } : command, rules)
      if (decision.outcome !== 'commit') return decision
      const { user, take, change } = decision.unit
      const taken = take.filter(holder)
      if (taken.length > 0) return { outcome: 'refused', refusal: claimsTaken(taken) }
      users.set(id, user)
      if (command.kind === 'create') mark = id + 1
      if (user.status === 'erased')
        log = log.map((row) => (row.userId === id ? { ...row, fields: blank(row.fields) } : row))
      log.push(change)
      return { outcome: 'committed', user }
    },
  }
}
