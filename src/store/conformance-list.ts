import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { claim } from '../directory/claims.ts'
import {
  type Comparison,
  type Conditions,
  type Filter,
  type ListQuery,
  positionOf,
  type Sort,
  type Sortable,
} from '../directory/query.ts'
import type { Store } from '../directory/store.ts'
import { isVisible, type User } from '../directory/user.ts'
import { all, committed, create, type Fixture, importing, lifecycle, update } from './conformance.ts'

/** What a list must hold: the part of the suite that compares stores with the plainest list there is. */

/** The meaning of a query, in its simplest form: a filter over an array, and a sort. */
export function listOf(users: readonly User[], query: ListQuery): { ids: number[]; total: number } {
  const fitting = users.filter((user) => isVisible(user) && fits(user, query))
  const sorted = fitting.toSorted((a, b) => order(a, b, query.sort))
  const { after } = query
  const rest = after === undefined ? sorted : sorted.slice(sorted.findIndex(({ id }) => id === after.id) + 1)
  const page = rest.slice(query.offset, query.offset + query.limit)
  return { ids: page.map(({ id }) => id), total: fitting.length }
}

function fits(user: User, { filters, search }: Conditions): boolean {
  if (!filters.every((filter) => holds(user, filter))) return false
  return search === undefined || search.names.some((name) => hasPart(user[name], search.text))
}

function holds(user: User, { name, comparison, values: given }: Filter): boolean {
  const value = user[name]
  const values = given.map((text) => text.normalize('NFC'))
  if (value === null) return false
  switch (comparison) {
    case 'eq':
      return values.includes(String(value))
    case 'ne':
      return !values.includes(String(value))
    case 'gte':
      return bounds(value, values).some((bound) => compare(value, bound) >= 0)
    case 'lte':
      return bounds(value, values).some((bound) => compare(value, bound) <= 0)
    case 'like':
      return values.some((part) => hasPart(value, part))
  }
}

function bounds(value: string | number | boolean, texts: readonly string[]): readonly (string | number)[] {
  if (typeof value === 'number') return texts.map(Number)
  return typeof value === 'boolean' ? texts.filter((text) => ['true', 'false'].includes(text)) : texts
}

/** As JavaScript's regular expressions have it, which without the flag `u` know no case beyond U+FFFF. */
function hasPart(value: string | number | boolean | null, part: string): boolean {
  const upper = (text: string) => text.replace(/[\u{10000}-\u{1ffff}]/gu, (char) => char.toUpperCase())
  const literal = upper(part.normalize('NFC')).replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
  return value !== null && new RegExp(literal, 'i').test(upper(String(value)))
}

function order(a: User, b: User, sort: readonly Sort[]): number {
  for (const { name, descending } of sort) {
    const [x, y] = [a[name], b[name]]
    const difference = x === null || y === null ? Number(x === null) - Number(y === null) : compare(x, y)
    if (difference !== 0) return descending ? -difference : difference
  }
  return a.id - b.id
}

function compare(a: string | number | boolean, b: string | number | boolean): number {
  if (typeof a === 'number' || typeof b === 'number') return Number(a) - Number(b)
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
}

const sortables = ['first_name', 'last_name', 'phone', 'role', 'community_badge', 'id', 'created_at'] as const

const texts = [
  'Ann',
  'ann',
  'ANNA',
  'Bob',
  'a',
  'ß',
  'ẞ',
  'Σ',
  'ς',
  'É',
  'é',
  'z',
  'Z',
  '*',
  '?',
  '[a]',
  '%',
  '_',
]
const odd = ['\uffee', '😀', '𐐨', '𐐀', '1', '10', '9', '\\', '^a', '.', 'ſ', 'K', 'İ', 'ı', 'true', 'A\u030a']

const text = fc.constantFrom(...texts, ...odd)
const needle = fc.oneof(
  text,
  fc.constantFrom('', 'n', 'N', 'NN', 'σ', '0', 'e', '\0', 'nobody has it', '2', '-1'),
)
const name = fc.constantFrom<Sortable>(...sortables)

const people = fc.array(
  fc.record(
    {
      first_name: text,
      last_name: text,
      phone: text,
      role: fc.constantFrom('user', 'admin'),
      community_badge: fc.boolean(),
    },
    { requiredKeys: [] },
  ),
  { minLength: 2, maxLength: 30 },
)

const filters = fc.array(
  fc.record({
    name,
    comparison: fc.constantFrom<Comparison>('eq', 'ne', 'gte', 'lte', 'like'),
    // No bound of NUL: the stores take it for a text that nobody has, not for the least of all.
    values: fc.array(
      needle.filter((value) => value !== '\0'),
      { minLength: 1, maxLength: 3 },
    ),
  }),
  { maxLength: 3 },
)

const query = fc.record({
  filters,
  search: fc.option(fc.record({ text: needle, names: fc.subarray([...sortables], { minLength: 1 }) }), {
    nil: undefined,
    freq: 2,
  }),
  sort: fc.array(fc.record({ name, descending: fc.boolean() }), { maxLength: 3 }),
  offset: fc.nat(5),
  limit: fc.nat(12),
  count: fc.boolean(),
})

export function listConformance(name: string, open: () => Promise<Fixture>): void {
  describe(`${name} as a store of lists`, () => {
    let fixture: Fixture | undefined
    beforeEach(async () => {
      fixture = await open()
    })
    afterEach(async () => {
      await fixture?.dispose()
      fixture = undefined
    })
    listing(() => fixture as Fixture)
  })
}

function listing(given: () => Fixture): void {
  it('lists what a filter, a sort and a slice of an array would', async () => {
    const { store } = given()
    const property = fc.asyncProperty(
      people,
      fc.array(query, { minLength: 1, maxLength: 40 }),
      async (made, queries) => {
        const outcomes = await all(
          store,
          made.map((patch) => create(patch)),
        )
        const ids = outcomes.flatMap((outcome) => (outcome.outcome === 'committed' ? [outcome.user.id] : []))
        const [first = 0, second = 0, ...others] = ids
        try {
          await all(store, [lifecycle('remove', first), lifecycle('erase', second)])
          const users = await Promise.all(ids.map(store.get))
          const there = users.filter((user) => user !== undefined)
          for (const asked of queries) await agrees(store, there, asked)
        } finally {
          await all(
            store,
            [first, ...others].map((id) => lifecycle('erase', id)),
          )
        }
      },
    )
    await fc.assert(property, { numRuns: 25 })
  })

  it('agrees with that after every change, however often it was asked before', async () => {
    const { store } = given()
    const values = fc.record(
      {
        first_name: fc.constantFrom('Ann', 'ann', 'Bob'),
        interested_in: fc.constantFrom('cats', 'dogs', 'both'),
        phone: fc.constantFrom('1', '2', '3'),
        role: fc.constantFrom('user', 'admin'),
      },
      { requiredKeys: [] },
    )
    const step = fc.record({
      kind: fc.constantFrom('create', 'update', 'update', 'update', 'remove', 'restore', 'erase'),
      whom: fc.nat(9),
      values,
    })
    const by = (name: Sortable, comparison: Comparison, ...some: string[]): Filter => ({
      name,
      comparison,
      values: some,
    })
    const asked: Conditions[] = [
      { filters: [] },
      { filters: [by('interested_in', 'eq', 'dogs')] },
      { filters: [by('interested_in', 'ne', 'dogs'), by('first_name', 'like', 'an')] },
      { filters: [by('phone', 'eq', '1')] },
      { filters: [by('phone', 'eq', '2', '3'), by('first_name', 'gte', 'Bob')] },
      { filters: [by('role', 'lte', 'admin')] },
      { filters: [by('username', 'eq', 'Name-3', 'name-4')] },
      { filters: [by('first_name', 'eq', 'Bob')], search: { text: 'D', names: ['interested_in', 'id'] } },
    ]
    const queries = asked.map((one) => ({ ...one, sort: [], offset: 0, limit: 100, count: true }))
    const property = fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const ids: number[] = []
      try {
        for (const { kind, whom, values } of steps) {
          const id = ids[whom] ?? 0
          if (kind === 'update') await store.change(update(id, values))
          else if (kind !== 'create') await store.change(lifecycle(kind as 'remove', id))
          else
            ids.push((await committed(store, create({ ...values, ...(whom > 7 && { bio: '"phone":' }) }))).id)
          if (kind === 'create' && whom < 3)
            await store.change(update(ids.at(-1) ?? 0, { username: `name-${whom + 2}` }))
          const users = (await Promise.all(ids.map(store.get))).filter((user) => user !== undefined)
          for (const query of queries) await agrees(store, users, query)
        }
      } finally {
        await all(
          store,
          ids.map((id) => lifecycle('erase', id)),
        )
      }
    })
    await fc.assert(property, { numRuns: 12 })
  })

  it('counts nobody who was removed, whatever an import makes of them', async () => {
    const { store } = given()
    const ids = [1, 2].map(async () => (await committed(store, create({ interested_in: 'cats' }))).id)
    const [removed = 0] = await Promise.all(ids)
    await committed(store, lifecycle('remove', removed))
    const totals = () =>
      Promise.all(
        ['cats', 'dogs'].map(async (value) => {
          const filters: Filter[] = [{ name: 'interested_in', comparison: 'eq', values: [value] }]
          return (await store.list({ filters, sort: [], offset: 0, limit: 10, count: true })).total
        }),
      )
    expect(await totals()).toEqual([1, 0])
    const source = { status: 'deleted' } as const
    await committed(store, importing(removed, { interested_in: 'dogs' }, { source, update: true }))
    expect(await totals()).toEqual([1, 0])
  })

  it('goes on after any position, in any order, and neither repeats nor loses anybody', async () => {
    const { store } = given()
    await all(
      store,
      [...texts, ...odd, ...texts].map((phone, n) =>
        create({
          phone,
          ...(n % 3 > 0 && { first_name: texts[n % 4] }),
          ...(n % 4 > 1 && { community_badge: n % 8 > 3 }),
        }),
      ),
    )
    const everyone = await store.list({ filters: [], sort: [], offset: 0, limit: 1000, count: true })
    const sorts = fc.array(fc.record({ name, descending: fc.boolean() }), { maxLength: 3 })
    const property = fc.asyncProperty(sorts, fc.integer({ min: 1, max: 20 }), async (sort, limit) => {
      const seen: number[] = []
      for (let after: ListQuery['after']; ; ) {
        const { users } = await store.list({ filters: [], sort, offset: 0, limit, after, count: false })
        seen.push(...users.map(({ id }) => id))
        const last = users.at(-1)
        if (last === undefined || users.length < limit) break
        after = positionOf(last, sort)
      }
      const whole = { filters: [], sort, offset: 0, limit: 1000, count: false }
      expect(seen).toEqual(listOf(everyone.users, whole).ids)
      const rest = { ...whole, after: positionOf(everyone.users[limit] as User, sort), limit: 25 }
      const ids = await store.listIds(rest)
      expect([...ids]).toEqual(listOf(everyone.users, rest).ids)
    })
    await fc.assert(property, { numRuns: 40 })
  })

  it('takes what no user can have for exactly that', async () => {
    const { store } = given()
    await committed(store, create({ first_name: 'Ann', phone: '1' }))
    const total = async (one: Filter) =>
      (await store.list({ filters: [one], sort: [], offset: 0, limit: 0, count: true })).total
    const unheard = ['\0', '\ud800', 'a\udc00']
    for (const values of [unheard, ...unheard.map((value) => [value]), []]) {
      for (const name of ['first_name', 'id', 'created_at', 'community_badge'] as const) {
        for (const comparison of ['eq', 'gte', 'lte', 'like'] as const)
          expect(await total({ name, comparison, values }), `${name} ${comparison}`).toBe(0)
        const known = name === 'community_badge' ? 0 : 1
        expect(await total({ name, comparison: 'ne', values })).toBe(known)
      }
    }
    const ids = ['01', ' 1', '1.0', '+1', '1e0', '0x1', '', 'NaN', '9007199254740993', '-1']
    expect(await total({ name: 'id', comparison: 'eq', values: ids })).toBe(0)
    expect(await total({ name: 'id', comparison: 'gte', values: ['-1e400', '1'] })).toBe(1)
    expect(await total({ name: 'id', comparison: 'gte', values: ['1.5'] })).toBe(0)
    expect(await total({ name: 'id', comparison: 'lte', values: ['1.5'] })).toBe(1)
    expect(await total({ name: 'id', comparison: 'gte', values: ['1e400'] })).toBe(0)
    expect(await total({ name: 'phone', comparison: 'like', values: ['1'.repeat(6_000)] })).toBe(0)
    expect(await total({ name: 'phone', comparison: 'eq', values: ['x'.repeat(10_000), '1'] })).toBe(1)
  })

  it('finds nobody by a text that is longer than any value', async () => {
    const { store } = given()
    const user = await committed(store, create({ bio: 'k'.repeat(5_000) }))
    const page = { sort: [], offset: 0, limit: 10, count: true }
    const found = async (text: string) => [
      await store.list({
        ...page,
        filters: [{ name: 'bio', comparison: 'like', values: [text] }],
      }),
      await store.list({ ...page, filters: [], search: { text, names: ['bio', 'id'] } }),
    ]
    const [all, none] = [
      { users: [user], total: 1 },
      { users: [], total: 0 },
    ]
    expect(await found('K'.repeat(5_000))).toEqual([all, all])
    expect(await found('K'.repeat(15_000))).toEqual([none, none])
  })

  it('shows and counts every change that was acknowledged', async () => {
    const { store } = given()
    const writer = async (n: number) => {
      const { id } = await committed(store, create({ phone: `${n}`, username: `name-${n}` }))
      for (let turn = 1; turn <= 20; turn++) {
        const user = await committed(store, update(id, { last_name: `${n}-${turn}` }))
        const by: Filter = { name: 'last_name', comparison: 'eq', values: [`${n}-${turn}`] }
        const found = { filters: [by], sort: [], offset: 0, limit: 10, count: true }
        expect(await store.list(found)).toEqual({ users: [user], total: 1 })
        const before: Filter = { ...by, values: [`${n}-${turn - 1}`] }
        expect(await store.list({ ...found, filters: [before] })).toEqual({ users: [], total: 0 })
      }
      await committed(store, lifecycle('erase', id))
      expect(await store.find(claim('username', `name-${n}`))).toBeUndefined()
      const gone: Filter = { name: 'id', comparison: 'eq', values: [String(id)] }
      const none = { filters: [gone], sort: [], offset: 0, limit: 10, count: true }
      expect(await store.list(none)).toEqual({ users: [], total: 0 })
    }
    await Promise.all([1, 2, 3, 4].map(writer))
  })
}

async function agrees(store: Store, users: readonly User[], asked: ListQuery): Promise<void> {
  const { ids, total } = listOf(users, asked)
  const found = await store.list(asked)
  expect(found.users.map(({ id }) => id)).toEqual(ids)
  expect(found.total).toBe(asked.count ? total : undefined)
  for (const user of found.users) expect(user).toEqual(users.find(({ id }) => id === user.id))
}
