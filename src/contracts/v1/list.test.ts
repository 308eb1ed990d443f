import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Answer, sendBytes, startApp, type TestApp } from '../../../test/app.ts'

/** `GET /v1/users`: envelope, pages by number and by cursor, filters, order. */

interface Item {
  readonly id: string
  readonly type: string
  readonly attributes: Readonly<Record<string, string | null>>
}

interface Page {
  readonly data: readonly Item[]
  readonly meta: { readonly total?: number; readonly page?: number; readonly per_page: number }
  readonly links: { readonly self: string; readonly next: string | null; readonly prev: string | null }
}

const size = 57
let roster: TestApp
let key: { readonly authorization: string }
beforeAll(async () => {
  roster = await startApp()
  key = await roster.keyWith('read', 'write')
  // In one order, so that they are made in it.
  for (let i = 5; i <= size; i++) {
    const email = `person${i}@example.org`
    const body = { email, firstName: ['Ann', 'Bo', 'Éva'][i % 3], lastName: `L${i % 10}` }
    expect(await roster.call('POST /records/users', body)).toMatchObject({ status: 201 })
  }
}, 60_000)
afterAll(() => roster.close())

const call = (line: string, headers: object = {}): Promise<Answer> =>
  roster.call(line, undefined, { ...key, ...headers })
const list = async (query = '') => {
  const answer = await call(`GET /v1/users${query}`)
  expect(answer.status).toBe(200)
  return answer.body as Page
}
const emails = ({ data }: Page) => data.map(({ attributes }) => attributes.email)
const inOrder = ['drenn08@uw.edu', 'user@example.com', 'mira.sole@example.org', 'fionab@example.com'].concat(
  Array.from({ length: size - 4 }, (_, i) => `person${i + 5}@example.org`),
)

test('shows ten in the order in which they were made, with meta and links', async () => {
  const page = await list()
  expect(Object.keys(page)).toEqual(['data', 'meta', 'links'])
  expect(emails(page)).toEqual(inOrder.slice(0, 10))
  const [, john] = page.data
  expect(JSON.stringify(john)).toBe(
    '{"id":"usr_123abc456def","type":"user","attributes":{"email":"user@example.com","username":"johndoe","first_name":"John","last_name":"Doe","role":"user","created_at":"2023-01-01T12:00:00Z","updated_at":"2023-01-01T12:00:00Z"}}',
  )
  expect(JSON.stringify(page.meta)).toBe(`{"total":${size},"page":1,"per_page":10}`)
  expect(page.links).toEqual({
    self: `${roster.url}/v1/users?page=1`,
    next: `${roster.url}/v1/users?page=2`,
    prev: null,
  })
})

test('the page’s call: page=1&per_page=20', async () => {
  const page = await list('?page=1&per_page=20')
  expect(emails(page)).toEqual(inOrder.slice(0, 20))
  expect(page.meta).toEqual({ total: size, page: 1, per_page: 20 })
})

/** Follows a link of an answer. */
const follow = async (link: string | null): Promise<Page | undefined> => {
  if (link === null) return undefined
  const { origin, pathname, search } = new URL(link)
  expect(origin).toBe(roster.url)
  expect(pathname).toBe('/v1/users')
  return list(search)
}

test('by their links pages lead through everybody, there and back', async () => {
  const seen: (string | null | undefined)[] = []
  let last: Page | undefined
  for (let page: Page | undefined = await list('?per_page=7'); page; page = await follow(page.links.next)) {
    seen.push(...emails(page))
    last = page
  }
  expect(seen).toEqual(inOrder)
  const back: (string | null | undefined)[] = []
  for (let page = last; page; page = await follow(page.links.prev)) back.unshift(...emails(page))
  expect(back).toEqual(inOrder)
})

test('links keep every parameter of the caller', async () => {
  const { links } = await list('?filter[first_name]=%C3%89va&per_page=5&sort=email&order=desc')
  for (const link of [links.self, links.next]) {
    const { searchParams } = new URL(link ?? '')
    expect(Object.fromEntries(searchParams)).toMatchObject({
      'filter[first_name]': 'Éva',
      per_page: '5',
      sort: 'email',
      order: 'desc',
    })
  }
})

test('a page beyond the end is empty', async () => {
  const page = await list('?page=1000')
  expect(page).toMatchObject({ data: [], meta: { total: size, page: 1000 }, links: { next: null } })
})

test.for<[query: string, expected: (email: string, i: number) => boolean]>([
  ['filter[email]=user@example.com', (email) => email === 'user@example.com'],
  ['filter[id]=usr_123abc456def', (email) => email === 'user@example.com'],
  ['filter[username]=fionab&filter[username]=johndoe', (_, i) => i === 1 || i === 3],
  ['filter[first_name]=Bo&filter[last_name]=L7', (_, i) => i >= 4 && (i + 1) % 3 === 1 && (i + 1) % 10 === 7],
  ['filter[role]=user', (_, i) => i < 4],
  ['filter[interested_in]=dogs', (_, i) => i === 3],
  ['filter[email]=nobody@example.org', () => false],
  ["filter[email]='%20OR%201=1%20--", () => false],
  ['filter[email]=%00', () => false],
])('?%s', async ([query, expected]) => {
  const page = await list(`?per_page=100&${query}`)
  expect(emails(page)).toEqual(inOrder.filter(expected))
  expect(page.meta.total).toBe(page.data.length)
})

test.for([
  ['sort=email', inOrder.toSorted()],
  ['sort=email&order=desc', inOrder.toSorted().reverse()],
  ['order=desc', inOrder.toReversed()],
  ['order=asc', inOrder],
] as const)('?%s', async ([query, expected]) => {
  expect(emails(await list(`?per_page=100&${query}`))).toEqual(expected)
})

test('sorted by the time of creation, those without a username last', async () => {
  const byTime = await list('?per_page=100&sort=created_at')
  expect(emails(byTime).slice(0, 4)).toEqual([inOrder[1], inOrder[2], inOrder[3], inOrder[0]])
  expect(
    (await list('?sort=username')).data.map(({ attributes }) => attributes.username).slice(0, 5),
  ).toEqual(['drenn', 'fionab', 'johndoe', 'mira_sole', null])
})

describe('by cursor', () => {
  test.for([
    '',
    '&sort=first_name',
    '&sort=last_name&order=desc',
    '&sort=username',
    '&sort=created_at',
    '&sort=community_badge',
    '&filter[first_name]=Bo&sort=email',
  ])('leads through the same as by number: %s', async (query) => {
    const expected = emails(await list(`?per_page=100${query}`))
    const seen: (string | null | undefined)[] = []
    for (
      let page: Page | undefined = await list(`?cursor=&per_page=4${query}`);
      page;
      page = await follow(page.links.next)
    ) {
      expect(page.meta).toEqual({ per_page: 4 })
      seen.push(...emails(page))
    }
    expect(seen).toEqual(expected)
  })

  test('neither repeats nor loses anybody while others come and go', async () => {
    const own = await startApp()
    onTestFinished(own.close)
    const headers = await own.keyWith('read', 'write')
    const add = (email: string) => own.call('POST /records/users', { email, firstName: 'A', lastName: 'B' })
    for (let i = 0; i < 20; i++) await add(`m${String(i).padStart(2, '0')}@example.org`)
    const seen: string[] = []
    let query: string | undefined = '?cursor=&per_page=5&sort=email'
    for (let i = 0; query !== undefined; i++) {
      const { data, links } = (await own.call(`GET /v1/users${query}`, undefined, headers)).body as Page
      seen.push(...data.map(({ attributes }) => String(attributes.email)))
      // One before where the reader is, and the last one that was read goes.
      await add(`a${i}@example.org`)
      await own.call(`DELETE /v1/users/${data.at(-1)?.id}`, undefined, headers)
      query = links.next === null ? undefined : new URL(links.next).search
    }
    expect(seen.filter((email) => email.startsWith('m'))).toEqual([
      ...Array.from({ length: 20 }, (_, i) => `m${String(i).padStart(2, '0')}@example.org`),
      'mira.sole@example.org',
    ])
    expect(new Set(seen).size).toBe(seen.length)
  })

  test('a cursor that is none, or of another list, is 400', async () => {
    const { links } = await list('?cursor=&sort=email')
    const cursor = new URL(links.next ?? '').searchParams.get('cursor') ?? ''
    const forged = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url')
    const [mark] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as string[]
    for (const query of [
      'cursor=x&sort=email',
      'cursor=%00',
      `cursor=${cursor}`,
      `cursor=${cursor}&sort=email&order=desc`,
      `cursor=${cursor}&sort=email&filter[role]=user`,
      `cursor=${forged(null)}&sort=email`,
      `cursor=${forged([mark])}&sort=email`,
      `cursor=${forged([mark, 'x', 'x'])}&sort=email`,
      `cursor=${forged([mark, 1, 4])}&sort=email`,
      `cursor=${forged([mark, 1, { a: 1 }])}&sort=email`,
      `cursor=${forged([mark, 1, 'a\0'])}&sort=email`,
      `cursor=${forged([mark, 1, 'a', 'b'])}&sort=email`,
      `cursor=${'a'.repeat(9_000)}&sort=email`,
    ]) {
      const answer = await call(`GET /v1/users?${query}`)
      expect({ query, status: answer.status }).toEqual({ query, status: 400 })
      expect(answer.body).toMatchObject({
        error: 'invalid_parameter',
        details: { cursor: [expect.any(String)] },
      })
    }
  })
})

describe('is refused, by name', () => {
  test('an unknown field to filter by, in the words of the page', async () => {
    expect(await call('GET /v1/users?filter[status]=active')).toMatchObject({
      status: 400,
      text: '{"error":"invalid_parameter","message":"Invalid filter parameter","details":{"filter":["Unknown field: status"]}}',
    })
  })

  test.for([
    ['filter[password]=x', 'filter', 'Unknown field: password'],
    ['filter[__proto__]=x', 'filter', 'Unknown field: __proto__'],
    ['filter[tags]=x', 'filter', 'Unknown field: tags'],
    ['filter[]=x', 'filter', 'Unknown field: '],
    ['filter=x', 'filter', 'Unknown parameter: filter'],
    ['filter[email=x', 'filter', 'Unknown parameter: filter[email'],
    ['sort=status', 'sort', 'Unknown field: status'],
    ['sort=', 'sort', 'Unknown field: '],
    ['sort=email&sort=role', 'sort', 'Must be given once'],
    ['sort=email;drop', 'sort', 'Unknown field: email;drop'],
    ['order=up', 'order', 'Must be asc or desc'],
    ['order=DESC&sort=email', 'order', 'Must be asc or desc'],
    ['page=0', 'page', 'Must be a whole number from 1'],
    ['page=-1', 'page', 'Must be a whole number from 1'],
    ['page=1.5', 'page', 'Must be a whole number from 1'],
    ['page=x', 'page', 'Must be a whole number from 1'],
    ['page=', 'page', 'Must be a whole number from 1'],
    ['page=99999999999999999999', 'page', 'Must be a whole number from 1'],
    ['per_page=0', 'per_page', 'Must be a whole number from 1 to 100'],
    ['per_page=101', 'per_page', 'Must be a whole number from 1 to 100'],
    ['page=2&cursor=', 'cursor', 'Must not be given together with page'],
    ['limit=5', 'limit', 'Unknown parameter: limit'],
  ] as const)('?%s', async ([query, parameter, message]) => {
    const { status, body } = await call(`GET /v1/users?${query}`)
    expect({ status, body }).toEqual({
      status: 400,
      body: {
        error: 'invalid_parameter',
        message: `Invalid ${parameter} parameter`,
        details: { [parameter]: [message] },
      },
    })
  })

  test('everything at once', async () => {
    const answer = await call('GET /v1/users?filter[a]=1&filter[b]=1&sort=c&order=d&page=e&per_page=f&g=1')
    expect((answer.body as { details: object }).details).toEqual({
      filter: ['Unknown field: a', 'Unknown field: b'],
      sort: ['Unknown field: c'],
      order: [expect.any(String)],
      page: [expect.any(String)],
      per_page: [expect.any(String)],
      g: ['Unknown parameter: g'],
    })
  })

  test('a thousand parameters get a short answer', async () => {
    const query = Array.from({ length: 1_000 }, (_, i) => `x${i}=1`).join('&')
    const answer = await call(`GET /v1/users?${query}`)
    expect(answer.status).toBe(400)
    expect(answer.text.length).toBeLessThan(16_384)
  })
})

describe('links start with', () => {
  test('what the request says', async () => {
    for (const host of ['api.example.com', 'api.example.com:8443', '[::1]:3000', 'localhost'])
      expect((await call('GET /v1/users', { host })).body).toMatchObject({
        links: { self: `http://${host}/v1/users?page=1` },
      })
  })

  test.for(['evil.example/x', 'a"b', 'a b', 'a@b', 'a\\b', 'a:b', '<script>', ''])(
    'no host at all: %s is 400',
    async (host) => {
      const request = `GET /v1/users HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${key.authorization}\r\nConnection: close\r\n\r\n`
      const answer = await sendBytes(roster.url, request)
      expect(answer.status).toBe(400)
      expect(answer.body).toMatchObject({ details: { Host: [expect.any(String)] } })
    },
  )

  test('ROSTER_PUBLIC_URL where that is set, whatever the request says', async () => {
    const own = await startApp({ publicUrl: 'https://api.example.com/people' })
    onTestFinished(own.close)
    const headers = { ...(await own.keyWith('read')), host: 'evil.example' }
    expect((await own.call('GET /v1/users', undefined, headers)).body).toMatchObject({
      links: { self: 'https://api.example.com/people/v1/users?page=1' },
    })
  })
})

test('what is in a parameter gets into no header', async () => {
  const answer = await call('GET /v1/users?filter[email]=a%0d%0aX-Evil:%201')
  expect(answer).toMatchObject({ status: 200, body: { data: [] } })
  expect(answer.headers['x-evil']).toBeUndefined()
  expect((answer.body as Page).links.self).toContain('%0D%0AX-Evil')
})

test.for(['page=1', 'cursor='])(
  'a list (%s) that nobody waits for any more is known to be so',
  async (query) => {
    const { port } = new URL(roster.url)
    const asked = Promise.withResolvers<AbortSignal | undefined>()
    const gone = Promise.withResolvers<void>()
    const { list } = roster.store
    const watched = vi.spyOn(roster.store, 'list').mockImplementation(async (asking, signal) => {
      signal?.addEventListener('abort', () => gone.resolve())
      asked.resolve(signal)
      await gone.promise
      return list(asking, signal)
    })
    onTestFinished(() => watched.mockRestore())
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET /v1/users?${query} HTTP/1.1\r\nHost: a\r\nAuthorization: ${key.authorization}\r\n\r\n`)
    expect((await asked.promise)?.aborted).toBe(false)
    socket.destroy()
    await gone.promise
  },
)
