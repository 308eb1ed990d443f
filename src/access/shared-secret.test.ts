import { createHmac, createSign, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Credentials } from '../directory/credentials.ts'
import { DirectoryError } from '../directory/errors.ts'
import { createAuthenticator } from './authenticate.ts'
import { createPeople } from './people.ts'
import { createSharedSecretTokens, signSharedSecretToken } from './shared-secret.ts'

const secret = 'a secret that is long enough: 32+'
const at = Date.UTC(2026, 0, 1)
const seconds = at / 1000
const active: Credentials = { status: 'active', password: null, tokensValidFrom: 0 }

/** Whoever has these credentials, behind an authenticator that knows nothing else. */
function prepare(of: Partial<Credentials> | undefined = {}) {
  let now = at
  const people = createPeople(async (id) => (id === 3 && of !== undefined ? { ...active, ...of } : undefined))
  const tokens = createSharedSecretTokens({ secret, people, now: () => now })
  const { authenticate } = createAuthenticator({
    recognisers: [tokens],
    used: async () => {},
    now: () => now,
  })
  const ask = async (token: string, contract = 'community') => {
    const authorization = `Bearer ${token}`
    const raw = { method: 'GET', headers: { authorization }, rawHeaders: [], socket: { remoteAddress: '' } }
    try {
      return await authenticate({ raw, ip: '192.0.2.1' }, contract)
    } catch (error) {
      if (!(error instanceof DirectoryError)) throw error
      return [error.code, error.message]
    }
  }
  return {
    ask,
    tokens,
    wait: (ms: number) => {
      now += ms
    },
  }
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signs whatever it is given, as no library would. */
function sign(claims: unknown, header: unknown = { alg: 'HS256', typ: 'JWT' }, key: string = secret): string {
  const input = `${encode(header)}.${encode(claims)}`
  const hash = (header as { alg?: string }).alg === 'HS512' ? 'sha512' : 'sha256'
  return `${input}.${createHmac(hash, key).update(input).digest('base64url')}`
}

const claims = { user_id: 3, token_type: 'access', exp: seconds + 60, iat: seconds, jti: 'a1' }
const person = {
  ...{ kind: 'person', id: '3', scopes: ['read', 'write'], contract: 'community' },
  vouched: true,
}

describe('a token that is signed with the shared secret', () => {
  test.for<[title: string, token: string]>([
    ['as documented', sign(claims)],
    ['with a number for jti, as the sample code has it', sign({ ...claims, jti: 17 })],
    ['with an ext_id, which is not looked at', sign({ ...claims, ext_id: 4 })],
    ['without typ', sign(claims, { alg: 'HS256' })],
    ['issued a moment ahead of the clock here', sign({ ...claims, iat: seconds + 59 })],
    ['as Roster makes it', ''],
  ])('is taken %s', async ([, token]) => {
    const made = await signSharedSecretToken(secret, { userId: 3, issuedAt: at, expiresAt: at + 60_000 })
    const { ask, tokens } = prepare()
    expect(await ask(token || made)).toEqual(person)
    expect(await tokens.verify(token || made)).toMatchObject({ userId: 3, expiresAt: at + 60_000 })
  })

  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const rs256 = () => {
    const input = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`
    return `${input}.${createSign('sha256').update(input).sign(privateKey, 'base64url')}`
  }
  const without = (name: keyof typeof claims) => {
    const { [name]: _, ...rest } = claims
    return sign(rest)
  }

  test.for<[title: string, token: string]>([
    ['alg none', `${encode({ alg: 'none' })}.${encode(claims)}.`],
    ['alg none and a signature', sign(claims, { alg: 'none' })],
    ['alg None', sign(claims, { alg: 'None' })],
    ['another hash', sign(claims, { alg: 'HS512', typ: 'JWT' })],
    ['RS256', rs256()],
    ['a public key for the secret', sign(claims, undefined, pem)],
    ['another secret', sign(claims, undefined, `${secret}x`)],
    ['no signature', `${sign(claims).split('.').slice(0, 2).join('.')}.`],
    ['a part too many', `${sign(claims)}.x`],
    ['claims that were changed', sign(claims).replace(/\.[^.]+\./, `.${encode({ ...claims, user_id: 4 })}.`)],
    ['claims that are no object', sign('3')],
    ['a critical header that nobody knows', sign(claims, { alg: 'HS256', crit: ['x'], x: 1 })],
    ['another type', sign({ ...claims, token_type: 'refresh' })],
    ['a user_id that is a text', sign({ ...claims, user_id: '3' })],
    ['a user_id that is no id', sign({ ...claims, user_id: 3.5 })],
    ['a user_id past the integers', sign({ ...claims, user_id: 2 ** 53 })],
    ['user 0', sign({ ...claims, user_id: 0 })],
    ['no user_id', without('user_id')],
    ['no token_type', without('token_type')],
    ['no exp', without('exp')],
    ['no iat', without('iat')],
    ['no jti', without('jti')],
    ['an empty jti', sign({ ...claims, jti: '' })],
    ['times that are texts', sign({ ...claims, exp: `${seconds + 60}` })],
    ['times in milliseconds', sign({ ...claims, iat: at, exp: at + 200 })],
    ['an end in milliseconds', sign({ ...claims, exp: at + 200 })],
    ['a time of issue that is to come', sign({ ...claims, iat: seconds + 61 })],
    ['a time before which it is not valid', sign({ ...claims, nbf: seconds + 1 })],
    ['an end of now', sign({ ...claims, exp: seconds })],
    ['an end a second ago', sign({ ...claims, exp: seconds - 1 })],
    ['somebody who never was', sign({ ...claims, user_id: 4 })],
  ])('is refused with %s', async ([, token]) => {
    const { ask } = prepare()
    expect(await ask(token)).toEqual(['unauthenticated', expect.any(String)])
  })

  test('is good for the community contract alone', async () => {
    const { ask } = prepare()
    expect(await ask(sign(claims))).toEqual(person)
    for (const contract of ['v1', 'adoption', 'records'])
      expect(await ask(sign(claims), contract)).toEqual([
        'unauthenticated',
        expect.stringContaining('community'),
      ])
  })

  test('ends at its time, remembered or not', async () => {
    const { ask, tokens, wait } = prepare()
    const token = sign(claims)
    expect(await ask(token)).toEqual(person)
    wait(59_999)
    expect(await ask(token)).toEqual(person)
    wait(1)
    expect(await ask(token)).toEqual(['unauthenticated', 'The token has expired'])
    await expect(tokens.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test.for<[title: string, of: Partial<Credentials>, expected: unknown]>([
    ['who was removed', { status: 'deleted' }, ['unauthenticated', 'There is no such user any more']],
    ['who was erased', { status: 'erased' }, ['unauthenticated', 'There is no such user any more']],
    ['who is blocked: what that forbids the policy says', { status: 'blocked' }, person],
    ['whose tokens were ended then', { tokensValidFrom: at }, person],
    [
      'whose tokens were ended after',
      { tokensValidFrom: at + 1 },
      ['unauthenticated', 'The token has been ended'],
    ],
  ])('of somebody %s', async ([, of, expected]) => {
    const { ask } = prepare(of)
    expect(await ask(sign(claims))).toEqual(expected)
  })

  test('can be checked for what it says, whoever it is about', async () => {
    const { tokens } = prepare()
    expect(await tokens.verify(sign({ ...claims, user_id: 99 }))).toEqual({
      userId: 99,
      issuedAt: at,
      expiresAt: at + 60_000,
    })
    await expect(tokens.verify('x')).rejects.toMatchObject({ code: 'unauthenticated' })
  })
})
