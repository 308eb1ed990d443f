import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Actor } from '../directory/actor.ts'
import type { Change } from '../directory/change.ts'
import { claim } from '../directory/claims.ts'
import type { Circumstances, Command, Create, Lifecycle, Replace, Update } from '../directory/command.ts'
import { decide } from '../directory/decide.ts'
import type { Value } from '../directory/field-types.ts'
import type { FieldName } from '../directory/fields.ts'
import type { Patch } from '../directory/patch.ts'
import type { Filter, Sortable } from '../directory/query.ts'
import { claimsTaken, type Outcome, type Store } from '../directory/store.ts'
import { claimsOf, isVisible, noFields, type User } from '../directory/user.ts'
import { keepingKeys } from './conformance-keys.ts'

/** What every store must do, whatever it is made of. An adapter supplies the rest by a fixture. */
export interface Fixture {
  /** Fresh and empty, with `rules`. */
  readonly store: Store
  /** Closes the store if it is still open, and opens what it left behind. */
  readonly reopen: () => Promise<Store>
  /** Every row of the change log, in the log's order. */
  readonly readLog: () => Promise<readonly Change[]>
  /** Closes whatever is open and removes everything. */
  readonly dispose: () => Promise<void>
}

export const rules = { roles: ['user', 'admin'] } as const

export function storeConformance(name: string, open: () => Promise<Fixture>): void {
  describe(`${name} as a store`, () => {
    let fixture: Fixture | undefined
    beforeEach(async () => {
      fixture = await open()
    })
    afterEach(async () => {
      await fixture?.dispose()
      fixture = undefined
    })
    const given = () => fixture as Fixture
    for (const cases of [
      updating,
      claiming,
      logging,
      erasing,
      allocating,
      paging,
      finding,
      lasting,
      keepingKeys,
    ])
      cases(given)
    agreeingWithTheModel(open)
  })
}

type Given = () => Fixture

function updating(given: Given): void {
  it('lets exactly one of many writers win who saw the same version', async () => {
    const { store, readLog } = given()
    const { id } = await committed(store, create({}))
    for (let round = 1; round <= 25; round++) {
      const writers = times(12, (n) => update(id, { bio: `${round} by ${n}` }, { ifMatch: [round] }))
      const outcomes = await all(store, writers)
      const winners = writers.filter((_, n) => outcomes[n]?.outcome === 'committed')
      expect(winners).toHaveLength(1)
      expect(outcomes.filter((outcome) => codeOf(outcome) === 'precondition_failed')).toHaveLength(11)
      expect(await store.get(id)).toMatchObject({ version: round + 1, bio: winners[0]?.patch.bio })
    }
    expect((await readLog()).map(({ version }) => version)).toEqual(range(26))
  })

  it('applies every one of many writers who demand no version, each on what the one before left', async () => {
    const { store, readLog } = given()
    const { id } = await committed(store, create({}))
    const outcomes = await many(store, 200, (n) =>
      update(id, n % 2 === 0 ? { bio: `bio ${n}` } : { phone: `phone ${n}` }),
    )
    const versions = outcomes.map((outcome) => (outcome.outcome === 'committed' ? outcome.user.version : 0))
    expect(versions.toSorted((a, b) => a - b)).toEqual(times(200, (n) => n + 1))
    expect(contradictions([await present(store, id)], await readLog())).toEqual([])
  })

  it('tells of nothing that it can not read back at once', async () => {
    const { store } = given()
    await many(store, 8, () => create({}))
    const writer = async (id: number) => {
      for (let n = 1; n <= 40; n++) {
        const user = await committed(store, update(id, { username: `name-${id}-${n}`, phone: `${n}` }))
        expect(await store.get(id)).toEqual(user)
        expect(await store.find(claim('username', `name-${id}-${n}`))).toEqual(user)
        expect((await store.page({ after: id - 1, filters: [] })).users[0]).toEqual(user)
      }
    }
    await Promise.all(range(8).map(writer))
  })
}

function claiming(given: Given): void {
  it('refuses claims that somebody else holds, naming every one, and applies the rest of what came along', async () => {
    const { store } = given()
    await committed(store, create({ email: 'ann@example.com', username: 'ann', ext_id: 'x-1' }))
    await committed(store, create({ email: 'bob@example.com' }))
    const outcomes = await all(store, [
      update(2, { bio: 'before' }),
      update(2, { email: 'ANN@example.com', username: 'Ann', ext_id: 'x-1', phone: 'not kept' }),
      create({ email: 'eve@example.com' }),
      create({ email: 'Bob@Example.com' }),
      update(2, { last_name: 'after' }),
    ])
    expect(outcomes.map(codeOf)).toEqual([undefined, 'conflict', undefined, 'conflict', undefined])
    expect(takenFields(outcomes[1])).toEqual(['email', 'ext_id', 'username'])
    expect(takenFields(outcomes[3])).toEqual(['email'])
    expect(await store.get(2)).toMatchObject({ bio: 'before', last_name: 'after', phone: null, version: 3 })
  })

  it('gives a value that many want at once to exactly one of them', async () => {
    const { store } = given()
    for (let round = 0; round < 15; round++) {
      const outcomes = await many(store, 10, (n) => create({ username: `Wanted-${round}`, bio: `${n}` }))
      const winners = outcomes.flatMap((outcome) => (outcome.outcome === 'committed' ? [outcome.user] : []))
      expect(winners).toHaveLength(1)
      expect(outcomes.filter((outcome) => codeOf(outcome) === 'conflict')).toHaveLength(9)
      expect(await store.find(claim('username', `wanted-${round}`))).toEqual(winners[0])
    }
  })

  it('keeps nothing of a unit that was refused: no field, no claim, no row of the log', async () => {
    const { store, readLog } = given()
    const ann = await committed(store, create({ email: 'ann@example.com' }))
    const bob = await committed(store, create({ email: 'bob@example.com', username: 'bob' }))
    const log = await readLog()
    const both = { email: 'ann@example.com', username: 'robert', bio: 'new' }
    expect(codeOf(await store.change(update(bob.id, both)))).toBe('conflict')
    expect(codeOf(await store.change(create(both)))).toBe('conflict')
    expect(codeOf(await store.change(replace(77, both)))).toBe('conflict')
    expect([await store.get(ann.id), await store.get(bob.id)]).toEqual([ann, bob])
    expect(await store.get(77)).toBeUndefined()
    expect(await store.find(claim('username', 'bob'))).toEqual(bob)
    expect(await store.find(claim('username', 'robert'))).toBeUndefined()
    expect(await everybody(store)).toEqual([ann, bob])
    expect(await readLog()).toEqual(log)
    // Nor does it stand in the way of whoever comes next.
    await committed(store, create({ username: 'robert' }))
  })

  it('frees the value that a user gives up, and knows a change of spelling for the same claim', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    expect(await committed(store, update(1, { username: 'Ann' }))).toMatchObject({ username: 'Ann' })
    expect(takenFields(await store.change(create({ username: 'ANN' })))).toEqual(['username'])
    await committed(store, update(1, { username: 'anna' }))
    const heir = await committed(store, create({ username: 'ann' }))
    expect(await store.find(claim('username', 'ann'))).toEqual(heir)
  })

  it('knows a uid for a claim too', async () => {
    const { store } = given()
    const { uid } = await committed(store, create({}))
    expect(takenFields(await store.change(create({}, { uid })))).toEqual(['uid'])
  })

  it('keeps the claims of a removed user until an erasure, and gives the user back whole', async () => {
    const { store } = given()
    const values = { email: 'ann@example.com', username: 'ann', ext_id: 'x-1', bio: 'still here' }
    await committed(store, create(values))
    await committed(store, lifecycle('remove', 1))
    expect(takenFields(await store.change(create(values)))).toEqual(['email', 'ext_id', 'username'])
    expect(await store.get(1)).toMatchObject({ ...values, status: 'deleted', version: 2 })
    expect(codeOf(await store.change(update(1, { bio: 'changed' })))).toBe('not_found')
    const restored = await committed(store, lifecycle('restore', 1))
    expect(restored).toMatchObject({ ...values, status: 'active', version: 3 })
    expect(await store.find(claim('email', 'ann@example.com'))).toEqual(restored)
  })
}

function logging(given: Given): void {
  it('explains every committed command: who, when, through what, and each old and new value', async () => {
    const { store, readLog } = given()
    const tag = { id: 7, type: 't', name: 'n', description: 'd "quoted" \u{1f642}', color: '#fff' }
    const key: Actor = { kind: 'key', id: 'importer', scopes: ['read', 'write', 'admin'], contract: 'v1' }
    const commands: Command[] = [
      create({ email: 'ann@example.com', community_badge: true, tags: [tag] }),
      update(1, { email: 'Ann@example.com', community_badge: false, bio: 'a\nb' }, { actor: key }),
      replace(9, { first_name: 'Bob' }, { actor: { ...key, kind: 'anonymous', id: null } }),
      update(1, { tags: null, bio: null }),
      lifecycle('remove', 1),
      lifecycle('restore', 1),
    ]
    for (const command of commands) await committed(store, command)
    const fields: Change['fields'][] = [
      { email: [null, 'ann@example.com'], community_badge: [null, true], tags: [null, [tag]] },
      { email: ['ann@example.com', 'Ann@example.com'], community_badge: [true, false], bio: [null, 'a\nb'] },
      { first_name: [null, 'Bob'] },
      { tags: [[tag], null], bio: ['a\nb', null] },
      { status: ['active', 'deleted'] },
      { status: ['deleted', 'active'] },
    ]
    const kinds = ['created', 'updated', 'created', 'updated', 'removed', 'restored'] as const
    const expected = commands.map(({ actor, at, changeId, requestId }, n): Change => {
      const about = { userId: n === 2 ? 9 : 1, version: [1, 2, 1, 3, 4, 5][n] ?? 0 }
      const by = { actor: { kind: actor.kind, id: actor.id }, contract: actor.contract, requestId }
      return { ...about, ...by, changeId, at, kind: kinds[n] ?? 'updated', fields: fields[n] ?? {} }
    })
    expect(await readLog()).toEqual(expected)
  })

  it('has nothing to say of commands that changed nothing or were refused', async () => {
    const { store, readLog } = given()
    await committed(store, create({ email: 'ann@example.com', bio: 'old' }))
    const before = await present(store, 1)
    const stranger: Actor = { kind: 'anonymous', id: null, scopes: [], contract: 'v1' }
    const refused: [Command, string | undefined][] = [
      [update(1, {}), undefined],
      [update(1, { email: 'ann@example.com', bio: 'old', phone: null }), undefined],
      [replace(1, { bio: 'old' }), undefined],
      [update(1, { bio: 5, phone: '' }), 'invalid'],
      [update(1, { bio: 'new' }, { ifMatch: [] }), 'precondition_failed'],
      [replace(1, { bio: 'new' }, { ifNoneMatch: '*' }), 'precondition_failed'],
      [update(2, { bio: 'new' }), 'not_found'],
      [replace(2, { bio: 'new' }, { upsert: false }), 'not_found'],
      [lifecycle('restore', 1), 'not_found'],
      [create({ email: 'ANN@example.com' }), 'conflict'],
      [update(1, { bio: 'new' }, { actor: stranger }), 'unauthenticated'],
      [create({}, { actor: { ...stranger, scopes: ['read'] } }), 'forbidden'],
    ]
    for (const [command, code] of refused) expect(codeOf(await store.change(command))).toBe(code)
    expect(await readLog()).toHaveLength(1)
    expect(await everybody(store)).toEqual([before])
  })
}

function erasing(given: Given): void {
  it('blanks the values in every older row of that user, keeps the rows, and touches nobody else’s', async () => {
    const { store, readLog } = given()
    await committed(store, create({ email: 'ann@example.com', username: 'ann', bio: 'secret-0' }))
    await committed(store, create({ email: 'bob@example.com', username: 'bob', bio: 'public-0' }))
    for (let n = 1; n <= 30; n++) {
      await committed(store, update(1, { bio: `secret-${n}`, tags: n % 2 ? [] : null }))
      await committed(store, update(2, { bio: `public-${n}` }))
    }
    await committed(store, lifecycle('remove', 1))
    await committed(store, lifecycle('restore', 1))
    const before = await readLog()
    const erased = await committed(store, lifecycle('erase', 1))
    expect(erased).toMatchObject({ ...noFields, id: 1, status: 'erased', version: 34 })
    expect(await store.get(1)).toEqual(erased)

    const after = await readLog()
    const blanked = before.map((row) => (row.userId === 1 ? { ...row, fields: blank(row.fields) } : row))
    expect(after.slice(0, -1)).toEqual(blanked)
    expect(after.at(-1)).toMatchObject({ userId: 1, version: 34, kind: 'erased' })
    expect(/secret|ann@|"ann",null/.exec(JSON.stringify(after.map(({ fields }) => fields)))).toBeNull()
    expect(contradictions([erased, await present(store, 2)], after)).toEqual([])
  })

  it('frees every claim of the user for others', async () => {
    const { store } = given()
    const values = { email: 'ann@example.com', username: 'ann', ext_id: 'x-1' }
    const { uid } = await committed(store, create(values))
    await committed(store, lifecycle('erase', 1))
    for (const one of claimsOf({ ...(await present(store, 1)), ...values, uid, status: 'active' }))
      expect(await store.find(one)).toBeUndefined()
    const heir = await committed(store, create(values))
    expect(heir.id).toBe(2)
    expect(await store.find(claim('email', values.email))).toEqual(heir)
  })

  it('is final: nobody restores, changes, removes or erases the user again', async () => {
    const { store, readLog } = given()
    await committed(store, create({ bio: 'gone' }))
    await committed(store, lifecycle('erase', 1))
    const again = [
      update(1, { bio: 'x' }),
      replace(1, { bio: 'x' }),
      lifecycle('remove', 1),
      lifecycle('restore', 1),
      lifecycle('erase', 1),
    ]
    for (const command of again) expect(codeOf(await store.change(command))).toBe('not_found')
    expect(await readLog()).toHaveLength(2)
  })
}

function allocating(given: Given): void {
  it('counts from 1, one by one, however many ask at once', async () => {
    const { store } = given()
    const outcomes = await many(store, 300, () => create({}))
    expect(idsOf(outcomes).toSorted((a, b) => a - b)).toEqual(range(300))
  })

  it('is not moved by an id that a client chose, and steps over those that are used', async () => {
    const { store } = given()
    await all(store, [replace(2, {}), replace(1_000_000, {}), replace(Number.MAX_SAFE_INTEGER, {})])
    const made = [await committed(store, create({})), await committed(store, create({}))]
    expect(made.map(({ id }) => id)).toEqual([1, 3])
  })

  it('steps over a long run of used ids, erased ones among them, in no time to speak of', async () => {
    const { store } = given()
    await many(store, 5_000, (id) => replace(id, {}))
    await committed(store, lifecycle('erase', 5_000))
    const made = idsOf(await all(store, [create({}), create({}), create({})]))
    expect(made.toSorted((a, b) => a - b)).toEqual([5_001, 5_002, 5_003])
  })

  it('never gives an id twice, whoever had it was erased or not, before or after reopening', async () => {
    const { store, reopen } = given()
    await all(store, [create({}), create({}), replace(4, {})])
    await all(store, [lifecycle('erase', 2), lifecycle('erase', 4)])
    expect((await committed(store, create({}))).id).toBe(3)
    const reopened = await reopen()
    expect((await committed(reopened, create({}))).id).toBe(5)
    await committed(reopened, lifecycle('erase', 5))
    expect((await committed(await reopen(), create({}))).id).toBe(6)
  })
}

/** More users than a page may have, by far; a page of more than this would keep everybody else waiting. */
const manyUsers = 4_500
const mostPerPage = 2_000

function paging(given: Given): void {
  it('shows everybody who stays exactly once while others come and go, in pages of bounded size', async () => {
    const { store } = given()
    const outcomes = await many(store, manyUsers, (n) =>
      replace(n * 2, { bio: n === manyUsers ? 'last' : 'other' }),
    )
    const staying = new Set(idsOf(outcomes))
    const seen: number[] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const { users, next }: Awaited<ReturnType<Store['page']>> = await store.page({ after, filters: [] })
      expect(users.length).toBeLessThanOrEqual(mostPerPage)
      if (next !== undefined) expect(next).toBeGreaterThan(after)
      seen.push(...users.map(({ id }) => id))
      const gone = [Math.max(2, after), after + 2 * mostPerPage + 2].filter((id) => staying.delete(id))
      const come = [after + 1, after + 3 * mostPerPage + 1].filter((id) => id < 2 * manyUsers)
      await all(store, [
        ...gone.map((id) => lifecycle('erase', id)),
        ...come.map((id) => replace(id, {})),
        create({}),
      ])
      after = next
    }
    expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b))
    expect([...staying].filter((id) => !seen.includes(id))).toEqual([])
    expect(await everybody(store, [{ name: 'bio', comparison: 'eq', values: ['last'] }])).toMatchObject([
      { id: 2 * manyUsers },
    ])
    expect(await store.page({ after: Number.MAX_SAFE_INTEGER, filters: [] })).toEqual({ users: [] })
  })

  it('filters exactly: all filters hold, values are alternatives, and hidden users stay hidden', async () => {
    const { store } = given()
    const ann = { first_name: 'Ann', last_name: 'Lee', phone: '1' }
    await all(store, [
      create(ann),
      create({ ...ann, first_name: 'ann', phone: '01' }),
      create({ ...ann, last_name: 'Doe' }),
      create({ ...ann, first_name: 'Ann ' }),
      create({ first_name: 'Bob' }),
      create(ann),
      create(ann),
    ])
    await all(store, [lifecycle('remove', 6), lifecycle('erase', 7)])
    const by = (name: Sortable, ...values: string[]): Filter => ({ name, comparison: 'eq', values })
    const cases: [filters: Filter[], ids: number[]][] = [
      [[], [1, 2, 3, 4, 5]],
      [[by('first_name', 'Ann')], [1, 3]],
      [[by('first_name', 'Ann', 'Bob', 'Eve')], [1, 3, 5]],
      [[by('first_name', 'Ann', 'Bob'), by('last_name', 'Lee')], [1]],
      [[by('phone', '1')], [1, 3, 4]],
      [[by('id', '5', '2', '6', '7', '8')], [2, 5]],
      [[by('id', '02', ' 2', '2.0', '+2', '2e0', '0x2', '', 'NaN')], []],
      [[by('id', '1', '2'), by('first_name', 'ann')], [2]],
      [[by('last_name', '', 'null', '%', "' OR 1=1 --", '\u0000')], []],
      [[by('last_name')], []],
    ]
    for (const [filters, ids] of cases)
      expect((await everybody(store, filters)).map(({ id }) => id)).toEqual(ids)
  })
}

function finding(given: Given): void {
  it('finds a user by each kind of claim, in any spelling that is the same claim', async () => {
    const { store } = given()
    const values = { email: 'Straße.Ann@Example.com', username: 'Ann_B', ext_id: 'Xy-1' }
    const ann = await committed(store, create(values))
    await committed(store, create({ email: 'ann@example.com', username: 'ann', ext_id: 'xy-1' }))
    const same = [
      claim('uid', ann.uid),
      claim('email', 'STRASSE.ANN@EXAMPLE.COM'),
      claim('username', 'aNN_b'),
      claim('ext_id', 'Xy-1'),
    ]
    for (const one of same) expect(await store.find(one)).toEqual(ann)
    expect(await store.find(claim('ext_id', 'XY-1'))).toBeUndefined()
    expect(await store.find({ kind: 'email', key: claim('username', 'ann').key })).toBeUndefined()
  })

  it('knows nobody where nobody ever was', async () => {
    const { store } = given()
    expect(await store.get(1)).toBeUndefined()
    expect(await store.find(claim('email', 'ann@example.com'))).toBeUndefined()
    expect(await store.page({ after: 0, filters: [] })).toEqual({ users: [] })
  })
}

function lasting(given: Given): void {
  it('finds everything again after closing and opening', async () => {
    const { store, reopen, readLog } = given()
    await all(store, [
      create({ username: 'ann', tags: [], email: 'ann@example.com' }),
      create({}),
      create({}),
    ])
    await all(store, [update(1, { bio: 'ü', reg_approved: true }), lifecycle('remove', 2)])
    await committed(store, lifecycle('erase', 3))
    const users = [await store.get(1), await store.get(2), await store.get(3)]
    const log = await readLog()
    const reopened = await reopen()
    expect([await reopened.get(1), await reopened.get(2), await reopened.get(3)]).toEqual(users)
    expect(await readLog()).toEqual(log)
    expect(await reopened.find(claim('username', 'ann'))).toEqual(users[0])
    expect(await everybody(reopened)).toEqual([users[0]])
    expect(await committed(reopened, update(1, { bio: 'u' }, { ifMatch: [2] }))).toMatchObject({ version: 3 })
  })

  it('finishes what it accepted before it closes', async () => {
    const { store, reopen } = given()
    const accepted = times(60, (n) => store.change(create({ username: `name-${n}` })))
    const closed = store.close()
    await letOtherThreadsGoOn()
    await closed
    const ids = idsOf(await Promise.all(accepted))
    expect((await everybody(await reopen())).map(({ id }) => id)).toEqual(ids.toSorted((a, b) => a - b))
  })

  it('turns commands away once it is closed', async () => {
    const { store } = given()
    await committed(store, create({}))
    await store.ready()
    await store.close()
    const unavailable = { name: 'DirectoryError', code: 'unavailable' }
    await expect(store.change(update(1, { bio: 'late' }))).rejects.toMatchObject(unavailable)
    await expect(store.ready()).rejects.toMatchObject(unavailable)
  })

  it('answers a command that comes while it closes, and does what it answered', async () => {
    const { store, reopen } = given()
    await committed(store, create({}))
    let answer = 'none'
    const closed = store.close()
    const late = store.change(update(1, { bio: 'late' })).then(
      ({ outcome }) => (answer = outcome),
      ({ code }) => (answer = code),
    )
    await letOtherThreadsGoOn()
    await closed
    await Promise.race([late, new Promise(setImmediate)])
    expect(['committed', 'unavailable']).toContain(answer)
    expect((await (await reopen()).get(1))?.bio ?? null).toBe(answer === 'committed' ? 'late' : null)
  })

  it('is closed once, however many ask for it', async () => {
    const { store } = given()
    await committed(store, create({}))
    await Promise.all([store.close(), store.close()])
    await store.close()
  })
}

function mostly<A, B>(usual: fc.Arbitrary<A>, rare: fc.Arbitrary<B>): fc.Arbitrary<A | B> {
  return fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: rare })
}

/** What was begun in this turn begins, and other threads get on with it before this one hears more of it. */
async function letOtherThreadsGoOn(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await undefined
  JSON.stringify(range(1_000_000))
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

function agreeingWithTheModel(open: () => Promise<Fixture>): void {
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

/** What does not fit between users and log, in words; none where the log explains every user in full. */
export function contradictions(users: readonly User[], log: readonly Change[]): string[] {
  const wrong: string[] = []
  const byId = new Map(users.map((user) => [user.id, user]))
  const rowsOf = Map.groupBy(log, ({ userId }) => userId)
  for (const id of new Set([...byId.keys(), ...rowsOf.keys()])) {
    const values: Record<string, Value | null> = { ...noFields }
    let status = 'active'
    for (const [n, { version, kind, fields }] of (rowsOf.get(id) ?? []).entries()) {
      if (version !== n + 1) wrong.push(`user ${id}: row ${n + 1} of the log is for version ${version}`)
      for (const [name, [before, after]] of Object.entries(fields)) {
        if (name === 'status') {
          // Blanked with all else by an erasure.
          if (before !== null && before !== status)
            wrong.push(`user ${id}, version ${version}: status was ${status}`)
          continue
        }
        if (!isDeepStrictEqual(values[name], before))
          wrong.push(`user ${id}, version ${version}: ${name} was ${values[name]}, the log says ${before}`)
        values[name] = after
      }
      status = {
        created: String(fields.status?.[1] ?? 'active'),
        removed: 'deleted',
        restored: 'active',
        erased: 'erased',
        updated: String(fields.status?.[1] ?? status),
      }[kind]
    }
    const told = { ...values, status, version: rowsOf.get(id)?.length ?? 0 }
    for (const [name, value] of Object.entries(told)) {
      const kept = byId.get(id)?.[name as FieldName]
      if (!isDeepStrictEqual(kept, value)) wrong.push(`user ${id}: ${name} is ${kept}, the log says ${value}`)
    }
  }
  return wrong
}

const ann: Actor = {
  kind: 'operator',
  id: 'ann',
  scopes: ['read', 'write', 'admin'],
  contract: 'operator',
}

let made = 0

function circumstances(): Circumstances {
  made++
  return {
    actor: ann,
    requestId: `request-${made}`,
    changeId: randomUUID(),
    at: Date.UTC(2026, 0, 1) + made,
  }
}

const newUid = () => `usr_${randomUUID().replaceAll('-', '').slice(0, 16)}`

export function create(patch: Patch, more: Partial<Create> = {}): Create {
  return { ...circumstances(), kind: 'create', uid: newUid(), patch, ...more }
}

export function update(id: number, patch: Patch, more: Partial<Update> = {}): Update {
  return { ...circumstances(), kind: 'update', id, patch, ...more }
}

export function replace(id: number, patch: Patch, more: Partial<Replace> = {}): Replace {
  return { ...circumstances(), kind: 'replace', id, uid: newUid(), upsert: true, patch, ...more }
}

export function lifecycle(kind: Lifecycle['kind'], id: number): Lifecycle {
  return { ...circumstances(), kind, id }
}

export function all(store: Store, commands: readonly Command[]): Promise<Outcome[]> {
  return Promise.all(commands.map(store.change))
}

/** All at once, as `all`. */
export function many(store: Store, count: number, make: (n: number) => Command): Promise<Outcome[]> {
  return all(store, times(count, make))
}

export async function committed(store: Store, command: Command): Promise<User> {
  const outcome = await store.change(command)
  if (outcome.outcome !== 'committed') throw new Error(`not committed: ${JSON.stringify(outcome)}`)
  return outcome.user
}

export async function present(store: Store, id: number): Promise<User> {
  const user = await store.get(id)
  if (user === undefined) throw new Error(`there is no user ${id}`)
  return user
}

export async function everybody(store: Store, filters: readonly Filter[] = []): Promise<User[]> {
  const found: User[] = []
  for (let after: number | undefined = 0; after !== undefined; ) {
    const { users, next }: Awaited<ReturnType<Store['page']>> = await store.page({ after, filters })
    found.push(...users)
    after = next
  }
  return found
}

export function codeOf(outcome: Outcome | undefined): string | undefined {
  return outcome?.outcome === 'refused' ? outcome.refusal.code : undefined
}

function takenFields(outcome: Outcome | undefined): (string | undefined)[] {
  if (codeOf(outcome) !== 'conflict' || outcome?.outcome !== 'refused') return ['no conflict']
  return outcome.refusal.problems.map(({ field }) => field).toSorted()
}

function idsOf(outcomes: readonly Outcome[]): number[] {
  return outcomes.flatMap((outcome) => (outcome.outcome === 'committed' ? [outcome.user.id] : []))
}

function blank(fields: Change['fields']): Change['fields'] {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, [null, null]]))
}

/** @param make is given 1, 2, 3 … */
export function times<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => make(n + 1))
}

export function range(count: number): number[] {
  return times(count, (n) => n)
}
