import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { authorize, client, createBrowser, person } from '../../../test/oauth.ts'
import { signInFailures, signInsBegun } from '../../access/sign-in.ts'

let app: TestApp
let shop: { id: string; secret: string }
let ann: Awaited<ReturnType<typeof person>>
let blocked: typeof ann
beforeAll(async () => {
  // Tests come from many addresses, so that one does not use up the attempts of another.
  app = await startApp({ trustProxy: ['127.0.0.1'] })
  shop = await client(app, { name: 'Shop', scopes: ['read'], redirect_uris: [back] })
  ann = await person(app)
  blocked = await person(app)
  await block(blocked.username)
})
afterAll(() => app.close())

const back = 'https://app.example.com/back'

async function block(username: string) {
  const user = await app.store.find({ kind: 'username', key: username })
  const outcome = await app.store.change({
    ...{ kind: 'import', id: user?.id ?? 0, uid: '', patch: {}, update: true, source: { status: 'blocked' } },
    ...{ actor: { kind: 'operator', id: null, scopes: ['admin'], contract: 'operator' }, requestId: 'test' },
    ...{ changeId: crypto.randomUUID(), at: Date.now() },
  })
  expect(outcome.outcome).toBe('committed')
}

let addresses = 0
let from: { 'x-forwarded-for': string }
beforeEach(() => {
  addresses++
  from = { 'x-forwarded-for': `192.0.2.${addresses}` }
})

const address = () =>
  `/oauth/authorize?${new URLSearchParams({
    ...{ client_id: shop.id, redirect_uri: back, response_type: 'code', scope: 'read', state: 's' },
  })}`

async function begin() {
  const browser = createBrowser(app.url)
  return { browser, page: await browser.open(address()) }
}

type Begun = Awaited<ReturnType<typeof begin>>

const attempt = ({ browser, page }: Begun, name: string, password: string) =>
  browser.submit(page, { name, password, action: 'sign-in' }, from)

describe('the answer is the same, but for the name that was typed,', () => {
  test('whether there is such a person, whether they are blocked, and whatever is wrong', async () => {
    const begun = await begin()
    const tries: [name: string, password: string][] = [
      [ann.name, 'wrong password'],
      [ann.email, 'wrong password'],
      ['nobody', 'wrong password'],
      ['nobody@example.com', 'wrong password'],
      // The sample people have no password.
      ['drenn', 'wrong password'],
      [blocked.name, blocked.password],
      [blocked.name, 'wrong password'],
      ['a\0b', 'x'],
      ['\ud800', 'x'],
      ["' OR 1=1 --", 'x'],
      ['x'.repeat(10_000), 'x'],
      [ann.name, 'x'.repeat(10_000)],
      ['', ''],
    ]
    const answers = []
    for (const [name, password] of tries) {
      const { status, html, headers } = await attempt(begun, name, password)
      const told = [...headers].filter(([header]) => !/date|request-id|content-length|ratelimit/.test(header))
      answers.push({ status, html: html.replace(/id="name" name="name" value="[^"]*"/, ''), told })
    }
    expect(answers[0]?.status).toBe(422)
    for (const answer of answers) expect(answer).toEqual(answers[0])
  })

  test('also when it was tried too often', async () => {
    const bob = await person(app)
    for (const name of [bob.username, `nobody${addresses}`]) {
      const begun = await begin()
      const statuses = []
      for (let n = 0; n < signInFailures.ofName.quota + 3; n++) {
        const { status, headers } = await attempt(begun, name, 'wrong password')
        statuses.push([status, status === 429 && Number(headers.get('retry-after')) > 0])
      }
      const { quota } = signInFailures.ofName
      expect(statuses).toEqual([...Array(quota).fill([422, false]), ...Array(3).fill([429, true])])
    }
    // The right password does not help until then, so nobody can go on guessing.
    expect((await attempt(await begin(), bob.username, bob.password)).status).toBe(429)
  })
})

test('of 1,000 attempts from one address next to none are looked at', { timeout: 60_000 }, async () => {
  const begun = await begin()
  const statuses = new Map<number, number>()
  for (let n = 0; n < 1_000; n += 50) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => attempt(begun, `person${n + i}@example.com`, 'guess')),
    )
    for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }
  const { quota } = signInFailures.ofAddress
  expect([...statuses]).toEqual([
    [422, quota],
    [429, 1_000 - quota],
  ])
})

test('of 1,000 attempts at one name, each from an address of its own, next to none are looked at', {
  timeout: 60_000,
}, async () => {
  const bob = await person(app)
  const begun = await begin()
  const statuses = new Map<number, number>()
  for (let n = 0; n < 1_000; n += 50) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        begun.browser.submit(
          begun.page,
          { name: bob.name, password: 'guess', action: 'sign-in' },
          { 'x-forwarded-for': `198.51.${Math.floor((n + i) / 250)}.${(n + i) % 250}` },
        ),
      ),
    )
    for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }
  const { quota } = signInFailures.ofName
  expect([...statuses]).toEqual([
    [422, quota],
    [429, 1_000 - quota],
  ])
})

describe('a form', () => {
  test.for<[title: string, over: object, headers: Record<string, string>]>([
    ['without its token', { token: '' }, {}],
    ['with another token', { token: 'x'.repeat(43) }, {}],
    ['from another page', {}, { origin: 'https://evil.example' }],
    ['from another page of the site', {}, { 'sec-fetch-site': 'same-site' }],
    ['from another page that hides where it is', {}, { origin: 'null' }],
  ])('%s does nothing', async ([, over, headers]) => {
    const bob = await person(app)
    const { browser, page } = await begin()
    const values = { name: bob.name, password: bob.password, action: 'sign-in', ...over }
    const { status, location } = await browser.submit(page, values, { ...from, ...headers })
    expect([status, location]).toEqual([403, null])
  })

  test('without the cookie of its sign-in, or with that of another, does nothing', async () => {
    const bob = await person(app)
    const { page } = await begin()
    const other = await begin()
    for (const browser of [createBrowser(app.url), other.browser]) {
      const { status, location } = await attempt({ browser, page }, bob.name, bob.password)
      expect([status, location]).toEqual([400, null])
    }
  })

  test('of a sign-in that is over does nothing', async () => {
    const bob = await person(app)
    const { browser, page } = await begin()
    const asked = await attempt({ browser, page }, bob.name, bob.password)
    const done = await browser.submit(asked, { action: 'allow' }, from)
    expect(new URL(done.location ?? '').searchParams.get('code')).toMatch(/^[\w-]{43}$/)
    const again = await browser.submit(asked, { action: 'allow' }, from)
    expect([again.status, again.location]).toEqual([400, null])
  })
})

describe('a person', () => {
  test('may cancel, and may not allow', async () => {
    const bob = await person(app)
    const begun = await begin()
    const cancelled = await begun.browser.submit(begun.page, { action: 'cancel' }, from)
    const other = await begin()
    const asked = await attempt(other, bob.name, bob.password)
    const denied = await other.browser.submit(asked, { action: 'deny' }, from)
    for (const { location } of [cancelled, denied]) {
      const { searchParams, origin } = new URL(location ?? '')
      expect(origin).toBe('https://app.example.com')
      expect([searchParams.get('error'), searchParams.get('state')]).toEqual(['access_denied', 's'])
    }
  })

  test('who has signed in and allowed before is not asked again', async () => {
    const bob = await person(app)
    const begun = await begin()
    const asked = await attempt(begun, bob.name, bob.password)
    await begun.browser.submit(asked, { action: 'allow' }, from)
    const again = await begun.browser.open(address())
    expect(new URL(again.location ?? '').searchParams.get('code')).toMatch(/^[\w-]{43}$/)
  })

  test('who is asked again for what they have allowed is told all of it', async () => {
    const bob = await person(app)
    const begun = await begin()
    const asked = await attempt(begun, bob.name, bob.password)
    await begun.browser.submit(asked, { action: 'allow' }, from)
    const again = await begun.browser.open(`${address()}&prompt=consent`)
    expect(again.html).toContain('<li>see your profile</li>')
    const { location } = await begun.browser.submit(again, { action: 'allow' }, from)
    expect(new URL(location ?? '').searchParams.get('code')).toMatch(/^[\w-]{43}$/)
  })

  test('who is asked is told all that an app may do then', async () => {
    const bob = await person(app)
    const made = await client(app, { scopes: ['read', 'write'], redirect_uris: [back] })
    const query = {
      ...{ client_id: made.id, redirect_uri: back, response_type: 'code', scope: 'read write', state: 's' },
    }
    const browser = createBrowser(app.url)
    const page = await browser.open(`/oauth/authorize?${new URLSearchParams(query)}`)
    const { html } = await attempt({ browser, page }, bob.name, bob.password)
    expect([...html.matchAll(/<li>(.*)<\/li>/g)].map(([, told]) => told).toSorted()).toEqual([
      'change your profile and e-mail address, and delete your account',
      'see your profile',
    ])
  })

  test('who is somebody else signs in as themselves, and is asked for themselves', async () => {
    const [bob, eve] = [await person(app), await person(app)]
    const begun = await begin()
    const asked = await attempt(begun, bob.name, bob.password)
    expect(asked.html).toContain(bob.name)
    const page = await begun.browser.submit(asked, { action: 'switch' }, from)
    expect(page.html).toContain('name="password"')
    const other = await attempt({ ...begun, page }, eve.name, eve.password)
    expect(other.html).toContain(eve.name)
    expect(other.html).not.toContain(bob.name)
    const { location } = await begun.browser.submit(other, { action: 'allow' }, from)
    const { searchParams } = new URL(location ?? '')
    expect([searchParams.get('state'), searchParams.get('code')]).toEqual(['s', expect.any(String)])
    // Whoever was there before is signed out, so nobody goes on as them.
    expect((await begun.browser.open(`${address()}&prompt=consent`)).html).toContain(eve.name)
  })

  test('who is blocked or removed meanwhile has to sign in again, and can not', async () => {
    const bob = await person(app)
    const begun = await begin()
    const asked = await attempt(begun, bob.name, bob.password)
    await begun.browser.submit(asked, { action: 'allow' }, from)
    await block(bob.username)
    const again = await begun.browser.open(address())
    expect([again.status, again.location]).toEqual([200, null])
    expect(again.html).toContain('name="password"')
    expect((await attempt({ ...begun, page: again }, bob.name, bob.password)).status).toBe(422)
  })
})

test.for([
  ['username', 'x'.repeat(255)],
  ['email', `${'\u{10400}'.repeat(64)}@${`${'x'.repeat(60)}.`.repeat(3)}exampl`],
] as const)('the longest %s is a name to sign in by', async ([field, name]) => {
  const bob = await person(app)
  const write = await app.keyWith('write', 'read')
  expect((await app.call(`PATCH /v1/users/${bob.uid}`, { [field]: name }, write)).status).toBe(200)
  const begun = await begin()
  const longest = Number(/name="name"[^>]* maxlength="(\d+)"/.exec(begun.page.html)?.[1])
  expect(longest).toBeGreaterThanOrEqual(name.length)
  expect((await attempt(begun, name, bob.password)).html).toContain('value="allow"')
})

describe('who has allowed before and is signed in', () => {
  test.for<[title: string, asked: object, redirect_uri: string, isAsked: boolean]>([
    ['need not allow it again', {}, back, false],
    ['must, where any program of a machine could have the code', {}, 'http://127.0.0.1:9999/back', true],
    ['need not, where the code is of no use without a secret', { public: false }, 'http://[::1]/back', false],
    ['must, where any app of a phone could', {}, 'com.example.app:/back', true],
  ])('%s', async ([, over, redirect_uri, isAsked]) => {
    const bob = await person(app)
    const made = await client(app, { scopes: ['read'], redirect_uris: [redirect_uri], public: true, ...over })
    const query = {
      ...{ client_id: made.id, redirect_uri, response_type: 'code', scope: 'read', state: 's' },
      ...{ code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' },
    }
    const again = `/oauth/authorize?${new URLSearchParams(query)}`
    const browser = createBrowser(app.url)
    expect((await authorize(browser, again, bob)).searchParams.get('code')).toBeTruthy()
    const page = await browser.open(again)
    expect(page.html.includes('value="allow"')).toBe(isAsked)
    const told = (await browser.open(`${again}&prompt=none`)).location ?? ''
    expect(new URL(told).searchParams.get(isAsked ? 'error' : 'code')).toMatch(isAsked ? /_required$/ : /./)
    if (!isAsked) return
    const allowed = await browser.submit(page, { action: 'allow' })
    expect(new URL(allowed.location ?? '').searchParams.get('code')).toBeTruthy()
  })
})

describe('signing out', () => {
  const signOut = (query: Readonly<Record<string, string>> = {}) =>
    `/oauth/sign-out?${new URLSearchParams(query)}`
  const confirmed = (html: string) => ({ xsrf: /name="xsrf" value="([^"]+)"/.exec(html)?.[1] ?? '' })

  async function signedIn() {
    const bob = await person(app)
    const begun = await begin()
    const asked = await attempt(begun, bob.name, bob.password)
    await begun.browser.submit(asked, { action: 'allow' }, from)
    const goesOn = async () => (await begun.browser.open(address())).location !== null
    expect(await goesOn()).toBe(true)
    return { ...begun, bob, goesOn }
  }

  test('is asked first, since the address may be anybody’s, and then has everybody sign in again', async () => {
    const { browser, bob, goesOn } = await signedIn()
    const page = await browser.open(signOut())
    expect(page.html).toContain(bob.name)
    expect(await goesOn()).toBe(true)
    const forged = await browser.go('/oauth/sign-out/confirm', { xsrf: 'x', logout: 'yes' })
    expect([forged.status, await goesOn()]).toEqual([400, true])
    const again = await browser.open(signOut())
    const done = await browser.go('/oauth/sign-out/confirm', { ...confirmed(again.html), logout: 'yes' })
    expect((await browser.open(done.location ?? '')).html).toContain('You are signed out')
    expect(await goesOn()).toBe(false)
  })

  test('leads back to the client, to an address of its own and no other', async () => {
    const { browser, goesOn } = await signedIn()
    for (const uri of ['https://evil.example/', `${back}/`, `${back}?x=1`]) {
      const query = { client_id: shop.id, post_logout_redirect_uri: uri }
      const { status, location } = await browser.open(signOut(query))
      expect([status, location]).toEqual([400, null])
    }
    // Nobody is led anywhere where no client is named.
    const nobodys = await browser.open(signOut({ post_logout_redirect_uri: 'https://evil.example/' }))
    expect(nobodys.html).not.toContain('evil')
    const page = await browser.open(
      signOut({ client_id: shop.id, post_logout_redirect_uri: back, state: 'bye' }),
    )
    expect(page.html).toContain('Shop')
    const { location } = await browser.go('/oauth/sign-out/confirm', {
      ...confirmed(page.html),
      logout: 'yes',
    })
    expect([location, await goesOn()]).toEqual([`${back}?state=bye`, false])
  })
})

describe('whoever has no credentials can not fill the disk:', () => {
  test('who is not signed in is led on from signing out at once, and leaves nothing', async () => {
    const before = await app.everything()
    const query = { client_id: shop.id, post_logout_redirect_uri: back, state: 'bye & more' }
    const gone = [`${back}?state=bye+%26+more`, null]
    const out = [expect.stringMatching(/\/oauth\/sign-out\/success$/), null]
    for (const [asked, told] of [
      [query, gone],
      [{ ...query, client_id: '' }, out],
      [{}, out],
    ] as const) {
      const { status, location, headers } = await createBrowser(app.url).go(
        `/oauth/sign-out?${new URLSearchParams(asked)}`,
      )
      expect([status, location, headers.get('set-cookie')]).toEqual([303, ...told])
    }
    const evil = new URLSearchParams({ ...query, post_logout_redirect_uri: 'https://evil.example/' })
    expect((await createBrowser(app.url).go(`/oauth/sign-out?${evil}`)).status).toBe(400)
    expect(await app.everything()).toEqual(before)
  })

  test('what is asked has a bound', async () => {
    const before = await app.everything()
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const room = 4_096 - new URL(address(), app.url).search.slice(1).length
    const [most, more] = [0, 1].map((n) => `${address()}${'s'.repeat(room + n)}`)
    for (const [line, body] of [
      [`GET ${more}`],
      [`GET /oauth/sign-out?state=${'s'.repeat(4_091)}`],
      ['POST /oauth/authorize', more?.split('?')[1]],
    ] as const) {
      const answer = await app.call(line, body, form)
      expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
      expect(answer.text).toContain('query must have at most 4096 characters')
    }
    expect(await app.everything()).toEqual(before)
    expect((await createBrowser(app.url).open(most ?? '')).status).toBe(200)
  })

  test('sign-ins are begun from an address so often, also where nothing else is limited', async () => {
    const begin = () => createBrowser(app.url).go(`${address()}&prompt=none`, undefined, from)
    const statuses = new Set<number>()
    for (let count = 0; count < signInsBegun.quota; count++) statuses.add((await begin()).status)
    const { status, headers } = await begin()
    expect([[...statuses], status, headers.get('retry-after')]).toEqual([
      [303],
      429,
      expect.stringMatching(/^\d+$/),
    ])
    for (const [spelled, told] of [
      ['/oauth/authorize/?', 429],
      ['/oauth/authorize//?', 404],
      ['/oauth/%61uthorize?', 429],
    ] as const) {
      const other = address().replace('/oauth/authorize?', spelled)
      expect([spelled, (await createBrowser(app.url).go(other, undefined, from)).status]).toEqual([
        spelled,
        told,
      ])
    }
    expect((await createBrowser(app.url).go(address())).status).toBe(303)
  })
})

// SQLite is never away.
test.skipIf(process.env.TEST_STORE !== 'postgres')(
  'while the store is away people are told so on a page, and programs in their words',
  async () => {
    const own = await startApp()
    const made = await client(own, { scopes: ['read'], redirect_uris: [back] })
    const browser = createBrowser(own.url)
    const query = { client_id: made.id, redirect_uri: back, response_type: 'code', scope: 'read', state: 's' }
    const page = await browser.open(`/oauth/authorize?${new URLSearchParams(query)}`)
    expect(page.status).toBe(200)
    await own.store.close()
    const told = [
      await browser.open(`/oauth/authorize?${new URLSearchParams(query)}`),
      await browser.open(page.address),
      await browser.submit(page, { name: 'ann', password: 'wrong', action: 'sign-in' }),
    ]
    for (const { status, headers, location } of told) {
      expect([status, location, headers.get('retry-after')]).toEqual([
        503,
        null,
        expect.stringMatching(/^[15]$/),
      ])
      expect(headers.get('content-type')).toMatch(/^text\/html/)
    }
    const form = { grant_type: 'authorization_code', code: 'x', redirect_uri: back, client_id: made.id }
    const answer = await own.call('POST /oauth/token', `${new URLSearchParams(form)}`, {
      'content-type': 'application/x-www-form-urlencoded',
    })
    expect(answer).toMatchObject({
      ...{ status: 503, headers: { 'retry-after': '1' } },
      body: { error: 'temporarily_unavailable', error_description: expect.any(String) },
    })
    await own.close()
  },
)

test('the pages load nothing, are kept nowhere and framed by nobody', async () => {
  const { page } = await begin()
  expect(Object.fromEntries(page.headers)).toMatchObject({
    'cache-control': 'no-store',
    'content-security-policy': expect.stringMatching(
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self' https:; frame-ancestors 'none'; base-uri 'none'$/,
    ),
    'content-type': 'text/html; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  })
  expect(page.html).not.toMatch(/<script|<link|src=|href="(?!\.\.)|url\(/)
})
