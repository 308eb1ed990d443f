import { createHmac, generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, type JWK, SignJWT } from 'jose'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Credentials } from '../directory/credentials.ts'
import { DirectoryError } from '../directory/errors.ts'
import { noFields, type User } from '../directory/user.ts'
import { createAuthenticator } from './authenticate.ts'
import { type Issuer, recogniseOutsideTokens } from './outside-issuers.ts'
import { createPeople } from './people.ts'

const issuer = 'https://login.example.com'
const start = Date.UTC(2026, 0, 1)
const seconds = start / 1000
const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 })
const first = pair()
const second = pair()
const publicOf = async (key: KeyObject, kid: string): Promise<JWK> => ({
  ...(await exportJWK(key)),
  kid,
  alg: 'RS256',
})

let now: number
let published: JWK[]
let away: boolean
let fetched: string[]
/** Where else those are sent who ask for an address. */
let redirects: Record<string, string>
/** Where the discovery document says that the keys are. */
let jwksUri: unknown
let outages: string[]
let credentials: Credentials
beforeEach(async () => {
  now = start
  published = [await publicOf(first.publicKey, 'one')]
  away = false
  fetched = []
  redirects = {}
  jwksUri = `${issuer}/keys`
  outages = []
  credentials = { status: 'active', password: null, tokensValidFrom: 0 }
})

/** The issuer, as it answers. */
const fetch: typeof globalThis.fetch = async (asked, init) => {
  const address = String(asked)
  fetched.push(address)
  if (away) throw new TypeError('fetch failed')
  const to = redirects[address]
  if (to !== undefined) return init?.redirect === 'manual' ? Response.redirect(to) : fetch(to, init)
  return Response.json(address === discovery ? { issuer, jwks_uri: jwksUri } : { keys: published })
}

const discovery = `${issuer}/.well-known/openid-configuration`

function prepare(over: Partial<Issuer> = {}, fetchBy = fetch) {
  const ann = { ...noFields, id: 3, ext_id: 'ann' } as User
  const recogniser = recogniseOutsideTokens({
    issuers: [{ url: issuer, audience: 'roster', person: 'ext_id', ...over }],
    store: { find: async ({ kind, key }) => (kind === 'ext_id' && key === 'ann' ? ann : undefined) },
    people: createPeople(async () => credentials),
    now: () => now,
    fetch: fetchBy,
    onOutage: (_issuer, error) => outages.push(String(error)),
  })
  const { authenticate } = createAuthenticator({
    recognisers: [recogniser],
    used: async () => {},
    now: () => now,
  })
  return async (token: string, told: 'code' | 'message' = 'code') => {
    const authorization = `Bearer ${token}`
    const raw = { method: 'GET', headers: { authorization }, rawHeaders: [], socket: { remoteAddress: '' } }
    try {
      return await authenticate({ raw, ip: '192.0.2.1' }, 'v1')
    } catch (error) {
      if (!(error instanceof DirectoryError)) throw error
      return error[told]
    }
  }
}

interface Told {
  readonly claims?: object
  readonly header?: object
  readonly key?: KeyObject | Uint8Array
}

const claims = {
  iss: issuer,
  aud: 'roster',
  sub: 'ann',
  iat: seconds,
  exp: seconds + 3600,
  scope: 'openid read write admin',
}

const sign = ({ claims: over, header, key = first.privateKey }: Told = {}) =>
  new SignJWT({ ...claims, ...over }).setProtectedHeader({ alg: 'RS256', kid: 'one', ...header }).sign(key)

const person = { kind: 'person', id: '3', scopes: ['read', 'write'], contract: 'v1' }
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a token of an issuer outside', () => {
  test.for<[title: string, told: Told, expected: unknown]>([
    ['with a scope, admin left out', {}, person],
    ['for several audiences', { claims: { aud: ['other', 'roster'] } }, person],
    ['with scp, as a list', { claims: { scope: undefined, scp: ['read'] } }, { ...person, scopes: ['read'] }],
    ['without a scope', { claims: { scope: undefined } }, { ...person, scopes: [] }],
    ['of the type of RFC 9068', { header: { typ: 'at+jwt' } }, person],
  ])('is taken %s', async ([, told, expected]) => {
    expect(await prepare()(await sign(told))).toEqual(expected)
  })

  test('names those people alone whose ext_id begins with what is the issuer’s own', async () => {
    const ask = prepare({ prefix: 'an' })
    expect(await ask(await sign({ claims: { sub: 'n' } }))).toEqual(person)
    expect(await ask(await sign())).toBe('unauthenticated')
  })

  test.for<[title: string, token: () => Promise<string> | string]>([
    ['for another audience', () => sign({ claims: { aud: 'other' } })],
    ['for no audience', () => sign({ claims: { aud: undefined } })],
    ['of another issuer', () => sign({ claims: { iss: 'https://evil.example' } })],
    ['of an issuer with a slash more', () => sign({ claims: { iss: `${issuer}/` } })],
    ['of no issuer', () => sign({ claims: { iss: undefined } })],
    ['about nobody who is here', () => sign({ claims: { sub: 'eve' } })],
    ['about nobody', () => sign({ claims: { sub: undefined } })],
    ['about the empty text', () => sign({ claims: { sub: '' } })],
    ['about a number', () => sign({ claims: { sub: 42 } })],
    ['about a list', () => sign({ claims: { sub: ['ann'] } })],
    ['about nothing', () => sign({ claims: { sub: null } })],
    ['that has just expired', () => sign({ claims: { exp: seconds } })],
    ['that expired a second ago', () => sign({ claims: { exp: seconds - 1 } })],
    ['without an end', () => sign({ claims: { exp: undefined } })],
    ['without a time of issue', () => sign({ claims: { iat: undefined } })],
    ['issued in the future', () => sign({ claims: { iat: seconds + 61 } })],
    ['not valid yet', () => sign({ claims: { nbf: seconds + 1 } })],
    ['signed by another key', () => sign({ key: second.privateKey })],
    ['signed by another key of its own name', () => sign({ key: second.privateKey, header: { kid: 'two' } })],
    [
      'with a key of its own in the header',
      async () => sign({ key: second.privateKey, header: { jwk: await exportJWK(second.publicKey) } }),
    ],
    ['alg none', () => `${encode({ alg: 'none' })}.${encode(claims)}.`],
    ['alg none, by the name of a key', () => `${encode({ alg: 'none', kid: 'one' })}.${encode(claims)}.`],
    [
      'HS256 with the public key for a secret',
      () => {
        const input = `${encode({ alg: 'HS256', kid: 'one' })}.${encode(claims)}`
        const secret = first.publicKey.export({ type: 'spki', format: 'pem' })
        return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
      },
    ],
    [
      'changed on the way',
      async () => (await sign()).replace(/\.[^.]+\./, `.${encode({ ...claims, sub: 'eve' })}.`),
    ],
    ['without a signature', async () => `${(await sign()).split('.').slice(0, 2).join('.')}.`],
  ])('is refused %s', async ([, token]) => {
    expect(await prepare()(await token())).toBe('unauthenticated')
  })

  test.for<[title: string, told: Told, message: string]>([
    [
      'for another audience',
      { claims: { aud: 'other' } },
      'The token must be for the audience roster, which aud has to name',
    ],
    [
      'for no audience',
      { claims: { aud: undefined } },
      'The token must be for the audience roster, which aud has to name',
    ],
    ['that ends at a text', { claims: { exp: '1' } }, 'In the token exp must be a number'],
    ['issued at a text', { claims: { iat: 'x' } }, 'In the token iat must be a number'],
    ['not valid yet', { claims: { nbf: seconds + 1 } }, 'The token is not valid yet'],
    ['of another issuer', { claims: { iss: 'x' } }, 'The token is of an issuer that is not known here'],
    [
      'for another audience, and by another key',
      { claims: { aud: 'other' }, key: second.privateKey },
      'The token is not signed as it must be',
    ],
  ])('is told what is wrong with it, once the signature is right: %s', async ([, told, message]) => {
    expect(await prepare()(await sign(told), 'message')).toBe(message)
  })

  test('ends with the person, or when theirs were ended', async () => {
    for (const over of [
      { status: 'deleted' },
      { status: 'erased' },
      { tokensValidFrom: start + 1 },
    ] as const) {
      credentials = { status: 'active', password: null, tokensValidFrom: 0, ...over }
      expect(await prepare()(await sign())).toBe('unauthenticated')
    }
  })
})

describe('the keys of an issuer', () => {
  test('are fetched once for all who need them', async () => {
    const ask = prepare()
    const tokens = await Promise.all(['a', 'b', 'c', 'd'].map((jti) => sign({ claims: { jti } })))
    expect(await Promise.all(tokens.map((token) => ask(token)))).toEqual(Array(4).fill(person))
    expect(fetched).toEqual([`${issuer}/.well-known/openid-configuration`, `${issuer}/keys`])
  })

  test('are fetched again for a key that is new, and not for each that is made up', async () => {
    const ask = prepare()
    expect(await ask(await sign())).toEqual(person)
    published = [...published, await publicOf(second.publicKey, 'two')]
    now += 30_000
    expect(await ask(await sign({ key: second.privateKey, header: { kid: 'two' } }))).toEqual(person)
    const before = fetched.length
    for (const kid of ['x', 'y', 'z'])
      expect(await ask(await sign({ key: second.privateKey, header: { kid } }))).toBe('unauthenticated')
    expect(fetched).toHaveLength(before)
  })

  test('may have a new one among them while they can not be fetched, which is no guess', async () => {
    const ask = prepare()
    expect(await ask(await sign())).toEqual(person)
    const rotated = (at: number, kid = 'two') =>
      sign({ key: second.privateKey, header: { kid }, claims: { iat: at / 1000 } })
    published = [await publicOf(second.publicKey, 'two')]
    away = true
    now += 31_000
    expect(await ask(await rotated(now))).toBe('unavailable')
    // Nobody has vouched for a time that is still to come.
    expect(await ask(await rotated(now + 90_000))).toBe('unauthenticated')
    // What was signed before the keys were fetched was not signed by one that came later.
    expect(await ask(await rotated(start))).toBe('unauthenticated')
    away = false
    now += 10_000
    expect(await ask(await rotated(now))).toBe('unavailable')
    now += 20_000
    expect(await ask(await rotated(now))).toEqual(person)
    expect(await ask(await rotated(now, 'three'))).toBe('unauthenticated')
  })

  test('are all tried for a token that names none, and fetched again where none fits', async () => {
    const ask = prepare()
    const third = pair()
    published = [...published, await publicOf(second.publicKey, 'two')]
    const unnamed = ({ privateKey: key }: typeof first) => sign({ key, header: { kid: undefined } })
    expect(await ask(await unnamed(first))).toEqual(person)
    expect(await ask(await unnamed(second))).toEqual(person)
    expect(await ask(await unnamed(third))).toBe('unauthenticated')
    now += 30_000
    published = [await publicOf(third.publicKey, 'three')]
    expect(await ask(await unnamed(third))).toEqual(person)
    now += 30_000
    published = [await publicOf(first.publicKey, 'one')]
    expect(await ask(await sign({ header: { kid: undefined }, claims: { jti: 'x' } }))).toEqual(person)
  })

  test('may have some among them that can not be used', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const offCurve = { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA', kid: 'off', alg: 'ES256' }
    const signed = (input: string) =>
      `${input}.${signBytes('sha256', Buffer.from(input), weak.privateKey).toString('base64url')}`
    const byWeak = (header: object) => signed(`${encode({ alg: 'RS256', ...header })}.${encode(claims)}`)
    for (const others of [[await publicOf(first.publicKey, 'one')], []]) {
      published = [await publicOf(weak.publicKey, 'weak'), offCurve, ...others]
      const ask = prepare()
      const right = others.length === 0 ? 'unauthenticated' : person
      expect(await ask(await sign())).toEqual(right)
      expect(await ask(await sign({ header: { kid: undefined } }))).toEqual(right)
      for (const forged of [
        byWeak({ kid: 'weak' }),
        byWeak({}),
        await sign({ header: { kid: 'weak' } }),
        await sign({ key: curve, header: { alg: 'ES256', kid: 'off' } }),
        await sign({ key: curve, header: { alg: 'ES256', kid: undefined } }),
      ])
        expect(await ask(forged)).toBe('unauthenticated')
    }
  })

  test('outlive an outage of the issuer for a day', async () => {
    const ask = prepare()
    const lasting = (jti: string) => sign({ claims: { jti, exp: seconds + 200_000 } })
    expect(await ask(await lasting('a'))).toEqual(person)
    away = true
    for (const hours of [1, 12, 23]) {
      now = start + hours * 3_600_000
      expect(await ask(await lasting(`b${hours}`))).toEqual(person)
    }
    now = start + 86_400_000
    expect(await ask(await lasting('c'))).toBe('unavailable')
    away = false
    now += 30_000
    expect(await ask(await lasting('d'))).toEqual(person)
  })

  test('that were never there are no 401, and are not asked for without a pause', async () => {
    const ask = prepare()
    away = true
    expect(await ask(await sign({ claims: { jti: 'a' } }))).toBe('unavailable')
    const before = fetched.length
    expect(await ask(await sign({ claims: { jti: 'b' } }))).toBe('unavailable')
    expect(fetched).toHaveLength(before)
    away = false
    now += 30_000
    expect(await ask(await sign({ claims: { jti: 'c' } }))).toEqual(person)
  })

  test.for<[title: string, uri: unknown, to: Record<string, string>, culprit: string]>([
    ['is in the clear', 'http://keys.example.com/', {}, 'http://keys.example.com/'],
    ['is no address', 7, {}, '7'],
    ['is none of the web', 'data:application/json,{}', {}, 'data:application/json,{}'],
    ['has a password', 'https://u:p@keys.example.com/', {}, 'https://u:p@keys.example.com/'],
    [
      'leads to one in the clear',
      `${issuer}/keys`,
      { [`${issuer}/keys`]: 'http://keys.example.com/' },
      'http://keys.example.com/',
    ],
    [
      'leads by one in the clear to one that is not',
      `${issuer}/keys`,
      { [`${issuer}/keys`]: 'http://keys.example.com/', 'http://keys.example.com/': 'https://evil.example/' },
      'http://keys.example.com/',
    ],
    [
      'is told by a document that was led to in the clear',
      `${issuer}/keys`,
      { [discovery]: 'http://login.example.com/x' },
      'http://login.example.com/x',
    ],
    ['leads nowhere', `${issuer}/keys`, { [`${issuer}/keys`]: `${issuer}/keys` }, `${issuer}/keys`],
  ])('are not taken from an address that %s, which is told', async ([, uri, to, culprit]) => {
    jwksUri = uri
    redirects = to
    expect(await prepare()(await sign())).toBe('unavailable')
    expect(outages).toEqual([expect.stringContaining(culprit)])
    expect(fetched.filter((address) => !address.startsWith('https://login.'))).toEqual([])
  })

  test('may be where their address leads', async () => {
    redirects = {
      [`${issuer}/keys`]: 'https://keys.example.com/a',
      'https://keys.example.com/a': 'https://keys.example.com/b',
    }
    expect(await prepare()(await sign())).toEqual(person)
    expect(fetched.at(-1)).toBe('https://keys.example.com/b')
    expect(outages).toEqual([])
  })

  test('may be led to by a server of this machine', async () => {
    const server = createServer(({ url }, answer) => {
      if (url === '/keys') answer.writeHead(302, { location: '/there' }).end()
      else answer.end(JSON.stringify({ keys: published }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const ask = prepare({ jwks: `http://127.0.0.1:${port}/keys` }, globalThis.fetch)
    expect(await ask(await sign())).toEqual(person)
  })

  test('that an issuer by another name publishes are none of this one', async () => {
    const ask = prepare()
    published = []
    expect(await ask(await sign())).toBe('unauthenticated')
  })
})
