import { beforeEach, describe, expect, test } from 'vitest'
import type { Answer } from '../../../test/app.ts'
import { type PlatformUser, usePlatform } from '../../../test/platform.ts'

/** What every write may ask besides itself: to be done once (`Idempotency-Key`), or to be only tried (`dry_run`). */

const platform = usePlatform()
const { call, person } = platform

/** A new user's address. */
const create = async () => (await platform.create()).at

let keys = 0
const once = () => ({ 'idempotency-key': `"key ${++keys}"` })
const operations = { 'content-type': 'application/json-patch+json' }

interface Write {
  readonly line: string
  readonly body?: unknown
  readonly headers?: object
  /** Another body for the same line. */
  readonly other?: unknown
}

/** Every write there is, on a user of its own. */
const writes: Readonly<Record<string, (at: string) => Write>> = {
  create: () => ({ line: 'POST /v1/users', body: person(), other: person() }),
  update: (at) => ({ line: `PATCH ${at}`, body: { first_name: 'Bo' }, other: { first_name: 'Cy' } }),
  'update to the same': (at) => ({ line: `PATCH ${at}`, body: {}, other: { first_name: 'Cy' } }),
  profile: (at) => ({ line: `PATCH ${at}/profile`, body: { bio: 'x' }, other: { bio: 'y' } }),
  'JSON Patch': (at) => ({
    line: `PATCH ${at}/profile`,
    body: [
      { op: 'test', path: '/bio', value: null },
      { op: 'replace', path: '/bio', value: 'x' },
    ],
    headers: operations,
    other: [],
  }),
  password: (at) => ({
    line: `PUT ${at}/password`,
    body: { current_password: 'correct horse', new_password: 'another horse' },
    other: { current_password: 'another horse', new_password: 'a third horse' },
  }),
  counters: (at) => ({
    line: `PATCH ${at}/counters`,
    body: { followers_counter: { increment: 1 } },
    other: { followers_counter: { increment: 2 } },
  }),
  batch: (at) => ({
    line: 'POST /v1/users/batch',
    body: {
      operations: [
        { op: 'create', data: person() },
        { op: 'update', id: at.slice('/v1/users/'.length), data: { first_name: 'Bo' } },
      ],
    },
    other: { operations: [{ op: 'create', data: person() }] },
  }),
  'batch, all or nothing': (at) => ({
    line: 'POST /v1/users/batch',
    body: {
      atomic: true,
      operations: [
        { op: 'create', data: person() },
        { op: 'update', id: at.slice('/v1/users/'.length), data: { first_name: 'Bo' } },
      ],
    },
    other: { operations: [{ op: 'create', data: person() }] },
  }),
}

const statusOf = (name: string) => (name === 'create' ? 201 : name === 'password' ? 204 : 200)

const seen = ({ status, text, headers: { etag, location } }: Answer) => ({ status, text, etag, location })

describe.for(Object.entries(writes))('Idempotency-Key: %s', ([name, write]) => {
  test('sent again is answered the same, marked, and changes nothing more', async () => {
    const { line, body, headers } = write(await create())
    const own = { ...headers, ...once() }
    const first = await call(line, body, own)
    expect(first.status).toBeLessThan(300)
    expect(first.headers['idempotency-replayed']).toBeUndefined()
    const rows = await platform.roster.everything()
    const again = await call(line, body, own)
    expect(again.headers['idempotency-replayed']).toBe('true')
    if (!name.startsWith('batch')) expect(seen(again)).toEqual(seen(first))
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('sent at once many times is done once', async () => {
    const { line, body, headers } = write(await create())
    const own = { ...headers, ...once() }
    const answers = await Promise.all(Array.from({ length: 5 }, () => call(line, body, own)))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.every((status) => status < 300 || status === 409)).toBe(true)
    expect(statuses.some((status) => status < 300)).toBe(true)
    const last = await call(line, body, own)
    expect(last).toMatchObject({ headers: { 'idempotency-replayed': 'true' } })
  })

  test('for another request is 422, and for another caller it is another key', async () => {
    const { line, body, headers, other } = write(await create())
    const own = { ...headers, ...once() }
    await call(line, body, own)
    const rows = await platform.roster.everything()
    const refused = await call(line, other, own)
    expect(refused).toMatchObject({ status: 422, body: { error: 'idempotency_mismatch' } })
    expect(await platform.roster.everything()).toEqual(rows)
    const stranger = await platform.roster.call(line, other, {
      ...own,
      ...(await platform.roster.keyWith('read', 'write')),
    })
    expect(stranger.headers['idempotency-replayed']).toBeUndefined()
    expect(stranger.status).not.toBe(422)
  })

  test('?dry_run=true tells what would come, keeps nothing and uses no key up', async () => {
    const at = await create()
    const { line, body, headers } = write(at)
    const own = { ...headers, ...once() }
    const rows = await platform.roster.everything()
    const tried = await call(`${line}?dry_run=true`, body, own)
    expect(tried).toMatchObject({
      status: 200,
      body: { dry_run: true, status: statusOf(name) },
    })
    expect(tried.headers.etag).toBeUndefined()
    expect(await platform.roster.everything()).toEqual(rows)
    const done = await call(line, body, own)
    expect(done.headers['idempotency-replayed']).toBeUndefined()
    expect(done.status).toBe(statusOf(name))
  })

  test.for([
    'dry_run=1',
    'dry_run=',
    'dry_run=TRUE',
    'dry_run=false',
    'dry_run=true&dry_run=true',
    'dryrun=true',
    'dry_run=true&x=1',
  ])('?%s is 400 that names it', async (query) => {
    const { line, body, headers } = write(await create())
    const rows = await platform.roster.everything()
    const answer = await call(`${line}?${query}`, body, headers)
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_parameter' } })
    const culprit = /x=1|dryrun/.exec(query)?.[0].replace('=1', '') ?? 'dry_run'
    expect(Object.keys((answer.body as { details: object }).details)).toEqual([culprit])
    expect(await platform.roster.everything()).toEqual(rows)
  })
})

describe('Idempotency-Key', () => {
  test.for([
    '',
    '""',
    `"${'a'.repeat(256)}"`,
    'a'.repeat(256),
    '"a',
    'a b',
    'a,b',
    '"a"b',
    '"a";x=1',
    '"\\a"',
    'ü',
  ])('%j is 400', async (value) => {
    const at = await create()
    const rows = await platform.roster.everything()
    const answer = await call(`PATCH ${at}`, { first_name: 'Bo' }, { 'idempotency-key': value })
    expect(answer).toMatchObject({
      status: 400,
      body: { details: { 'Idempotency-Key': [expect.any(String)] } },
    })
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test.for([
    '8e03978e-40d5-43e8-bc93-6894a57f9324',
    '"9f03978e-40d5-43e8-bc93-6894a57f9324"',
    'a'.repeat(255),
    `"${'a'.repeat(253)}\\""`,
    '"a b, c"',
  ])('%j is a key', async (value) => {
    const at = await create()
    await call(`PATCH ${at}`, { first_name: 'Bo' }, { 'idempotency-key': value })
    const again = await call(`PATCH ${at}`, { first_name: 'Bo' }, { 'idempotency-key': value })
    expect(again.headers['idempotency-replayed']).toBe('true')
  })

  test('is the same with and without quotes', async () => {
    const at = await create()
    await call(`PATCH ${at}`, { first_name: 'Bo' }, { 'idempotency-key': 'same' })
    const again = await call(`PATCH ${at}`, { first_name: 'Bo' }, { 'idempotency-key': '"same"' })
    expect(again.headers['idempotency-replayed']).toBe('true')
  })

  test('what it was used for includes path, type, conditions and body', async () => {
    const [at, another] = [await create(), await create()]
    const own = once()
    await call(`PATCH ${at}`, '{"first_name":"Bo"}', own)
    for (const [line, body, headers] of [
      [`PATCH ${another}`, '{"first_name":"Bo"}', {}],
      [`PATCH ${at}`, '{"first_name": "Bo"}', {}],
      [`PATCH ${at}`, '{"first_name":"Bo"}', { 'content-type': 'application/merge-patch+json' }],
      [`PATCH ${at}`, '{"first_name":"Bo"}', { 'if-match': '*' }],
      [`PATCH ${at}/profile`, '{"first_name":"Bo"}', {}],
    ] as const)
      expect(await call(line, body, { ...own, ...headers })).toMatchObject({ status: 422 })
  })

  test('a refusal is not kept: once it is sound the same key does it', async () => {
    const at = await create()
    const { username } = (await call(`GET ${at}`)).body as { username: string }
    const own = once()
    const body = { ...person(), username }
    expect(await call('POST /v1/users', body, own)).toMatchObject({ status: 409 })
    await call(`DELETE ${at}`)
    expect(await call('POST /v1/users', body, own)).toMatchObject({ status: 201 })
  })

  test('a replay is told as it was then, and answers who repeats a condition that held once', async () => {
    const at = await create()
    const own = { ...once(), 'if-match': '"1"' }
    const first = await call(`PATCH ${at}`, { first_name: 'Bo' }, own)
    await call(`PATCH ${at}`, { first_name: 'Cy' })
    const again = await call(`PATCH ${at}`, { first_name: 'Bo' }, own)
    expect(seen(again)).toEqual(seen(first))
    expect(await call(`GET ${at}`)).toMatchObject({ body: { first_name: 'Cy' } })
  })

  test('of a deletion is 204 again', async () => {
    const at = await create()
    const own = once()
    expect(await call(`DELETE ${at}`, undefined, own)).toMatchObject({ status: 204 })
    const again = await call(`DELETE ${at}`, undefined, own)
    expect(again).toMatchObject({ status: 204, headers: { 'idempotency-replayed': 'true' } })
  })

  test.for([
    ['is not valid', { email: 'nobody' }, {}],
    ['has no password', { password: undefined }, {}],
    ['makes a condition that fails', {}, { 'if-match': '*' }],
  ] as const)('of a creation is 422 for one that %s as well', async ([, values, headers]) => {
    const own = once()
    const body = person()
    expect(await call('POST /v1/users', body, own)).toMatchObject({ status: 201 })
    const rows = await platform.roster.everything()
    const answer = await call('POST /v1/users', { ...body, ...values }, { ...own, ...headers })
    expect(answer).toMatchObject({ status: 422, body: { error: 'idempotency_mismatch' } })
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test.for([
    ['is not valid', { new_password: 'short' }],
    ['says no password', { current_password: undefined }],
    ['says something else', { password: 'another horse' }],
  ] as const)('of a change of the password is 422 for one that %s as well', async ([, values]) => {
    const at = await create()
    const own = once()
    const body = { current_password: 'correct horse', new_password: 'another horse' }
    const wrong = { ...body, ...values }
    expect(await call(`PUT ${at}/password`, wrong, own)).toMatchObject({ status: 400 })
    expect(await call(`PUT ${at}/password`, body, own)).toMatchObject({ status: 204 })
    const rows = await platform.roster.everything()
    expect(await call(`PUT ${at}/password`, wrong, own)).toMatchObject({
      status: 422,
      body: { error: 'idempotency_mismatch' },
    })
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('what is kept of a request with a password does not tell it', async () => {
    const own = once()
    const body = { ...person(), password: 'another secret' }
    await call('POST /v1/users', body, own)
    expect(JSON.stringify(await platform.roster.everything())).not.toContain('another secret')
    expect(await call('POST /v1/users', { ...body, password: 'yet another' }, own)).toMatchObject({
      status: 422,
    })
  })
})

describe('dry run', () => {
  let ann: PlatformUser
  let at: string
  beforeEach(async () => {
    ann = await platform.create()
    at = ann.at
  })

  test('of an update tells the user as it would be, and each change', async () => {
    const before = (await call(`GET ${at}`)).body as object
    const tried = await call(`PATCH ${at}?dry_run=true`, {
      first_name: 'Bo',
      role: 'user',
      email: 'new@example.org',
    })
    const user = { ...before, first_name: 'Bo', email: 'new@example.org', updated_at: expect.any(String) }
    expect(Object.keys(tried.body as object)).toEqual(['dry_run', 'status', 'user', 'changes'])
    expect(tried.body).toEqual({
      dry_run: true,
      status: 200,
      user,
      changes: {
        first_name: { old: null, new: 'Bo' },
        email: { old: ann.email, new: 'new@example.org' },
      },
    })
    expect((await call(`GET ${at}`)).body).toEqual(before)
  })

  test('of nothing tells no changes', async () => {
    expect(await call(`PATCH ${at}?dry_run=true`, {})).toMatchObject({
      status: 200,
      body: { status: 200, changes: {} },
    })
  })

  test('of a creation makes nobody, hashes nothing, and tells what it would make', async () => {
    const { password: _, ...values } = person()
    const tried = await call('POST /v1/users?dry_run=true', { ...values, password: 'correct horse' })
    expect(tried.body).toMatchObject({
      status: 201,
      user: { ...values, role: 'user' },
      changes: { email: { old: null, new: values.email }, role: { old: null, new: 'user' } },
    })
    expect(tried.text).not.toContain('horse')
  })

  test('of a deletion tells what would be gone', async () => {
    const tried = await call(`DELETE ${at}?dry_run=true`)
    const { user, changes } = tried.body as { user: unknown; changes: object }
    expect(tried).toMatchObject({ status: 200, body: { dry_run: true, status: 204 } })
    expect(user).toBeNull()
    expect(changes).toMatchObject({ username: { old: ann.username, new: null } })
    expect(await call(`GET ${at}`)).toMatchObject({ status: 200 })
  })

  test('is refused as the request would be', async () => {
    for (const [line, body, status] of [
      [`PATCH ${at}`, { username: 'fionab' }, 409],
      [`PATCH ${at}`, { role: 'king' }, 400],
      ['PATCH /v1/users/usr_nobody123456', {}, 404],
      ['DELETE /v1/users/usr_nobody123456', undefined, 404],
      ['POST /v1/users', { ...person(), email: 'user@example.com' }, 409],
      ['POST /v1/users', { ...person(), password: 'short' }, 400],
    ] as const) {
      const real = await call(line, body)
      expect(real.status).toBe(status)
      expect(await call(`${line}?dry_run=true`, body)).toMatchObject({ status, text: real.text })
    }
    expect(await call(`PATCH ${at}?dry_run=true`, {}, { 'if-match': '"9"' })).toMatchObject({ status: 412 })
  })
})
