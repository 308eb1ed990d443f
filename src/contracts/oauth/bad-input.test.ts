import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { authorize, client, createBrowser, person } from '../../../test/oauth.ts'

let app: TestApp
let web: { id: string; secret: string }
let phone: { id: string; secret: string }
let service: { id: string; secret: string }
let ann: Awaited<ReturnType<typeof person>>
beforeAll(async () => {
  app = await startApp()
  web = await client(app, { scopes: ['read', 'write'], redirect_uris: [back] })
  phone = await client(app, {
    scopes: ['read'],
    redirect_uris: ['com.example.app:/back', back, 'http://127.0.0.1:4000/back'],
    public: true,
  })
  service = await client(app, { scopes: ['read', 'write'] })
  ann = await person(app)
})
afterAll(() => app.close())

const back = 'https://app.example.com/back'
const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')
const basic = ({ id, secret }: { id: string; secret: string }) => ({
  authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
})

function addressOf(over: Readonly<Record<string, string | undefined>>): string {
  const asked = {
    client_id: web.id,
    redirect_uri: back,
    response_type: 'code',
    scope: 'read',
    state: 's',
    ...over,
  }
  const given = Object.entries(asked).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  return `/oauth/authorize?${new URLSearchParams(given)}`
}

const post = (path: string, form: Readonly<Record<string, string>> | string, headers: object = {}) =>
  app.call(`POST ${path}`, typeof form === 'string' ? form : `${new URLSearchParams(form)}`, {
    'content-type': 'application/x-www-form-urlencoded',
    ...headers,
  })

/** A code, and what goes with it. */
async function codeOf(over: Readonly<Record<string, string>> = {}) {
  const verifier = randomBytes(32).toString('base64url')
  const pkce = { code_challenge: challengeOf(verifier), code_challenge_method: 'S256' }
  const sentBack = await authorize(
    createBrowser(app.url),
    addressOf({ ...pkce, scope: 'read write', ...over }),
    ann,
  )
  const code = sentBack.searchParams.get('code') ?? ''
  expect(sentBack.searchParams.get('error')).toBeNull()
  return { grant_type: 'authorization_code', code, redirect_uri: back, code_verifier: verifier }
}

async function tokensOf() {
  const { status, body } = await post('/oauth/token', await codeOf(), basic(web))
  expect(status).toBe(200)
  return body as { access_token: string; refresh_token: string }
}

const statusOf = async (token: string) =>
  (await app.call('GET /v1/user', undefined, { authorization: `Bearer ${token}` })).status

/** The form of RFC 6749, section 5.2, and nothing of how it came about. */
function expectError(answer: { body: unknown; text: string }, error: string) {
  const { scope: _, ...told } = answer.body as { scope?: string }
  expect(told).toEqual({ error, error_description: expect.any(String) })
  expect(answer.text).not.toMatch(/ {2}at |node_modules|\.ts|\.js/)
}

describe('a redirect URI', () => {
  test.for([
    'https://app.example.com/back/',
    'https://app.example.com/back?x=1',
    'https://app.example.com/back#x',
    'https://app.example.com/Back',
    'https://app.example.com:443/back',
    'HTTPS://app.example.com/back',
    'http://app.example.com/back',
    'https://app.example.com.evil.example/back',
    'https://app.example.com@evil.example/back',
    'https://app.example.com/back/../back',
    'https://app.example.com/%62ack',
    'javascript:alert(1)',
    '',
  ])(
    'that is not registered to the letter gets no code and sends nobody anywhere: %s',
    async (redirect_uri) => {
      const { status, headers, html } = await createBrowser(app.url).go(addressOf({ redirect_uri }))
      expect(status).toBe(400)
      expect(headers.get('location')).toBeNull()
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(html).not.toContain('<script')
    },
  )

  test.for(['http://127.0.0.1:4001/back', 'http://127.0.0.1/back', 'http://localhost:4000/back'])(
    'of this machine has the port that is registered: %s',
    async (redirect_uri) => {
      const over = { client_id: phone.id, code_challenge: challengeOf('x'), code_challenge_method: 'S256' }
      const { status, location } = await createBrowser(app.url).go(addressOf({ ...over, redirect_uri }))
      expect([status, location]).toEqual([400, null])
    },
  )

  test('must be told again with the code, and be the same', async () => {
    for (const redirect_uri of ['https://app.example.com/other', '', undefined]) {
      const { redirect_uri: _, ...asked } = await codeOf()
      const answer = await post(
        '/oauth/token',
        { ...asked, ...(redirect_uri !== undefined && { redirect_uri }) },
        basic(web),
      )
      expect(answer.status).toBe(400)
      expectError(answer, redirect_uri ? 'invalid_grant' : 'invalid_request')
    }
  })
})

describe('an authorization request', () => {
  const withPkce = { code_challenge: challengeOf('x'.repeat(43)), code_challenge_method: 'S256' }
  test.for<[title: string, over: () => Record<string, string | undefined>, error: string]>([
    ['without PKCE, of a public client', () => ({ client_id: phone.id }), 'invalid_request'],
    ['without state and PKCE', () => ({ state: undefined }), 'invalid_request'],
    ['with PKCE in the clear', () => ({ ...withPkce, code_challenge_method: 'plain' }), 'invalid_request'],
    ['with PKCE in the clear by default', () => ({ code_challenge: 'x'.repeat(43) }), 'invalid_request'],
    ['with a challenge that is none', () => ({ ...withPkce, code_challenge: 'short' }), 'invalid_request'],
    ['for admin', () => ({ scope: 'admin' }), 'invalid_scope'],
    [
      'for more than the client may have',
      () => ({ ...withPkce, client_id: phone.id, scope: 'read write' }),
      'invalid_scope',
    ],
    ['for a token, without a code', () => ({ response_type: 'token' }), 'unsupported_response_type'],
    ['for both', () => ({ response_type: 'code token', nonce: 'n' }), 'unsupported_response_type'],
  ])('%s is sent back with an error', async ([, over, error]) => {
    const { location, status } = await createBrowser(app.url).go(addressOf(over()))
    expect(status).toBe(303)
    const url = new URL(location ?? '')
    expect(url.href.startsWith(back)).toBe(true)
    const told = new URLSearchParams(url.search || url.hash.slice(1))
    expect(told.get('error')).toBe(error)
    expect(told.get('code')).toBeNull()
  })

  test.for(['client_nobody', '', "client_'; DROP TABLE documents; --", 'a\0b'])(
    'of nobody’s client is told to the person: %s',
    async (client_id) => {
      expect((await createBrowser(app.url).go(addressOf({ client_id }))).status).toBe(400)
    },
  )

  test('of a service is refused: nobody signs in there', async () => {
    expect((await createBrowser(app.url).go(addressOf({ client_id: service.id }))).status).toBe(400)
  })
})

describe('a NUL in a query', () => {
  test.for(['state', 'login_hint', 'ui_locales', 'client_id', 'nobody_knows'])(
    'is refused by name, since not every store could keep it: %s',
    async (name) => {
      const before = await app.everything()
      for (const path of [addressOf({}), `/oauth/sign-out?client_id=${web.id}`]) {
        const answer = await app.call(`GET ${path}&${name}=a%00b`)
        expect(answer).toMatchObject({
          ...{ status: 400, body: { error: 'invalid_request' } },
          text: expect.stringContaining(`${name} must not have a NUL in it`),
        })
      }
      expect(await app.everything()).toEqual(before)
    },
  )
})

describe('a code', () => {
  test.for<[title: string, over: Record<string, string | undefined>]>([
    ['without the verifier', { code_verifier: undefined }],
    ['with another verifier', { code_verifier: 'x'.repeat(43) }],
    ['that nobody gave', { code: 'x'.repeat(43) }],
    ['that is no code', { code: '\u0000' }],
  ])('%s is worth nothing', async ([, over]) => {
    const asked = Object.entries({ ...(await codeOf()), ...over })
    const given = asked.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
    const answer = await post('/oauth/token', Object.fromEntries(given), basic(web))
    expect(answer.status).toBe(400)
    expectError(answer, 'invalid_grant')
  })

  test('of another client is worth nothing', async () => {
    const asked = await codeOf()
    expectError(await post('/oauth/token', { ...asked, client_id: phone.id }), 'invalid_grant')
    expect((await post('/oauth/token', asked, basic(web))).status).toBe(200)
  })

  test('used a second time ends what came of the first', async () => {
    const asked = await codeOf()
    const first = await post('/oauth/token', asked, basic(web))
    const { access_token, refresh_token } = first.body as { access_token: string; refresh_token: string }
    expect(await statusOf(access_token)).toBe(200)
    expectError(await post('/oauth/token', asked, basic(web)), 'invalid_grant')
    await expect.poll(() => statusOf(access_token)).toBe(401)
    const refresh = { grant_type: 'refresh_token', refresh_token }
    expectError(await post('/oauth/token', refresh, basic(web)), 'invalid_grant')
  })

  test('used by several at one moment is good for nobody in the end', async () => {
    const asked = await codeOf()
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => post('/oauth/token', asked, basic(web))),
    )
    const good = answers.filter(({ status }) => status === 200)
    expect(good.length).toBeLessThanOrEqual(1)
    for (const { body } of good)
      await expect.poll(() => statusOf((body as { access_token: string }).access_token)).toBe(401)
  })
})

describe('a refresh token', () => {
  const refresh = (refresh_token: string, of = web) =>
    post('/oauth/token', { grant_type: 'refresh_token', refresh_token }, basic(of))

  test('used a second time ends its family', async () => {
    const first = await tokensOf()
    const second = (await refresh(first.refresh_token)).body as typeof first
    expect(await statusOf(second.access_token)).toBe(200)
    expectError(await refresh(first.refresh_token), 'invalid_grant')
    expectError(await refresh(second.refresh_token), 'invalid_grant')
    for (const token of [first.access_token, second.access_token])
      await expect.poll(() => statusOf(token)).toBe(401)
  })

  test('can not be used for more than was allowed, or by another client', async () => {
    const { refresh_token } = await tokensOf()
    const more = { grant_type: 'refresh_token', refresh_token, scope: 'read write admin' }
    expectError(await post('/oauth/token', more, basic(web)), 'invalid_scope')
    expectError(
      await post('/oauth/token', { grant_type: 'refresh_token', refresh_token, client_id: phone.id }),
      'invalid_grant',
    )
    const less = { grant_type: 'refresh_token', refresh_token, scope: 'read' }
    expect((await post('/oauth/token', less, basic(web))).body).toMatchObject({ scope: 'read' })
  })

  test('is no access token, nor is a code or an ID token', async () => {
    const { refresh_token } = await tokensOf()
    expect(await statusOf(refresh_token)).toBe(401)
    const { code } = await codeOf()
    expect(await statusOf(code)).toBe(401)
    const asked = await post('/oauth/token', await codeOf({ scope: 'openid read' }), basic(web))
    const { id_token } = asked.body as { id_token: string }
    expect(await statusOf(id_token)).toBe(401)
  })
})

describe('a client', () => {
  test.for<[title: string, headers: () => object, form: () => Record<string, string>]>([
    ['with another secret', () => basic({ ...service, secret: 'x' }), () => ({})],
    [
      'with the hash of its secret',
      () => basic({ ...service, secret: createHash('sha256').update(service.secret).digest('hex') }),
      () => ({}),
    ],
    ['without a secret', () => ({}), () => ({ client_id: service.id })],
    ['that nobody made', () => basic({ id: 'client_x', secret: 'x' }), () => ({})],
  ])('%s is told nothing', async ([, headers, form]) => {
    const answer = await post(
      '/oauth/token',
      { grant_type: 'client_credentials', scope: 'read', ...form() },
      headers(),
    )
    expect(answer.status).toBe(401)
    expectError(answer, 'invalid_client')
  })

  test('may not have more than it was made with', async () => {
    const asked = { grant_type: 'client_credentials', scope: 'read admin' }
    expectError(await post('/oauth/token', asked, basic(service)), 'invalid_scope')
  })

  test('for people is no service, and the other way round; there are no other grants', async () => {
    const password = { username: ann.name, password: ann.password }
    for (const [of, form] of [
      [web, { grant_type: 'client_credentials', scope: 'read' }],
      [service, await codeOf()],
    ] as const)
      expectError(await post('/oauth/token', form, basic(of)), 'invalid_request')
    for (const grant_type of ['password', 'implicit', 'urn:ietf:params:oauth:grant-type:device_code', ''])
      expect((await post('/oauth/token', { grant_type, ...password }, basic(web))).status).toBe(400)
  })

  test('that was revoked loses its tokens and gets no new ones', async () => {
    const made = await client(app, { scopes: ['read'] })
    const asked = { grant_type: 'client_credentials', scope: 'read' }
    const { access_token } = (await post('/oauth/token', asked, basic(made))).body as { access_token: string }
    const list = () => app.call('GET /v1/users', undefined, { authorization: `Bearer ${access_token}` })
    expect((await list()).status).toBe(200)
    expect(
      (await app.call(`DELETE /v1/clients/${made.id}`, undefined, await app.keyWith('admin'))).status,
    ).toBe(204)
    expect((await list()).status).toBe(401)
    expectError(await post('/oauth/token', asked, basic(made)), 'invalid_client')
  })

  test('that was revoked leaves tokens that an administrator’s client sees to be worth nothing', async () => {
    const admin = await client(app, { scopes: ['admin'] })
    const worker = await client(app, { scopes: ['read'] })
    const site = await client(app, { scopes: ['read', 'write'], redirect_uris: [back] })
    const own = await post('/oauth/token', { grant_type: 'client_credentials', scope: 'read' }, basic(worker))
    const persons = await post('/oauth/token', await codeOf({ client_id: site.id }), basic(site))
    const { access_token, refresh_token } = persons.body as { access_token: string; refresh_token: string }
    const introspect = async (token: string) => {
      const { status, body } = await post('/oauth/introspect', { token }, basic(admin))
      return [status, (body as { active: boolean }).active]
    }
    const tokens = [(own.body as { access_token: string }).access_token, access_token, refresh_token]
    for (const token of tokens) expect(await introspect(token)).toEqual([200, true])
    for (const { id } of [worker, site])
      await app.call(`DELETE /v1/clients/${id}`, undefined, await app.keyWith('admin'))
    for (const token of tokens) expect(await introspect(token)).toEqual([200, false])
  })

  test('learns nothing of the tokens of others, and can not revoke them', async () => {
    const { access_token } = await tokensOf()
    const asked = { token: access_token }
    expect((await post('/oauth/introspect', asked, basic(service))).body).toEqual({ active: false })
    await post('/oauth/revoke', asked, basic(service))
    expect((await post('/oauth/introspect', asked, basic(web))).body).toMatchObject({ active: true })
    expect((await post('/oauth/introspect', asked)).status).toBe(400)
  })
})

describe('the endpoints', () => {
  test.for<[line: string, body: string | undefined, type: string]>([
    ['POST /oauth/token', '{"grant_type":"client_credentials"}', 'application/json'],
    ['POST /oauth/token', 'grant_type=client_credentials&grant_type=x', 'application/x-www-form-urlencoded'],
    ['POST /oauth/token', undefined, 'application/x-www-form-urlencoded'],
    ['POST /oauth/token', '%', 'application/x-www-form-urlencoded'],
    ['POST /oauth/token', 'a'.repeat(100_000), 'application/x-www-form-urlencoded'],
    ['POST /oauth/revoke', 'token=x', 'application/x-www-form-urlencoded'],
    ['POST /oauth/introspect', 'token=x', 'application/x-www-form-urlencoded'],
  ])('answer what makes no sense in their own form: %s', async ([line, body, type]) => {
    const answer = await app.call(line, body, { 'content-type': type })
    expect(answer.status).toBe(400)
    expectError(answer, 'invalid_request')
    expect(answer.headers['x-request-id']).toMatch(/^req-/)
  })

  test('know their methods', async () => {
    const answer = await app.call('GET /oauth/token')
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'OPTIONS, POST' } })
    expectError(answer, 'invalid_request')
    expectError(await app.call('GET /oauth/nothing'), 'invalid_request')
  })

  test('have the community’s names too', async () => {
    const { access_token } = await tokensOf()
    const form = { token: access_token, client_id: web.id, client_secret: web.secret }
    expect((await post('/oauth/revoke_token/', form)).status).toBe(200)
    await expect.poll(() => statusOf(access_token)).toBe(401)
    expect(
      (await post('/oauth/token/', { grant_type: 'client_credentials', scope: 'read' }, basic(service)))
        .status,
    ).toBe(200)
  })

  test('let no page of another origin read what they say', async () => {
    for (const path of ['/oauth/jwks', '/.well-known/openid-configuration']) {
      const { status, headers } = await app.call(`GET ${path}`, undefined, { origin: 'https://evil.example' })
      expect(status).toBe(200)
      expect(headers['access-control-allow-origin']).toBeUndefined()
    }
  })

  test('publish no private part of a key', async () => {
    const { body } = await app.call('GET /oauth/jwks')
    const { keys } = body as { keys: object[] }
    expect(keys.map((key) => Object.keys(key).toSorted())).toEqual([['alg', 'e', 'kid', 'kty', 'n', 'use']])
  })

  test('keep no token, code or secret as it is', async () => {
    const { access_token, refresh_token } = await tokensOf()
    const asked = await codeOf()
    const browser = createBrowser(app.url)
    await authorize(browser, addressOf({}), ann)
    // While it is under way, a second one refers to the session of the first.
    await browser.open(
      addressOf({
        client_id: phone.id,
        code_challenge: challengeOf('x'),
        code_challenge_method: 'S256',
        prompt: 'consent',
      }),
    )
    const sessions = [...browser.cookies].filter(([name]) => name.startsWith('_session '))
    expect(sessions).toHaveLength(1)
    const names = sessions.map(([, { value }]) => value)
    const rows = JSON.stringify(await app.everything())
    for (const secret of [access_token, refresh_token, asked.code, web.secret, service.secret, ...names])
      expect(rows).not.toContain(secret)
  })
})
