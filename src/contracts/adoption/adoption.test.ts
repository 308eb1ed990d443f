import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../../test/app.ts'

const json = 'application/json; charset=utf-8'
const david = '{"first_name":"David","last_name":"Renn","email":"drenn08@uw.edu","phone":null,'
const fiona = {
  first_name: 'Fiona',
  last_name: 'Burns',
  email: 'fionab@example.com',
  phone: '222-333-4455',
  interested_in: 'dogs',
  id: 4,
}
const martha = {
  first_name: 'Martha',
  last_name: 'Smith',
  email: 'msmith@example.com',
  phone: '987-654-3210',
  interested_in: 'both',
}

/** A directory of its own, for a test that counts on exactly the demo's people. */
async function freshApp(): Promise<TestApp> {
  const fresh = await startApp()
  onTestFinished(fresh.close)
  return fresh
}

/** The directory that the other tests share: each enrolls its own people. */
let shared: TestApp
beforeAll(async () => {
  shared = await startApp()
})
afterAll(() => shared.close())

let enrolled = 0
async function enroll(values: object = {}): Promise<{ readonly id: number; readonly email: string }> {
  const email = `person${++enrolled}@example.org`
  const answer = await shared.call('POST /users', { ...martha, email, ...values })
  expect(answer.status).toBe(201)
  return answer.body as { id: number; email: string }
}

const ids = ({ body }: Answer) => (body as { id: number }[]).map(({ id }) => id)

describe.for(['/users', '/adoption/users'])('the documented examples, at %s', (path) => {
  test('PATCH with one property answers 200 with the whole user in the page’s order, and GET agrees', async () => {
    const { call } = await freshApp()
    const others = async () => ((await call(`GET ${path}`)).body as unknown[]).slice(0, 3)
    const before = await others()
    const patched = await call(`PATCH ${path}/4`, '{\n  "interested_in": "both"\n}')
    const text = JSON.stringify({ ...fiona, interested_in: 'both' })
    expect(patched).toMatchObject({ status: 200, text, headers: { 'content-type': json, etag: '"2"' } })
    const read = await call(`GET ${path}/4`)
    expect(read).toMatchObject({ status: 200, text, headers: { 'content-type': json, etag: '"2"' } })
    expect(await others()).toEqual(before)
  })

  test('enrolling gives 201, the next id and a Location; deleting gives 200 and {}; the id is not given again', async () => {
    const { call } = await freshApp()
    const created = await call(`POST ${path}`, martha)
    expect(created).toMatchObject({
      status: 201,
      text: JSON.stringify({ ...martha, id: 5 }),
      headers: { 'content-type': json, location: `${path}/5`, etag: '"1"' },
    })
    expect(await call(`GET ${path}/5`)).toMatchObject({ status: 200, text: created.text })
    const deleted = await call(`DELETE ${path}/5`)
    expect(deleted).toMatchObject({ status: 200, text: '{}', headers: { 'content-type': json } })
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE'])
      expect(await call(`${method} ${path}/5`, '{}')).toMatchObject({ status: 404, text: '{}' })
    expect(ids(await call(`GET ${path}`))).toEqual([1, 2, 3, 4])
    expect(await call(`POST ${path}`, martha)).toMatchObject({ status: 201, body: { id: 6 } })
  })

  test('the list is a plain array in the order of ids, null where a person has no value', async () => {
    const list = await (await freshApp()).call(`GET ${path}`)
    expect(list).toMatchObject({ status: 200, headers: { 'content-type': json } })
    expect(ids(list)).toEqual([1, 2, 3, 4])
    expect(list.text.startsWith(`[${david}"interested_in":null,"id":1},`)).toBe(true)
    expect(list.text.endsWith(`,${JSON.stringify(fiona)}]`)).toBe(true)
  })

  test.for(['GET', 'PATCH', 'PUT', 'DELETE'])('%s of nobody is 404 with an empty object', async (method) => {
    const body = method === 'GET' || method === 'DELETE' ? undefined : { phone: '1' }
    const answer = await shared.call(`${method} ${path}/99999`, body)
    expect(answer).toMatchObject({ status: 404, text: '{}', headers: { 'content-type': json } })
  })

  test('a trailing slash changes nothing', async () => {
    const { id, email } = await enroll()
    expect((await shared.call(`GET ${path}/?email=${email}`)).body).toEqual([{ ...martha, email, id }])
    expect(await shared.call(`PATCH ${path}/${id}/`, { phone: '1' })).toMatchObject({ status: 200 })
    expect((await shared.call(`GET ${path}/${id}/`)).body).toEqual({ ...martha, email, phone: '1', id })
    expect(await shared.call(`POST ${path}/`, { ...martha, email: `slash.${email}` })).toMatchObject({
      status: 201,
    })
    expect(await shared.call(`DELETE ${path}/${id}/`)).toMatchObject({ status: 200, text: '{}' })
  })
})

test('a service that is offline refuses the connection', async () => {
  const offline = await startApp()
  const port = Number(new URL(offline.url).port)
  await offline.close()
  const { promise, resolve } = Promise.withResolvers<unknown>()
  connect(port, '127.0.0.1', () => resolve('connected')).on('error', resolve)
  expect(await promise).toMatchObject({ code: 'ECONNREFUSED' })
})

test('a restart keeps what was answered, and what was erased stays so', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'roster-restart-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const first = await startApp({ folder })
  await first.call('PATCH /users/4', { phone: '1' })
  await first.call('POST /users', martha)
  await first.call('DELETE /users/2')
  const list = await first.call('GET /users')
  const rows = await first.everything()
  await first.close()
  const second = await startApp({ folder })
  onTestFinished(second.close)
  expect((await second.call('GET /users')).text).toBe(list.text)
  expect(await second.everything()).toEqual(rows)
  expect(await second.call('GET /users/4')).toMatchObject({ body: { phone: '1' }, headers: { etag: '"2"' } })
  expect(await second.call('GET /users/2')).toMatchObject({ status: 404 })
})

describe('updating', () => {
  const values = Object.entries({
    first_name: 'Zoë',
    last_name: '  van der Meer ',
    email: 'zoe@bücher.example',
    phone: '+31 6',
    interested_in: 'cats',
  })
  const subsets = Array.from({ length: 31 }, (_, i) => values.filter((_, bit) => ((i + 1) >> bit) & 1))
  const cases = ['PATCH', 'PUT'].flatMap((method) =>
    subsets.map((subset) => [method, subset.map(([name]) => name).join(', '), subset] as const),
  )

  test.for(cases)('%s of %s changes exactly that', async ([method, , subset]) => {
    const { id, email } = await enroll()
    const patch = Object.fromEntries(subset)
    if ('email' in patch) patch.email = `${id}.${patch.email}`
    const changed = await shared.call(`${method} /users/${id}`, patch)
    const expected = { ...martha, email, ...patch, id }
    expect(changed).toMatchObject({
      status: 200,
      text: JSON.stringify(expected),
      headers: { etag: '"2"' },
    })
    expect((await shared.call(`GET /users/${id}`)).text).toBe(changed.text)
  })

  test('nothing, or what is there already, is 200 and makes no version', async () => {
    const { id, email } = await enroll()
    const rows = await shared.everything()
    const same = [{}, { phone: martha.phone }, { ...martha, email }, { ...martha, email, id }]
    for (const body of same) {
      for (const method of ['PATCH', 'PUT']) {
        const answer = await shared.call(`${method} /users/${id}`, body)
        expect(answer).toMatchObject({ status: 200, headers: { etag: '"1"' } })
        expect(answer.body).toEqual({ ...martha, email, id })
      }
    }
    expect(await shared.everything()).toEqual(rows)
  })

  // directus/directus#5538 and #8984: sending your own address again failed as a duplicate.
  test('your own address never conflicts, in another case it is a change', async () => {
    const { id, email } = await enroll()
    expect(await shared.call(`PATCH /users/${id}`, { email })).toMatchObject({
      status: 200,
      headers: { etag: '"1"' },
    })
    const shouted = email.toUpperCase()
    expect(await shared.call(`PATCH /users/${id}`, { email: shouted })).toMatchObject({
      status: 200,
      body: { email: shouted },
      headers: { etag: '"2"' },
    })
  })

  test('what has no value may be sent back as null; null clears nothing else', async () => {
    const created = await shared.call('POST /records/users', {
      lastName: 'Solo',
      firstName: 'Ann',
      email: 'solo@example.org',
    })
    const { id } = created.body as { id: number }
    const read = await shared.call(`GET /users/${id}`)
    expect(read.body).toMatchObject({ phone: null, interested_in: null })
    const again = await shared.call(`PUT /users/${id}`, read.body)
    expect(again).toMatchObject({ status: 200, text: read.text, headers: { etag: read.headers.etag } })
    for (const name of ['first_name', 'last_name', 'email']) {
      const cleared = await shared.call(`PATCH /users/${id}`, { [name]: null })
      expect(cleared).toMatchObject({ status: 400, body: { fields: { [name]: 'must not be null' } } })
    }
    await shared.call(`PATCH /users/${id}`, { phone: '1', interested_in: 'cats' })
    for (const name of ['phone', 'interested_in']) {
      const cleared = await shared.call(`PATCH /users/${id}`, { [name]: null })
      expect(cleared).toMatchObject({ status: 400, body: { fields: { [name]: 'must not be null' } } })
    }
    expect((await shared.call(`GET /users/${id}`)).headers.etag).toBe('"2"')
  })

  test('the id of a user never changes: its own may be sent, another may not', async () => {
    const { id } = await enroll()
    for (const wrong of [id + 1, `${id}`, null, 0]) {
      const answer = await shared.call(`PATCH /users/${id}`, { id: wrong, phone: '1' })
      expect(answer.status).toBe(400)
      expect(Object.keys((answer.body as { fields: object }).fields)).toEqual(['id'])
    }
    expect(await shared.call(`PATCH /users/${id}`, { id, phone: '1' })).toMatchObject({ status: 200 })
  })
})

describe('refusing', () => {
  test('all problems are told at once, each under its property, in a body of error and fields', async () => {
    const { id } = await enroll()
    const rows = await shared.everything()
    const body = { interested_in: 'birds', age: 3, email: 'nobody', phone: 5, first_name: '' }
    const answer = await shared.call(`PATCH /users/${id}`, body, { 'if-match': 'x' })
    expect(answer).toMatchObject({ status: 400, headers: { 'content-type': json } })
    expect(answer.body).toEqual({
      error: 'The request is not valid',
      fields: {
        'If-Match': 'must be * or a list of entity tags like "3"',
        age: 'is not known here; known are first_name, last_name, email, phone, interested_in',
        interested_in: 'must be one of cats, dogs, both',
        email: 'must be an e-mail address like name@example.com',
        phone: 'must be a string',
        first_name: 'must have 1 to 255 characters',
      },
    })
    expect(await shared.everything()).toEqual(rows)
  })

  test('a POST needs all five, and names each that is missing or null', async () => {
    const required = (body: unknown) => ({
      status: 400,
      body: { fields: Object.fromEntries(Object.keys(body as object).map((name) => [name, 'is required'])) },
    })
    const empty = await shared.call('POST /users', {})
    expect(empty).toMatchObject(required(martha))
    expect(Object.keys((empty.body as { fields: object }).fields)).toHaveLength(5)
    for (const name of Object.keys(martha)) {
      const without = { ...martha, email: 'missing@example.org', [name]: undefined }
      expect(await shared.call('POST /users', without)).toMatchObject(required({ [name]: '' }))
      const withNull = { ...without, [name]: null }
      expect(await shared.call('POST /users', withNull)).toMatchObject(required({ [name]: '' }))
    }
  })

  test('an address that somebody has is 400 naming email, and enrolls nobody', async () => {
    const one = await enroll()
    const other = await enroll()
    const rows = await shared.everything()
    const taken = { error: 'Another user has this value', fields: { email: 'is taken by another user' } }
    const email = one.email.toUpperCase()
    expect(await shared.call(`PATCH /users/${other.id}`, { email, phone: '1' })).toMatchObject({
      status: 400,
      text: JSON.stringify(taken),
    })
    expect(await shared.call('POST /users', { ...martha, email })).toMatchObject({ status: 400, body: taken })
    expect(await shared.everything()).toEqual(rows)
  })

  const wrong = [
    ['broken JSON', '{"phone":'],
    ['an unknown property', { age: 3 }],
    ['a wrong value', { phone: 1 }],
  ] as const
  test.for(wrong)('404 comes before 400, whatever the body holds: %s', async ([, body]) => {
    for (const method of ['PATCH', 'PUT']) {
      expect(await shared.call(`${method} /users/99999`, body)).toMatchObject({ status: 404, text: '{}' })
      expect(await shared.call(`${method} /users/none`, body)).toMatchObject({ status: 404, text: '{}' })
    }
  })

  test('400 comes before 412, and 412 before the conflict', async () => {
    const one = await enroll()
    const other = await enroll()
    const stale = { 'if-match': '"9"' }
    const patch = (body: unknown) => shared.call(`PATCH /users/${other.id}`, body, stale)
    expect(await patch({ email: 'nobody' })).toMatchObject({ status: 400 })
    const refused = await patch({ email: one.email })
    expect(refused).toMatchObject({ status: 412, body: { fields: {} } })
    expect(Object.keys(refused.body as object)).toEqual(['error', 'fields'])
    expect(await shared.call('PATCH /users/99999', {}, stale)).toMatchObject({ status: 404, text: '{}' })
  })
})

describe('filtering the list', () => {
  let filtered: TestApp
  beforeAll(async () => {
    filtered = await startApp()
    const person = { last_name: 'Lee', phone: '1', interested_in: 'cats' }
    await filtered.call('POST /users', { ...person, first_name: 'Ann', email: 'ann.lee@example.org' })
    const other = { last_name: 'van Dyke', phone: '2', interested_in: 'both' }
    await filtered.call('POST /users', { ...other, first_name: 'Ann', email: 'ann.dyke@example.org' })
    await filtered.call('POST /users', { ...person, first_name: 'Zoë', email: 'zoe@example.org' })
  })
  afterAll(() => filtered.close())

  const everybody = [1, 2, 3, 4, 5, 6, 7]
  test.for<[about: string, query: string, expected: readonly number[]]>([
    ['each property: first_name', 'first_name=Ann', [5, 6]],
    ['each property: last_name, with + for a space', 'last_name=van+Dyke', [6]],
    ['each property: email, percent-encoded', 'email=fionab%40example.com', [4]],
    ['each property: phone', 'phone=222-333-4455', [4]],
    ['each property: interested_in, literally: both is not dogs', 'interested_in=dogs', [4]],
    ['the id', 'id=4', [4]],
    ['an international value', 'first_name=Zo%C3%AB', [7]],
    ['several properties: all must hold', 'first_name=Ann&interested_in=both', [6]],
    ['several properties that nobody has together', 'first_name=Fiona&interested_in=both', []],
    ['a repeated property: any may hold', 'first_name=Ann&first_name=Fiona', [4, 5, 6]],
    ['both rules at once', 'first_name=Ann&first_name=Fiona&interested_in=dogs', [4]],
    ['another case matches nobody', 'email=FIONAB@example.com', []],
    ['an empty value matches nobody', 'email=', []],
    ['no value matches nobody', 'phone', []],
    ['a value that can not be, matches nobody', 'interested_in=birds', []],
    ['null is a text like any other', 'phone=null', []],
    ['another spelling of an id matches nobody', 'id=04&id=4.0&id=%204', []],
    ['unknown properties are ignored', 'nickname=x&role=admin&username=fionab', everybody],
    ['an unknown property beside a known one', 'nickname=x&phone=2', [6]],
    ['names that objects have are ignored', '__proto__=x&constructor=x&toString=x', everybody],
    ['a value with broken percent-encoding matches nobody', 'email=%zz', []],
    ['a name with broken percent-encoding is ignored', '%zz=1', everybody],
    ['a value that is no UTF-8 matches nobody', 'email=%ff', []],
    ['NUL matches nobody', 'first_name=Ann%00', []],
    ['a thousand alternatives', `${'email=x&'.repeat(1000)}email=zoe@example.org`, [7]],
  ])('%s', async ([, query, expected]) => {
    for (const path of ['/users', '/adoption/users']) {
      const list = await filtered.call(`GET ${path}?${query}`)
      expect(list.status).toBe(200)
      expect(ids(list)).toEqual(expected)
    }
  })
})
