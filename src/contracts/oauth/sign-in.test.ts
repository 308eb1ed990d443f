import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { client, createBrowser, person } from '../../../test/oauth.ts'
import { signInFailures } from '../../access/sign-in.ts'

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

test('the pages load nothing, are kept nowhere and framed by nobody', async () => {
  const { page } = await begin()
  expect(Object.fromEntries(page.headers)).toMatchObject({
    'cache-control': 'no-store',
    'content-security-policy': expect.stringMatching(
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self' https:\/\/app\.example\.com; frame-ancestors 'none'; base-uri 'none'$/,
    ),
    'content-type': 'text/html; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  })
  expect(page.html).not.toMatch(/<script|<link|src=|href="(?!\.\.)|url\(/)
})
