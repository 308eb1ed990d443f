import { METHODS } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type Answer, sendBytes, startApp, type TestApp } from '../../test/app.ts'

/** Whatever comes in: an answer in the contract's shape that names the culprit, and nothing changed. */

interface Contract {
  /** A body that is fine. */
  readonly person: Readonly<Record<string, unknown>>
  /** The property for a given name. */
  readonly given: string
  /** The properties of a refusal. */
  readonly keys: readonly string[]
  /** Those of one that has nothing to name. */
  readonly bareKeys?: readonly string[]
  readonly named: (answer: Answer) => readonly string[]
  /** Where somebody is. */
  readonly one: string
  /** The status of what is wrong with a header or the size of a body, where it is not 400. */
  readonly statuses?: ReadonlyMap<string, number>
  /** What may look internal and is known here. */
  readonly known?: readonly string[]
  /** Whether a merge patch is taken for what it is. */
  readonly mergePatch: boolean
}

const adoption: Contract = {
  person: {
    first_name: 'Ann',
    last_name: 'Lee',
    email: 'ann@example.org',
    phone: '1',
    interested_in: 'cats',
  },
  given: 'first_name',
  keys: ['error', 'fields'],
  one: '/users/4',
  mergePatch: true,
  named: ({ body }) => Object.keys((body as { fields: object }).fields),
}

const records: Contract = {
  person: { firstName: 'Ann', lastName: 'Lee', email: 'ann@example.org' },
  given: 'firstName',
  keys: ['code', 'message', 'details', 'requestId'],
  one: '/records/users/4',
  mergePatch: true,
  named: ({ body, headers }) => {
    const { code, details, requestId } = body as { code: string; details: object[]; requestId: string }
    expect(code).toBe('INVALID_FIELD')
    expect(requestId).toBe(headers['x-request-id'])
    return details.map((detail) => {
      expect(Object.keys(detail)).toEqual(['field', 'reason', 'location'])
      return (detail as { field: string }).field
    })
  },
}

const fiona = '/v1/users/usr_7b5c1d9e3f6g'

const v1: Contract = {
  person: { first_name: 'Ann', last_name: 'Lee', email: 'ann@example.org', username: 'ann' },
  given: 'first_name',
  keys: ['error', 'message', 'details'],
  bareKeys: ['error', 'message'],
  one: fiona,
  statuses: new Map([
    ['Content-Type', 415],
    ['Content-Encoding', 415],
    ['too large', 413],
  ]),
  known: ['role'],
  mergePatch: true,
  named: ({ body }) =>
    Object.entries((body as { details: object }).details).map(([name, told]) => {
      expect(told.length).toBeGreaterThan(0)
      for (const one of told as unknown[]) expect(one).toBeTypeOf('string')
      return name
    }),
}

/** A new one needs a password. */
const newV1: Contract = { ...v1, person: { ...v1.person, password: 'correct horse' }, mergePatch: false }

/** Every address that takes a body, aimed at somebody where it needs somebody. */
const writes: readonly (readonly [line: string, contract: Contract])[] = [
  ...['/users', '/adoption/users'].flatMap((path) =>
    [`POST ${path}`, `PATCH ${path}/4`, `PUT ${path}/4`].map((line) => [line, adoption] as const),
  ),
  ...[
    'POST /records/users',
    'PUT /users?id=4',
    'PUT /records/users?id=4',
    'PUT /records/users/4',
    'PATCH /records/users/4',
  ].map((line) => [line, records] as const),
  ['POST /v1/users', newV1],
  [`PATCH ${fiona}`, v1],
  [`PATCH ${fiona}/profile`, v1],
]

/** Small enough for every log and every caller, however large the request was. */
const small = 16_384

function expectRefusal({ status, text, body }: Answer, expected: number, contract: Contract): void {
  expect(status).toBe(expected)
  const { keys, bareKeys = keys } = contract
  expect(Object.keys(body as object)).toEqual([404, 405].includes(expected) ? bareKeys : keys)
  expect(text.length).toBeLessThan(small)
  expect(text).not.toMatch(/\.[jt]s\b|node:|\bat .+:\d+|SQLITE|FST_/)
}

/**
 * @param alone where nothing else can be known to be wrong, such as what an unreadable body lacks
 * @param reason what is wrong with it, where that has a status of its own
 */
function expectInvalid(
  answer: Answer,
  contract: Contract,
  culprit: string,
  alone?: 'alone',
  reason: string = culprit,
): void {
  expectRefusal(answer, contract.statuses?.get(reason) ?? 400, contract)
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
  if (alone) expect(contract.named(answer)).toEqual([culprit])
  else expect(contract.named(answer)).toContain(culprit)
}

let roster: TestApp
let before: unknown
let key: { readonly authorization: string }
let admin: { readonly authorization: string }
beforeAll(async () => {
  roster = await startApp()
  key = await roster.keyWith('read', 'write')
  admin = await roster.keyWith('admin')
  before = await roster.everything()
})

/** With a key where one is needed. */
const call: TestApp['call'] = (line, body, headers = {}) =>
  roster.call(line, body, line.includes('v1') ? { ...key, ...headers } : headers)
afterAll(() => roster.close())
afterEach(async () => {
  const [was, is] = [before, await roster.everything()]
  before = is
  expect(is).toEqual(was)
})

const nested = (open: string, close: string) => `${open.repeat(100_000)}1${close.repeat(100_000)}`

describe.for(writes)('%s, with a body that is none:', ([line, contract]) => {
  const whole = JSON.stringify(contract.person)
  test.for<[about: string, body: string | Uint8Array]>([
    ['empty', ''],
    ['broken off', '{"email":'],
    ['single quotes', "{'email': 'a@b.co'}"],
    ['a comma too many', '{"email":"a@b.co",}'],
    ['NaN', '{"email":NaN}'],
    ['two of them', '{}{}'],
    ['a property twice', '{"email":"a@b.co","email":"c@b.co"}'],
    ['text around it', 'x{}'],
    ['null', 'null'],
    ['true', 'true'],
    ['a number', '4'],
    ['a string', '"{}"'],
    ['a list', '[]'],
    ['a list of users', `[${whole}]`],
    ['a raw NUL', '{"email":"a\0@b.co"}'],
    ['a byte order mark', Buffer.from(`\ufeff${whole}`)],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from('{"email":"'), Buffer.from([0xff, 0x22, 0x7d])])],
    ['a surrogate as bytes', Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['UTF-16', Buffer.from('{"phone":"1"}', 'utf16le')],
    ['nested lists', nested('[', ']')],
    ['an unclosed nest', '['.repeat(100_000)],
    ['a form', 'email=a%40b.co'],
  ])('%s', async ([, body]) => {
    expectInvalid(await call(line, body), contract, 'body', 'alone')
  })

  test.for<[about: string, headers: Record<string, string | undefined>]>([
    ['missing', { 'content-type': undefined }],
    ['empty', { 'content-type': '' }],
    ['no media type', { 'content-type': 'json' }],
    ['nonsense', { 'content-type': ';;' }],
    ['plain text', { 'content-type': 'text/plain' }],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a form in parts', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['JSON Patch’s neighbour', { 'content-type': 'application/jsonp' }],
    ['text that ends in json', { 'content-type': 'text/application/json' }],
    ['another character set', { 'content-type': 'application/json; charset=iso-8859-1' }],
    ['UTF-16', { 'content-type': 'application/json; charset=utf-16' }],
    ['two types', { 'content-type': 'application/json, text/plain' }],
  ])('a Content-Type that is %s', async ([, headers]) => {
    expectInvalid(await call(line, whole, headers), contract, 'Content-Type', 'alone')
  })

  // RFC 9110, section 8.4: a coding that is not undone is not to be overlooked.
  test.for<[about: string, body: string | Uint8Array]>([
    ['and is', gzipSync(whole)],
    ['and is not', whole],
  ])('a Content-Encoding that says gzip, %s', async ([, body]) => {
    const answer = await call(line, body, { 'content-encoding': 'gzip' })
    expectInvalid(answer, contract, 'Content-Encoding', 'alone')
  })

  const { given } = contract
  test.for<[about: string, value: string]>([
    ['a number', '4'],
    ['true', 'true'],
    ['a list', '["Ann"]'],
    ['an object', '{"a":"Ann"}'],
    ['NUL', '"A\\u0000n"'],
    ['a line feed', '"A\\nn"'],
    ['a lone high surrogate', '"A\\ud83d"'],
    ['a lone low surrogate', '"\\udc15A"'],
    ['surrogates the wrong way round', '"\\udc15\\ud83d"'],
    ['nothing', '""'],
    ['256 characters', `"${'a'.repeat(256)}"`],
    ['half a million characters', `"${'a'.repeat(500_000)}"`],
    ['half a million marks', `"a${'\u0301'.repeat(250_000)}"`],
  ])('a name of the wrong kind: %s', async ([, value]) => {
    const body = `{"${given}":${value},${whole.slice(1).replace(`"${given}":"Ann",`, '')}`
    expectInvalid(await call(line, body), contract, given)
  })

  test.for<[about: string, json: string, culprit: string]>([
    ['unknown', '"age":3', 'age'],
    ['the other contract’s', given === 'firstName' ? '"first_name":"Ann"' : '"firstName":"Ann"', 'irst'],
    ['internal: version', '"version":7', 'version'],
    ['internal: status', '"status":"blocked"', 'status'],
    ['internal: role', '"role":"admin"', 'role'],
    ['internal: uid', '"uid":"usr_000000000000"', 'uid'],
    ['__proto__', '"__proto__":{"email":"x@example.org","isAdmin":true}', '__proto__'],
    ['constructor', '"constructor":{"prototype":{"isAdmin":true}}', 'constructor'],
    ['toString', '"toString":"x"', 'toString'],
    ['empty', '"":1', ''],
    ['a lone surrogate', '"\\ud800":1', '\ud800'],
    ['nested deeply', `"a":${nested('{"a":', '}')}`, 'a'],
    ['very long', `"${'k'.repeat(200_000)}":1`, 'k'.repeat(100)],
    [
      'very many',
      Array.from({ length: 20_000 }, (_, i) => `"key${i}${'x'.repeat(20)}":1`).join(),
      `key0${'x'.repeat(20)}`,
    ],
    ['the id of another', '"id":3', 'id'],
    ['the id as a string', '"id":"4"', 'id'],
  ])('a property that is %s', async ([, json, culprit], { skip }) => {
    skip(contract.known?.includes(culprit) === true, 'this contract knows it')
    const answer = await call(line, `${whole.slice(0, -1)},${json}}`)
    expectInvalid(
      answer,
      contract,
      culprit === 'irst' ? Object.keys(JSON.parse(`{${json}}`)).join() : culprit,
    )
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })

  test.for(['If-Match', 'If-None-Match'])('a malformed %s', async (header) => {
    for (const value of ['', '1', "'1'", '"1" "2"', '"1', 'W"1"', 'w/"1"', '*, "1"', '"a b"']) {
      const answer = await call(line, whole, { [header]: value })
      expectInvalid(answer, contract, header)
      const erased = await call(`DELETE ${contract.one}`, undefined, { [header]: value })
      expectInvalid(erased, contract, header, 'alone')
    }
  })
})

describe.for(writes)('%s takes', ([line, contract]) => {
  test.for([
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
    'Application/JSON',
    'application/merge-patch+json',
  ])('%s', async (type, { skip }) => {
    skip(type.includes('merge') && !contract.mergePatch, 'nothing is there to be patched')
    // Refused for what it says, so it was read; and nothing changes.
    const answer = await call(line, { ...contract.person, email: 'x' }, { 'content-type': type })
    expect(contract.named(answer)).toEqual(['email'])
  })
})

describe.for(writes)('%s, with too large a body:', ([line, contract]) => {
  const head = () =>
    `${line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${key.authorization}\r\nContent-Type: application/json\r\n`

  test('10 MB are refused before they were sent', async () => {
    const start = `{"${contract.given}":"${'a'.repeat(1000)}`
    const answer = await sendBytes(roster.url, `${head()}Content-Length: ${10 * 2 ** 20}\r\n\r\n${start}`)
    expectInvalid(answer, contract, 'body', 'alone', 'too large')
  })

  test('in pieces, they are refused once there are too many', async () => {
    const size = 2 ** 20 + 1
    const chunk = `${size.toString(16)}\r\n${'a'.repeat(size)}\r\n`
    const answer = await sendBytes(roster.url, `${head()}Transfer-Encoding: chunked\r\n\r\n${chunk}`)
    expectInvalid(answer, contract, 'body', 'alone', 'too large')
  })

  test('ROSTER_MAX_BODY is the most that is taken', async () => {
    const strict = await startApp({ maxBody: 1024 })
    const own = await strict.keyWith('read', 'write')
    onTestFinished(strict.close)
    const rows = await strict.everything()
    const body = JSON.stringify({ ...contract.person, email: 'x' })
    const fits = await strict.call(line, body + ' '.repeat(1024 - body.length), own)
    expect(contract.named(fits)).toEqual(['email'])
    const tooLarge = await strict.call(line, body + ' '.repeat(1025 - body.length), own)
    expectInvalid(tooLarge, contract, 'body', 'alone', 'too large')
    expect(await strict.everything()).toEqual(rows)
  })
})

// One that ended the process would take the others' directory with it, so this has one of its own.
describe('a value nested deeply is refused, and the service goes on', () => {
  let own: TestApp
  beforeEach(async () => {
    own = await startApp()
  })
  afterEach(() => own.close(), 5_000)

  test.for([
    ['PATCH /users/4', adoption],
    ['PUT /users?id=4', records],
    ['POST /v1/users', newV1],
    [`PATCH ${fiona}`, v1],
    [`PATCH ${fiona}/profile`, v1],
  ] as const)('%s', async ([line, contract]) => {
    const headers = await own.keyWith('read', 'write')
    const { given, person } = contract
    const rest = JSON.stringify({ ...person, [given]: undefined }).slice(1)
    for (const value of [nested('[', ']'), nested('{"a":', '}')])
      expectInvalid(await own.call(line, `{"${given}":${value},${rest}`, headers), contract, given)
    expect(await own.call('PATCH /users/4', { phone: '1' })).toMatchObject({ status: 200 })
  })
})

describe('ids that can not be', () => {
  const numbers = '-1 +4 0 04 1.5 4.0 0x4 1e3 9007199254740992 99999999999999999999 NaN 4,5 4;x=1'.split(' ')
  const texts = 'none null %204 4%20 4%00 %00 %D9%A4 %F0%9F%90%95'.split(' ')
  test.for([...numbers, ...texts, '4'.repeat(10_000)])('%s', async (id) => {
    for (const path of ['/users', '/adoption/users']) {
      for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
        const answer = await call(`${method} ${path}/${id}`, method === 'GET' ? undefined : '{}')
        expect(answer).toMatchObject({ status: 404, text: '{}' })
      }
    }
    for (const method of ['GET', 'DELETE']) {
      const answer = await call(`${method} /records/users/${id}`)
      expect(answer).toMatchObject({ status: 404, body: { code: 'RESOURCE_NOT_FOUND', details: [] } })
    }
    for (const line of [`PUT /records/users/${id}`, `PATCH /records/users/${id}`])
      expectInvalid(await call(line, records.person), records, 'id')
    for (const path of ['/users', '/records/users']) {
      const query = id === '+4' ? '%2B4' : id
      expectInvalid(await call(`PUT ${path}?id=${query}`, records.person), records, 'id')
    }
  })

  test.for(['%', '%zz', '%ff', '4%', '%c3%28', '%u0034'])('%s, which can not be decoded', async (id) => {
    for (const [path, contract] of [
      ['/users', adoption],
      ['/adoption/users', adoption],
      ['/records/users', records],
      ['/v1/users', v1],
    ] as const) {
      for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
        const answer = await call(`${method} ${path}/${id}`, method === 'GET' ? undefined : '{}')
        expect(answer.headers['x-request-id']).toMatch(/^req-/)
        expectInvalid(answer, contract, 'path', 'alone')
      }
    }
  })
})

describe('a NUL, which PostgreSQL keeps in no text and is asked for in none,', () => {
  interface Operation {
    readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  }

  /** All operations, as they are described. */
  const operations = () => {
    const { paths } = roster.app.swagger() as { paths: Record<string, Record<string, Operation>> }
    return Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { parameters = [] }]) => {
        const named = (place: string) => parameters.filter((one) => one.in === place).map(({ name }) => name)
        return { method: method.toUpperCase(), path, inPath: named('path'), inQuery: named('query') }
      }),
    )
  }
  const good = (path: string) =>
    path.replace('{id}', path.startsWith('/v1/') ? 'usr_7b5c1d9e3f6g' : '4').replace(/\{\w+\}/g, 'x')

  test('names nothing in a path', async () => {
    const lines = operations().flatMap(({ method, path, inPath }) =>
      inPath.map((name) => `${method} ${good(path.replace(`{${name}}`, '%00'))}`),
    )
    expect(lines.length).toBeGreaterThan(50)
    for (const line of lines) {
      const { status } = await roster.call(line, /^P/.test(line) ? {} : undefined, admin)
      expect([line, status]).toEqual([line, expect.toSatisfy((code) => code >= 400 && code < 500)])
    }
  })

  test('is nothing to look for in a query', async () => {
    const lines = operations()
      .filter(({ method }) => method === 'GET')
      .flatMap(({ path, inQuery }) => inQuery.map((name) => `GET ${good(path)}?${name}=%00`))
    expect(lines.length).toBeGreaterThan(50)
    for (const line of lines) {
      const { status } = await roster.call(line, undefined, admin)
      expect([line, status]).toEqual([line, expect.toSatisfy((code) => code < 500)])
    }
  })
})

describe('addresses', () => {
  const every = 'DELETE, GET, HEAD, OPTIONS, PATCH, PUT'
  const places = [
    ['/users', 'GET, HEAD, OPTIONS, POST, PUT', adoption],
    ['/users/4', every, adoption],
    ['/adoption/users', 'GET, HEAD, OPTIONS, POST', adoption],
    ['/adoption/users/4', every, adoption],
    ['/records/users', 'GET, HEAD, OPTIONS, POST, PUT', records],
    ['/records/users/4', every, records],
    ['/v1/users', 'GET, HEAD, OPTIONS, POST', v1],
    ['/v1/users/batch', 'OPTIONS, POST', v1],
    [fiona, 'DELETE, GET, HEAD, OPTIONS, PATCH', v1],
    [`${fiona}/profile`, 'GET, HEAD, OPTIONS, PATCH', v1],
    [`${fiona}/password`, 'OPTIONS, PUT', v1],
    [`${fiona}/counters`, 'GET, HEAD, OPTIONS, PATCH', v1],
    ['/v1/user', 'GET, HEAD, OPTIONS', v1],
    ['/v1/keys', 'GET, HEAD, OPTIONS, POST', v1],
    ['/v1/keys/key_1', 'DELETE, OPTIONS', v1],
  ] as const

  // CONNECT opens a tunnel and has no path, so no server here gets to see it.
  const others = (allow: string) =>
    METHODS.filter((method) => method !== 'CONNECT' && !allow.split(', ').includes(method))

  test.for(places)('%s answers 405 with Allow to every other method', async ([path, allow, contract]) => {
    expect(others(allow)).toEqual(expect.arrayContaining(['PROPFIND', 'TRACE']))
    for (const method of others(allow)) {
      for (const [body, headers] of [[], ['{"broken'], ['x', { 'content-type': 'nonsense' }]] as const) {
        const answer = await call(`${method} ${path}`, body, headers)
        expect({ method, allow: answer.headers.allow }).toEqual({ method, allow })
        // An answer to HEAD has no body.
        if (method === 'HEAD') expect(answer.status).toBe(405)
        else expectRefusal(answer, 405, contract)
      }
    }
  })

  test.for(places)('%s tells its methods to OPTIONS', async ([path, allow]) => {
    expect(await call(`OPTIONS ${path}`)).toMatchObject({ status: 204, text: '', headers: { allow } })
  })

  const nowhere = '/ /nothing /users/4/5 /Users //users /usersx /adoption /adoption/nothing /recordsx'.split(
    ' ',
  )
  test.for([
    ...nowhere.map((path) => [path, adoption] as const),
    ...['/records', '/records/nothing', '/records/users/4/5'].map((path) => [path, records] as const),
    ...['/v1', '/v1/nothing', '/v1/Users', `${fiona}/nothing`].map((path) => [path, v1] as const),
  ])('nothing is at %s: 404 in the shape of the nearest contract', async ([path, contract]) => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'])
      expectRefusal(await call(`${method} ${path}`, method === 'GET' ? undefined : '{"'), 404, contract)
  })

  // The router decodes a path and takes a whole address, so what tells the contracts apart has to as well.
  test.for(['/%72ecords/users', '/record%73/users', 'http://localhost/records/users'])(
    'a refusal at %s has the shape of the contract that was reached',
    async (path) => {
      expectRefusal(await call(`GET ${path}/99`), 404, records)
      expectInvalid(await call(`PATCH ${path}/4`, { age: 3 }), records, 'age')
      expectRefusal(await call(`DELETE ${path}`), 405, records)
    },
  )
})

/** What nobody was asked for is told in words of nobody’s. */
const nobodys: Contract = { ...adoption, keys: ['error', 'message'] }

describe('what is no HTTP', () => {
  const head =
    'PATCH /users/4 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n'
  const body = '{"phone":"1"}'
  test.for<[about: string, bytes: string | Uint8Array, status?: number, shape?: Contract]>([
    ['garbage', 'garbage\r\n\r\n', 400, nobodys],
    ['random bytes', Buffer.from(Array.from({ length: 2000 }, (_, i) => (i * 7919) % 256)), 400, nobodys],
    ['the beginning of TLS', Buffer.from('1603010200010001fc0303', 'hex'), 400, nobodys],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, nobodys],
    ['a method that nobody knows', 'BREW /users HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a raw NUL in the path', 'GET /users/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a raw NUL in a header', 'GET /users HTTP/1.1\r\nHost: localhost\r\nIf-Match: \0\r\n\r\n'],
    ['no Host', 'GET /users HTTP/1.1\r\n\r\n'],
    ['a header without end', `GET /users HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(70_000)}`, 431],
    ['a Content-Length below 0', `${head}Content-Length: -5\r\n\r\n${body}`],
    ['a Content-Length that is no number', `${head}Content-Length: 0x0d\r\n\r\n${body}`],
    ['two Content-Lengths', `${head}Content-Length: 13\r\nContent-Length: 2\r\n\r\n${body}`],
    ['a length and chunks', `${head}Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a chunk of no size', `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n${body}\r\n0\r\n\r\n`],
    ['a body that goes on after its end', `${head}Content-Length: 5\r\n\r\n${body}`],
    ['a body that ends early', `${head}Content-Length: 500\r\n\r\n${body}`, 400, nobodys],
    ['chunks that end early', `${head}Transfer-Encoding: chunked\r\n\r\nd\r\n${body}\r\n`, 400, nobodys],
  ])('%s', async ([, bytes, status = 400, shape = adoption]) => {
    const answer = await sendBytes(roster.url, bytes, true)
    expectRefusal(answer, status, shape)
    expect(answer.headers['x-request-id']).toMatch(/^req-/)
    expect(await call('GET /users/4')).toMatchObject({ status: 200 })
  })

  test('an expectation that nobody meets is 417, and is not overlooked', async () => {
    const answer = await sendBytes(roster.url, `${head}Expect: magic\r\nContent-Length: 13\r\n\r\n${body}`)
    expectRefusal(answer, 417, adoption)
    expect(await call('GET /users/4')).toMatchObject({ body: { phone: '222-333-4455' } })
  })

  test.for([
    ['/users/4', 'error'],
    ['/records/users/4', 'code'],
    ['/v1/users', 'error,message,details'],
    ['/api/v2/user/3/', 'errors'],
    ['/oauth/token', 'error,error_description'],
  ] as const)(
    'credentials of 30 KB at %s are refused as any, and of 40 KB in the same shape',
    async ([path, keys]) => {
      const ask = async (length: number) => {
        const authorization = `Authorization: Bearer ${'x'.repeat(length)}`
        return sendBytes(
          roster.url,
          `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${authorization}\r\n\r\n`,
        )
      }
      const [refused, unread] = [await ask(30_000), await ask(40_000)]
      // What gives credentials judges none here.
      expect(refused.status).toBe(path.startsWith('/oauth') ? 405 : 401)
      expect(unread.status).toBe(431)
      for (const key of keys.split(',')) expect(unread.body).toHaveProperty(key)
    },
  )

  test('a client that leaves in the middle of its request changes nothing', async () => {
    const { port, hostname } = new URL(roster.url)
    const left = Array.from({ length: 20 }, (_, i) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const socket = connect(Number(port), hostname, () => {
        socket.write(`${head}Content-Length: 13\r\n\r\n${body.slice(0, i % 13)}`, () => socket.destroy())
      })
      socket.on('close', () => resolve())
      return promise
    })
    await Promise.all(left)
    expect(await call('GET /users/4')).toMatchObject({ status: 200 })
  })

  test('a request that never ends is given up', () => {
    expect(roster.app.server.headersTimeout).toBeGreaterThan(0)
    expect(roster.app.server.requestTimeout).toBeGreaterThan(0)
  })
})
