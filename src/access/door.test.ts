import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, sendBytes, startApp, type TestApp } from '../../test/app.ts'
import { DirectoryError } from '../directory/errors.ts'
import { createDoor, isAllowedOrigin, isLoopbackAddress, type Knock } from './door.ts'

function knock(over: Partial<Omit<Knock, 'socket'>> = {}, remoteAddress: string | undefined = '127.0.0.1') {
  return { method: 'GET', headers: { host: 'localhost:3000' }, socket: { remoteAddress }, ...over } as Knock
}

/** What the door says to a request: who it is, or the code and the header that it is refused for. */
function answerOf(open: 'never' | 'loopback' | 'always', asked: Knock, origins: readonly string[] = []) {
  try {
    return createDoor({ open, origins })(asked, 'adoption')
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error
    return [error.code, ...error.problems.map(({ property }) => property)]
  }
}

const anonymous = { kind: 'anonymous', id: null, scopes: ['read', 'write'], contract: 'adoption' }

describe('the door on its own', () => {
  test('is shut to everybody where it was not opened', () => {
    expect(answerOf('never', knock())).toEqual(['unauthenticated'])
  })

  test('open always, lets in whoever comes, never as an administrator', () => {
    const headers = { host: 'roster.example', 'x-forwarded-for': '8.8.8.8', origin: 'https://evil.example' }
    expect(answerOf('always', knock({ method: 'PUT', headers }, '8.8.8.8'))).toEqual(anonymous)
  })

  test.for([
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['10.0.0.5', false],
    ['128.0.0.1', false],
    ['0.0.0.0', false],
    ['::ffff:10.0.0.5', false],
    ['::', false],
    ['fe80::1', false],
    ['127.0.0.1.evil.example', false],
    ['127.1', false],
    ['', false],
    [undefined, false],
  ] as const)('open to this machine, lets in the peer %s: %s', ([address, allowed]) => {
    const asked = { ...knock(), socket: { remoteAddress: address } } as Knock
    expect(answerOf('loopback', asked)).toEqual(allowed ? anonymous : ['forbidden'])
    expect(isLoopbackAddress(address ?? '')).toBe(allowed)
  })

  test.for([
    ['http://localhost', true],
    ['http://localhost:5173', true],
    ['https://127.0.0.1:8443', true],
    ['http://[::1]:3000', true],
    ['https://listed.example', true],
    ['https://listed.example:8443', false],
    ['http://listed.example', false],
    ['https://sub.listed.example', false],
    ['https://evil.example', false],
    ['http://localhost.evil.example', false],
    ['http://evil.example/localhost', false],
    ['http://user@localhost', false],
    ['http://localhost/', false],
    ['HTTP://LOCALHOST', false],
    ['ftp://localhost', false],
    ['null', false],
    ['*', false],
    ['', false],
  ] as const)('knows whether pages of %s may write: %s', ([origin, allowed]) => {
    const origins = ['https://listed.example']
    const headers = { host: 'localhost', origin }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
      expect(answerOf('loopback', knock({ method, headers }), origins)).toEqual(
        allowed ? anonymous : ['forbidden', 'Origin'],
      )
    expect(isAllowedOrigin(origin, origins)).toBe(allowed)
  })

  test('judges the peer first, then the Host, then proxies, then the Origin', () => {
    const headers = { host: 'evil.example', via: '1.1 proxy', origin: 'https://evil.example' }
    const asked = (over: object) => knock({ method: 'PUT', headers: { ...headers, ...over } })
    expect(answerOf('loopback', { ...asked({}), socket: { remoteAddress: '8.8.8.8' } })).toEqual([
      'forbidden',
    ])
    expect(answerOf('loopback', asked({}))).toEqual(['misdirected', 'Host'])
    expect(answerOf('loopback', asked({ host: 'localhost' }))).toEqual(['forbidden', 'via'])
    expect(answerOf('loopback', asked({ host: 'localhost', via: undefined }))).toEqual([
      'forbidden',
      'Origin',
    ])
  })
})

/** An address of each contract, with how it refuses. */
const contracts = [
  {
    name: 'adoption',
    read: '/users/4',
    write: '/users/4',
    status: 200,
    named: ({ body }: Answer) => Object.keys((body as { fields: object }).fields),
    keys: ['error', 'fields'],
  },
  {
    name: 'records',
    read: '/records/users/4',
    write: '/users?id=4',
    status: 400,
    named: ({ body }: Answer) => (body as { details: { field: string }[] }).details.map(({ field }) => field),
    keys: ['code', 'message', 'details', 'requestId'],
  },
] as const

describe.for(contracts)('the door of $name, closed', ({ name, read, write, keys }) => {
  let closed: TestApp
  beforeAll(async () => {
    closed = await startApp({ openContracts: 'never', corsOrigins: ['https://listed.example'] })
  })
  afterAll(() => closed.close())

  const list = name === 'adoption' ? '/adoption/users' : '/records/users'
  test.for([
    `GET ${read}`,
    `GET ${list}`,
    `POST ${list}`,
    `PUT ${write}`,
    `PATCH ${read}`,
    `DELETE ${read}`,
    `GET ${list}/99`,
    `DELETE ${list}/nobody`,
    `PATCH ${list}/99`,
    'PUT /users',
  ])('%s is 401 before anything else, and says what to do', async (line) => {
    const rows = await closed.everything()
    const body = line.startsWith('GET') || line.startsWith('DELETE') ? undefined : '{"broken'
    const answer = await closed.call(line, body)
    expect(answer).toMatchObject({
      status: 401,
      headers: {
        'www-authenticate': 'Bearer realm="roster"',
        'content-type': 'application/json; charset=utf-8',
      },
    })
    if (line !== 'PUT /users') expect(Object.keys(answer.body as object)).toEqual(keys)
    expect(answer.text).toMatch(/ROSTER_OPEN_CONTRACTS=loopback .*--demo/)
    expect(await closed.everything()).toEqual(rows)
  })

  test('the pages of listed origins may read the refusal, those of this machine may not', async () => {
    const ask = async (origin: string) =>
      (await closed.call(`GET ${read}`, undefined, { origin })).headers['access-control-allow-origin']
    expect(await ask('https://listed.example')).toBe('https://listed.example')
    expect(await ask('http://localhost:5173')).toBeUndefined()
    expect(await ask('null')).toBeUndefined()
  })
})

describe.for(contracts)('the door of $name, open to this machine', ({ read, write, status, named, keys }) => {
  let open: TestApp
  beforeAll(async () => {
    open = await startApp({ corsOrigins: ['https://listed.example'] })
  })
  afterAll(() => open.close())

  const refusedFor = (header: string, answer: Answer, expected: number) => {
    expect(answer.status).toBe(expected)
    expect(Object.keys(answer.body as object)).toEqual(keys)
    expect(named(answer)).toEqual([header])
  }

  test.for([
    'evil.example',
    'localhost.evil.example',
    'evil.example:3000',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '[::2]',
    'localhost@evil.example',
  ])('a Host of “%s” is 421, read or write', async (host) => {
    const rows = await open.everything()
    refusedFor('Host', await open.call(`GET ${read}`, undefined, { host }), 421)
    refusedFor('Host', await open.call(`PUT ${write}`, {}, { host }), 421)
    refusedFor('Host', await open.call(`GET ${read}99999`, undefined, { host }), 421)
    expect(await open.everything()).toEqual(rows)
  })

  test.for(['localhost', 'LOCALHOST:80', '127.0.0.1', '127.0.0.1:3000', '[::1]', '[::1]:3000'])(
    'a Host of %s is this machine',
    async (host) => {
      expect(await open.call(`GET ${read}`, undefined, { host })).toMatchObject({ status: 200 })
    },
  )

  test.for([
    ['HTTP/1.0', ''],
    ['HTTP/1.1', 'Host:\r\nConnection: close\r\n'],
  ])('%s that names no Host is 421', async ([version, headers]) => {
    refusedFor('Host', await sendBytes(open.url, `GET ${read} ${version}\r\n${headers}\r\n`), 421)
  })

  test.for(['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'])(
    'a request that came with %s is 403, read or write',
    async (header) => {
      const headers = { [header]: 'for=127.0.0.1' }
      refusedFor(header, await open.call(`GET ${read}`, undefined, headers), 403)
      refusedFor(header, await open.call(`PUT ${write}`, {}, headers), 403)
    },
  )

  test.for(['https://evil.example', 'http://localhost.evil.example', 'null'])(
    'pages of %s may neither write nor read what is answered',
    async (origin) => {
      const rows = await open.everything()
      const written = await open.call(`PUT ${write}`, {}, { origin })
      refusedFor('Origin', written, 403)
      const got = await open.call(`GET ${read}`, undefined, { origin })
      expect(got.status).toBe(200)
      const asked = { origin, 'access-control-request-method': 'PUT' }
      const preflight = await open.call(`OPTIONS ${write}`, undefined, asked)
      for (const { headers } of [written, got, preflight]) {
        expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
        expect(headers.vary).toBe('Origin')
      }
      expect(await open.everything()).toEqual(rows)
    },
  )

  test.for(['http://localhost:5173', 'https://127.0.0.1', 'http://[::1]:8080', 'https://listed.example'])(
    'pages of %s may write, read the answer with its ETag, and are named in the permission',
    async (origin) => {
      const allowed = { 'access-control-allow-origin': origin, vary: 'Origin' }
      const written = await open.call(`PUT ${write}`, {}, { origin })
      expect(written).toMatchObject({ status, headers: allowed })
      const got = await open.call(`GET ${read}`, undefined, { origin })
      expect(got).toMatchObject({ status: 200, headers: allowed })
      expect(got.headers['access-control-expose-headers']).toMatch(/\bETag\b.*\bLocation\b.*\bX-Request-Id\b/)
      const missing = await open.call(`GET ${read}99999`, undefined, { origin })
      expect(missing).toMatchObject({ status: 404, headers: allowed })
    },
  )

  test('a preflight of an allowed page is answered with the methods and the headers that pages may use', async () => {
    const preflight = await open.call(`OPTIONS ${write}`, undefined, {
      origin: 'http://localhost:5173',
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'content-type,if-match,x-anything',
    })
    expect(preflight).toMatchObject({
      status: 204,
      text: '',
      headers: {
        'access-control-allow-origin': 'http://localhost:5173',
        'access-control-allow-headers':
          'Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match',
      },
    })
    expect(preflight.headers['access-control-allow-methods']?.split(', ').sort()).toEqual(
      ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'].sort(),
    )
    expect(preflight.headers['access-control-allow-credentials']).toBeUndefined()
  })
})

describe.for(contracts)('the door of $name, open always', ({ read, write, status }) => {
  test('lets in everybody, and gives browsers permission for listed origins only', async () => {
    const open = await startApp({ openContracts: 'always', corsOrigins: ['https://listed.example'] })
    try {
      const headers = { host: 'roster.example', 'x-forwarded-for': '8.8.8.8' }
      expect(await open.call(`GET ${read}`, undefined, headers)).toMatchObject({ status: 200 })
      for (const [origin, permitted] of [
        ['https://listed.example', 'https://listed.example'],
        ['http://localhost:5173', undefined],
        ['https://evil.example', undefined],
      ]) {
        const answer = await open.call(`PUT ${write}`, {}, { ...headers, origin })
        expect(answer.status).toBe(status)
        expect(answer.headers['access-control-allow-origin']).toBe(permitted)
      }
    } finally {
      await open.close()
    }
  })
})
