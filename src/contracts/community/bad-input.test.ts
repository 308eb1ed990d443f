import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, sendBytes } from '../../../test/app.ts'
import { type Community, faultsOf, startCommunity, urlencoded } from '../../../test/community.ts'
import { properties } from './wire.ts'

/** Whatever comes in: an answer in the contract's shape that names the culprit, and nothing changed. */

let roster: Community
let token: { readonly authorization: string }
let admin: { readonly authorization: string }
beforeAll(async () => {
  roster = await startCommunity()
  token = await roster.tokenOf(3)
  admin = await roster.keyWith('admin')
})
afterAll(() => roster.close())

const writes = [
  'PATCH /api/v2/user/3/',
  'PUT /api/v2/user/3/',
  'POST /api/v2/account/create/',
  'POST /api/v2/jwt/verify_token/',
]
const who = (line: string) => (line.includes('account') ? admin : token)

/** Small enough for every log and every caller, however large the request was. */
const small = 16_384

function expectRefusal(answer: Answer, status: number): void {
  expect(answer.status).toBe(status)
  const { errors } = answer.body as { errors: readonly Record<string, unknown>[] }
  expect(Object.keys(answer.body as object)).toEqual(['errors'])
  expect(errors.length).toBeGreaterThan(0)
  for (const error of errors) {
    expect(Object.keys(error)).toEqual(['field', 'messages'])
    for (const message of error.messages as object[])
      expect(Object.keys(message)).toEqual(['message', 'code'])
  }
  expect(new Set(errors.map(({ field }) => field)).size).toBe(errors.length)
  expect(answer.text.length).toBeLessThan(small)
  expect(answer.text).not.toMatch(/\.[jt]s\b|node:|\bat .+:\d+|SQLITE|FST_/)
}

async function expectNothing(line: string, body: unknown, headers: object, status = 400): Promise<Answer> {
  const before = await roster.everything()
  const answer = await roster.call(line, body, { ...who(line), ...headers })
  expectRefusal(answer, status)
  expect(await roster.everything()).toEqual(before)
  return answer
}

const nested = (open: string, close: string) => `${open.repeat(100_000)}1${close.repeat(100_000)}`

describe.for(writes)('%s, with JSON that is none:', (line) => {
  test.for<[about: string, body: string | Uint8Array]>([
    ['broken off', '{"bio":'],
    ['a property twice', '{"bio":"a","bio":"b"}'],
    ['null', 'null'],
    ['a string', '"{}"'],
    ['a list', '[]'],
    ['a raw NUL', '{"bio":"a\0"}'],
    ['a byte order mark', Buffer.from('\ufeff{}')],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from('{"bio":"'), Buffer.from([0xff, 0x22, 0x7d])])],
    ['nested lists', nested('[', ']')],
    ['a form', 'bio=x'],
    ['a form in parts', '--b\r\nContent-Disposition: form-data; name="bio"\r\n\r\nx\r\n--b--'],
  ])('%s', async ([, body]) => {
    const answer = await expectNothing(line, body, {})
    expect(faultsOf(answer)).toContain('non_field_errors: invalid')
  })

  test.for<[about: string, headers: Record<string, string | undefined>]>([
    ['missing', { 'content-type': undefined }],
    ['nonsense', { 'content-type': ';;' }],
    ['plain text', { 'content-type': 'text/plain' }],
    ['XML', { 'content-type': 'application/xml' }],
    ['JSON in another character set', { 'content-type': 'application/json; charset=iso-8859-1' }],
    [
      'a form in another character set',
      { 'content-type': 'application/x-www-form-urlencoded; charset=utf-16' },
    ],
    ['two types', { 'content-type': 'application/json, text/plain' }],
  ])('a Content-Type that is %s', async ([, headers]) => {
    const answer = await expectNothing(line, '{"bio":"x"}', headers, 415)
    expect(faultsOf(answer)).toContain('Content-Type: invalid')
  })

  test('a coding that is not undone', async () => {
    await expectNothing(line, gzipSync('{"bio":"x"}'), { 'content-encoding': 'gzip' }, 415)
  })

  test('a body that is too large, of any type', async () => {
    const types = ['application/json', 'application/x-www-form-urlencoded']
    // Where files come too, more is taken.
    if (!/^P(?:ATCH|UT) \/api\/v2\/user\/\d+\/$/.test(line)) types.push('multipart/form-data; boundary=b')
    for (const type of types)
      await expectNothing(line, 'x'.repeat(2 ** 20 + 1), { 'content-type': type }, 413)
  })
})

describe('a value', () => {
  const patch = (body: unknown, headers = {}) => expectNothing('PATCH /api/v2/user/3/', body, headers)

  test.for<[field: string, value: unknown]>([
    ...[
      '91,0',
      '-90.01,0',
      '0,180.5',
      '0,-181',
      '0',
      '0,0,0',
      'a,b',
      '0, 0',
      '1e1,0',
      'NaN,0',
      '٤,٤',
      '٠',
    ].flatMap((value) => [
      ['location_lat_lng', value] as [string, unknown],
      ['position_lat_lng', value] as [string, unknown],
    ]),
    ...['2023-02-29', '1900-02-29', '2100-02-29', '1990-13-01', '1990-00-10', '1990-04-31', '90-1-1'].map(
      (value) => ['date_of_birth', value] as [string, unknown],
    ),
    ['date_of_birth', new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)],
    ['date_of_birth', '1990-12-31T00:00:00Z'],
    ['date_of_birth', 631_152_000],
    ...['javascript:alert(1)', 'JaVaScRiPt:alert(1)', ' javascript:x', 'data:text/html,x', 'ftp://a.b'].map(
      (value) => ['website', value] as [string, unknown],
    ),
    ...['//a.b', 'a.b', 'http://', 'https://a b/', `https://a.b/${'x'.repeat(200)}`, 'http:\\\\a.b'].map(
      (value) => ['website', value] as [string, unknown],
    ),
    ['gender', 'male'],
    ['gender', 'Other'],
    ['bio', 'x'.repeat(5_001)],
    ['bio', 'a\0b'],
    ['bio', '\ud800'],
    ['bio', ['x']],
    ['bio', { text: 'x' }],
    ['bio', true],
    ['description', 'x'.repeat(51)],
    ['location', 'x'.repeat(101)],
    ['real_name', 'x'.repeat(256)],
    ['real_name', 'a\nb'],
    ['username', 'x'.repeat(500_000)],
    ['avatar', 'https://elsewhere.example/a.png'],
    ['avatar', 7],
    ['cover', {}],
  ])('%s can not be %j', async ([field, value]) => {
    const answer = await patch({ [field]: value })
    expect(faultsOf(answer)[0]).toMatch(new RegExp(`^${field}: `))
    if (typeof value !== 'string' || value === '\ud800' || value.length > 60_000) return
    const form = new URLSearchParams({ [field]: value }).toString()
    expect(faultsOf(await patch(form, urlencoded))[0]).toMatch(new RegExp(`^${field}: `))
  })

  test.for(['1996-02-29', '2000-02-29', '2024-02-29'])('%s is a date of birth', async (date_of_birth) => {
    expect(await roster.as(3, 'PATCH /api/v2/user/3/', { date_of_birth })).toMatchObject({
      status: 200,
      body: { date_of_birth },
    })
  })

  test('is none of a prototype', async () => {
    const body = '{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}},"toString":"x"}'
    const answer = await roster.as(3, 'PATCH /api/v2/user/3/', body)
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'roster-ignored': '__proto__, constructor, toString' },
    })
    expect(
      await roster.as(3, 'PATCH /api/v2/user/3/', '__proto__=x&constructor=y', urlencoded),
    ).toMatchObject({
      status: 200,
    })
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })
})

describe('a text of an account', () => {
  const newcomer = { username: 'newcomer', email: 'newcomer@example.org', password: 'Correct-horse-1' }
  const texts: readonly (readonly [field: string, line: string, besides?: object])[] = [
    ...[
      ...Object.keys(properties),
      'email',
      'password',
      'ext_id',
      'role',
      'company_name',
      'company_role',
    ].map((field) => [field, 'POST /api/v2/account/create/', newcomer] as const),
    ['validation_code', 'POST /api/v2/account/verify/'],
    ['validation_code', 'POST /api/v2/account/verify/validation_code/'],
    ['email', 'POST /api/v2/account/recover/'],
    ['validation_code', 'POST /api/v2/account/reset/', { password: newcomer.password }],
    ['password', 'POST /api/v2/account/reset/', { validation_code: 'x' }],
    ['token', 'POST /api/v2/jwt/verify_token/'],
  ]
  // Some of them can not even be made a text.
  const others: readonly unknown[] = [
    {},
    { text: 'x' },
    { toString: 'x' },
    { valueOf: 1 },
    [],
    ['x'],
    [[{}]],
    true,
    false,
    4,
    1e21,
  ]

  test.for(texts)('is nothing else: %s of %s', async ([field, line, besides]) => {
    // Numbers are how other systems count people.
    const wrong = others.filter((value) => field !== 'ext_id' || !Number.isSafeInteger(value))
    for (const value of wrong) {
      const answer = await expectNothing(line, { ...besides, [field]: value }, {})
      expect([value, faultsOf(answer)]).toEqual([value, [`${field}: invalid`]])
    }
  })

  test.for(texts)('can not be null where there has to be one: %s of %s', async ([field, line, besides]) => {
    const isOptional = line.includes('create') && !Object.hasOwn(newcomer, field)
    const body = { ...besides, [field]: null, ...(isOptional && { email: null }) }
    const answer = await expectNothing(line, body, {})
    expect(faultsOf(answer)).toEqual([`${isOptional ? 'email' : field}: required`])
  })
})

describe('a form', () => {
  test.for<[about: string, text: string]>([
    ['of thousands of fields', 'a=1&'.repeat(20_000)],
    ['with half an escape', 'bio=%C3%2'],
    // To look for a list in it would take an hour.
    ['with an endless name', `a${'['.repeat(900_000)}=1`],
    ['with an endless name of others', `${'é'.repeat(101)}=1`],
  ])('%s', async ([, text]) => {
    await expectNothing('PATCH /api/v2/user/3/', text, urlencoded)
  })
})

describe('what is asked for by name', () => {
  test.for(['%00', 'a%00b', '%EF%BF%BF', '@', 'a@', 'a@%00', '@b.c', 'x'.repeat(5_000), '%F0%9F%98%80'])(
    'an account %s is nobody’s',
    async (name) => {
      for (const query of [`username=${name}`, `email=${name}`, `ext_id=${name}&provider=external`])
        expectRefusal(await roster.call(`GET /api/v2/account/search/?${query}`, undefined, admin), 404)
    },
  )

  test('no user has such a name', async () => {
    const names = ['\0', 'a\0b', '\ud800', 'x'.repeat(5_000), '😀', '']
    expect(await roster.as(3, 'POST /api/v2/user/match/', names)).toMatchObject({ status: 200, body: [] })
  })
})

test('what was left alone is told in a header that every client takes', async () => {
  const body = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`${'😀'.repeat(64)}${n}`, 1]))
  const { status, headers } = await roster.as(3, 'PATCH /api/v2/user/3/', body)
  expect(status).toBe(200)
  expect(String(headers['roster-ignored'])).toMatch(/, and%20\d+%20more$/)
  expect(String(headers['roster-ignored']).length).toBeLessThan(4_200)
})

describe('what is no HTTP', () => {
  const head = () =>
    `PATCH /api/v2/user/3/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${token.authorization}\r\n` +
    'Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n'

  test.for<[about: string, bytes: (head: string) => string]>([
    ['a body that ends before its Content-Length', (text) => `${text}Content-Length: 50\r\n\r\nbio=early`],
    // Cut there, it is no form; a sound one would be an update, and what follows no request.
    ['a body that goes on after it', (text) => `${text}Content-Length: 6\r\n\r\nbio=%41`],
    ['chunks that end early', (text) => `${text}Transfer-Encoding: chunked\r\n\r\n9\r\nbio=early\r\n`],
  ])('%s changes nothing', async ([, bytes]) => {
    const before = await roster.everything()
    expect((await sendBytes(roster.url, bytes(head()), true)).status).toBe(400)
    expect(await roster.everything()).toEqual(before)
  })
})

describe('addresses', () => {
  test.for(['%', '%zz', '%ff', '3%'])('%s can not be decoded', async (id) => {
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE'])
      expectRefusal(
        await roster.call(`${method} /api/v2/user/${id}/`, method === 'GET' ? undefined : '{}'),
        400,
      )
  })

  test.for([
    '/api',
    '/api/v2',
    '/api/v2/',
    '/api/v2/user/3/4/',
    '/api/v1/user/3/',
    '/media/x',
    '/media/generated/x.svg',
  ])('nothing is at %s', async (path) => {
    expectRefusal(await roster.call(`GET ${path}`), 404)
    expectRefusal(await roster.call(`PATCH ${path}`, '{"'), path.includes('generated') ? 405 : 404)
  })

  test.for('-1 +3 0 03 3.5 3.0 0x3 1e3 9007199254740992 NaN none %203 3%00 %D9%A3'.split(' '))(
    'nobody is %s',
    async (id) => {
      expectRefusal(await roster.call(`GET /api/v2/user/${id}/`), 404)
      expectRefusal(await roster.call(`PATCH /api/v2/user/${id}/`, '{}', token), 404)
    },
  )
})
