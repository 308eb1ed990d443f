import { randomUUID } from 'node:crypto'
import { verify } from '@node-rs/argon2'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../../test/app.ts'
import { retireDemoPeople } from '../../demo.ts'
import { createDirectory } from '../../directory/directory.ts'

/** Users, one at a time: what goes beyond the examples of the page, which are in page.test.ts. */

interface User {
  readonly id: string
  readonly email: string
  readonly username: string
  readonly first_name: string | null
  readonly last_name: string | null
  readonly role: string
  readonly created_at: string
  readonly updated_at: string
}

let roster: TestApp
let writer: { readonly authorization: string }
let reader: { readonly authorization: string }
beforeAll(async () => {
  roster = await startApp()
  writer = await roster.keyWith('read', 'write')
  reader = await roster.keyWith('read')
})
afterAll(() => roster.close())

const call = (line: string, body?: unknown, headers: object = {}): Promise<Answer> =>
  roster.call(line, body, { ...writer, ...headers })

let made = 0
const person = () => {
  made++
  return { email: `person${made}@example.org`, username: `person${made}`, password: 'correct horse' }
}

async function create(values: object = {}): Promise<User> {
  const answer = await call('POST /v1/users', { ...person(), ...values })
  expect(answer.status).toBe(201)
  return answer.body as User
}

const names = ['id', 'email', 'username', 'first_name', 'last_name', 'role', 'created_at', 'updated_at']
const second = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

const invalid = (details: Record<string, string[]>) => ({
  error: 'validation_error',
  message: 'Invalid request parameters',
  details,
})

async function refusesWithoutATrace(answer: Promise<Answer>, status: number, body: unknown): Promise<void> {
  const rows = await roster.everything()
  const { status: told, body: said } = await answer
  expect({ status: told, body: said }).toEqual({ status, body })
  expect(await roster.everything()).toEqual(rows)
}

describe('POST /v1/users', () => {
  test('answers 201 with the eight properties in the page’s order, and says where the user is', async () => {
    const { email, username, password } = person()
    const answer = await call('POST /v1/users', {
      email,
      username,
      password,
      first_name: 'John',
      last_name: 'Doe',
    })
    const user = answer.body as User
    expect(answer).toMatchObject({
      status: 201,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        etag: '"1"',
        location: `/v1/users/${user.id}`,
      },
    })
    expect(Object.keys(user)).toEqual(names)
    const { id, created_at, updated_at, ...rest } = user
    expect(rest).toEqual({ email, username, first_name: 'John', last_name: 'Doe', role: 'user' })
    expect(id).toMatch(/^usr_[0-9a-z]{12,}$/)
    expect(created_at).toMatch(second)
    expect(updated_at).toBe(created_at)
    expect((await call(`GET ${answer.headers.location}`)).text).toBe(answer.text)
  })

  test('values that are left out are null, and the role is user', async () => {
    expect(await create()).toMatchObject({ first_name: null, last_name: null, role: 'user' })
    expect(await create({ role: 'admin', first_name: null })).toMatchObject({
      role: 'admin',
      first_name: null,
    })
  })

  test('keeps an Argon2id hash of the password, and the password nowhere', async () => {
    const password = 'a pass\u0301word of its own'
    const answer = await call('POST /v1/users', { ...person(), password })
    expect(answer.status).toBe(201)
    expect(answer.text).not.toContain('pass')
    const rows = JSON.stringify(await roster.everything())
    expect(rows).not.toContain('word of its own')
    const hashes = [...rows.matchAll(/\$argon2id\$[^"\\]+/g)].map(([hash]) => hash)
    const verified = await Promise.all(hashes.map((hash) => verify(hash, password.normalize('NFC'))))
    expect(verified.filter(Boolean)).toHaveLength(1)
  })

  test.for<[about: string, values: object, details: Record<string, string[]>]>([
    ['7 characters', { password: '1234567' }, { password: ['Password must be at least 8 characters'] }],
    ['nothing', { password: '' }, { password: ['Password must be at least 8 characters'] }],
    [
      '7 characters of two units',
      { password: '😀'.repeat(7) },
      { password: ['Password must be at least 8 characters'] },
    ],
    [
      '129 characters',
      { password: 'a'.repeat(129) },
      { password: ['Password must be at most 128 characters'] },
    ],
    ['a number', { password: 12345678 }, { password: ['Password must be a string'] }],
    ['null', { password: null }, { password: ['Password must be a string'] }],
    [
      'half a character',
      { password: 'password\ud800' },
      { password: ['Password must be well-formed Unicode, without lone surrogates'] },
    ],
    [
      'none, and a bad address',
      { password: undefined, email: 'x' },
      { password: ['Password is required'], email: ['Invalid email format'] },
    ],
  ])('a password of %s is 400', async ([, values, details]) => {
    await refusesWithoutATrace(call('POST /v1/users', { ...person(), ...values }), 400, invalid(details))
  })

  test.for(['1234 678', 'a'.repeat(128), '😀'.repeat(8)])('a password like %s is fine', async (password) => {
    await create({ password })
  })

  test('tells everything that is missing or wrong at once', async () => {
    const body = { first_name: '', role: 'king', id: 'usr_1', created_at: '2023-01-01T12:00:00Z', nick: 1 }
    const { body: told } = await call('POST /v1/users', body)
    expect(told).toEqual(
      invalid({
        id: [expect.stringContaining('given by the service')],
        created_at: [expect.stringContaining('set by the service')],
        nick: [expect.stringContaining('known are email, username')],
        password: ['Password is required'],
        email: ['Email is required'],
        username: ['Username is required'],
        first_name: ['First name must have 1 to 255 characters'],
        role: ['Role must be one of user, admin'],
      }),
    )
  })

  test('an address or a username that somebody has is 409, in the words of the pages', async () => {
    const { email, username } = await create()
    const taken = { error: 'conflict', message: 'User with this email already exists' }
    await refusesWithoutATrace(
      call('POST /v1/users', { ...person(), email: email.toUpperCase() }),
      409,
      taken,
    )
    await refusesWithoutATrace(
      call('POST /v1/users', { ...person(), username: username.toUpperCase() }),
      409,
      {
        error: 'conflict',
        message: 'Username already taken',
      },
    )
    await refusesWithoutATrace(call('POST /v1/users', { ...person(), email, username }), 409, {
      ...taken,
      details: {
        email: ['User with this email already exists'],
        username: ['Username already taken'],
      },
    })
  })
})

describe('PATCH /v1/users/{user_id}', () => {
  test('of nothing is 200 and no change', async () => {
    const user = await create()
    const answer = await call(`PATCH /v1/users/${user.id}`, {})
    expect(answer).toMatchObject({ status: 200, body: user, headers: { etag: '"1"' } })
  })

  // directus/directus#5538, #8984: sending back one's own address fails as a duplicate.
  test('of all that was read is 200 and no change, read-only properties included', async () => {
    const user = await create({ first_name: 'Ann' })
    const answer = await call(`PATCH /v1/users/${user.id}`, user)
    expect(answer).toMatchObject({ status: 200, body: user, headers: { etag: '"1"' } })
    const renamed = await call(`PATCH /v1/users/${user.id}`, { ...user, first_name: 'Bo' })
    expect(renamed).toMatchObject({ status: 200, body: { first_name: 'Bo' }, headers: { etag: '"2"' } })
  })

  test.for<[property: string, value: unknown]>([
    ['id', 'usr_123abc456def'],
    ['id', null],
    ['created_at', '2023-01-01T12:00:00Z'],
    ['updated_at', '2023-01-01T12:00:00Z'],
    ['created_at', null],
    ['updated_at', 0],
    ['created_at', '2023-01-01'],
    ['created_at', '2023-02-30T12:00:00Z'],
  ])('%s can not become %j', async ([property, value]) => {
    const { id } = await create()
    const { status, body } = await call(`PATCH /v1/users/${id}`, { [property]: value, first_name: 'Bo' })
    expect({ status, body }).toEqual({ status: 400, body: invalid({ [property]: [expect.any(String)] }) })
    expect(await call(`GET /v1/users/${id}`)).toMatchObject({ body: { first_name: null } })
  })

  test('null clears the names, and nothing else', async () => {
    const user = await create({ first_name: 'Ann', last_name: 'Lee' })
    const cleared = await call(`PATCH /v1/users/${user.id}`, { first_name: null, last_name: null })
    expect(cleared).toMatchObject({ status: 200, body: { first_name: null, last_name: null } })
    for (const property of ['email', 'username', 'role']) {
      const refused = await call(`PATCH /v1/users/${user.id}`, { [property]: null })
      expect(refused).toMatchObject({ status: 400, body: { error: 'validation_error' } })
      expect(Object.keys((refused.body as { details: object }).details)).toEqual([property])
    }
  })

  test('a password is 400, and is told where it belongs', async () => {
    const { id } = await create()
    await refusesWithoutATrace(call(`PATCH /v1/users/${id}`, { password: 'correct horse' }), 400, {
      error: 'validation_error',
      message: 'Invalid request parameters',
      details: { password: [expect.stringContaining('PUT /v1/users/{user_id}/password')] },
    })
  })

  test('changes nothing where one of several properties is refused', async () => {
    const user = await create()
    const { username } = await create()
    for (const [status, values] of [
      [409, { first_name: 'Bo', username }],
      [400, { first_name: 'Bo', role: 'king' }],
    ] as const)
      expect(await call(`PATCH /v1/users/${user.id}`, values)).toMatchObject({ status })
    expect(await call(`GET /v1/users/${user.id}`)).toMatchObject({ body: user, headers: { etag: '"1"' } })
  })

  test.for([
    'usr_nobody123456',
    'usr_1',
    '4',
    'me',
    'USR_123ABC456DEF',
    'usr_123abc456def%20',
    'usr_%00123abc456def',
    `usr_${'a'.repeat(10_000)}`,
    '..%2f..',
    "usr_' or 1=1 --".replaceAll(' ', '%20'),
  ])('%s is nobody’s id: 404', async (id) => {
    const notFound = { status: 404, body: { error: 'not_found', message: 'User not found' } }
    for (const method of ['GET', 'PATCH', 'DELETE'])
      expect(
        await call(`${method} /v1/users/${id}`, method === 'PATCH' ? '{"broken' : undefined),
      ).toMatchObject(notFound)
  })

  // keycloak/keycloak#50924: a race for a unique value leaked the database's lock as a 500.
  test('of 200 who want one username at once one gets it, and the rest 409', async () => {
    // Through records, which takes no password: hashing 200 of them takes its time.
    const users = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const body = { email: `racer${i}@example.org`, firstName: 'A', lastName: 'B' }
        const { id } = (await roster.call('POST /records/users', body)).body as { id: number }
        return { id: (await roster.store.get(id))?.uid ?? '' }
      }),
    )
    const answers = await Promise.all(
      users.map(({ id }) => call(`PATCH /v1/users/${id}`, { username: 'Wanted', first_name: 'Bo' })),
    )
    const won = answers.filter(({ status }) => status === 200)
    expect(won).toHaveLength(1)
    const conflict = { error: 'conflict', message: 'Username already taken' }
    for (const answer of answers.filter((one) => !won.includes(one)))
      expect(answer).toMatchObject({ status: 409, body: conflict })
    const [{ id: winner = '' } = {}] = won.map(({ body }) => body as User)
    const [loser = ''] = users.map(({ id }) => id).filter((id) => id !== winner)
    expect(await call(`GET /v1/users/${loser}`)).toMatchObject({ body: { first_name: 'A' } })
    expect(await call(`DELETE /v1/users/${winner}`)).toMatchObject({ status: 204 })
    expect(await call(`PATCH /v1/users/${loser}`, { username: 'wanted' })).toMatchObject({ status: 200 })
  })
})

test('DELETE /v1/users/{user_id} erases, and only then are address and username free', async () => {
  const { id, email, username } = await create()
  const answer = await call(`DELETE /v1/users/${id}`)
  expect(answer).toMatchObject({ status: 204, text: '' })
  for (const method of ['GET', 'PATCH', 'DELETE'])
    expect(await call(`${method} /v1/users/${id}`, method === 'PATCH' ? {} : undefined)).toMatchObject({
      status: 404,
    })
  expect(JSON.stringify(await roster.everything())).not.toContain(email)
  await create({ email, username })
})

describe('GET /v1/user', () => {
  test('is 404 for a key, which is no person', async () => {
    const { status, body } = await call('GET /v1/user')
    expect(status).toBe(404)
    expect(body).toEqual({ error: 'not_found', message: expect.stringContaining('/v1/users/{user_id}') })
  })
})

describe('who may do what', () => {
  const writes = [
    ['PATCH /v1/users/usr_123abc456def', 'update user'],
    ['DELETE /v1/users/usr_123abc456def', 'delete user'],
    ['POST /v1/users', 'create user'],
    ['PATCH /v1/users/usr_123abc456def/profile', 'update profile'],
    ['PATCH /v1/users/usr_123abc456def/counters', 'update counters'],
    ['POST /v1/users/batch', 'change users'],
  ] as const
  const reads = [
    ['GET /v1/users/usr_123abc456def', 'read user'],
    ['GET /v1/users', 'list users'],
    ['GET /v1/users?filter[status]=x', 'list users'],
    ['GET /v1/users/usr_123abc456def/profile', 'read profile'],
    ['GET /v1/users/usr_123abc456def/counters', 'read counters'],
  ] as const
  const bodyOf = (line: string) =>
    line.startsWith('GET') || line.startsWith('DELETE') ? undefined : '{"broken'

  test.for([...writes, ...reads, ['GET /v1/user', ''], ['GET /v1/keys', ''], ['POST /v1/keys', '']] as const)(
    '%s without a key is 401, before anything else',
    async ([line]) => {
      const rows = await roster.everything()
      const answer = await roster.call(line, bodyOf(line))
      expect(answer).toMatchObject({
        status: 401,
        headers: { 'www-authenticate': expect.stringMatching(/^Bearer/) },
      })
      expect(answer.body).toEqual({ error: 'unauthorized', message: expect.any(String) })
      expect(await roster.everything()).toEqual(rows)
    },
  )

  test.for(writes)('%s with a key that reads is 403: not permitted to %s', async ([line, operation]) => {
    const rows = await roster.everything()
    const answer = await roster.call(line, bodyOf(line), reader)
    expect(answer.status).toBe(403)
    expect(answer.body).toMatchObject({
      error: 'forbidden',
      message: `Insufficient permissions to ${operation}`,
    })
    expect(answer.headers['www-authenticate']).toMatch(/insufficient_scope.*scope="write"/)
    expect(await roster.everything()).toEqual(rows)
  })

  test.for(reads)('%s with a key that writes is 403: not permitted to %s', async ([line, operation]) => {
    const answer = await roster.call(line, undefined, await roster.keyWith('write'))
    expect(answer).toMatchObject({
      status: 403,
      body: {
        error: 'forbidden',
        message: `Insufficient permissions to ${operation}`,
        details: { permission: ['The scope read is needed for this'] },
      },
    })
  })

  test('the refusal to delete is the page’s, without more', async () => {
    expect(await roster.call('DELETE /v1/users/usr_123abc456def', undefined, reader)).toMatchObject({
      status: 403,
      text: '{"error":"forbidden","message":"Insufficient permissions to delete user"}',
    })
  })

  test('403 comes before 404, and 404 before 400', async () => {
    const line = 'PATCH /v1/users/usr_nobody123456'
    expect(await roster.call(line, '{"broken', reader)).toMatchObject({ status: 403 })
    expect(await roster.call(line, '{"broken', writer)).toMatchObject({ status: 404 })
    expect(await call('PATCH /v1/users/usr_123abc456def', '{"broken', { 'if-match': '"9"' })).toMatchObject({
      status: 400,
    })
    expect(
      await call('PATCH /v1/users/usr_123abc456def', { username: 'fionab' }, { 'if-match': '"9"' }),
    ).toMatchObject({ status: 412 })
    expect(await call('PATCH /v1/users/usr_123abc456def', { username: 'fionab' })).toMatchObject({
      status: 409,
    })
  })
})

test('the users of other contracts are found by their uid, and null where v1 has more', async () => {
  const answer = await roster.call('POST /records/users', {
    lastName: 'Renn',
    firstName: 'David',
    email: 'records@example.org',
  })
  const { id } = answer.body as { id: number }
  const stored = await roster.store.get(id)
  expect(await call(`GET /v1/users/${stored?.uid}`)).toMatchObject({
    status: 200,
    body: { email: 'records@example.org', username: null, role: null, first_name: 'David' },
  })
})

test('whoever was erased is gone, however often asked for before', async () => {
  const { id } = await create()
  for (const method of ['GET', 'GET', 'DELETE']) await call(`${method} /v1/users/${id}`)
  for (const method of ['GET', 'DELETE'])
    expect(await call(`${method} /v1/users/${id}`)).toMatchObject({ status: 404 })
})

test.for<[about: string, email: unknown, told: string[]]>([
  ['no address', 'invalid-email', []],
  ['nothing', '', []],
  ['far too long', `${'a'.repeat(300)}@example.org`, []],
  ['a number', 4, ['Email must be a string']],
  ['null', null, ['Email must not be null']],
])('an e-mail that is %s has the page’s word first', async ([, email, told]) => {
  const { id } = await create()
  const answer = await call(`PATCH /v1/users/${id}`, { email })
  expect(answer.body).toEqual(invalid({ email: ['Invalid email format', ...told] }))
})

test('an id that passed from a sample person to an imported one is not reached by the old uid', async () => {
  const own = await startApp()
  onTestFinished(own.close)
  const headers = await own.keyWith('read', 'write')
  const at = '/v1/users/usr_123abc456def'
  expect(await own.call(`GET ${at}`, undefined, headers)).toMatchObject({ status: 200 })

  const context = {
    actor: { kind: 'operator', id: null, scopes: ['admin'], contract: 'operator' },
    requestId: 'test',
  } as const
  const rules = { roles: ['user', 'admin'] }
  const directory = createDirectory({
    store: own.store,
    rules,
    now: Date.now,
    newChangeId: randomUUID,
    newUid: randomUUID,
  })
  const vacated = await retireDemoPeople(own.store, directory, context)
  const source = { uid: 'usr_imported12345' }
  const asked = {
    id: 2,
    patch: { email: 'imported@example.org' },
    source,
    update: false,
    vacated: vacated.get(2) ?? '',
  }
  await directory.import(context, { ...asked, uid: source.uid })
  expect(await own.call('GET /v1/users/usr_imported12345', undefined, headers)).toMatchObject({ status: 200 })

  const rows = await own.everything()
  for (const [line, body] of [
    [`GET ${at}`, undefined],
    [`PATCH ${at}`, { first_name: 'Bo' }],
    [`DELETE ${at}`, undefined],
    [`GET ${at}/profile`, undefined],
    [`PATCH ${at}/profile`, { bio: 'x' }],
    [`GET ${at}/counters`, undefined],
    [`PATCH ${at}/counters`, { reputation: { set: 1 } }],
  ] as const)
    expect(await own.call(line, body, headers)).toMatchObject({ status: 404 })
  const operations = { 'content-type': 'application/json-patch+json' }
  const patch = [{ op: 'add', path: '/bio', value: 'x' }]
  expect(await own.call(`PATCH ${at}/profile`, patch, { ...headers, ...operations })).toMatchObject({
    status: 404,
  })
  const batch = { operations: [{ op: 'update', id: 'usr_123abc456def', data: { first_name: 'Bo' } }] }
  expect(await own.call('POST /v1/users/batch', batch, headers)).toMatchObject({
    body: { results: [{ status: 404 }] },
  })
  expect(await own.everything()).toEqual(rows)
})
