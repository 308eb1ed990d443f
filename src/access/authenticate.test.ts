import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../test/app.ts'
import { DirectoryError, refusal, unavailable } from '../directory/errors.ts'
import type { KeyStore } from '../directory/key.ts'
import type { Store } from '../directory/store.ts'
import { type Asking, createAuthenticator, hashOf, isGuess } from './authenticate.ts'
import { newKey, recogniseKeys } from './keys.ts'

let app: TestApp
let store: Store
beforeAll(async () => {
  app = await startApp()
  store = app.store
})
afterAll(() => app.close())

const start = Date.UTC(2026, 0, 1)
let now: number
/** The hashes that were looked up. */
let lookUps: string[]
/** What strangers had looked up, and what came of it. */
let strangers: [ip: string, outcome: 'found' | 'guess' | 'failed'][]
let away: boolean
beforeEach(() => {
  now = start
  lookUps = []
  strangers = []
  away = false
})

/** A key in a real store, and an authenticator whose look-ups can be seen. */
async function prepare(over: { expiresAt?: number } = {}) {
  const made = newKey({
    id: 'key_a',
    name: 'a',
    scopes: ['read', 'write'],
    createdAt: start,
    expiresAt: over.expiresAt ?? null,
  })
  await store.keys.add(made.key, made.hash)
  const keys: Pick<KeyStore, 'find' | 'used'> = {
    find: (hash) => {
      lookUps.push(hash)
      return away ? Promise.reject(unavailable('away')) : store.keys.find(hash)
    },
    used: (times) => (away ? Promise.reject(unavailable('away')) : store.keys.used(times)),
  }
  const authenticator = createAuthenticator({
    recognisers: [recogniseKeys(keys)],
    used: keys.used,
    now: () => now,
    strangers: {
      attempt: async (ip, lookUp) => {
        if (ip === 'tired') throw new DirectoryError(refusal('rate_limited', 'wait'))
        try {
          const found = await lookUp()
          strangers.push([ip, 'found'])
          return found
        } catch (error) {
          strangers.push([ip, isGuess(error) ? 'guess' : 'failed'])
          throw error
        }
      },
    },
  })
  const authenticate = (authorization: string | string[] | undefined, ip = '192.0.2.1', contract = 'v1') =>
    authenticator.authenticate(asking(authorization, ip), contract)
  return { ...authenticator, ...made, authenticate }
}

/** A request as Node.js hands it over. */
function asking(authorization: string | string[] | undefined, ip: string): Asking {
  const values = authorization === undefined ? [] : [authorization].flat()
  const rawHeaders = ['Host', 'roster.example', ...values.flatMap((value) => ['AUTHORIZATION', value])]
  return {
    raw: { method: 'GET', headers: { authorization: values[0] }, rawHeaders, socket: { remoteAddress: ip } },
    ip,
  }
}

const actor = { kind: 'key', id: 'key_a', scopes: ['read', 'write'], contract: 'v1' }

/** What comes of it in the end: the actor, or the code of the refusal and what the credentials lack. */
async function resultOf(authenticated: () => unknown): Promise<unknown> {
  try {
    return await authenticated()
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error
    return [error.code, error.lack?.error]
  }
}

const refused = ['unauthenticated', 'invalid_token']
const token = 'rk_0123456789abcdefghijklmnopqrstuv'

describe('credentials', () => {
  test.for<[title: string, of: (secret: string) => string | string[]]>([
    ['Bearer', (secret) => `Bearer ${secret}`],
    ['bearer in lower case', (secret) => `bearer ${secret}`],
    ['BEARER in upper case and with spaces', (secret) => `BEARER   ${secret}  `],
  ])('are taken as %s', async ([, of]) => {
    const { authenticate, secret } = await prepare()
    expect(await authenticate(of(secret))).toEqual(actor)
    // Once, and at once from then on; a while later again, beside the request.
    expect(authenticate(of(secret))).toEqual(actor)
    expect(lookUps).toHaveLength(1)
    now += 600
    expect(authenticate(of(secret))).toEqual(actor)
    expect(lookUps).toEqual([lookUps[0], lookUps[0]])
  })

  test.for<[title: string, of: (secret: string) => string | string[]]>([
    ['nothing', () => ''],
    ['a scheme alone', () => 'Bearer'],
    ['a scheme and a space', () => 'Bearer '],
    ['a key alone', (secret) => secret],
    ['no space', (secret) => `Bearer${secret}`],
    ['a tab', (secret) => `Bearer\t${secret}`],
    ['another scheme', (secret) => `Basic ${secret}`],
    [
      'Basic with the key for a password',
      (secret) => `Basic ${Buffer.from(`:${secret}`).toString('base64')}`,
    ],
    ['two keys', (secret) => `Bearer ${secret} ${secret}`],
    ['two, with a comma', (secret) => `Bearer ${secret}, Bearer ${secret}`],
    ['a parameter', (secret) => `Bearer token="${secret}"`],
    ['quotes', (secret) => `Bearer "${secret}"`],
    ['more than the key', (secret) => `Bearer ${secret}x`],
    ['less than the key', (secret) => `Bearer ${secret.slice(0, -1)}`],
    ['the key in another case', (secret) => `Bearer ${secret.toUpperCase()}`],
    ['a key that nobody made', () => `Bearer ${token}`],
    ['the hash that is kept', (secret) => `Bearer ${hashOf(secret)}`],
    ['a JWT', () => 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.'],
    ['padding', (secret) => `Bearer ${secret}==`],
    ['what is no ASCII', (secret) => `Bearer ${secret}é`],
    ['9 KB', () => `Bearer ${'a'.repeat(9_000)}`],
    ['9 KB of spaces', (secret) => `Bearer ${' '.repeat(9_000)}${secret}`],
    ['two headers', (secret) => [`Bearer ${secret}`, `Bearer ${secret}`]],
    ['two headers, the second no credentials', (secret) => [`Bearer ${secret}`, '']],
    ['__proto__', () => 'Bearer __proto__'],
  ])('are refused as %s', async ([, of]) => {
    const { authenticate, secret } = await prepare()
    expect(await resultOf(() => authenticate(of(secret)))).toEqual(refused)
    // Nor once the key is known.
    await authenticate(`Bearer ${secret}`)
    expect(await resultOf(() => authenticate(of(secret)))).toEqual(refused)
  })

  test('are refused whatever else they are', async () => {
    const { authenticate, secret } = await prepare()
    await authenticate(`Bearer ${secret}`)
    const near = fc.tuple(fc.nat(39), fc.string({ maxLength: 2 }), fc.nat(2)).map(([at, text, length]) => {
      const right = `Bearer ${secret}`
      return right.slice(0, at) + text + right.slice(at + length)
    })
    const isRight = new RegExp(`^bearer +${secret} *$`, 'i')
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string({ unit: 'binary' }), near), async (text) => {
        fc.pre(!isRight.test(text))
        expect(await resultOf(() => authenticate(text))).toEqual(refused)
      }),
    )
  })

  test('are none where the header is missing', async () => {
    const { authenticate } = await prepare()
    expect(authenticate(undefined)).toBeUndefined()
    expect(strangers).toEqual([])
  })

  test('of what can be no key are not looked up', async () => {
    const { authenticate } = await prepare()
    for (const text of ['', 'Bearer x', 'Basic eDp5', `Bearer ${token}x`])
      await resultOf(() => authenticate(text))
    expect(lookUps).toEqual([])
  })

  test('that can not be looked up are no 401', async () => {
    const { authenticate, secret } = await prepare()
    away = true
    expect(await resultOf(() => authenticate(`Bearer ${secret}`))).toEqual(['unavailable', undefined])
  })
})

describe('a key that was found', () => {
  test('is at hand for every contract without another look-up', async () => {
    const { authenticate, secret } = await prepare()
    await authenticate(`Bearer ${secret}`)
    now += 500
    expect(authenticate(`Bearer ${secret}`)).toEqual(actor)
    expect(authenticate(`Bearer ${secret}`)).toBe(authenticate(`Bearer ${secret}`))
    expect(authenticate(`Bearer ${secret}`, undefined, 'adoption')).toEqual({
      ...actor,
      contract: 'adoption',
    })
    expect(lookUps).toHaveLength(1)
  })

  test('is looked up again in the background, once, before it is too old', async () => {
    const { authenticate, secret } = await prepare()
    await authenticate(`Bearer ${secret}`)
    now += 501
    for (let n = 0; n < 10; n++) expect(authenticate(`Bearer ${secret}`)).toEqual(actor)
    expect(lookUps).toHaveLength(2)
    await expect.poll(() => authenticate(`Bearer ${secret}`)).toEqual(actor)
    now += 500
    expect(authenticate(`Bearer ${secret}`)).toEqual(actor)
    expect(lookUps).toHaveLength(2)
  })

  test('and has been revoked is refused within a second, busy or not', async () => {
    for (const busy of [true, false]) {
      now = start
      const { authenticate, secret } = await prepare()
      expect(await authenticate(`Bearer ${secret}`)).toEqual(actor)
      await store.keys.revoke('key_a', now)
      if (busy) {
        now += 600
        expect(authenticate(`Bearer ${secret}`)).toEqual(actor)
        now += 399
      } else now += 999
      expect(await resultOf(() => authenticate(`Bearer ${secret}`))).toEqual(refused)
      expect(await resultOf(() => authenticate(`Bearer ${secret}`))).toEqual(refused)
    }
  })

  test('and has been revoked here is refused at once', async () => {
    const { authenticate, forget, secret } = await prepare()
    await authenticate(`Bearer ${secret}`)
    await store.keys.revoke('key_a', now)
    forget('key_b')
    expect(authenticate(`Bearer ${secret}`)).toEqual(actor)
    forget('key_a')
    expect(await resultOf(() => authenticate(`Bearer ${secret}`))).toEqual(refused)
  })

  test('expires at its time, between two look-ups too', async () => {
    const { authenticate, secret } = await prepare({ expiresAt: start + 100 })
    expect(await authenticate(`Bearer ${secret}`)).toEqual(actor)
    now += 99
    expect(authenticate(`Bearer ${secret}`)).toEqual(actor)
    now += 1
    expect(await resultOf(() => authenticate(`Bearer ${secret}`))).toEqual(refused)
  })

  test('outlives a store that is away for less than a second, and no more', async () => {
    const { authenticate, secret } = await prepare()
    await authenticate(`Bearer ${secret}`)
    away = true
    now += 800
    expect(authenticate(`Bearer ${secret}`)).toEqual(actor)
    now += 100
    expect(await resultOf(() => authenticate(`Bearer ${secret}`))).toEqual(['unavailable', undefined])
    away = false
    expect(await authenticate(`Bearer ${secret}`)).toEqual(actor)
  })

  test('is looked up again where the clock was set back', async () => {
    const { authenticate, secret } = await prepare()
    await authenticate(`Bearer ${secret}`)
    now -= 60_000
    expect(await authenticate(`Bearer ${secret}`)).toEqual(actor)
    expect(lookUps).toHaveLength(2)
  })

  test('is looked up once for all who wait for it', async () => {
    const { authenticate, secret } = await prepare()
    const all = await Promise.all(Array.from({ length: 20 }, () => authenticate(`Bearer ${secret}`)))
    expect(all).toEqual(Array(20).fill(actor))
    expect(lookUps).toEqual([hashOf(secret)])
  })
})

describe('strangers', () => {
  test('guess as long as they do not turn out to have a key', async () => {
    const { authenticate, secret } = await prepare()
    for (const text of ['Basic x', `Bearer ${token}`, 'Bearer short'])
      await resultOf(() => authenticate(text, '203.0.113.9'))
    expect(strangers).toEqual(Array(3).fill(['203.0.113.9', 'guess']))
    strangers = []
    await authenticate(`Bearer ${secret}`)
    await authenticate(`Bearer ${secret}`)
    expect(strangers).toEqual([['192.0.2.1', 'found']])
  })

  test('do not guess where the store is away, or the key was good once', async () => {
    const { authenticate, secret } = await prepare({ expiresAt: start })
    away = true
    expect(await resultOf(() => authenticate(`Bearer ${token}`))).toEqual(['unavailable', undefined])
    away = false
    expect(await resultOf(() => authenticate(`Bearer ${secret}`))).toEqual(refused)
    expect(strangers.map(([, outcome]) => outcome)).toEqual(['failed', 'found'])
  })

  test('who have to wait are told so before anything is looked up; known keys go on working', async () => {
    const { authenticate, secret } = await prepare()
    expect(await resultOf(() => authenticate(`Bearer ${secret}`, 'tired'))).toEqual([
      'rate_limited',
      undefined,
    ])
    expect(lookUps).toEqual([])
    await authenticate(`Bearer ${secret}`)
    for (const pause of [0, 600, 5_000, 3_600_000]) {
      now += pause
      expect(await authenticate(`Bearer ${secret}`, 'tired')).toEqual(actor)
      expect(await authenticate(`bearer ${secret}`, 'tired')).toEqual(actor)
    }
  })
})

describe('the last use of keys', () => {
  test('is written down when it is time, not for each request', async () => {
    const { authenticate, flush, secret } = await prepare()
    const lastUse = async () => (await store.keys.list())[0]?.lastUsedAt
    await authenticate(`Bearer ${secret}`)
    now += 100
    authenticate(`Bearer ${secret}`)
    expect(await lastUse()).toBeNull()
    await flush()
    expect(await lastUse()).toBe(start + 100)
  })

  test('is kept for the next time where it can not be written', async () => {
    const { authenticate, flush, secret } = await prepare()
    await authenticate(`Bearer ${secret}`)
    away = true
    await expect(flush()).rejects.toMatchObject({ code: 'unavailable' })
    away = false
    await flush()
    expect((await store.keys.list())[0]?.lastUsedAt).toBe(start)
  })

  test('is no use where the key was refused', async () => {
    const { authenticate, flush, secret } = await prepare()
    await store.keys.revoke('key_a', start)
    await resultOf(() => authenticate(`Bearer ${secret}`))
    await flush()
    expect((await store.keys.list())[0]?.lastUsedAt).toBeNull()
  })
})
