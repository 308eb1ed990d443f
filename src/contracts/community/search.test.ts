import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Community, faultsOf, startCommunity } from '../../../test/community.ts'
import { serviceToken } from '../../../test/oauth.ts'
import type { Store } from '../../directory/store.ts'

/** Lists of people: who is in them, in which order, and in which envelope. */

let roster: Community
let ids: Record<string, number>
beforeAll(async () => {
  roster = await startCommunity()
  const people = {
    zoe: { username: 'Zoe_1', real_name: 'Zoë Åberg', location: 'Malmö', location_lat_lng: '55.60,13.00' },
    zora: { username: 'zora', real_name: null, first_name: 'Zora', last_name: 'Neale', location: 'Bologna' },
    abe: {
      username: 'abe',
      real_name: 'Ábel Zoltán',
      location: null,
      location_lat_lng: null,
      gender: 'Male',
    },
    yan: {
      username: 'yan',
      real_name: 'Yan',
      role: 'admin',
      date_of_birth: ageOf(30),
      location_lat_lng: '0,0',
    },
  }
  ids = {}
  for (const [name, patch] of Object.entries(people)) ids[name] = await roster.newPerson(patch)
  // Nobody whom community knows: there is no username.
  const nameless = {
    first_name: 'Zoe',
    last_name: 'X',
    email: 'zoe@example.org',
    phone: '1',
    interested_in: 'cats',
  }
  expect(await roster.call('POST /users', nameless)).toMatchObject({ status: 201 })
})
afterAll(() => roster.close())

/** A date of birth of who is so old today. */
function ageOf(years: number, days = 0): string {
  const now = new Date()
  const then = Date.UTC(now.getUTCFullYear() - years, now.getUTCMonth(), now.getUTCDate() + days)
  return new Date(then).toISOString().slice(0, 10)
}

interface Page {
  readonly count: number
  readonly next: string | null
  readonly previous: string | null
  readonly results: readonly { readonly id: number; readonly username: string }[]
}

async function found(path: string, as?: number): Promise<string[]> {
  const line = `GET /api/v2/user/${path}`
  const answer = await (as === undefined ? roster.call(line) : roster.as(as, line))
  expect(answer.status).toBe(200)
  return (answer.body as Page).results.map(({ username }) => username)
}

describe('search', () => {
  test.for<[query: string, usernames: readonly string[]]>([
    ['user=zo', ['Zoe_1', 'zora', 'abe']],
    ['user=ZO%C3%8B', ['Zoe_1']],
    ['user=oltan', ['abe']],
    ['user=neale', ['zora']],
    ['user=a%20n', ['zora']],
    ['user=zo&username=nobody&real_name=nobody', ['Zoe_1', 'zora', 'abe']],
    ['username=zo', ['Zoe_1', 'zora']],
    ['username=zo&real_name=aberg', ['Zoe_1']],
    ['real_name=zo', ['Zoe_1', 'zora', 'abe']],
    ['location=malmo', ['Zoe_1']],
    ['user=zo&location=bologna', ['zora']],
    ['user=zo&gender=Male', ['abe']],
    ['user=zo&gender=Unspecified', []],
    ['is_staff=true', ['yan']],
    ['user=zo&is_staff=1', []],
    ['user=zo&tag=1', []],
    ['user=zo&category=1', []],
    ['user=nobody%00', []],
    ['user=%25', []],
    ['user=zo&ordering=username', ['Zoe_1', 'abe', 'zora'].toSorted(byName)],
    ['user=zo&ordering=-username', ['Zoe_1', 'abe', 'zora'].toSorted(byName).toReversed()],
    ['user=zo&ordering=real_name', ['abe', 'Zoe_1', 'zora']],
    ['user=zo&ordering=location', ['zora', 'Zoe_1', 'abe']],
    ['user=zo&ordering=-location', ['Zoe_1', 'zora', 'abe']],
    ['user=zo&lat_lng=55,13', ['Zoe_1', 'zora', 'abe']],
    ['user=zo&lat_lng=44.5,11.3', ['zora', 'Zoe_1', 'abe']],
    ['user=zo&lat_lng=44.5,11.3&ordering=-distance', ['Zoe_1', 'zora', 'abe']],
    ['user=zo&lat_lng=44.5,11.3&ordering=username', ['abe', 'Zoe_1', 'zora']],
  ])('%s', async ([query, usernames]) => {
    expect(await found(`search/?${query}`)).toEqual(usernames)
  })

  test.for([
    ['age=30-30', true],
    ['age=-30', true],
    ['age=30%2B', true],
    ['age=30+', true],
    ['age=31%2B', false],
    ['age=-29', false],
    ['age=29-29', false],
    ['age=20-40', true],
  ] as const)('who is 30 today is found by %s: %s', async ([age, isFound]) => {
    expect(await found(`search/?username=yan&${age}`)).toEqual(isFound ? ['yan'] : [])
  })

  test('ages turn on the birthday', async () => {
    const almost = await roster.newPerson({ username: 'almost', date_of_birth: ageOf(50, 1) })
    const just = await roster.newPerson({ username: 'just', date_of_birth: ageOf(50) })
    expect(await found('search/?age=50-50')).toEqual(['just'])
    expect(await found('search/?age=49-49')).toEqual(['almost'])
    for (const id of [almost, just]) await roster.as(id, `DELETE /api/v2/user/${id}/?hard=1`)
    expect(await found('search/?age=49-50')).toEqual([])
  })

  test('from where the caller is', async () => {
    const line = 'search/?user=zo&user_position=1'
    expect(await found(line, ids.zora)).toEqual(['zora', 'Zoe_1', 'abe'])
    expect(await roster.call(`GET /api/v2/user/${line}&ordering=distance`)).toMatchObject({ status: 400 })
  })

  test.for<[query: string, fault: string]>([
    ['lat_lng=91,0', 'lat_lng'],
    ['lat_lng=0,-180.1', 'lat_lng'],
    ['lat_lng=north', 'lat_lng'],
    ['age=old', 'age'],
    ['age=-', 'age'],
    ['gender=Other', 'gender'],
    ['is_staff=maybe', 'is_staff'],
    ['tag=x', 'tag'],
    ['ordering=email', 'ordering'],
    ['ordering=distance', 'ordering'],
  ])('%s is refused', async ([query, fault]) => {
    const answer = await roster.call(`GET /api/v2/user/search/?${query}`)
    expect([answer.status, faultsOf(answer)]).toEqual([400, [`${fault}: invalid`]])
  })

  test('follows every edit at once', async () => {
    const id = await roster.newPerson({ username: 'changeling' })
    for (const real_name of ['First Name', 'Second Name', 'Third']) {
      expect(await roster.as(id, `PATCH /api/v2/user/${id}/`, { real_name })).toMatchObject({ status: 200 })
      expect(await found(`search/?real_name=${encodeURIComponent(real_name)}`)).toEqual(['changeling'])
    }
    expect(await found('search/?real_name=second')).toEqual([])
    await roster.setStatus(id, 'blocked')
    expect(await found('search/?user=changeling')).toEqual(['changeling'])
    await roster.call(`DELETE /api/v2/user/${id}/`, undefined, await roster.keyWith('admin'))
    expect(await found('search/?user=changeling')).toEqual([])
  })
})

test.each([
  ['GET /api/v2/user/', undefined],
  ['POST /api/v2/user/match/', ['zora']],
])('%s is for who is signed in, a key or a service too', async (line, body) => {
  const blind = await roster.keyWith('write')
  expect(await roster.call(line, body)).toMatchObject({ status: 401 })
  expect(await roster.call(line, body, blind)).toMatchObject({ status: 403 })
  const callers = [await roster.tokenOf(3), await roster.keyWith('read'), await serviceToken(roster)]
  for (const caller of callers) expect(await roster.call(line, body, caller)).toMatchObject({ status: 200 })
})

describe('the list', () => {
  test('filters as documented', async () => {
    expect(await found('?search=zo', 3)).toEqual(['Zoe_1', 'zora', 'abe'])
    expect(await found('?username=zo&description=hills', 3)).toEqual(['Zoe_1', 'zora'])
  })

  test('comes in pages that lead to each other, and whose parameters are kept', async () => {
    const path = '/api/v2/user/?search=zo&limit=2'
    const first = (await roster.as(3, `GET ${path}`)).body as Page
    expect(Object.keys(first)).toEqual(['count', 'next', 'previous', 'results'])
    expect(first).toMatchObject({ count: 3, next: `${roster.url}${path}&offset=2`, previous: null })
    const { pathname, search } = new URL(first.next ?? '')
    const second = (await roster.as(3, `GET ${pathname}${search}`)).body as Page
    expect(second).toMatchObject({ count: 3, next: null, previous: `${roster.url}${path}` })
    expect([...first.results, ...second.results].map(({ username }) => username)).toEqual([
      ...['Zoe_1', 'zora', 'abe'],
    ])
  })

  test.for([
    ['', 20],
    ['limit=0', 20],
    ['limit=-5', 20],
    ['limit=x', 20],
    ['limit=1', 1],
    ['limit=1&offset=-1', 1],
    ['limit=1&offset=x', 1],
    ['limit=1000', 100],
    ['limit=5&offset=1000000', 0],
  ] as const)('?%s has %i of 108', async ([query, length]) => {
    while ((await roster.as(3, 'GET /api/v2/user/')).body !== undefined) {
      const { count } = (await roster.as(3, 'GET /api/v2/user/')).body as Page
      if (count >= 108) break
      await roster.newPerson({ username: `one-of-many-${count}`, real_name: null })
    }
    const { count, results } = (await roster.as(3, `GET /api/v2/user/?${query}`)).body as Page
    expect([count, results.length]).toEqual([108, length])
  })
})

describe('autocomplete', () => {
  test('has five properties, by username', async () => {
    const { body } = await roster.call('GET /api/v2/user/autocomplete/?search=zo')
    const { count, results } = body as Page
    expect(count).toBe(3)
    expect(results.map(({ username }) => username)).toEqual(['abe', 'Zoe_1', 'zora'])
    expect(Object.keys(results[0] ?? {})).toEqual(['id', 'username', 'real_name', 'avatar', 'ext_id'])
  })
})

describe('match', () => {
  const match = (body: unknown) => roster.as(3, 'POST /api/v2/user/match/', body)

  test('finds who has the usernames, in the order asked for', async () => {
    const answer = await match(['zora', 'nobody', 'Zoe_1', 'zora', ''])
    expect(answer).toMatchObject({ status: 200, body: [{ id: ids.zora }, { id: ids.zoe }] })
    expect(await match([])).toMatchObject({ status: 200, text: '[]' })
    expect(await match('')).toMatchObject({ status: 200, text: '[]' })
  })

  test.for([['{}'], ['[1]'], ['"zora"'], [JSON.stringify(Array(101).fill('x'))], ['[']] as const)(
    'takes a list of names: %s is none',
    async ([body]) => {
      expect(await match(body)).toMatchObject({ status: 400 })
    },
  )
})

// RFC 3986, section 3.4: a question mark in a query is one of its characters.
test('links to neighbours keep the whole query', async () => {
  const answer = await roster.call('GET /api/v2/user/search/?x=a?b=c&limit=1')
  const { next } = answer.body as Page
  expect(next).toBe(`${roster.url}/api/v2/user/search/?x=a%3Fb%3Dc&limit=1&offset=1`)
  expect((await roster.call(`GET ${next?.slice(roster.url.length)}`)).status).toBe(200)
})

/** A store that writes down what it is asked. */
function watch<S extends object>(store: S, calls: string[], under = ''): S {
  const watched = Object.entries(store).map(([name, part]) => {
    if (typeof part === 'object' && part !== null) return [name, watch(part, calls, `${name}.`)]
    if (typeof part !== 'function') return [name, part]
    const call = (...asked: unknown[]) => {
      calls.push(`${under}${name}`)
      return part(...asked)
    }
    return [name, call]
  })
  return Object.fromEntries(watched) as S
}

// directus/directus#9165 and the like: a query for each row of a list.
test.for([
  ['search/?limit=1', ['search', 'counters.get']],
  ['search/?limit=100&ordering=-username&user=a', ['search', 'counters.get']],
  ['?limit=100', ['search', 'counters.get']],
  ['autocomplete/?limit=100', ['search']],
] as const)('a page of %s costs %j, however many are on it', async ([path, expected]) => {
  const calls: string[] = []
  const { app, close } = await roster.withStore(watch<Store>(roster.store, calls))
  const headers = await roster.tokenOf(4)
  const answer = await app.inject({ url: `/api/v2/user/${path}`, headers })
  expect(answer.statusCode).toBe(200)
  // Who asks is looked up besides, the start tidies up, and the first request has searches prepared.
  const besides = ['credentials', 'pictures.giveUp', 'prepareSearch']
  expect(calls.filter((call) => !besides.includes(call))).toEqual(expected)
  await close()
})

describe('a search that nobody waits for any more', () => {
  async function ask(path: string): Promise<Socket> {
    const { port, hostname } = new URL(roster.url)
    const { authorization } = await roster.tokenOf(3)
    const socket = connect(Number(port), hostname)
    socket.write(`GET /api/v2/user/${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\n\r\n`)
    return socket
  }

  test.for(['', 'search/', 'autocomplete/'])('is known to be so (%s)', async (path) => {
    const asked = Promise.withResolvers<AbortSignal | undefined>()
    const gone = Promise.withResolvers<void>()
    const { search } = roster.store
    const watched = vi.spyOn(roster.store, 'search').mockImplementation(async (query, signal) => {
      signal?.addEventListener('abort', () => gone.resolve())
      asked.resolve(signal)
      await gone.promise
      return search(query, signal)
    })
    onTestFinished(() => watched.mockRestore())
    const socket = await ask(path)
    expect((await asked.promise)?.aborted).toBe(false)
    socket.destroy()
    await gone.promise
  })

  test('is known to be so too where the caller went before it came to it', async () => {
    const begun = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<AbortSignal | undefined>()
    const { get, search } = roster.store
    // Where the caller is, is looked up first.
    vi.spyOn(roster.store, 'get').mockImplementation(async (id) => {
      begun.resolve()
      await gone.promise
      return get(id)
    })
    vi.spyOn(roster.store, 'search').mockImplementation((query, signal) => {
      asked.resolve(signal)
      return search(query, signal)
    })
    onTestFinished(() => void vi.restoreAllMocks())
    roster.app.server.once('connection', (socket) => socket.once('close', () => gone.resolve()))
    const socket = await ask('search/?user_position=1')
    await begun.promise
    socket.destroy()
    expect((await asked.promise)?.aborted).toBe(true)
  })
})

function byName(a: string, b: string): number {
  return a.toLowerCase() < b.toLowerCase() ? -1 : 1
}
