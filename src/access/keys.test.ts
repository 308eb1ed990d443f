import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../test/app.ts'
import type { Actor, Scope } from '../directory/actor.ts'
import { DirectoryError } from '../directory/errors.ts'
import { createKeys, type NewKey } from './keys.ts'

const at = Date.UTC(2026, 5, 15, 12)
const key = (...scopes: Scope[]): Actor => ({ kind: 'key', id: 'key_x', scopes, contract: 'v1' })
const admin = key('admin')
const anonymous: Actor = { kind: 'anonymous', id: null, scopes: [], contract: 'v1' }

let app: TestApp
let forgotten: string[]
beforeAll(async () => {
  app = await startApp()
})
afterAll(() => app.close())
beforeEach(() => {
  forgotten = []
})

const keys = () => createKeys({ store: app.store.keys, now: () => at, onRevoked: (id) => forgotten.push(id) })

/** The code of the refusal, with what it names. */
async function refusalOf(promise: Promise<unknown>): Promise<unknown[]> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof DirectoryError)) throw new Error('not refused', { cause: error })
  return [error.code, ...error.problems.map(({ property }) => property)]
}

describe('making a key', () => {
  test('tells a secret of 190 random bits, and keeps only its SHA-256', async () => {
    const asked = {
      name: 'Cafe\u0301 ✓',
      scopes: ['write', 'read', 'write'],
      expires_at: '2026-06-15T12:00:00.001Z',
    }
    const { key, secret } = await keys().create(admin, asked)
    expect(secret).toMatch(/^rk_[0-9A-Za-z]{32}$/)
    expect(key).toEqual({
      id: expect.stringMatching(/^key_[0-9a-z]{16}$/),
      name: 'Caf\u00e9 ✓',
      scopes: ['read', 'write'],
      createdAt: at,
      expiresAt: at + 1,
      revokedAt: null,
      lastUsedAt: null,
    })
    const hash = createHash('sha256').update(secret).digest('hex')
    expect(await app.store.keys.find(hash)).toEqual(key)
    expect(JSON.stringify(await app.everything())).not.toContain(secret.slice(3))
  })

  test('never makes the same one twice', async () => {
    const made = await Promise.all(
      Array.from({ length: 50 }, () => keys().create(admin, { name: 'n', scopes: ['read'] })),
    )
    expect(new Set(made.flatMap(({ key, secret }) => [key.id, secret])).size).toBe(100)
  })

  const good: NewKey = { name: 'n', scopes: ['read'] }
  test.for<[wrong: NewKey, ...named: string[]]>([
    [{}, 'name', 'scopes'],
    [{ ...good, name: '' }, 'name'],
    [{ ...good, name: '   ' }, 'name'],
    [{ ...good, name: 'x'.repeat(101) }, 'name'],
    [{ ...good, name: 'two\nlines' }, 'name'],
    [{ ...good, name: 'a\u0000' }, 'name'],
    [{ ...good, name: '\ud800' }, 'name'],
    [{ ...good, name: 7 }, 'name'],
    [{ ...good, name: null }, 'name'],
    [{ ...good, scopes: [] }, 'scopes'],
    [{ ...good, scopes: 'read' }, 'scopes'],
    [{ ...good, scopes: ['read', 'root'] }, 'scopes'],
    [{ ...good, scopes: ['READ'] }, 'scopes'],
    [{ ...good, scopes: ['read', null] }, 'scopes'],
    [{ ...good, scopes: { 0: 'read' } }, 'scopes'],
    [{ ...good, scopes: ['__proto__'] }, 'scopes'],
    [{ ...good, expires_at: '2026-06-15T12:00:00Z' }, 'expires_at'],
    [{ ...good, expires_at: '2026-06-15' }, 'expires_at'],
    [{ ...good, expires_at: '2027-02-30' }, 'expires_at'],
    [{ ...good, expires_at: '2027-02-30T00:00:00Z' }, 'expires_at'],
    [{ ...good, expires_at: '2027-01-01T25:00:00Z' }, 'expires_at'],
    [{ ...good, expires_at: '2027-01-01T12:00:00' }, 'expires_at'],
    [{ ...good, expires_at: '2027-01-01T12:00' }, 'expires_at'],
    [{ ...good, expires_at: '2027-01-01T12:00:00.000' }, 'expires_at'],
    [{ ...good, expires_at: 'tomorrow' }, 'expires_at'],
    [{ ...good, expires_at: '' }, 'expires_at'],
    [{ ...good, expires_at: 1_900_000_000 }, 'expires_at'],
    [{ name: '', scopes: [], expires_at: 'x' }, 'name', 'scopes', 'expires_at'],
  ])('refuses %j, naming all that is wrong', async ([wrong, ...named]) => {
    const rows = await app.everything()
    expect(await refusalOf(keys().create(admin, wrong))).toEqual(['invalid', ...named])
    expect(await app.everything()).toEqual(rows)
  })

  test.for([
    ['2026-06-16', Date.UTC(2026, 5, 16)],
    ['2028-02-29', Date.UTC(2028, 1, 29)],
    ['2026-12-31T23:59:59+01:00', Date.UTC(2026, 11, 31, 22, 59, 59)],
    ['2026-12-31T23:59Z', Date.UTC(2026, 11, 31, 23, 59)],
    [null, null],
    [undefined, null],
  ] as const)('takes %s for an expiry', async ([expires_at, expiresAt]) => {
    expect((await keys().create(admin, { ...good, expires_at })).key).toMatchObject({ expiresAt })
  })

  test('takes a name of 100 characters of any plane', async () => {
    expect((await keys().create(admin, { ...good, name: '🐈'.repeat(100) })).key.scopes).toEqual(['read'])
  })
})

test('only the scope admin makes, lists and revokes keys, whatever it asks for', async () => {
  const made = await keys().create(admin, { name: 'n', scopes: ['read'] })
  const rows = await app.everything()
  for (const actor of [key('read'), key('read', 'write'), key(), anonymous]) {
    const code = actor.kind === 'key' ? 'forbidden' : 'unauthenticated'
    expect(await refusalOf(keys().create(actor, { name: 'n', scopes: ['read'] }))).toEqual([code])
    expect(await refusalOf(keys().create(actor, {}))).toEqual([code])
    expect(await refusalOf(keys().list(actor))).toEqual([code])
    expect(await refusalOf(keys().revoke(actor, made.key.id))).toEqual([code])
    expect(await refusalOf(keys().revoke(actor, 'key_none'))).toEqual([code])
  }
  expect(await app.everything()).toEqual(rows)
  expect(forgotten).toEqual([])
})

test('a key that is revoked stays in the list, and this process is told at once', async () => {
  const { key: made } = await keys().create(admin, { name: 'n', scopes: ['read'] })
  expect(await keys().revoke(admin, made.id)).toEqual({ ...made, revokedAt: at })
  expect(await keys().list(admin)).toContainEqual({ ...made, revokedAt: at })
  expect(forgotten).toEqual([made.id])
  expect(await refusalOf(keys().revoke(admin, 'key_none'))).toEqual(['not_found'])
  expect(forgotten).toEqual([made.id])
})
