import type { OutgoingHttpHeaders } from 'node:http'
import { parseItem, parseList } from 'structured-headers'
import { afterEach, describe, expect, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../test/app.ts'
import type { Config } from '../config.ts'
import type { Scope } from '../directory/actor.ts'
import type { Credentials } from '../directory/credentials.ts'
import { DirectoryError, unavailable } from '../directory/errors.ts'
import { createAuthenticator } from './authenticate.ts'
import { newKey, recogniseKeys } from './keys.ts'
import { createLimits, failures, subjectOf } from './limits.ts'
import { createPeople } from './people.ts'
import { createSharedSecretTokens, signSharedSecretToken } from './shared-secret.ts'
import { type Count, countInMemory, type Rate } from './windows.ts'

test.for([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8::2:0:0:1', '2001:db8:0:0::/64'],
  ['2001:db8:1::2:3:4:5', '2001:db8:1:0::/64'],
  ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
  ['1:2:3:4:5:6:192.0.2.33', '1:2:3:4::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['', 'unknown'],
  ['192.0.2.1:80', 'unknown'],
  ['[::1]', 'unknown'],
  ['proxy.example', 'unknown'],
  [`${'x'.repeat(10_000)}`, 'unknown'],
] as const)('the address %s is counted as %s', ([ip, subject]) => {
  expect(subjectOf(ip)).toBe(subject)
})

let app: TestApp | undefined
afterEach(() => app?.close())

async function start(config: Partial<Config>): Promise<TestApp> {
  app = await startApp(config)
  return app
}

/** A key in the store, and the header that brings it. */
async function keyFor({ store }: TestApp, id: string, ...scopes: Scope[]) {
  const made = newKey({ id, name: id, scopes, createdAt: Date.now(), expiresAt: null })
  await store.keys.add(made.key, made.hash)
  return { authorization: `Bearer ${made.secret}` }
}

/** Where a caller stands, as structured fields tell it, and the older headers to compare. */
function standing({ headers }: Answer) {
  const first = (name: string) => parseList(String(headers[name]))[0] ?? [undefined, new Map()]
  const [policy, limits] = first('ratelimit-policy')
  const [named, rest] = first('ratelimit')
  expect(named).toBe(policy)
  return { policy, ...Object.fromEntries(limits), ...Object.fromEntries(rest) }
}

/** A minute, less what the test may have taken so far. */
const soon = expect.closeTo(57, -1)

const perMinute = (quota: number) => ({ rateLimit: { quota, seconds: 60 } })
const contracts = [
  ['adoption', '/adoption/users/4', ['error', 'fields']],
  ['records', '/records/users/4', ['code', 'message', 'details', 'requestId']],
] as const

describe.for(contracts)('the limits of %s', ([, path, keys]) => {
  test('let a key ask so often, tell each time how it stands, and then to wait', async () => {
    const started = await start({ openContracts: 'never', ...perMinute(3) })
    const headers = await keyFor(started, 'key_a', 'read')
    for (const r of [2, 1, 0]) {
      const answer = await started.call(`GET ${path}`, undefined, headers)
      expect(answer.status).toBe(200)
      expect(standing(answer)).toEqual({ policy: 'default', q: 3, w: 60, r, t: soon })
      expect(answer.headers).toMatchObject({ 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': `${r}` })
      const reset = Number(answer.headers['x-ratelimit-reset'])
      expect(Math.abs(reset - Date.now() / 1000 - 60)).toBeLessThan(5)
    }
    const refused = await started.call(`PATCH ${path}`, { email: 'no' }, headers)
    expect(refused.status).toBe(429)
    expect(standing(refused)).toEqual({ policy: 'default', q: 3, w: 60, r: 0, t: soon })
    expect(parseItem(String(refused.headers['retry-after']))[0]).toEqual(soon)
    expect(Object.keys(refused.body as object)).toEqual(keys)
    expect(refused.text).toMatch(/Rate limit exceeded. Try again in \d+ seconds/)
  })

  test('count keys apart, and apart from those who bring none', async () => {
    const started = await start({ openContracts: 'always', ...perMinute(1) })
    const [one, other] = [await keyFor(started, 'key_a', 'read'), await keyFor(started, 'key_b', 'read')]
    const statuses = async (headers: OutgoingHttpHeaders) =>
      [
        await started.call(`GET ${path}`, undefined, headers),
        await started.call(`GET ${path}`, undefined, headers),
      ].map(({ status }) => status)
    expect([await statuses(one), await statuses(other), await statuses({})]).toEqual(
      Array(3).fill([200, 429]),
    )
  })

  test('count what is refused: a closed door, a scope too small, a body that is none', async () => {
    const started = await start({ openContracts: 'never', ...perMinute(2) })
    const headers = await keyFor(started, 'key_a', 'read')
    const calls = [
      () => started.call(`GET ${path}`),
      () => started.call(`GET ${path}`),
      () => started.call(`GET ${path}`),
      () => started.call(`PATCH ${path}`, {}, headers),
      () => started.call(`PATCH ${path}`, '{', headers),
      () => started.call(`GET ${path}`, undefined, headers),
    ]
    const rests: unknown[] = []
    for (const call of calls) {
      const answer = await call()
      rests.push([answer.status, standing(answer).r])
    }
    expect(rests).toEqual([
      [401, 1],
      [401, 0],
      [429, 0],
      [403, 1],
      [403, 0],
      [429, 0],
    ])
  })

  test('leave those alone who come without a key while the door is open to this machine', async () => {
    const started = await start({ openContracts: 'loopback', ...perMinute(1) })
    const headers = await keyFor(started, 'key_a', 'read')
    for (const _ of [1, 2, 3]) {
      const answer = await started.call(`GET ${path}`)
      expect(answer.status).toBe(200)
      expect(Object.keys(answer.headers).filter((name) => name.includes('ratelimit'))).toEqual([])
    }
    await started.call(`GET ${path}`, undefined, headers)
    expect(await started.call(`GET ${path}`, undefined, headers)).toMatchObject({ status: 429 })
  })

  test('do not look at wrong keys any more after so many; a right one that is known goes on', async () => {
    const started = await start({ openContracts: 'loopback', ...perMinute(1_000) })
    const [known, other] = [await keyFor(started, 'key_a', 'read'), await keyFor(started, 'key_b', 'read')]
    const ask = (headers: OutgoingHttpHeaders) => started.call(`GET ${path}`, undefined, headers)
    expect(await ask(known)).toMatchObject({ status: 200 })
    const wrong = (n: number) => ({
      authorization: n % 2 ? `Bearer rk_${String(n).padStart(32, '0')}` : 'Basic x',
    })
    for (let n = 0; n < failures.quota; n++) expect(await ask(wrong(n))).toMatchObject({ status: 401 })
    for (const headers of [wrong(1), wrong(2), other]) {
      const answer = await ask(headers)
      expect(answer.status).toBe(429)
      expect(Number(answer.headers['retry-after'])).toEqual(soon)
      expect(standing(answer)).toMatchObject({ policy: 'failures', q: failures.quota, w: 60, r: 0 })
    }
    expect(await ask(known)).toMatchObject({ status: 200 })
  })

  test('that are off leave no trace', async () => {
    const started = await start({ openContracts: 'always', rateLimit: undefined })
    const answer = await started.call(`GET ${path}`)
    expect(Object.keys(answer.headers).filter((name) => name.includes('ratelimit'))).toEqual([])
    for (let n = 0; n <= failures.quota; n++)
      expect(await started.call(`GET ${path}`, undefined, { authorization: 'x' })).toMatchObject({
        status: 401,
      })
  })
})

const countHere = (_name: string, rate: Rate): Count => countInMemory(rate, Date.now)

/** As Redis does: what it answers comes later. */
function countElsewhere(name: string, rate: Rate): Count {
  const count = countHere(name, rate)
  return async (subject, cost) => {
    await new Promise(setImmediate)
    return count(subject, cost)
  }
}

describe.for([
  ['in this process', countHere],
  ['elsewhere', countElsewhere],
] as const)('credentials that nobody has seen yet, counted %s', ([, counting]) => {
  const secret = 'a secret that is long enough: 32+'
  const active: Credentials = { status: 'active', password: null, tokensValidFrom: 0 }

  /** @param lookedUp told of each key that the store is asked for */
  async function prepare(lookedUp: () => void = () => {}) {
    const { store } = await start({})
    const people = createPeople(async () => active)
    const { strangers } = createLimits({ rate: { quota: 600, seconds: 60 }, anonymous: true, counting })
    const find = (hash: string) => {
      lookedUp()
      return store.keys.find(hash)
    }
    const { authenticate } = createAuthenticator({
      recognisers: [recogniseKeys({ find }), createSharedSecretTokens({ secret, people, now: Date.now })],
      used: async () => {},
      now: Date.now,
      strangers,
    })
    /** The ids of those who are let in, and otherwise the codes of the refusals. */
    return async (tokens: readonly string[], ip = '192.0.2.1') =>
      Promise.all(
        tokens.map(async (token) => {
          const headers = { authorization: `Bearer ${token}` }
          const raw = { method: 'GET', headers, rawHeaders: [], socket: { remoteAddress: ip } }
          try {
            return (await authenticate({ raw, ip }, 'community'))?.id
          } catch (error) {
            if (!(error instanceof DirectoryError)) throw error
            return error.code
          }
        }),
      )
  }

  const many = (count: number, of: (n: number) => string) => Array.from({ length: count }, (_, n) => of(n))
  const wrong = (from: number) => (n: number) => `rk_${String(from + n).padStart(32, '0')}`
  const tokensOf = (ids: readonly number[]) =>
    Promise.all(
      ids.map((userId) =>
        signSharedSecretToken(secret, { userId, issuedAt: Date.now(), expiresAt: Date.now() + 60_000 }),
      ),
    )

  test('and are good are let in, however many come at once, and leave room for as many guesses', async () => {
    const ask = await prepare()
    const ids = Array.from({ length: 100 }, (_, n) => n + 1)
    expect(await ask(await tokensOf(ids))).toEqual(ids.map(String))
    for (const n of Array(failures.quota).keys())
      expect(await ask([wrong(n)(0)])).toEqual(['unauthenticated'])
    expect(await ask([wrong(30)(0), ...(await tokensOf([101]))])).toEqual(['rate_limited', 'rate_limited'])
    expect(await ask(await tokensOf([101]), '192.0.2.2')).toEqual(['101'])
  })

  test('and come on many connections at once are let in on each, and looked up once', async () => {
    let lookUps = 0
    const ask = await prepare(() => lookUps++)
    const made = newKey({ id: 'key_a', name: 'a', scopes: ['read'], createdAt: 1, expiresAt: null })
    await app?.store.keys.add(made.key, made.hash)
    expect(await ask(many(64, () => made.secret))).toEqual(many(64, () => 'key_a'))
    expect(lookUps).toBe(1)
  })

  test('and are wrong are looked up so many at once, and then no more', async () => {
    let lookUps = 0
    const ask = await prepare(() => lookUps++)
    const answers = await ask(many(200, wrong(0)))
    expect(answers.filter((code) => code === 'unauthenticated')).toHaveLength(failures.quota)
    expect(answers.filter((code) => code === 'rate_limited')).toHaveLength(200 - failures.quota)
    expect(lookUps).toBe(failures.quota)
  })

  test('and can not be looked up now are no guesses', async () => {
    let away = true
    const ask = await prepare(() => {
      if (away) throw unavailable('away')
    })
    expect(new Set(await ask(many(100, wrong(0))))).toEqual(new Set(['unavailable']))
    away = false
    expect(await ask([wrong(0)(0), ...(await tokensOf([1]))])).toEqual(['unauthenticated', '1'])
  })
})

test('v1 tells its limits on every answer, and what is too much in its own words', async () => {
  const started = await start({ openContracts: 'loopback', ...perMinute(3) })
  const headers = await keyFor(started, 'key_a', 'read')
  const answers: [line: string, status: number, r: number][] = [
    ['GET /v1/users?per_page=1', 200, 2],
    ['GET /v1/users/nobody', 404, 1],
    ['DELETE /v1/keys/key_a', 403, 0],
    ['GET /v1/users?per_page=1', 429, 0],
  ]
  for (const [line, status, r] of answers) {
    const answer = await started.call(line, undefined, headers)
    expect([line, answer.status]).toEqual([line, status])
    expect(standing(answer)).toEqual({ policy: 'default', q: 3, w: 60, r, t: soon })
  }
  const { body, headers: sent } = await started.call('POST /v1/users', '{', headers)
  const message = expect.stringMatching(/^Rate limit exceeded. Try again in \d+ seconds$/)
  expect(body).toEqual({ error: 'rate_limit_exceeded', message })
  expect(Number(sent['retry-after'])).toEqual(soon)
  // The door that is open to this machine is another contract's.
  expect(await started.call('GET /v1/users')).toMatchObject({ status: 401 })
})

describe('a batch', () => {
  const uid = 'usr_123abc456def'
  const batchOf = (count: number) => ({
    operations: Array.from({ length: count }, (_, n) => ({
      op: 'update',
      id: uid,
      data: { first_name: `${n}` },
    })),
  })

  test('costs as much as its operations, and nothing where that is more than is left', async () => {
    const started = await start({ openContracts: 'never', ...perMinute(10) })
    const headers = await keyFor(started, 'key_a', 'read', 'write')
    for (const [count, status, r] of [
      [1, 200, 9],
      [5, 200, 4],
      // Having asked costs one, as ever.
      [5, 429, 3],
      [3, 200, 0],
      [1, 429, 0],
    ] as const) {
      const answer = await started.call('POST /v1/users/batch', batchOf(count), headers)
      expect([count, answer.status]).toEqual([count, status])
      expect(standing(answer)).toEqual({ policy: 'default', q: 10, w: 60, r, t: soon })
    }
    const user = await started.call(
      'GET /v1/users/usr_123abc456def',
      undefined,
      await keyFor(started, 'key_b', 'read'),
    )
    expect(user.body).toMatchObject({ first_name: '2' })
  })

  test('of more operations than there are in all costs all, and can be asked', async () => {
    const started = await start({ openContracts: 'never', ...perMinute(5) })
    const headers = await keyFor(started, 'key_a', 'read', 'write')
    const answer = await started.call('POST /v1/users/batch', batchOf(20), headers)
    expect([answer.status, standing(answer).r]).toEqual([200, 0])
    const other = await keyFor(started, 'key_b', 'read', 'write')
    await started.call('GET /v1/users', undefined, other)
    const refused = await started.call('POST /v1/users/batch', batchOf(20), other)
    expect([refused.status, standing(refused).r]).toEqual([429, 3])
    expect(Number(refused.headers['retry-after'])).toEqual(soon)
  })

  test('that is not valid costs what any request does', async () => {
    const started = await start({ openContracts: 'never', ...perMinute(5) })
    const headers = await keyFor(started, 'key_a', 'write')
    const answer = await started.call('POST /v1/users/batch', { ...batchOf(5), atomic: 1 }, headers)
    expect([answer.status, standing(answer).r]).toEqual([400, 4])
  })

  test.for([false, true])('that is repeated costs what any request does (atomic: %s)', async (atomic) => {
    const started = await start({ openContracts: 'never', ...perMinute(10) })
    const headers = await keyFor(started, 'key_a', 'write')
    const own = { ...headers, 'idempotency-key': 'the-same-batch' }
    const ask = (count: number, more: OutgoingHttpHeaders) =>
      started.call('POST /v1/users/batch', { ...batchOf(count), atomic }, more)
    for (const [count, more, status, r, replayed] of [
      [5, own, 200, 5],
      [5, own, 200, 4, 'true'],
      // Its key is no other request's.
      [6, own, 422, 3],
      // More than there is left, and still answered.
      [5, own, 200, 2, 'true'],
      [5, headers, 429, 1],
      [5, own, 200, 0, 'true'],
      [5, own, 429, 0],
    ] as const) {
      const answer = await ask(count, more)
      expect([answer.status, standing(answer).r]).toEqual([status, r])
      expect(answer.headers['idempotency-replayed']).toBe(replayed)
    }
  })

  test('that is repeated costs as much as is done of it now', async () => {
    const started = await start({ openContracts: 'never', ...perMinute(20) })
    const headers = { ...(await keyFor(started, 'key_a', 'write')), 'idempotency-key': 'with-holes' }
    const operations = batchOf(5).operations.map((one, n) => (n === 0 ? one : { ...one, if_match: '"99"' }))
    for (const [query, status, r] of [
      ['', 200, 15],
      // Four of five are tried again.
      ['', 200, 11],
      ['?dry_run=true', 200, 6],
      ['', 200, 2],
      ['', 429, 1],
    ] as const) {
      const answer = await started.call(`POST /v1/users/batch${query}`, { operations }, headers)
      expect([answer.status, standing(answer).r]).toEqual([status, r])
    }
  })

  test('costs nothing where nobody is limited', async () => {
    const started = await start({ openContracts: 'never', rateLimit: undefined })
    const headers = await keyFor(started, 'key_a', 'write')
    expect(await started.call('POST /v1/users/batch', batchOf(5), headers)).toMatchObject({ status: 200 })
  })

  test('of many that come at once, no more than there is for is carried out', async () => {
    const started = await start({ openContracts: 'never', ...perMinute(20) })
    const headers = await keyFor(started, 'key_a', 'write')
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => started.call('POST /v1/users/batch', batchOf(5), headers)),
    )
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(4)
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(2)
  })
})

describe('the address that counts', () => {
  const through = async (trustProxy: readonly string[], ...forwarded: string[]) => {
    const started = await start({ openContracts: 'always', trustProxy, ...perMinute(1) })
    const statuses: number[] = []
    for (const address of forwarded)
      statuses.push((await started.call('GET /users/4', undefined, { 'x-forwarded-for': address })).status)
    return statuses
  }

  test('is the peer’s, whatever a header tells, where no proxy is trusted', async () => {
    expect(await through([], '192.0.2.1', '192.0.2.2')).toEqual([200, 429])
    expect(await through(['10.0.0.0/8'], '192.0.2.1', '192.0.2.2')).toEqual([200, 429])
  })

  test('is what a trusted proxy tells, and not what was told to the proxy', async () => {
    const told = ['192.0.2.1', '192.0.2.2', '192.0.2.1', '192.0.2.9, 192.0.2.2', '192.0.2.9, 192.0.2.3']
    expect(await through(['127.0.0.1'], ...told)).toEqual([200, 200, 429, 429, 200])
  })

  test('is a network of IPv6', async () => {
    expect(await through(['127.0.0.0/8'], '2001:db8::1', '2001:db8::2', '2001:db8:0:1::1')).toEqual([
      200, 429, 200,
    ])
  })

  test('is the same for all who are told to come from nowhere', async () => {
    expect(await through(['127.0.0.1'], 'nowhere', 'x'.repeat(4_000), '<script>')).toEqual([200, 429, 429])
  })
})
