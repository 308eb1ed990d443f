import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'

const json = 'application/json; charset=utf-8'
const renn = { lastName: 'Renn', firstName: 'David', email: 'david.renn@uw.edu' }
const nobody = {
  code: 'RESOURCE_NOT_FOUND',
  message: 'User not found',
  details: [],
  requestId: expect.stringMatching(/^req-[0-9a-f-]{36}$/),
}

/** A directory of its own, for a test that counts on exactly the demo's people. */
async function freshApp(overrides: Parameters<typeof startApp>[0] = {}): Promise<TestApp> {
  const fresh = await startApp(overrides)
  onTestFinished(fresh.close)
  return fresh
}

/** The directory that the other tests share: each creates its own people. */
let shared: TestApp
beforeAll(async () => {
  shared = await startApp()
})
afterAll(() => shared.close())

let created = 0
const newEmail = () => `person${++created}@example.org`

async function create(): Promise<typeof renn & { readonly id: number }> {
  const answer = await shared.call('POST /records/users', { ...renn, email: newEmail() })
  expect(answer.status).toBe(201)
  return answer.body as typeof renn & { readonly id: number }
}

/** Ids that no allocator comes near, each used once. */
let far = 1_000_000
const unusedId = () => ++far

describe.for(['/users?id=', '/records/users?id=', '/records/users/'])('PUT %s', (address) => {
  test('of the documented example answers 200 with the four properties in the page’s order', async () => {
    const { call } = await freshApp()
    const body =
      '{\n    "lastName": "Renn",\n    "firstName": "David",\n    "email": "david.renn@uw.edu"\n  }'
    const text = '{"lastName":"Renn","firstName":"David","email":"david.renn@uw.edu","id":1}'
    const replaced = await call(`PUT ${address}1`, body)
    expect(replaced).toMatchObject({ status: 200, text, headers: { 'content-type': json, etag: '"2"' } })
    expect(replaced.headers.location).toBeUndefined()
    const read = await call('GET /records/users/1')
    expect(read).toMatchObject({ status: 200, text, headers: { 'content-type': json, etag: '"2"' } })
  })

  test('of an id that never was creates under exactly that id, 201, and leaves the allocator alone', async () => {
    const { call } = await freshApp()
    const put = (id: number) => call(`PUT ${address}${id}`, { ...renn, email: newEmail() })
    expect(await put(5)).toMatchObject({ status: 201 })
    const text = '{"lastName":"Renn","firstName":"David","email":"david.renn@uw.edu","id":99}'
    expect(await call(`PUT ${address}99`, renn)).toMatchObject({
      status: 201,
      text,
      headers: { 'content-type': json, etag: '"1"', location: '/records/users/99' },
    })
    expect(await call('GET /records/users/99')).toMatchObject({ status: 200, text })
    expect(await put(Number.MAX_SAFE_INTEGER)).toMatchObject({
      status: 201,
      body: { id: Number.MAX_SAFE_INTEGER },
    })
    // The allocator steps over a number that was chosen, and no further.
    const next = await call('POST /records/users', { ...renn, email: newEmail() })
    expect(next).toMatchObject({ status: 201, body: { id: 6 }, headers: { location: '/records/users/6' } })
  })

  test('of an erased id is 404 for ever, through whichever contract it was erased', async () => {
    const one = await create()
    const other = await create()
    await shared.call(`DELETE /users/${one.id}`)
    const erased = await shared.call(`DELETE /records/users/${other.id}`)
    expect(erased).toMatchObject({ status: 200, text: '', headers: { 'content-length': '0' } })
    const rows = await shared.everything()
    for (const { id } of [one, other]) {
      const answer = await shared.call(`PUT ${address}${id}`, { ...renn, email: newEmail() })
      expect(answer).toMatchObject({ status: 404, headers: { 'content-type': json } })
      expect(answer.body).toEqual(nobody)
    }
    expect(await shared.everything()).toEqual(rows)
  })

  test('with the address of another is 409 and changes nothing; one’s own is 200', async () => {
    const one = await create()
    const other = await create()
    const rows = await shared.everything()
    const conflict = {
      code: 'EMAIL_ALREADY_EXISTS',
      message: 'User with this email already exists',
      details: [{ field: 'email', reason: 'is taken by another user', location: 'body' }],
      requestId: expect.stringMatching(/^req-/),
    }
    for (const email of [one.email, one.email.toUpperCase()]) {
      for (const id of [other.id, unusedId()]) {
        const answer = await shared.call(`PUT ${address}${id}`, { ...renn, email })
        expect(answer).toMatchObject({ status: 409, headers: { 'content-type': json } })
        expect(answer.body).toEqual(conflict)
        expect(Object.keys(answer.body as object)).toEqual(Object.keys(conflict))
      }
    }
    expect(await shared.everything()).toEqual(rows)
    const { id, ...own } = one
    expect(await shared.call(`PUT ${address}${id}`, own)).toMatchObject({
      status: 200,
      headers: { etag: '"1"' },
    })
  })

  test('with upsert off is 404 where nobody is, and 200 where somebody is', async () => {
    const { call, everything } = await freshApp({ recordsUpsert: false })
    const rows = await everything()
    for (const body of [renn, { ...renn, email: 'fionab@example.com' }])
      expect(await call(`PUT ${address}99`, body)).toMatchObject({ status: 404, body: nobody })
    expect(await everything()).toEqual(rows)
    expect(await call(`PUT ${address}1`, renn)).toMatchObject({ status: 200 })
  })

  // BerriAI/litellm#38760: a client edits the part that it can read, and the replace deletes the rest.
  // keycloak/keycloak#19691: sending one attribute erases the others.
  test('replaces the three fields that the contract has, and nothing that it has not', async () => {
    const { call, store } = await freshApp()
    const before = await store.get(4)
    await call(`PUT ${address}4`, { ...renn, email: 'fiona.renn@example.com' })
    expect(await store.get(4)).toEqual({
      ...before,
      last_name: 'Renn',
      first_name: 'David',
      email: 'fiona.renn@example.com',
      version: 2,
      updated_at: expect.any(Number),
    })
    expect(await call('GET /users/4')).toMatchObject({
      body: { phone: '222-333-4455', interested_in: 'dogs' },
    })
  })

  test.for(['lastName', 'firstName', 'email'] as const)('refuses a bad %s and names it', async (name) => {
    const { id, ...own } = await create()
    const emailSize = 'must have 3 to 254 characters'
    const ofLength =
      name === 'email'
        ? [
            ['', emailSize],
            [`${'a'.repeat(250)}@b.co`, emailSize],
          ]
        : [
            ['', 'must have 1 to 100 characters'],
            ['a'.repeat(101), 'must have at most 100 characters'],
          ]
    const rows = await shared.everything()
    for (const [value, reason] of [
      [undefined, 'is required'],
      [null, 'must not be null'],
      [7, 'must be a string'],
      [['x'], 'must be a string'],
      [{ x: 1 }, 'must be a string'],
      [true, 'must be a string'],
      ...ofLength,
    ]) {
      const answer = await shared.call(`PUT ${address}${id}`, { ...own, [name]: value })
      expect(answer.status).toBe(400)
      expect(answer.body).toEqual({
        code: 'INVALID_FIELD',
        message: `The field \`${name}\` ${reason}`,
        details: [{ field: name, reason, location: 'body' }],
        requestId: answer.headers['x-request-id'],
      })
    }
    expect(await shared.everything()).toEqual(rows)
  })

  test('judges 400 before 404, 404 before 412, and 412 before 409', async () => {
    const taken = (await create()).email
    const erased = await create()
    await shared.call(`DELETE /records/users/${erased.id}`)
    const one = await create()
    const put = async (id: number, body: object) =>
      (await shared.call(`PUT ${address}${id}`, body, { 'if-match': '"9"' })).status
    expect(await put(erased.id, { ...renn, lastName: '', email: taken })).toBe(400)
    expect(await put(erased.id, { ...renn, email: taken })).toBe(404)
    expect(await put(unusedId(), { ...renn, email: 'x' })).toBe(400)
    expect(await put(unusedId(), { ...renn, email: taken })).toBe(412)
    expect(await put(one.id, { ...renn, email: taken })).toBe(412)
    expect((await shared.call(`PUT ${address}${unusedId()}`, { ...renn, email: taken })).status).toBe(409)
  })

  test('with a star creates only, or replaces only', async () => {
    const { id } = await create()
    const rows = await shared.everything()
    const put = async (at: number, headers: Record<string, string>) =>
      (await shared.call(`PUT ${address}${at}`, { ...renn, email: newEmail() }, headers)).status
    expect(await put(id, { 'if-none-match': '*' })).toBe(412)
    expect(await put(unusedId(), { 'if-match': '*' })).toBe(412)
    expect(await shared.everything()).toEqual(rows)
    expect(await put(id, { 'if-match': '*' })).toBe(200)
    expect(await put(unusedId(), { 'if-none-match': '*' })).toBe(201)
  })

  test('of one new address on fifty ids at once is won by exactly one, the others get 409', async () => {
    const email = newEmail()
    const ids = Array.from({ length: 50 }, unusedId)
    const answers = await Promise.all(ids.map((id) => shared.call(`PUT ${address}${id}`, { ...renn, email })))
    const winners = ids.filter((_, i) => answers[i]?.status === 201)
    expect(winners).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(49)
    const found = await shared.call(`GET /users?email=${email}`)
    expect((found.body as { id: number }[]).map(({ id }) => id)).toEqual(winners)
  })
})

describe('PUT needs one id, in one spelling', () => {
  const range = 'must be a whole number from 1 to 9007199254740991'
  test.for<[query: string, reason: string]>([
    ['', 'is required'],
    ['?', 'is required'],
    ['?ID=4', 'is required'],
    ['?id[]=4', 'is required'],
    ['?id=4&id=4', 'must be given once'],
    ['?id=1&id=2', 'must be given once'],
    ['?id=', range],
    ['?id', range],
    ['?id=abc', range],
    ['?id=4,5', range],
    ['?id=0', range],
    ['?id=4%20', range],
    ['?id=%zz', range],
  ])('%s', async ([query, reason]) => {
    const rows = await shared.everything()
    for (const path of ['/users', '/records/users']) {
      const answer = await shared.call(`PUT ${path}${query}`, renn)
      expect(answer.status).toBe(400)
      expect(answer.body).toMatchObject({
        code: 'INVALID_FIELD',
        message: `The field \`id\` ${reason}`,
        details: [{ field: 'id', reason, location: 'query' }],
      })
    }
    expect(await shared.everything()).toEqual(rows)
  })

  // design.md, the update algebra: all errors of a request are reported at once.
  test('and tells what is wrong with it together with everything else', async () => {
    for (const line of ['PUT /users', 'PUT /records/users?id=x', 'PUT /records/users/x']) {
      const answer = await shared.call(line, { email: 'x', age: 3 }, { 'if-match': 'x' })
      const { details } = answer.body as { details: { field: string }[] }
      expect(answer.status).toBe(400)
      expect(details.map(({ field }) => field).sort()).toEqual(
        ['If-Match', 'age', 'email', 'firstName', 'id', 'lastName'].sort(),
      )
    }
  })
})

describe('bodies', () => {
  test('the later dialect’s hyphenated names are unknown here, and the three are missing', async () => {
    const body = { 'last-name': 'Renn', 'first-name': 'David', email: newEmail() }
    const answer = await shared.call(`PUT /users?id=${unusedId()}`, body)
    const { details } = answer.body as { details: { field: string }[] }
    expect(answer.status).toBe(400)
    expect(details.map(({ field }) => field).sort()).toEqual([
      'first-name',
      'firstName',
      'last-name',
      'lastName',
    ])
  })

  test('names may have 100 characters, counted as people do, and are not trimmed', async () => {
    const { id } = await create()
    const whole = { lastName: '🐕'.repeat(100), firstName: ` ${'a'.repeat(98)} `, email: newEmail() }
    const answer = await shared.call(`PUT /users?id=${id}`, whole)
    expect(answer).toMatchObject({ status: 200, text: JSON.stringify({ ...whole, id }) })
    const longer = await shared.call(`PATCH /records/users/${id}`, { lastName: '🐕'.repeat(101) })
    expect(longer.status).toBe(400)
  })

  test('a longer name that another contract gave is no obstacle to other edits', async () => {
    const { id, ...own } = await create()
    const lastName = 'a'.repeat(255)
    await shared.call(`PATCH /users/${id}`, { last_name: lastName })
    const answer = await shared.call(`PUT /users?id=${id}`, { ...own, lastName, firstName: 'New' })
    expect(answer).toMatchObject({ status: 200, body: { lastName, firstName: 'New' } })
  })

  test('the id may be sent back as it is, another is refused', async () => {
    const one = await create()
    expect(await shared.call(`PUT /users?id=${one.id}`, one)).toMatchObject({
      status: 200,
      headers: { etag: '"1"' },
    })
    for (const id of [one.id + 1, `${one.id}`, null]) {
      const answer = await shared.call(`PUT /users?id=${one.id}`, { ...one, id })
      expect(answer).toMatchObject({ status: 400, body: { details: [{ field: 'id', location: 'body' }] } })
    }
  })

  test('what was read may be put back, null names included', async () => {
    const { call, everything } = await freshApp()
    const rows = await everything()
    const read = await call('GET /records/users/3')
    expect(read.body).toMatchObject({ lastName: null, firstName: null })
    const again = await call('PUT /users?id=3', read.body)
    expect(again).toMatchObject({ status: 200, text: read.text, headers: { etag: read.headers.etag } })
    expect(await everything()).toEqual(rows)
    const emptied = await call('PUT /users?id=1', { ...renn, lastName: null })
    expect(emptied).toMatchObject({ status: 400, body: { details: [{ field: 'lastName' }] } })
    const created = await call('PUT /users?id=99', { ...renn, lastName: null })
    expect(created).toMatchObject({ status: 400, body: { details: [{ field: 'lastName' }] } })
  })
})

describe('the other operations under /records', () => {
  test('POST creates with the next id; all three are required, an id is not accepted', async () => {
    const { call } = await freshApp()
    expect(await call('POST /records/users', renn)).toMatchObject({
      status: 201,
      text: JSON.stringify({ ...renn, id: 5 }),
      headers: { 'content-type': json, location: '/records/users/5', etag: '"1"' },
    })
    expect(await call('POST /records/users', renn)).toMatchObject({ status: 409 })
    const empty = await call('POST /records/users', { id: 7 })
    const { details } = empty.body as { details: { field: string }[] }
    expect(empty.status).toBe(400)
    expect(details.map(({ field }) => field).sort()).toEqual(['email', 'firstName', 'id', 'lastName'])
  })

  test('PATCH changes what it names', async () => {
    const line = 'PATCH /records/users/'
    const one = await create()
    const email = newEmail()
    const patched = await shared.call(`${line}${one.id}`, { email })
    expect(patched).toMatchObject({ status: 200, text: JSON.stringify({ ...renn, email, id: one.id }) })
    const nothing = await shared.call(`${line}${one.id}`, {})
    expect(nothing).toMatchObject({ status: 200, text: patched.text, headers: { etag: '"2"' } })
    expect(await shared.call(`${line}${one.id}`, { email: 'x' })).toMatchObject({ status: 400 })
    expect(await shared.call(`${line}${unusedId()}`, { email: 'x' })).toMatchObject({ status: 400 })
    expect(await shared.call(`${line}${unusedId()}`, { email: newEmail() })).toMatchObject({
      status: 404,
      body: nobody,
    })
    const taken = (await create()).email
    expect(await shared.call(`${line}${one.id}`, { email: taken })).toMatchObject({ status: 409 })
  })

  test('GET lists everybody in the order of ids, and shows one; nobody is 404', async () => {
    const { call } = await freshApp()
    const list = await call('GET /records/users')
    expect(list).toMatchObject({ status: 200, headers: { 'content-type': json } })
    expect(list.body).toMatchObject([{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }])
    const first = '{"lastName":"Renn","firstName":"David","email":"drenn08@uw.edu","id":1}'
    expect(list.text.startsWith(`[${first},`)).toBe(true)
    expect(await call('GET /records/users/1')).toMatchObject({ status: 200, text: first })
    expect(await call('GET /records/users/99')).toMatchObject({ status: 404, body: nobody })
  })

  test('DELETE erases with an empty body; nobody is 404', async () => {
    const { id } = await create()
    expect(await shared.call(`DELETE /records/users/${id}`)).toMatchObject({ status: 200, text: '' })
    for (const method of ['GET', 'DELETE', 'PATCH'])
      expect(
        await shared.call(`${method} /records/users/${id}`, method === 'PATCH' ? {} : undefined),
      ).toMatchObject({ status: 404, body: nobody })
  })
})
