import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sendBytes, startApp, type TestApp } from '../../test/app.ts'
import type { Scope } from '../directory/actor.ts'
import { newKey } from './keys.ts'

/** An address of each contract that knows no credentials, and a write that changes something. */
const contracts = [
  {
    name: 'adoption',
    path: '/adoption/users',
    write: 'PATCH /users/4',
    body: (n: number) => ({ phone: `${n}` }),
  },
  {
    name: 'records',
    path: '/records/users',
    write: 'PUT /users?id=4',
    body: (n: number) => ({ firstName: 'F', lastName: 'B', email: `f${n}@example.com` }),
  },
] as const

interface OpenApi {
  readonly components?: { readonly securitySchemes?: unknown }
  readonly paths?: Readonly<Record<string, Readonly<Record<string, { readonly security?: unknown }>>>>
}

const modes = ['never', 'loopback', 'always'] as const

let secrets: Readonly<Record<'reads' | 'writes' | 'both' | 'all' | 'revoked' | 'expired', string>>

async function addKeys({ store }: TestApp): Promise<void> {
  const add = async (id: string, scopes: Scope[], over: { revokedAt?: number; expiresAt?: number } = {}) => {
    const { key, secret, hash } = newKey({ id, name: id, scopes, createdAt: 1, expiresAt: null })
    await store.keys.add({ ...key, ...over }, hash)
    return secret
  }
  secrets = {
    reads: await add('key_reads', ['read']),
    writes: await add('key_writes', ['write']),
    both: await add('key_both', ['read', 'write']),
    all: await add('key_all', ['admin']),
    revoked: await add('key_revoked', ['read', 'write'], { revokedAt: 2 }),
    expired: await add('key_expired', ['read', 'write'], { expiresAt: 2 }),
  }
}

const invalidToken = 'Bearer realm="roster", error="invalid_token"'

describe.each(modes)('while the open contracts are open %s', (openContracts) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ openContracts })
    await addKeys(app)
  })
  afterAll(() => app.close())

  const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })

  describe.each(contracts)('$name', ({ name, path, write, body }) => {
    let n = 0
    const call = (line: string, secret: string, headers = {}) => {
      n++
      return app.call(line, line.startsWith('GET') ? undefined : body(n), { ...bearer(secret), ...headers })
    }

    test('lets keys do what their scopes say, and names the scope that is missing', async () => {
      const get = `GET ${path}/4`
      const cases: [line: string, key: keyof typeof secrets, status: number, missing?: Scope][] = [
        [get, 'reads', 200],
        [get, 'both', 200],
        [get, 'all', 200],
        [get, 'writes', 403, 'read'],
        [`GET ${path}`, 'reads', 200],
        [`GET ${path}`, 'writes', 403, 'read'],
        [write, 'writes', 200],
        [write, 'both', 200],
        [write, 'all', 200],
        [write, 'reads', 403, 'write'],
        [`DELETE ${path}/2`, 'reads', 403, 'write'],
      ]
      for (const [line, key, status, missing] of cases) {
        const before = await app.everything()
        const answer = await call(line, secrets[key])
        expect([line, key, answer.status]).toEqual([line, key, status])
        if (missing === undefined) continue
        expect(answer.headers['www-authenticate']).toBe(
          `Bearer realm="roster", error="insufficient_scope", scope="${missing}"`,
        )
        expect(answer.text).toContain(`The scope ${missing} is needed for this`)
        expect(await app.everything()).toEqual(before)
      }
    })

    test('says in the change log which key it was', async () => {
      expect(await call(write, secrets.both)).toMatchObject({ status: 200 })
      const { changes = [] } = await app.everything()
      const rows = changes.map((row) => ((row as { row?: object }).row ?? row) as Record<string, unknown>)
      const last = rows.toSorted((a, b) => Number(a.seq) - Number(b.seq)).at(-1)
      expect(last).toMatchObject({ actor_kind: 'key', actor_id: 'key_both', contract: name, user_id: 4 })
    })

    test.each([
      ['revoked', () => bearer(secrets.revoked)],
      ['expired', () => bearer(secrets.expired)],
      ['unknown', () => bearer('rk_0123456789abcdefghijklmnopqrstuv')],
      ['malformed', () => ({ authorization: 'Bearer' })],
      ['of another scheme', () => ({ authorization: 'Basic dTpw' })],
      ['oversized', () => bearer('x'.repeat(8_000))],
      ['far too large', () => bearer(`rk_${'x'.repeat(30_000)}`)],
      ['empty', () => ({ authorization: '' })],
    ])('refuses credentials that are %s, also where none are needed', async (_, headers) => {
      const before = await app.everything()
      for (const line of [`GET ${path}/4`, `GET ${path}/99`, write, `DELETE ${path}/4`, `GET ${path}`]) {
        const answer = await app.call(line, line === write ? '{"broken' : undefined, headers())
        expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, invalidToken])
      }
      expect(await app.everything()).toEqual(before)
    })

    test('refuses a second Authorization, be the first one right', async () => {
      const twice = `Authorization: Bearer ${secrets.both}\r\n`.repeat(2)
      const text = `GET ${path}/4 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${twice}\r\n`
      const answer = await sendBytes(app.url, text)
      expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, invalidToken])
    })

    test('asks nothing of a key that only callers without one are asked', async () => {
      const proxied = { 'x-forwarded-for': '192.0.2.1', via: '1.1 proxy' }
      for (const headers of [{ host: 'roster.example' }, proxied, { origin: 'https://evil.example' }]) {
        expect(await call(`GET ${path}/4`, secrets.both, headers)).toMatchObject({ status: 200 })
        const written = await call(write, secrets.both, headers)
        expect(written.status).toBe(200)
        // A page of a foreign origin still does not get to read it.
        expect(written.headers['access-control-allow-origin']).toBeUndefined()
      }
    })

    test('says no more than that credentials are needed to those who bring none', async () => {
      const answer = await app.call(`GET ${path}/4`)
      if (openContracts !== 'never') return expect(answer.status).toBe(200)
      expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Bearer realm="roster"'])
      expect(answer.text).toMatch(/Authorization: Bearer.*roster key create.*ROSTER_OPEN_CONTRACTS=loopback/)
    })
  })

  test('says in the OpenAPI document what credentials each route takes', () => {
    const { paths = {}, components } = app.app.swagger() as OpenApi
    expect(components?.securitySchemes).toMatchObject({ key: { type: 'http', scheme: 'bearer' } })
    for (const path of ['/adoption/users/{id}', '/records/users', '/users'])
      for (const operation of Object.values(paths[path] ?? {}))
        expect(operation.security).toEqual([{ key: [] }, { oauth: [] }, {}])
    expect(Object.keys(paths)).toContain('/adoption/users/{id}')
  })

  test('tells of no secret in any answer', async () => {
    for (const { path } of contracts) {
      for (const secret of Object.values(secrets)) {
        const answer = await app.call(`GET ${path}/4`, undefined, bearer(secret))
        expect(answer.text + JSON.stringify(answer.headers)).not.toContain(secret)
      }
    }
  })
})
