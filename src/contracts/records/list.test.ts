import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'

let app: TestApp
beforeAll(async () => {
  app = await startApp()
  for (const [lastName, firstName] of [
    ['Émile', 'Zoë'],
    ['Ng', 'Bob'],
    ['ng', 'Ann'],
  ]) {
    await app.call('POST /records/users', {
      lastName,
      firstName,
      email: `${firstName}.${lastName}@example.com`,
    })
  }
})
afterAll(() => app.close())

const list = async (query: string) => {
  const { status, body, headers } = await app.call(`GET /records/users${query}`)
  expect(status).toBe(200)
  return { ids: (body as { id: number }[]).map(({ id }) => id), headers, body }
}

describe('a list of records', () => {
  test.for<[query: string, ids: number[]]>([
    ['', [1, 2, 3, 4, 5, 6, 7]],
    ['?lastName=Ng', [6]],
    ['?lastName_like=ng', [6, 7]],
    ['?lastName_like=%C3%89', [5]],
    ['?lastName_like=%C3%A9', [5]],
    ['?lastName_like=.', []],
    ['?last_name=Ng', [1, 2, 3, 4, 5, 6, 7]],
    ['?last_name_ne=Ng', []],
    ['?phone=222-333-4455', [1, 2, 3, 4, 5, 6, 7]],
    ['?q=222-333', []],
    ['?q=BOB.', [6]],
    ['?id_gte=6&_sort=firstName', [7, 6]],
    ['?id=5&id=6&id=7&_sort=lastName&_order=desc', [5, 7, 6]],
    ['?_start=1&_end=3', [2, 3]],
    ['?_limit=2&_page=2&id_gte=4', [6, 7]],
  ])('%s', async ([query, ids]) => {
    expect((await list(query)).ids).toEqual(ids)
  })

  test('says how many fit and where the other pages are, in its own words', async () => {
    const { headers, body } = await list('?id_gte=5&_page=2&_limit=1')
    expect(body).toEqual([{ lastName: 'Ng', firstName: 'Bob', email: 'Bob.Ng@example.com', id: 6 }])
    expect(headers['x-total-count']).toBe('3')
    const page = (number: number) => `<${app.url}/records/users?id_gte=5&_page=${number}&_limit=1>`
    expect(headers.link).toBe(
      `${page(1)}; rel="first", ${page(1)}; rel="prev", ${page(3)}; rel="next", ${page(3)}; rel="last"`,
    )
  })

  test('tells neither where no page was asked for, nor links where all is on it', async () => {
    const whole = await list('?_sort=id')
    expect([whole.headers['x-total-count'], whole.headers.link]).toEqual([undefined, undefined])
    const one = await list('?_page=1')
    expect([one.headers['x-total-count'], one.headers.link]).toEqual(['7', undefined])
  })

  test('shows both headers to pages of other origins', async () => {
    const { headers } = await app.call('GET /records/users?_page=1', undefined, {
      origin: 'http://localhost:5173',
    })
    expect(headers['access-control-expose-headers']).toMatch(/\bLink\b.*\bX-Total-Count\b/)
  })

  test('answers HEAD with the headers of GET', async () => {
    const head = await app.call('HEAD /records/users?_page=2&_limit=3')
    const get = await app.call('GET /records/users?_page=2&_limit=3')
    expect(head.status).toBe(200)
    expect(head.text).toBe('')
    for (const name of ['x-total-count', 'link', 'content-type'])
      expect(head.headers[name]).toBe(get.headers[name])
  })

  test('takes as many alternatives as an address holds', async () => {
    const ids = Array.from({ length: 1_200 }, (_, n) => `id_like=${n + 10}`).join('&')
    expect((await list(`?${ids}`)).ids).toEqual([])
    const names = Array.from({ length: 800 }, (_, n) => `lastName_ne=${n}`).join('&')
    expect((await list(`?${names}`)).ids).toHaveLength(6)
    expect((await list(`?_sort=${'id,email,'.repeat(1_700)}`)).ids).toHaveLength(7)
  })
})
