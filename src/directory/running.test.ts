import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSqlite } from '../store/sqlite/store.ts'
import type { Actor } from './actor.ts'
import type { Once } from './command.ts'
import { noCounters } from './counters.ts'
import { type Context, createDirectory, type Directory } from './directory.ts'
import { DirectoryError } from './errors.ts'
import { receiptLife } from './receipt.ts'
import { maxBatch, type Store } from './store.ts'

const rules = { roles: ['user', 'admin'] }
const as = (actor: Partial<Actor>): Context => ({
  actor: { kind: 'key', id: 'shop', scopes: ['read', 'write'], contract: 'v1', ...actor },
  requestId: 'req-1',
})
const shop = as({})
const reader = as({ scopes: ['read'] })
const nobody = as({ kind: 'anonymous', id: null, scopes: [] })
const person = as({ kind: 'person', id: '1', scopes: ['read', 'write'] })
const once = (key: string, hash = `hash of ${key}`): Once => ({ actor: 'shop', key, hash })
const wrong = [{ property: 'nickname', message: 'is not known' }]

let folder: string
let store: Store
let directory: Directory
let clock = 0

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'roster-running-'))
  store = await openSqlite({ folder, rules, onFatal: () => {} })
  let made = 0
  clock = 1_000
  directory = createDirectory({
    store,
    rules,
    now: () => clock,
    newChangeId: () => `change-${++made}`,
    newUid: () => `usr_${String(++made).padStart(16, '0')}`,
  })
  await directory.create(shop, { patch: { username: 'ann', bio: 'old' } })
})

afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

/** What a use case comes to: its result, or the code of the refusal. */
const endOf = (work: Promise<unknown>): Promise<unknown> =>
  work.catch((error: unknown) => (error instanceof DirectoryError ? error.code : error))

const all = (...work: Promise<unknown>[]) => Promise.all(work.map(endOf))

describe('a request that is repeated', () => {
  test('while it runs is told so, and afterwards what came of it', async () => {
    const ask = () => directory.update(shop, { id: 1, patch: { bio: 'new' }, once: once('k') })
    const [first, second, other, unkeyed] = await all(
      ask(),
      ask(),
      directory.update(shop, { id: 1, patch: { bio: 'x' }, once: once('k', 'other') }),
      directory.update(shop, { id: 1, patch: { phone: '1' } }),
    )
    expect(first).toMatchObject({ outcome: 'changed', user: { bio: 'new', version: 2 } })
    expect([second, other]).toEqual(['in_progress', 'idempotency_mismatch'])
    expect(unkeyed).toMatchObject({ outcome: 'changed' })
    expect(await ask()).toEqual({ ...(first as object), replayed: true })
    expect(await store.get(1)).toMatchObject({ version: 3 })
  })

  test('while it runs is refused all the same to who may not ask', async () => {
    const asked = { id: 1, patch: { bio: 'new' }, once: once('k') }
    const ends = await all(
      directory.update(shop, asked),
      directory.update(reader, asked),
      directory.update(nobody, asked),
      directory.count(shop, { id: 1, changes: {}, once: once('k') }),
      directory.count(reader, { id: 1, changes: {}, once: once('k') }),
      directory.batch(shop, [{ kind: 'update', ...asked }]),
    )
    expect(ends.slice(1)).toEqual(['forbidden', 'unauthenticated', 'in_progress', 'forbidden', 'in_progress'])
  })

  test('after a refusal is a new one, whatever it asks for', async () => {
    const asked = { id: 1, patch: { bio: 5 }, once: once('k') }
    expect(await all(directory.update(shop, asked))).toEqual(['invalid'])
    expect(await all(directory.update(shop, { id: 9, patch: { bio: 'x' }, once: once('k') }))).toEqual([
      'not_found',
    ])
    const { outcome } = await directory.update(shop, { id: 1, patch: { bio: 'x' }, once: once('k', 'other') })
    expect(outcome).toBe('changed')
  })

  test('gives the user who was made then', async () => {
    const ask = () => directory.create(shop, { patch: { username: 'bob' }, once: once('k') })
    const first = await ask()
    await directory.update(shop, { id: 2, patch: { username: 'bobby' } })
    expect(await ask()).toEqual({ ...first, outcome: 'created', replayed: true })
    clock += receiptLife
    expect(await directory.create(shop, { patch: {}, once: once('k') })).toMatchObject({ user: { id: 3 } })
  })

  test('is known before what is wrong with it', async () => {
    const asked = { id: 1, patch: { bio: 'new' }, once: once('k') }
    const first = await directory.update(shop, asked)
    expect(await directory.update(shop, { ...asked, problems: wrong })).toEqual({ ...first, replayed: true })
    const ends = await all(
      directory.update(shop, { ...asked, problems: wrong, once: once('k', 'other') }),
      directory.update(reader, { ...asked, problems: wrong }),
      directory.update(shop, { ...asked, problems: wrong, once: once('other') }),
    )
    expect(ends).toEqual(['idempotency_mismatch', 'forbidden', 'invalid'])
  })

  test('is not stood in the way of by a preview, which has nothing to repeat', async () => {
    const asked = { id: 1, patch: { bio: 'new' }, once: once('k') }
    const [preview, again, real] = await all(
      directory.update(shop, { ...asked, dryRun: true }),
      directory.update(shop, { ...asked, dryRun: true, once: once('k', 'other') }),
      directory.update(shop, asked),
    )
    const fields = { bio: ['old', 'new'] }
    expect(preview).toMatchObject({ outcome: 'changed', user: { version: 2 }, fields })
    expect([again, real]).toMatchObject([{ fields }, { outcome: 'changed' }])
    const nothing = await directory.update(shop, { ...asked, dryRun: true })
    expect(nothing).toMatchObject({ outcome: 'unchanged', fields: {} })
    const made = await directory.create(shop, { patch: { bio: 'x' }, dryRun: true })
    expect(made).toMatchObject({ outcome: 'created', user: { id: 2 }, fields: { bio: [null, 'x'] } })
  })
})

describe('a batch', () => {
  test('tells of each operation what became of it', async () => {
    const results = await directory.batch(shop, [
      { kind: 'update', id: 1, patch: { username: 'anna' } },
      { kind: 'create', patch: { username: 'ann' } },
      { kind: 'update', id: 1, patch: {} },
    ])
    expect(results).toMatchObject([
      { outcome: 'changed', user: { id: 1, username: 'anna' } },
      { outcome: 'created', user: { id: 2, username: 'ann' } },
      { outcome: 'unchanged', user: { id: 1 } },
    ])
    const refused = await directory.batch(shop, [
      { kind: 'update', id: 2, patch: { username: 'ANNA' } },
      { kind: 'update', id: 1, patch: { bio: 'lost' } },
    ])
    expect(refused).toMatchObject([
      { outcome: 'refused', refusal: { code: 'conflict' } },
      { outcome: 'refused', refusal: { code: 'batch_aborted' } },
    ])
    expect(await store.get(1)).toMatchObject({ bio: 'old', version: 2 })
  })

  test('in which something is wrong in itself comes to nothing', async () => {
    const deep = Array.from({ length: 20_000 }).reduce((value: unknown) => [value], 'x')
    const results = await directory.batch(shop, [
      { kind: 'update', id: 1, patch: { bio: 'lost' } },
      { kind: 'update', id: 1, patch: { bio: 'lost' }, problems: wrong },
      { kind: 'create', patch: { bio: deep } },
    ])
    const codes = results.map((one) => one.outcome === 'refused' && one.refusal.code)
    expect(codes).toEqual(['batch_aborted', 'invalid', 'invalid'])
    expect(await store.get(1)).toMatchObject({ bio: 'old', version: 1 })
  })

  test('is refused where it is longer than a batch may be', async () => {
    const operations = Array.from({ length: maxBatch + 1 }, () => ({ kind: 'create', patch: {} }) as const)
    expect(await all(directory.batch(shop, operations))).toEqual(['invalid'])
    expect(await store.get(2)).toBeUndefined()
  })

  test('is told again as it was, where its operations have keys', async () => {
    const ask = (hash?: string) =>
      directory.batch(shop, [
        { kind: 'create', patch: { username: 'bob' }, once: once('k 0', hash) },
        { kind: 'update', id: 1, patch: { bio: 'new' }, once: once('k 1', hash) },
      ])
    const [first, second] = await all(ask(), ask())
    expect(second).toBe('in_progress')
    expect(await ask()).toEqual((first as object[]).map((one) => ({ ...one, replayed: true })))
    expect(await ask('other')).toMatchObject(
      [1, 2].map(() => ({ refusal: { code: 'idempotency_mismatch' } })),
    )
  })
})

describe('counters', () => {
  test('are changed by services only, of people who are there', async () => {
    const asked = { id: 1, changes: { posts_counter: { increment: 2 } } }
    expect(await directory.count(shop, asked)).toEqual({
      outcome: 'counted',
      counters: { ...noCounters, posts_counter: 2 },
    })
    const ends = await all(
      directory.count(person, asked),
      directory.count(reader, asked),
      directory.count(nobody, asked),
      directory.count(shop, { ...asked, id: 9 }),
      directory.count(shop, { ...asked, id: 9, problems: wrong }),
      directory.count(shop, { ...asked, problems: wrong }),
      directory.count(shop, { id: 1, changes: { posts_counter: { set: 0.5 } } }),
      directory.count(shop, { id: 1, changes: { posts_counter: { increment: -3 } } }),
    )
    expect(ends).toEqual([
      'forbidden',
      'forbidden',
      'unauthenticated',
      'not_found',
      'not_found',
      ...Array(3).fill('invalid'),
    ])
    const both = { id: 1, changes: { posts_counter: { set: -1 } }, problems: wrong }
    const error: unknown = await directory.count(shop, both).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ problems: [...wrong, { field: 'posts_counter' }] })
    expect(await directory.counters(reader, [1, 9])).toEqual(
      new Map([
        [1, { ...noCounters, posts_counter: 2 }],
        [9, noCounters],
      ]),
    )
    expect(await all(directory.counters(nobody, [1]))).toEqual(['unauthenticated'])
  })

  test('count once for a key, what is wrong with the repetition notwithstanding', async () => {
    const ask = (more = {}) =>
      directory.count(shop, { id: 1, changes: { posts_counter: { increment: 2 } }, once: once('k'), ...more })
    const [first, second] = await all(ask(), ask())
    expect(second).toBe('in_progress')
    expect(await ask({ problems: wrong })).toEqual({ ...(first as object), replayed: true })
    expect(await all(ask({ once: once('k', 'other') }))).toEqual(['idempotency_mismatch'])
    expect((await directory.counters(shop, [1])).get(1)).toMatchObject({ posts_counter: 2 })
  })
})
