import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSqlite } from '../store/sqlite/store.ts'
import type { Actor, Scope } from './actor.ts'
import { type Context, createDirectory, type Directory, type Operation } from './directory.ts'
import { DirectoryError } from './errors.ts'
import type { Patch } from './patch.ts'
import type { Filter } from './query.ts'
import type { Store } from './store.ts'
import { maxId } from './user.ts'

const rules = { roles: ['user', 'admin'] }

const as = (actor: Partial<Actor>): Context => ({
  actor: { kind: 'key', id: 'shop', scopes: ['read', 'write'], contract: 'adoption', ...actor },
  requestId: 'req-1',
})
const shop = as({})
const admin = as({ id: 'office', scopes: ['read', 'write', 'admin'] })
const nobody = as({ kind: 'anonymous', id: null, scopes: [] })
const person = (id: number, ...scopes: Scope[]) => as({ kind: 'person', id: String(id), scopes })

let folder: string
let store: Store
let directory: Directory
let clock: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'roster-directory-'))
  const onFatal = (_error: Error) => {}
  store = await openSqlite({ folder, rules, onFatal })
  let made = 0
  clock = 1_000
  directory = createDirectory({
    store,
    rules,
    now: () => clock,
    newChangeId: () => `change-${++made}`,
    newUid: () => `usr_${String(++made).padStart(16, '0')}`,
  })
})

afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

const create = async (patch: Patch = {}) => (await directory.create(shop, { patch })).user

/** The refusal that a use case ends with. */
async function refused(work: Promise<unknown>): Promise<DirectoryError> {
  const error: unknown = await work.then(
    () => 'nothing was refused',
    (reason: unknown) => reason,
  )
  if (error instanceof DirectoryError) return error
  throw error instanceof Error ? error : new Error(String(error))
}

const codeOf = async (work: Promise<unknown>) => (await refused(work)).code

const fieldsOf = async (work: Promise<unknown>) => (await refused(work)).problems.map(({ field }) => field)

async function list(context = shop, filters: readonly Filter[] = []): Promise<number[]> {
  const ids: number[] = []
  for await (const users of directory.stream(context, { filters })) ids.push(...users.map(({ id }) => id))
  return ids
}

describe('a user', () => {
  test('is made, and is read as it was made', async () => {
    clock = 5_000
    const { user, outcome } = await directory.create(shop, {
      patch: { email: 'Ann@Example.com', first_name: 'Rene\u0301', community_badge: false, tags: [] },
    })
    expect(outcome).toBe('created')
    expect(user).toMatchObject({
      ...{ id: 1, version: 1, status: 'active', created_at: 5_000, updated_at: 5_000 },
      ...{ email: 'Ann@Example.com', first_name: 'René', community_badge: false, tags: [], bio: null },
    })
    expect(user.uid).toMatch(/^usr_/)
    expect(await directory.get(shop, 1)).toEqual(user)
  })

  test('is updated in what was named, once', async () => {
    const { id } = await create({ email: 'ann@example.com', phone: '1', bio: 'Hi' })
    clock = 6_000
    const { user, outcome } = await directory.update(shop, { id, patch: { phone: '2', bio: null } })
    expect(outcome).toBe('changed')
    expect(user).toMatchObject({ email: 'ann@example.com', phone: '2', bio: null, version: 2 })
    expect([user.created_at, user.updated_at]).toEqual([1_000, 6_000])
    expect(await directory.get(shop, id)).toEqual(user)
    const again = await directory.update(shop, { id, patch: { phone: '2', bio: null } })
    expect(again).toEqual({ outcome: 'unchanged', user })
    expect(await directory.get(shop, id)).toEqual(user)
  })

  test('is replaced in what the contract consists of, and keeps the rest', async () => {
    const made = await create({ email: 'ann@example.com', first_name: 'Ann', phone: '1' })
    const patch = { email: 'ann@example.org', first_name: 'Anna' }
    const replaced = await directory.replace(shop, { id: made.id, patch, upsert: true })
    expect(replaced.outcome).toBe('changed')
    expect(replaced.user).toEqual({ ...made, ...patch, version: 2 })
    expect(await directory.replace(shop, { id: made.id, patch, upsert: true })).toMatchObject({
      outcome: 'unchanged',
    })
  })

  test('is made by a replace where nobody ever was, if that was asked for', async () => {
    const asked = { id: 40, patch: { phone: '1' } }
    expect(await codeOf(directory.replace(shop, { ...asked, upsert: false }))).toBe('not_found')
    const { outcome, user } = await directory.replace(shop, { ...asked, upsert: true })
    expect([outcome, user.id, user.version]).toEqual(['created', 40, 1])
    expect(await directory.get(shop, 40)).toEqual(user)
  })

  test('is hidden by removing and comes back by restoring, with all that it had', async () => {
    const made = await create({ email: 'ann@example.com', phone: '1' })
    const removed = await directory.remove(shop, { id: made.id })
    expect(removed).toEqual({ outcome: 'changed', user: { ...made, status: 'deleted', version: 2 } })
    expect(await codeOf(directory.get(shop, made.id))).toBe('not_found')
    expect(await codeOf(directory.get(admin, made.id))).toBe('not_found')
    expect(await codeOf(directory.find(shop, 'email', 'ann@example.com'))).toBe('not_found')
    const found = await directory.find(shop, 'email', 'ann@example.com', { removedToo: true })
    expect(found).toEqual(removed.user)
    expect(await codeOf(directory.update(shop, { id: made.id, patch: { phone: '2' } }))).toBe('not_found')
    expect(await codeOf(directory.remove(shop, { id: made.id }))).toBe('not_found')
    expect(await list()).toEqual([])
    const restored = await directory.restore(admin, { id: made.id })
    expect(restored.user).toEqual({ ...made, version: 3 })
    expect(await directory.find(shop, 'email', 'ann@example.com')).toEqual(restored.user)
  })

  test('is forgotten by erasing, for ever', async () => {
    const { id, uid } = await create({ email: 'ann@example.com', username: 'ann', phone: '1', tags: [] })
    await directory.erase(shop, { id })
    expect(await codeOf(directory.get(shop, id))).toBe('not_found')
    for (const [kind, value] of [
      ['uid', uid],
      ['email', 'ann@example.com'],
      ['username', 'ann'],
    ] as const) {
      const find = directory.find(shop, kind, value, { removedToo: true })
      expect(await codeOf(find), kind).toBe('not_found')
    }
    expect(await list()).toEqual([])
    expect(JSON.stringify(await store.get(id))).not.toMatch(/ann/)
    for (const upsert of [true, false]) {
      expect(await codeOf(directory.replace(shop, { id, patch: { phone: '1' }, upsert }))).toBe('not_found')
    }
    expect(await codeOf(directory.restore(admin, { id }))).toBe('not_found')
    expect(await codeOf(directory.erase(admin, { id }))).toBe('not_found')
    expect(await store.get(id)).toMatchObject({ status: 'erased', version: 2 })
  })
})

describe('ids', () => {
  test('count from 1, and what is refused uses none up', async () => {
    expect((await create()).id).toBe(1)
    expect(await codeOf(create({ phone: '' }))).toBe('invalid')
    expect(await codeOf(directory.create(person(1, 'write'), { patch: {} }))).toBe('forbidden')
    expect((await create({ email: 'a@b.co' })).id).toBe(2)
    expect(await codeOf(create({ email: 'a@b.co' }))).toBe('conflict')
    expect((await create()).id).toBe(3)
  })

  test('are never used again, after removing or erasing even the last one', async () => {
    await create()
    await directory.erase(shop, { id: (await create()).id })
    expect((await create()).id).toBe(3)
    await directory.remove(shop, { id: 3 })
    expect((await create()).id).toBe(4)
  })

  test('chosen by callers are skipped by the allocator, which they do not move', async () => {
    for (const id of [2, 3, 5, 1_000, maxId]) {
      await directory.replace(shop, { id, patch: {}, upsert: true })
    }
    await directory.erase(shop, { id: 3 })
    const ids = [await create(), await create(), await create(), await create()].map(({ id }) => id)
    expect(ids).toEqual([1, 4, 6, 7])
    expect(await list()).toEqual([1, 2, 4, 5, 6, 7, 1_000, maxId])
  })
})

describe('unique values', () => {
  const held: Patch = { email: 'Ann@Bücher.example', username: 'Ann', ext_id: 'A-1' }
  const twin: Patch = { email: 'aNN@xn--bcher-kva.example', username: 'aNN', ext_id: 'A-1' }

  test('that others hold are named all at once, and nothing is written', async () => {
    await create(held)
    const bob = await create({ email: 'bob@example.com' })
    const all = ['email', 'username', 'ext_id']
    expect(await fieldsOf(create(twin))).toEqual(all)
    expect(await fieldsOf(directory.update(shop, { id: bob.id, patch: { ...twin, phone: '1' } }))).toEqual(
      all,
    )
    expect(await fieldsOf(directory.replace(shop, { id: 9, patch: twin, upsert: true }))).toEqual(all)
    const two = { ...twin, username: 'bob' }
    expect(await fieldsOf(directory.update(shop, { id: bob.id, patch: two }))).toEqual(['email', 'ext_id'])
    expect(await codeOf(create(twin))).toBe('conflict')
    expect(await directory.get(shop, bob.id)).toEqual(bob)
    expect(await list()).toEqual([1, 2])
  })

  // directus/directus#5538: saving one's own address again was a conflict with oneself.
  test('are no conflict with oneself, in another case either', async () => {
    const { id } = await create(held)
    expect((await directory.update(shop, { id, patch: held })).outcome).toBe('unchanged')
    const { user } = await directory.update(shop, {
      id,
      patch: { email: 'ANN@bücher.example', username: 'ANN' },
    })
    expect(user).toMatchObject({ email: 'ANN@bücher.example', username: 'ANN' })
    expect(await directory.find(shop, 'email', 'ann@bücher.example')).toEqual(user)
    expect(await codeOf(create({ username: 'ann' }))).toBe('conflict')
  })

  test('are free for others once they are given up', async () => {
    const { id } = await create(held)
    await directory.update(shop, { id, patch: { email: 'ann@example.com' } })
    const bob = await create({ email: twin.email })
    expect(await directory.find(shop, 'email', 'ANN@bücher.example')).toEqual(bob)
    expect(await fieldsOf(directory.update(shop, { id, patch: { email: held.email } }))).toEqual(['email'])
  })

  test('stay reserved while their holder is removed, and are free when erased', async () => {
    const ann = await create(held)
    await directory.remove(shop, { id: ann.id })
    expect(await fieldsOf(create(twin))).toEqual(['email', 'username', 'ext_id'])
    await directory.restore(admin, { id: ann.id })
    await directory.erase(shop, { id: ann.id })
    const successor = await create(twin)
    expect(successor.id).toBe(2)
    expect(await directory.find(shop, 'username', 'Ann')).toEqual(successor)
  })

  test('find their holder, in every spelling that is the same', async () => {
    const ann = await create(held)
    for (const [kind, value] of [
      ['uid', ann.uid],
      ['email', 'ann@BÜCHER.example'],
      ['email', 'ann@bu\u0308cher.example'],
      ['username', 'ANN'],
      ['ext_id', 'A-1'],
    ] as const) {
      expect(await directory.find(shop, kind, value), value).toEqual(ann)
    }
    for (const [kind, value] of [
      ['uid', ann.uid.toUpperCase()],
      ['email', 'ann'],
      ['email', ''],
      ['username', 'Ann@Bücher.example'],
      ['ext_id', 'a-1'],
    ] as const) {
      expect(await codeOf(directory.find(shop, kind, value)), value).toBe('not_found')
    }
  })
})

describe('a list', () => {
  test('has everybody who is to be seen, in the order of ids, and no empty page', async () => {
    for (const id of [30, 4, 17]) await directory.replace(shop, { id, patch: {}, upsert: true })
    await create()
    await directory.remove(shop, { id: 17 })
    const pages = await Array.fromAsync(directory.stream(shop, { filters: [] }))
    expect(pages.map((users) => users.map(({ id }) => id))).toEqual([[1, 4, 30]])
    await Promise.all([1, 4, 30].map((id) => directory.erase(shop, { id })))
    expect(await Array.fromAsync(directory.stream(shop, { filters: [] }))).toEqual([])
  })

  test('has those for whom every filter holds', async () => {
    await create({ first_name: 'Ann', interested_in: 'dogs' })
    await create({ first_name: 'Bob', interested_in: 'dogs' })
    await create({ first_name: 'Ann', interested_in: 'cats' })
    const ann: Filter = { name: 'first_name', comparison: 'eq', values: ['Ann'] }
    expect(await list(shop, [ann])).toEqual([1, 3])
    expect(
      await list(shop, [ann, { name: 'interested_in', comparison: 'eq', values: ['dogs', 'both'] }]),
    ).toEqual([1])
    expect(await list(shop, [{ name: 'id', comparison: 'eq', values: ['2', '3', 'x'] }])).toEqual([2, 3])
    expect(await list(shop, [{ name: 'first_name', comparison: 'eq', values: [] }])).toEqual([])
  })
})

describe('who asks', () => {
  test('is judged before anything is told of anybody', async () => {
    const { id } = await create({ email: 'ann@example.com' })
    const peer = person(id + 1, 'read', 'write')
    for (const [context, code] of [
      [nobody, 'unauthenticated'],
      [peer, 'forbidden'],
    ] as const) {
      for (const there of [id, 99]) {
        const asked = { id: there }
        expect(await codeOf(directory.get(context, there))).toBe(code)
        expect(await codeOf(directory.update(context, { ...asked, patch: {} }))).toBe(code)
        expect(await codeOf(directory.replace(context, { ...asked, patch: {}, upsert: true }))).toBe(code)
        expect(await codeOf(directory.remove(context, asked))).toBe(code)
        expect(await codeOf(directory.erase(context, asked))).toBe(code)
      }
      expect(await codeOf(directory.find(context, 'email', 'ann@example.com'))).toBe(code)
      expect(await codeOf(directory.find(context, 'email', 'bob@example.com'))).toBe(code)
      expect(await codeOf(directory.create(context, { patch: {} }))).toBe(code)
      expect(await codeOf(list(context))).toBe(code)
    }
  })

  test('may be the person', async () => {
    const { id } = await create({ email: 'ann@example.com' })
    const ann = person(id, 'read', 'write')
    expect(await directory.get(ann, id)).toEqual(await directory.find(ann, 'email', 'ann@example.com'))
    expect((await directory.update(ann, { id, patch: { bio: 'Hi' } })).outcome).toBe('changed')
    expect(await fieldsOf(directory.update(ann, { id, patch: { role: 'admin', bio: '' } }))).toEqual(['role'])
    expect(await directory.get(shop, id)).toMatchObject({ role: null, bio: 'Hi', version: 2 })
    expect(await codeOf(directory.restore(ann, { id }))).toBe('forbidden')
  })
})

describe('what a contract found wrong', () => {
  const problems = [{ property: 'shoe_size', message: 'is not known here' }]

  test('is told with what the record found, in the same order of judgement, and nothing is written', async () => {
    const { id } = await create({ phone: '1' })
    const asked = { id, patch: { phone: '' }, problems }
    const told = [...problems, { field: 'phone', message: 'must have 1 to 64 characters' }]
    for (const work of [
      directory.update(shop, asked),
      directory.replace(shop, { ...asked, upsert: true }),
      directory.replace(shop, { ...asked, id: 9, upsert: true }),
      directory.update(shop, { ...asked, id: 9, invalidFirst: true }),
      directory.create(shop, { patch: { phone: '' }, problems }),
    ]) {
      expect(await refused(work)).toMatchObject({ code: 'invalid', problems: told })
    }
    expect(await codeOf(directory.update(shop, { ...asked, id: 9 }))).toBe('not_found')
    expect(await codeOf(directory.update(nobody, asked))).toBe('unauthenticated')
    expect(await codeOf(directory.erase(shop, { id, problems }))).toBe('invalid')
    expect(await codeOf(directory.create(nobody, { patch: {}, problems }))).toBe('unauthenticated')
    expect(await list()).toEqual([id])
    expect(await directory.get(shop, id)).toMatchObject({ phone: '1', version: 1 })
  })
})

describe('at the same time', () => {
  test('updates of other fields all count', async () => {
    const { id } = await create()
    const patches: Patch[] = [
      { phone: '1' },
      { bio: 'b' },
      { location: 'l' },
      { first_name: 'f' },
      { real_name: 'r' },
    ]
    const results = await Promise.all(patches.map((patch) => directory.update(shop, { id, patch })))
    expect(results.map(({ user }) => user.version).sort()).toEqual([2, 3, 4, 5, 6])
    expect(await directory.get(shop, id)).toMatchObject(Object.assign({}, ...patches))
  })

  // directus/directus#3558: the last save silently won.
  test('of those who know the same version one wins', async () => {
    const { id } = await create()
    const results = await Promise.allSettled(
      ['1', '2', '3'].map((phone) => directory.update(shop, { id, patch: { phone }, ifMatch: [1] })),
    )
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toHaveProperty('code', 'precondition_failed')
      else expect(await directory.get(shop, id)).toEqual(result.value.user)
    }
  })

  test('of those who want the same address one gets it', async () => {
    const results = await Promise.allSettled(['a@b.co', 'A@B.co', 'a@b.CO'].map((email) => create({ email })))
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(await list()).toHaveLength(1)
  })
})

// JSON.stringify recurses into objects with keys like "0", and JSON.parse does not.
test('a value nested as deep as a body can be is refused like any other, and others are served', async () => {
  const { id } = await create()
  const depth = 100_000
  const phone: unknown = JSON.parse(`${'{"0":'.repeat(depth)}1${'}'.repeat(depth)}`)
  const [hostile, other] = await Promise.allSettled([
    directory.update(shop, { id, patch: { phone } }),
    directory.update(shop, { id, patch: { bio: 'Hi' } }),
  ])
  expect(other).toMatchObject({ status: 'fulfilled', value: { outcome: 'changed' } })
  expect(hostile).toMatchObject({ status: 'rejected', reason: { code: 'invalid' } })
}, 5_000)

test('whoever sends mails is told of those that a batch brings, once it is committed', async () => {
  let [made, told] = [0, 0]
  const newName = () => `name-${++made}`
  const emails = {
    mode: 'confirm-new',
    newId: newName,
    newSecret: newName,
    admit: async () => async () => {},
  } as const
  const own = { now: () => clock, newChangeId: newName, newUid: newName, emails, onMail: () => void told++ }
  const mailing = createDirectory({ store, rules, ...own })
  const { id } = await create({ email: 'ann@example.com' })
  const change = (email: unknown) => ({ kind: 'update', id, patch: { email } }) as Operation
  const context = person(id, 'write')
  await mailing.batch(context, [{ kind: 'update', id, patch: { bio: 'x' } }])
  await mailing.batch(context, [change('new@example.com'), { kind: 'update', id, patch: { tags: 1 } }])
  await mailing.batch(context, [{ ...change('new@example.com'), dryRun: true } as Operation])
  expect(told).toBe(0)
  await mailing.batch(context, [change('new@example.com')])
  expect(told).toBe(1)
  expect(await store.outbox.backlog()).toMatchObject({ count: 2 })
})

describe('a list of any length', () => {
  const whole = { filters: [], offset: 0, limit: Number.POSITIVE_INFINITY, count: true } as const
  const people = 2_500
  const phoneOf = (id: number) => String((id * 7_919) % 10_000).padStart(4, '0')
  const byPhone = Array.from({ length: people }, (_, n) => n + 1).toSorted((a, b) =>
    phoneOf(a).localeCompare(phoneOf(b)),
  )

  test.each([
    ['phone', byPhone],
    ['created_at', byPhone.toSorted((a, b) => a - b)],
  ] as const)('is sorted as often as one of 2,000, by %s', async (name, sorted) => {
    for (let id = 1; id <= people; id += 1_000)
      await directory.batch(
        shop,
        Array.from({ length: Math.min(1_000, people + 1 - id) }, (_, n): Operation => {
          return { kind: 'create', patch: { phone: phoneOf(id + n) } }
        }),
      )
    let sorts = 0
    const counting: Store = {
      ...store,
      list(query, ...more) {
        sorts += Number(query.sort.length > 0)
        return store.list(query, ...more)
      },
      listIds(query) {
        sorts++
        return store.listIds(query)
      },
    }
    const { walk } = createDirectory({
      store: counting,
      rules,
      now: () => clock,
      newChangeId: String,
      newUid: String,
    })
    const { total, pieces } = await walk(shop, { ...whole, sort: [{ name, descending: false }] })
    expect(total).toBe(people)
    const seen: number[] = []
    const [changed = 0, gone = 0] = sorted.slice(-2)
    for await (const users of pieces) {
      seen.push(...users.map(({ id }) => id))
      if (seen.length !== 2_000) continue
      // Who is erased meanwhile is left out, and who changes keeps the place.
      await directory.erase(shop, { id: gone })
      await directory.update(shop, { id: changed, patch: { phone: '0' } })
    }
    expect(seen).toEqual(sorted.filter((id) => id !== gone))
    expect(sorts).toBe(2)
  })
})
