import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { usePlatform } from '../../../test/platform.ts'
import { fieldNames } from '../../directory/fields.ts'

/** `/v1/users/{id}/profile`: every field, by JSON, JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902). */

const platform = usePlatform()
const { call } = platform

/** A new user's address, with some values of the profile. */
async function create(values: object = {}): Promise<string> {
  const at = `${(await platform.create()).at}/profile`
  if (Object.keys(values).length > 0) expect(await call(`PATCH ${at}`, values)).toMatchObject({ status: 200 })
  return at
}

type Profile = Readonly<Record<string, unknown>>
const read = async (at: string) => (await call(`GET ${at}`)).body as Profile

const tag = (id: number) => ({ id, type: 'user', name: `tag ${id}`, description: '', color: '#fff' })
const everything = {
  real_name: 'Ann Lee',
  phone: '555-0100',
  interested_in: 'cats',
  bio: 'Two\nlines',
  location: 'Bologna',
  location_lat_lng: '44.4949,11.3426',
  position_lat_lng: '44.4983,11.3407',
  date_of_birth: '1991-03-08',
  description: 'Dogs, hills, bread',
  gender: 'Female',
  website: 'https://ann.example.org/',
  ext_id: 'A-1',
  tags: [tag(1), tag(2)],
  community_badge: true,
  reg_approved: false,
  company_name: 'Lee & Co',
  company_role: 'Founder',
}

const merge = { 'content-type': 'application/merge-patch+json' }
const operations = { 'content-type': 'application/json-patch+json' }

test('shows every field of the catalogue, pictures excepted, between the id and the times', async () => {
  const profile = await read(await create())
  const shown = fieldNames.filter((name) => name !== 'avatar' && name !== 'cover')
  expect(Object.keys(profile)).toEqual(['id', ...shown, 'created_at', 'updated_at'])
})

test.for([['application/json'], ['application/merge-patch+json']])(
  'every field is set, sent back and cleared by %s',
  async ([type]) => {
    const at = await create()
    const headers = { 'content-type': type }
    const values = { ...everything, ext_id: `${type}` }
    const set = await call(`PATCH ${at}`, values, headers)
    expect(set).toMatchObject({ status: 200, body: values, headers: { etag: '"2"' } })
    expect(await call(`PATCH ${at}`, set.body, headers)).toMatchObject({
      status: 200,
      headers: { etag: '"2"' },
    })
    const { ext_id: _, ...others } = values
    const nothing = Object.fromEntries(Object.keys(others).map((name) => [name, null]))
    expect(await call(`PATCH ${at}`, nothing, headers)).toMatchObject({ status: 200, body: nothing })
  },
)

test('what is read-only or not a service’s to write is fine as it is, and refused otherwise', async () => {
  const at = await create({ ext_id: 'B-1' })
  const profile = await read(at)
  expect(await call(`PATCH ${at}`, profile)).toMatchObject({ status: 200, headers: { etag: '"2"' } })
  expect(await call(`PATCH ${at}`, { email_verified: true })).toMatchObject({
    status: 403,
    body: { error: 'forbidden', message: 'Insufficient permissions to update profile' },
  })
  expect(await call(`PATCH ${at}`, { ext_id: 'B-2' })).toMatchObject({
    status: 400,
    body: { details: { ext_id: ['Ext id is set once and can not be changed'] } },
  })
  expect(await call(`PATCH ${at}`, { avatar: null })).toMatchObject({ status: 400 })
})

test('a member named twice is refused, in a list as well', async () => {
  const at = await create()
  for (const body of ['{"bio":"a","bio":"b"}', '{"tags":[{"id":1,"id":2}]}', '{"bio":"a","b\\u0069o":"b"}'])
    expect(await call(`PATCH ${at}`, body)).toMatchObject({
      status: 400,
      body: { details: { body: ['Body must not name a property twice'] } },
    })
})

/**
 * RFC 7396, appendix A. A profile holds texts and one list of objects, never an object; so members are
 * called bio and location here, a list is one of tags, and what the patch makes of it is a profile or,
 * where the result of the RFC is none, refused without a trace.
 */
describe('RFC 7396, appendix A, through HTTP', () => {
  const refused = Symbol('refused')
  test.for<[original: object, patch: unknown, result: object | typeof refused]>([
    [{ bio: 'b' }, { bio: 'c' }, { bio: 'c' }],
    [{ bio: 'b' }, { location: 'c' }, { bio: 'b', location: 'c' }],
    [{ bio: 'b' }, { bio: null }, { bio: null }],
    [{ bio: 'b', location: 'c' }, { bio: null }, { bio: null, location: 'c' }],
    [{ tags: [tag(1)] }, { tags: 'c' }, refused],
    [{ bio: 'c' }, { bio: ['b'] }, refused],
    [{ bio: 'c' }, { bio: { b: 'd', c: null } }, refused],
    [{ tags: [tag(1)] }, { tags: [1] }, refused],
    [{ tags: [tag(1), tag(2)] }, { tags: [tag(3), tag(4)] }, { tags: [tag(3), tag(4)] }],
    [{ bio: 'b' }, ['c'], refused],
    [{ bio: 'foo' }, null, refused],
    [{ bio: 'foo' }, 'bar', refused],
    [{ location: null }, { bio: 'a' }, { location: null, bio: 'a' }],
    [
      { tags: [tag(1), tag(2)] },
      { bio: 'b', location: null },
      { tags: [tag(1), tag(2)], bio: 'b', location: null },
    ],
    [{}, { bio: { bb: { ccc: null } } }, refused],
  ])('%j and %j', async ([original, patch, result]) => {
    const at = await create(original)
    const before = await read(at)
    const answer = await call(`PATCH ${at}`, patch, merge)
    const { updated_at, ...after } = await read(at)
    if (result === refused) {
      expect(answer).toMatchObject({ status: 400, body: { error: 'validation_error' } })
      expect({ ...after, updated_at }).toEqual(before)
    } else {
      expect(answer).toMatchObject({ status: 200, body: result })
      expect(after).toEqual({ ...before, ...result, updated_at: undefined })
    }
  })
})

interface Case {
  readonly comment?: string
  readonly doc: unknown
  readonly patch: readonly { readonly path?: unknown; readonly from?: unknown }[]
  readonly expected?: unknown
  readonly error?: string
}

/**
 * The cases of json-patch-test-suite that a profile can play: their document is an object of texts, whose
 * members are called after fields here, and is not replaced as a whole. All of them, on whatever JSON, are in json-patch.test.ts.
 */
describe('json-patch-test-suite through HTTP', () => {
  const load = createRequire(import.meta.url)
  const cases = ['tests.json', 'spec_tests.json'].flatMap((file) =>
    (load(`json-patch-test-suite/${file}`) as Case[])
      .map((one, at) => ({ ...one, title: `${file} ${at}: ${one.comment ?? JSON.stringify(one.patch)}` }))
      .filter(
        ({ doc, expected = doc, patch }) =>
          isPlayable(doc) &&
          isPlayable(expected) &&
          patch.length > 0 &&
          patch.every(({ path }) => path !== ''),
      ),
  )
  const fields = ['bio', 'location', 'description', 'real_name', 'company_name']

  function isPlayable(doc: unknown): doc is Readonly<Record<string, string>> {
    return (
      typeof doc === 'object' &&
      doc !== null &&
      !Array.isArray(doc) &&
      Object.keys(doc).length > 0 &&
      Object.values(doc).every((value) => typeof value === 'string' || value === null)
    )
  }

  test('there are some', () => {
    expect(cases.length).toBeGreaterThan(10)
  })

  test.for(cases)('$title', async ({ doc, patch, expected = doc, error }) => {
    if (!isPlayable(doc) || !isPlayable(expected)) throw new Error('not playable')
    const names = new Map(
      [...new Set([...Object.keys(doc), ...Object.keys(expected)])].map((name, at) => [
        name,
        fields[at] ?? '',
      ]),
    )
    const renamed = (values: object) =>
      Object.fromEntries(Object.entries(values).map(([name, value]) => [names.get(name), value]))
    const pointer = (path: unknown) =>
      typeof path === 'string'
        ? path.replace(/^\/([^/]*)/, (_, name: string) => `/${names.get(name) ?? name}`)
        : path
    const played = patch.map((one) => ({
      ...one,
      ...('path' in one && { path: pointer(one.path) }),
      ...('from' in one && { from: pointer(one.from) }),
    }))
    const at = await create(renamed(doc))
    const before = await read(at)
    const answer = await call(`PATCH ${at}`, played, operations)
    const now = await read(at)
    if (error !== undefined) {
      expect([400, 409]).toContain(answer.status)
      expect(now).toEqual(before)
    } else {
      // A member that is gone is a value that is null.
      const gone = Object.fromEntries([...names.values()].map((name) => [name, null]))
      expect(answer).toMatchObject({ status: 200, body: { ...gone, ...renamed(expected) } })
    }
  })
})

describe('JSON Patch', () => {
  test('has all six operations, on lists too', async () => {
    const at = await create({ bio: 'a', tags: [tag(1), tag(2)] })
    const answer = await call(
      `PATCH ${at}`,
      [
        { op: 'test', path: '/bio', value: 'a' },
        { op: 'test', path: '/tags/1', value: tag(2) },
        { op: 'copy', from: '/bio', path: '/location' },
        { op: 'move', from: '/tags/0', path: '/tags/-' },
        { op: 'add', path: '/tags/0', value: tag(3) },
        { op: 'replace', path: '/tags/0/name', value: 'new' },
        { op: 'remove', path: '/bio' },
        { op: 'add', path: '/phone', value: '1' },
      ],
      operations,
    )
    expect(answer).toMatchObject({
      status: 200,
      headers: { etag: '"3"' },
      body: { bio: null, location: 'a', phone: '1', tags: [{ ...tag(3), name: 'new' }, tag(2), tag(1)] },
    })
  })

  test.for<[about: string, patch: object[]]>([
    ['a test that fails', [{ op: 'test', path: '/location', value: 'x' }]],
    ['a test of what is not there', [{ op: 'test', path: '/nickname', value: null }]],
    ['a pointer into nowhere', [{ op: 'remove', path: '/nickname' }]],
    ['a pointer into a text', [{ op: 'add', path: '/bio/0', value: 'x' }]],
    ['an index beyond the end', [{ op: 'add', path: '/tags/2', value: tag(1) }]],
    ['a member of null', [{ op: 'add', path: '/location/a', value: 1 }]],
    ['a prototype', [{ op: 'add', path: '/__proto__/isAdmin', value: true }]],
    ['a copy from nowhere', [{ op: 'copy', from: '/nickname', path: '/bio' }]],
  ])('%s is 409, which operation it was, and nothing of it is applied', async ([, patch]) => {
    const at = await create({ bio: 'a', tags: [tag(1)] })
    const before = await call(`GET ${at}`)
    const all = [
      { op: 'replace', path: '/bio', value: 'b' },
      ...patch,
      { op: 'replace', path: '/phone', value: '1' },
    ]
    const answer = await call(`PATCH ${at}`, all, operations)
    expect(answer.status).toBe(409)
    expect(answer.body).toEqual({
      error: 'conflict',
      message: expect.stringMatching(/^Operation 1 can not be applied: /),
    })
    expect(await call(`GET ${at}`)).toMatchObject({
      text: before.text,
      headers: { etag: before.headers.etag },
    })
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })

  test.for<[about: string, body: unknown, details: Record<string, unknown>]>([
    ['no list', {}, { body: ['Body must be a JSON array of operations'] }],
    [
      'operations that are none',
      [{ op: 'spam', path: '/a' }, { op: 'add', path: '/bio', value: 'x' }, { op: 'add' }],
      { 'operations[0]': [expect.any(String)], 'operations[2]': [expect.any(String)] },
    ],
    // RFC 6902, appendix A.13.
    [
      'an operation with two ops',
      '[{"op":"add","path":"/bio","value":"x","op":"remove"}]',
      { body: ['Body must not name a member twice'] },
    ],
    ['broken JSON', '[{', { body: [expect.stringContaining('must be valid JSON')] }],
    ['a result that is no profile', [{ op: 'add', path: '', value: 'x' }], { body: [expect.any(String)] }],
    [
      'values that are not valid',
      [
        { op: 'add', path: '/gender', value: 'x' },
        { op: 'replace', path: '/bio', value: { a: 1 } },
      ],
      { gender: [expect.any(String)], bio: [expect.any(String)] },
    ],
    [
      'an unknown property',
      [{ op: 'add', path: '/nickname', value: 'x' }],
      { nickname: [expect.any(String)] },
    ],
    [
      'a prototype',
      [{ op: 'add', path: '/__proto__', value: { isAdmin: true } }],
      { ['__proto__']: [expect.any(String)] },
    ],
    ['another id', [{ op: 'replace', path: '/id', value: 'usr_123abc456def' }], { id: [expect.any(String)] }],
    ['no time', [{ op: 'remove', path: '/updated_at' }], { updated_at: [expect.any(String)] }],
  ])('%s is 400 that tells where', async ([, body, details]) => {
    const at = await create({ bio: 'a' })
    const rows = await platform.roster.everything()
    const answer = await call(`PATCH ${at}`, body, operations)
    expect(answer.status).toBe(400)
    expect((answer.body as { details: object }).details).toEqual(details)
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('what is nested deeply or doubles itself is refused, and the service goes on', async () => {
    const at = await create({ tags: [tag(1)] })
    const deep = `${'['.repeat(100_000)}1${']'.repeat(100_000)}`
    const bodies = [
      `[{"op":"add","path":"/bio","value":${deep}},{"op":"test","path":"/bio","value":${deep}}]`,
      JSON.stringify(Array.from({ length: 900 }, () => ({ op: 'copy', from: '', path: '/bio' }))),
      JSON.stringify(Array.from({ length: 900 }, () => ({ op: 'copy', from: '/tags', path: '/tags/-' }))),
    ]
    for (const body of bodies)
      expect(await call(`PATCH ${at}`, body, operations)).toMatchObject({ status: 400 })
    expect(await call(`GET ${at}`)).toMatchObject({ status: 200, headers: { etag: '"2"' } })
  })

  test.for([
    ['list', Array(1_001).fill(0)],
    ['object', Object.fromEntries(Array.from({ length: 1_001 }, (_, n) => [n, 0]))],
    ['list within', { a: [{ b: Array(1_001).fill(0) }] }],
  ] as const)('what every operation would copy anew is refused: a large %s', async ([, value]) => {
    const at = await create()
    const body = [{ op: 'add', path: '/tags', value }, ...Array(900).fill({ op: 'remove', path: '/tags/0' })]
    expect(await call(`PATCH ${at}`, body, operations)).toMatchObject({
      status: 400,
      body: { details: { 'operations[0]': [expect.stringContaining('at most 1000')] } },
    })
  })

  test('the root may be replaced by what was read, changed', async () => {
    const at = await create({ bio: 'a', location: 'x' })
    const { location: _, ...rest } = await read(at)
    const value = { ...rest, bio: 'b' }
    const answer = await call(`PATCH ${at}`, [{ op: 'replace', path: '', value }], operations)
    expect(answer).toMatchObject({ status: 200, body: { bio: 'b', location: null } })
  })

  test('If-Match comes before an operation that can not be applied', async () => {
    const at = await create({ bio: 'a' })
    const failing = [{ op: 'test', path: '/bio', value: 'x' }]
    expect(await call(`PATCH ${at}`, failing, { ...operations, 'if-match': '"1"' })).toMatchObject({
      status: 412,
    })
    expect(await call(`PATCH ${at}`, failing, { ...operations, 'if-match': '"2"' })).toMatchObject({
      status: 409,
    })
  })

  // ory/kratos#3099, #3244: a JSON Patch into what is null fails or nulls everything.
  test('a value that is null is there, and can be replaced', async () => {
    const at = await create()
    const answer = await call(`PATCH ${at}`, [{ op: 'replace', path: '/bio', value: 'a' }], operations)
    expect(answer).toMatchObject({ status: 200, body: { bio: 'a', location: null } })
  })

  // A test is as good as If-Match: between the look and the change nobody gets in.
  test('of many who test the same value and replace it one wins', async () => {
    const at = await create({ bio: '0' })
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          call(
            `PATCH ${at}`,
            [
              { op: 'test', path: '/bio', value: `${round}` },
              { op: 'replace', path: '/bio', value: `${round + 1}` },
              { op: 'replace', path: '/location', value: `${i}` },
            ],
            operations,
          ),
        ),
      )
      expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(39).fill(409)])
    }
    expect(await read(at)).toMatchObject({ bio: '5' })
  })

  test('of many who add to a list at once all are in it, and others’ fields are not lost', async () => {
    const at = await create({ tags: [] })
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        i % 2 === 0
          ? call(`PATCH ${at}`, [{ op: 'add', path: '/tags/-', value: tag(i) }], operations)
          : call(`PATCH ${at}`, { bio: `${i}` }),
      ),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    const { tags } = (await read(at)) as { tags: { id: number }[] }
    expect(tags.map(({ id }) => id).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 100 }, (_, i) => 2 * i),
    )
  })
})

test('a key that may write and not read is shown whom it writes, and nobody else', async () => {
  const [at, blind] = [await create({ phone: '1' }), await platform.roster.keyWith('write')]
  const send = (line: string, body?: unknown) => call(line, body, blind)
  expect((await send(`GET ${at}`)).status).toBe(403)
  expect((await send('GET /v1/users')).status).toBe(403)
  expect(await send(`PATCH ${at}`, {})).toMatchObject({ status: 200, body: { phone: '1' } })
})

test.for(['Content-Type', 'Content-Encoding'])(
  'a property called %s is one that is not known',
  async (name) => {
    const at = await create()
    for (const path of [at, at.replace('/profile', '')])
      expect(await call(`PATCH ${path}`, { [name]: 'x' })).toMatchObject({
        ...{ status: 400, body: { error: 'validation_error', details: { [name]: [expect.any(String)] } } },
      })
  },
)

test('the types that PATCH takes are told by OPTIONS, 405 and 415', async () => {
  const at = await create()
  const profile = 'application/json, application/merge-patch+json, application/json-patch+json'
  const user = 'application/json, application/merge-patch+json'
  for (const [address, types] of [
    [at, profile],
    [at.replace('/profile', ''), user],
  ] as const) {
    const headers = { 'accept-patch': types }
    expect(await call(`OPTIONS ${address}`)).toMatchObject({ status: 204, headers })
    expect(await call(`PUT ${address}`, {})).toMatchObject({ status: 405, headers })
    for (const type of [
      'text/plain',
      'application/xml',
      'application/json; charset=latin1',
      'application/ld+json',
      'nonsense',
      undefined,
    ]) {
      const answer = await call(`PATCH ${address}`, '{}', { 'content-type': type })
      expect(answer).toMatchObject({ status: 415, headers, body: { error: 'unsupported_media_type' } })
    }
  }
  expect(await call(`PATCH ${at.replace('/profile', '')}`, [], operations)).toMatchObject({ status: 415 })
  expect(await call(`PATCH ${at}`, '{}', { 'content-encoding': 'gzip' })).toMatchObject({ status: 415 })
})
