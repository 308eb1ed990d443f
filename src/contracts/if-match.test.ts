import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Community, faultsOf, startCommunity } from '../../test/community.ts'

/** ROSTER_REQUIRE_IF_MATCH: whoever changes somebody says which version they know (RFC 6585, section 3). */

let roster: Community
let admin: { readonly authorization: string }
beforeAll(async () => {
  roster = await startCommunity({ requireIfMatch: true })
  admin = await roster.keyWith('read', 'write', 'admin')
})
afterAll(() => roster.close())

interface Somebody {
  readonly id: number
  readonly uid: string
  readonly etag: string
}

async function somebody(): Promise<Somebody> {
  const id = await roster.newPerson()
  const user = await roster.store.get(id)
  return { id, uid: user?.uid ?? '', etag: `"${user?.version}"` }
}

let addresses = 0
const record = () => ({ firstName: 'A', lastName: 'B', email: `record-${++addresses}@example.org` })

interface Change {
  readonly line: (who: Somebody) => string
  readonly body?: () => unknown
  readonly headers?: object
  readonly isOwn?: true
  /** What is wrong with one like it, where something can be. */
  readonly wrong?: unknown
}

const changes: Readonly<Record<string, Change>> = {
  'adoption PATCH': {
    line: ({ id }) => `PATCH /users/${id}`,
    body: () => ({ phone: '1' }),
    wrong: { phone: 1 },
  },
  'adoption PUT': { line: ({ id }) => `PUT /adoption/users/${id}`, body: () => ({ phone: '1' }), wrong: '{' },
  'adoption DELETE': { line: ({ id }) => `DELETE /users/${id}` },
  'records PUT': { line: ({ id }) => `PUT /users?id=${id}`, body: record, wrong: {} },
  'records PUT by path': { line: ({ id }) => `PUT /records/users/${id}`, body: record, wrong: {} },
  'records PATCH': {
    line: ({ id }) => `PATCH /records/users/${id}`,
    body: () => ({ lastName: 'C' }),
    wrong: { lastName: '' },
  },
  'records DELETE': { line: ({ id }) => `DELETE /records/users/${id}` },
  'v1 PATCH': {
    line: ({ uid }) => `PATCH /v1/users/${uid}`,
    body: () => ({ first_name: 'A' }),
    wrong: { role: 1 },
  },
  'v1 PATCH that changes nothing': { line: ({ uid }) => `PATCH /v1/users/${uid}`, body: () => ({}) },
  'v1 profile': {
    line: ({ uid }) => `PATCH /v1/users/${uid}/profile`,
    body: () => ({ bio: 'x' }),
    wrong: [],
  },
  'v1 JSON Patch': {
    line: ({ uid }) => `PATCH /v1/users/${uid}/profile`,
    body: () => [{ op: 'test', path: '/bio', value: 'Walks dogs.' }],
    headers: { 'content-type': 'application/json-patch+json' },
    wrong: {},
  },
  'v1 JSON Patch that can not be applied': {
    line: ({ uid }) => `PATCH /v1/users/${uid}/profile`,
    body: () => [{ op: 'test', path: '/bio', value: 'something else' }],
    headers: { 'content-type': 'application/json-patch+json' },
  },
  'v1 DELETE': { line: ({ uid }) => `DELETE /v1/users/${uid}` },
  'community PATCH': {
    line: ({ id }) => `PATCH /api/v2/user/${id}/`,
    body: () => ({ bio: 'x' }),
    isOwn: true,
    wrong: { gender: 'x' },
  },
  'community PUT': {
    line: ({ id }) => `PUT /api/v2/user/${id}/`,
    body: () => ({ username: `put-${++addresses}` }),
    isOwn: true,
    wrong: {},
  },
  'community DELETE': { line: ({ id }) => `DELETE /api/v2/user/${id}/`, isOwn: true },
}

const codes: Readonly<Record<string, (body: unknown) => unknown>> = {
  adoption: (body) => (body as { error: string }).error.startsWith('If-Match is needed'),
  records: (body) => (body as { code: string }).code === 'PRECONDITION_REQUIRED',
  v1: (body) => (body as { error: string }).error === 'precondition_required',
  community: (body) =>
    (body as { errors: { messages: { code: string }[] }[] }).errors[0]?.messages[0]?.code ===
    'precondition_required',
}

describe.for(Object.entries(changes))('%s', ([name, { line, body, headers, isOwn, wrong }]) => {
  const send = async (who: Somebody, more: object = {}, sent: unknown = body?.()) =>
    roster.call(line(who), sent, {
      ...(isOwn ? await roster.tokenOf(who.id) : admin),
      ...headers,
      ...more,
    })

  test('without If-Match is 428, in the shape of its contract, and changes nothing', async () => {
    const who = await somebody()
    const rows = await roster.everything()
    for (const more of [{}, { 'if-none-match': '"99"' }]) {
      const answer = await send(who, more)
      expect(answer.status).toBe(428)
      expect(codes[name.split(' ')[0] ?? '']?.(answer.body)).toBe(true)
      expect(answer.text).toContain('ETag')
    }
    expect(await roster.everything()).toEqual(rows)
  })

  test('is told first what else is wrong with it', async () => {
    const who = await somebody()
    if (!isOwn && !name.startsWith('records PUT'))
      expect(await send({ ...who, id: 999_999, uid: 'usr_nobody123456' })).toMatchObject({ status: 404 })
    if (wrong !== undefined) expect(await send(who, {}, wrong)).toMatchObject({ status: 400 })
    expect(await send(who, { 'if-match': '"99"' })).toMatchObject({ status: 412 })
    expect(await send(who, { 'if-none-match': '*' })).toMatchObject({ status: 412 })
  })

  test.for(['the ETag', 'any'])('with %s is as ever', async (which) => {
    const who = await somebody()
    const { status } = await send(who, { 'if-match': which === 'any' ? '*' : who.etag })
    expect(status).toBe(
      name.endsWith('can not be applied') ? 409 : name.includes('DELETE') ? expectedOf(name) : 200,
    )
  })
})

const expectedOf = (name: string) => (/v1|community/.test(name) ? 204 : 200)

test('whoever makes somebody needs none, and may say that nobody is to be there', async () => {
  for (const headers of [admin, { ...admin, 'if-none-match': '*' }]) {
    const free = 500_000 + ++addresses
    expect(await roster.call(`PUT /users?id=${free}`, record(), headers)).toMatchObject({ status: 201 })
    expect(await roster.call(`PUT /users?id=${free}`, record(), headers)).toMatchObject({
      status: 'if-none-match' in headers ? 412 : 428,
    })
    expect(await roster.call('POST /records/users', record(), headers)).toMatchObject({ status: 201 })
  }
})

test('an operation of a batch brings its own; creations need none', async () => {
  const [one, other, third] = [await somebody(), await somebody(), await somebody()]
  const account = { email: 'batch@example.org', username: 'batch', password: 'correct horse' }
  const operations = [
    { op: 'update', id: one.uid, data: { first_name: 'A' } },
    { op: 'update', id: other.uid, if_match: other.etag, data: { first_name: 'A' } },
    { op: 'update', id: third.uid, if_match: '"99"', data: { first_name: 'A' } },
    { op: 'create', data: account },
  ]
  const { body } = await roster.call('POST /v1/users/batch', { operations }, admin)
  expect((body as { results: { status: number }[] }).results.map(({ status }) => status)).toEqual([
    428, 200, 412, 201,
  ])
})

test('counters, passwords and keys have no version, or a request of their own, and need none', async () => {
  const { uid } = await somebody()
  for (const [line, sent, status] of [
    [`PATCH /v1/users/${uid}/counters`, { reputation: { set: 1 } }, 200],
    [`PUT /v1/users/${uid}/password`, { new_password: 'staple of the horse' }, 204],
    ['POST /v1/keys', { name: 'a key', scopes: ['read'] }, 201],
  ] as const)
    expect(await roster.call(line, sent, admin)).toMatchObject({ status })
})

const account = { username: 'made', email: 'made@example.org', password: 'Staple-of-the-horse-2' }

test.for<[line: string, body: object, status: 412 | 400]>([
  ['PATCH /api/v2/user/:id/change_email/', { new_email: 'other@example.org', confirm: true }, 412],
  ['POST /api/v2/account/create/', account, 412],
  ['PATCH /api/v2/user/:id/settings/', { qa_frequency: 0 }, 400],
  ['POST /api/v2/user/avatar/', {}, 400],
  ['POST /api/v2/user/:id/confirm_email/', { new_email: 'x@example.org', validation_code: 'x' }, 400],
  ['POST /api/v2/account/verify/', { validation_code: 'x' }, 400],
  ['POST /api/v2/account/recover/', { email: 'x@example.org' }, 400],
  ['POST /api/v2/account/reset/', { validation_code: 'x', password: 'Staple-of-the-horse-2' }, 400],
])('%s is 412 where somebody came first, or says that nobody could have', async ([line, body, status]) => {
  const { id } = await somebody()
  const credentials = line.includes('account') ? admin : await roster.tokenOf(id)
  const rows = await roster.everything()
  const headers = { ...credentials, 'if-match': '"999"' }
  const answer = await roster.call(line.replace(':id', String(id)), body, headers)
  expect(answer.status).toBe(status)
  if (status === 400) expect(faultsOf(answer)).toContain('If-Match: invalid')
  expect(await roster.everything()).toEqual(rows)
})

test('a repetition is told what came of it, and a dry run what would', async () => {
  const { uid, etag } = await somebody()
  const line = `PATCH /v1/users/${uid}`
  const own = { ...admin, 'idempotency-key': 'a-key', 'if-match': etag }
  expect(await roster.call(line, { first_name: 'A' }, own)).toMatchObject({ status: 200 })
  expect(await roster.call(line, { first_name: 'A' }, own)).toMatchObject({
    status: 200,
    headers: { 'idempotency-replayed': 'true' },
  })
  expect(await roster.call(`${line}?dry_run=true`, { first_name: 'B' }, admin)).toMatchObject({ status: 428 })
})
