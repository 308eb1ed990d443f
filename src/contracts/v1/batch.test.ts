import { describe, expect, test } from 'vitest'
import { usePlatform } from '../../../test/platform.ts'

/** `POST /v1/users/batch`, `/v1/users/{id}/counters`. */

const platform = usePlatform()
const { call, person, create } = platform

interface Results {
  readonly results: readonly {
    readonly status: number
    readonly etag?: string
    readonly body: Record<string, unknown>
  }[]
}

const batch = async (operations: readonly unknown[], more: object = {}, headers: object = {}) => {
  const answer = await call('POST /v1/users/batch', { operations, ...more }, headers)
  return { ...answer, results: (answer.body as Results).results }
}
const update = (id: string, data: object) => ({ op: 'update', id, data })
const creation = (data: object) => ({ op: 'create', data })

describe('a batch', () => {
  test('answers each operation as it would have been answered alone, in their order', async () => {
    const [one, other] = [await create(), await create()]
    const { email, username, password } = person()
    const { status, results } = await batch([
      update(one.id, { first_name: 'Bo' }),
      creation({ email, username, password }),
      update('usr_nobody123456', {}),
      update(other.id, { username: one.username }),
      creation({ ...person(), password: 'short' }),
      update(other.id, { role: 'king', password: 'x' }),
      update(other.id, {}),
    ])
    expect(status).toBe(200)
    expect(results.map((result) => result.status)).toEqual([200, 201, 404, 409, 400, 400, 200])
    expect(results[0]?.body).toEqual((await call(`GET /v1/users/${one.id}`)).body)
    expect(Object.keys(results[1]?.body ?? {})).toHaveLength(8)
    expect(results[1]?.body).toMatchObject({ email, username, role: 'user' })
    expect(results[2]?.body).toEqual({ error: 'not_found', message: 'User not found' })
    expect(results[3]?.body).toEqual({ error: 'conflict', message: 'Username already taken' })
    expect(results[4]?.body).toMatchObject({
      details: { password: ['Password must be at least 8 characters'] },
    })
    expect(Object.keys((results[5]?.body.details ?? {}) as object).sort()).toEqual(['password', 'role'])
    expect(results[6]?.body).toEqual((await call(`GET /v1/users/${other.id}`)).body)
  })

  test('does what is about the same person, or wants the same name, in its order', async () => {
    const [one, other] = [await create(), await create()]
    const { results } = await batch([
      ...Array.from({ length: 20 }, (_, i) => update(one.id, { first_name: `${i}` })),
      update(one.id, { username: `${one.username}-old` }),
      update(other.id, { username: one.username }),
      creation({ ...person(), username: other.username }),
    ])
    expect(results.slice(0, 20).map(({ body }) => body.first_name)).toEqual(
      Array.from({ length: 20 }, (_, i) => `${i}`),
    )
    expect(results.slice(20).map(({ status }) => status)).toEqual([200, 200, 201])
  })

  test('takes 1,000 operations, and no more', async () => {
    const { id } = await create()
    const many = Array.from({ length: 1_001 }, (_, i) => update(id, { first_name: `${i}` }))
    const rows = await platform.roster.everything()
    expect(await batch(many)).toMatchObject({
      status: 400,
      body: { details: { operations: [expect.stringContaining('1000')] } },
    })
    expect(await platform.roster.everything()).toEqual(rows)
    const { results } = await batch(many.slice(1), { atomic: true })
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set([200]))
    expect(await call(`GET /v1/users/${id}`)).toMatchObject({
      body: { first_name: '1000' },
      headers: { etag: '"1001"' },
    })
  })

  test('all or nothing: where one is refused nothing is done, and each is told why', async () => {
    const one = await create()
    const rows = await platform.roster.everything()
    const operations = [
      update(one.id, { first_name: 'Bo' }),
      creation(person()),
      update(one.id, { username: 'fionab' }),
    ]
    const { status, body, results } = await batch(operations, { atomic: true })
    expect(status).toBe(409)
    expect(body).toMatchObject({ error: 'batch_aborted', message: expect.any(String) })
    expect(results.map((result) => [result.status, result.body.error])).toEqual([
      [424, 'batch_aborted'],
      [424, 'batch_aborted'],
      [409, 'conflict'],
    ])
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('all or nothing: each operation is judged on what the ones before it leave', async () => {
    const [one, other] = [await create(), await create()]
    const { status, results } = await batch(
      [
        update(one.id, { username: `${one.username}-old` }),
        update(other.id, { username: one.username }),
        creation({ ...person(), username: other.username }),
      ],
      { atomic: true },
    )
    expect(status).toBe(200)
    expect(results.map((result) => result.status)).toEqual([200, 200, 201])
    expect(await call(`GET /v1/users/${other.id}`)).toMatchObject({ body: { username: one.username } })
  })

  test.for([false, true])('dry run (atomic: %s) tells every change and keeps none', async (atomic) => {
    const one = await create()
    const rows = await platform.roster.everything()
    const operations = [update(one.id, { first_name: 'Bo' }), creation(person())]
    const answer = await call('POST /v1/users/batch?dry_run=true', { operations, atomic })
    expect(answer).toMatchObject({
      status: 200,
      body: {
        dry_run: true,
        results: [
          { status: 200, body: { first_name: 'Bo' }, changes: { first_name: { old: null, new: 'Bo' } } },
          { status: 201, changes: { role: { old: null, new: 'user' } } },
        ],
      },
    })
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('a key gives each operation once: what was refused is tried again, what was done is not', async () => {
    const [one, other] = [await create(), await create()]
    const own = { 'idempotency-key': 'batch-with-holes' }
    const operations = [update(one.id, { first_name: 'Bo' }), update(other.id, { username: one.username })]
    expect((await batch(operations, {}, own)).results.map(({ status }) => status)).toEqual([200, 409])
    await call(`PATCH /v1/users/${one.id}`, { first_name: 'Cy', username: `${one.username}-old` })
    const again = await batch(operations, {}, own)
    expect(again.results).toMatchObject([
      { status: 200, body: { first_name: 'Bo' }, replayed: true },
      { status: 200, body: { username: one.username } },
    ])
    expect(await call(`GET /v1/users/${one.id}`)).toMatchObject({ body: { first_name: 'Cy' } })
  })

  test('its key is not good for another request, nor that of another for a batch', async () => {
    const { id } = await create()
    const own = { 'idempotency-key': 'one-batch' }
    const other = { 'idempotency-key': 'one-update' }
    const operations = [update(id, { first_name: 'Bo' }), creation(person())]
    expect(await batch(operations, {}, own)).toMatchObject({ status: 200 })
    expect(await call(`PATCH /v1/users/${id}`, { first_name: 'Di' }, other)).toMatchObject({ status: 200 })
    const rows = await platform.roster.everything()
    const mismatch = { status: 422, body: { error: 'idempotency_mismatch' } }
    for (const [line, body] of [
      [`PATCH /v1/users/${id}`, { first_name: 'Bo' }],
      [`PATCH /v1/users/${id}/profile`, { first_name: 'Bo' }],
      [`PATCH /v1/users/${id}/counters`, { reputation: { set: 1 } }],
      [`PUT /v1/users/${id}/password`, { current_password: 'correct horse', new_password: 'another horse' }],
      [`DELETE /v1/users/${id}`],
      ['POST /v1/users', person()],
      ['POST /v1/users/batch', { operations: operations.toReversed() }],
      ['POST /v1/users/batch', { operations: operations.slice(0, 1) }],
      ['POST /v1/users/batch', { operations, atomic: true }],
      ['POST /v1/users/batch', { operations: [] }],
    ] as const)
      expect(await call(line, body, own)).toMatchObject(mismatch)
    for (const atomic of [false, true])
      expect(await call('POST /v1/users/batch', { operations, atomic }, other)).toMatchObject(mismatch)
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test.for([false, true])('none of which was done leaves its key (atomic: %s)', async (atomic) => {
    const { id } = await create()
    const own = { 'idempotency-key': `nothing-done-${atomic}` }
    const refused = await batch(
      [update(id, { role: 'king' }), update('usr_nobody123456', {})],
      { atomic },
      own,
    )
    expect(refused.results.map(({ status }) => status)).toEqual([400, 404])
    expect(await batch([update(id, { role: 'admin' })], { atomic }, own)).toMatchObject({ status: 200 })
  })

  test.for([false, true])(
    'while it runs is 409 for its key, and 422 for another request (atomic: %s)',
    async (atomic) => {
      const { id } = await create()
      const own = { 'idempotency-key': `running-${atomic}` }
      const operations = [creation(person()), creation(person()), update(id, { first_name: 'Bo' })]
      const answers = await Promise.all([
        batch(operations, { atomic }, own),
        batch(operations, { atomic }, own),
        batch(operations.slice(1), { atomic }, own),
        call(`PATCH /v1/users/${id}`, { first_name: 'Cy' }, own),
      ])
      const statuses = answers.map(({ status }) => status)
      // Whoever comes first has it; the update may be done before the batch is.
      expect(statuses.filter((status) => status === 200)).toHaveLength(1)
      expect(statuses.filter((status) => status === 409 || status === 422)).toHaveLength(3)
    },
  )

  test.for([false, true])('which is repeated hashes no password again (atomic: %s)', async (atomic) => {
    const own = { 'idempotency-key': `hashed-${atomic}` }
    const operations = [creation(person()), creation(person())]
    const first = await batch(operations, { atomic }, own)
    expect(first.results.map(({ status }) => status)).toEqual([201, 201])
    const again = await batch(operations, { atomic }, own)
    expect(again).toMatchObject({ headers: { 'idempotency-replayed': 'true' } })
    expect(again.results).toEqual(first.results.map((result) => ({ ...result, replayed: true })))
  })

  test('an operation may name the ETag that its user has to be at', async () => {
    const { id } = await create()
    const at = (if_match: unknown, first_name: string) => ({ ...update(id, { first_name }), if_match })
    const { results } = await batch([at('"1"', 'Bo'), at('"1"', 'Cy'), at('"7", "2"', 'Di'), at('*', 'Ed')])
    expect(results).toMatchObject([
      { status: 200, etag: '"2"' },
      { status: 412, body: { error: 'precondition_failed' } },
      { status: 200, etag: '"3"' },
      { status: 200, etag: '"4"', body: { first_name: 'Ed' } },
    ])
    const wrong = await batch([
      at('2', 'X'),
      at(2, 'X'),
      at('', 'X'),
      at(null, 'X'),
      at({ toString: 1 }, 'X'),
      { ...creation(person()), if_match: '*' },
    ])
    for (const { status, body } of wrong.results) {
      expect(status).toBe(400)
      expect(Object.keys(body.details as object)).toEqual(['if_match'])
    }
    expect(await batch([update(id, {})], {}, { 'if-match': '*' })).toMatchObject({ status: 400 })
  })

  test.for<[about: string, body: unknown, culprit: string]>([
    ['no operations', {}, 'operations'],
    ['an empty list', { operations: [] }, 'operations'],
    ['no list', { operations: {} }, 'operations'],
    ['a list', [], 'body'],
    ['an unknown property', { operations: [creation({})], x: 1 }, 'x'],
    ['an atomic that is none', { operations: [creation({})], atomic: 'yes' }, 'atomic'],
    ['a member twice', '{"operations":[{"op":"create","op":"update","data":{}}]}', 'body'],
    ['broken JSON', '{', 'body'],
  ])('%s is 400', async ([, body, culprit]) => {
    const rows = await platform.roster.everything()
    const answer = await call('POST /v1/users/batch', body)
    expect(answer).toMatchObject({ status: 400, body: { error: 'validation_error' } })
    expect(Object.keys((answer.body as { details: object }).details)).toEqual([culprit])
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test.for<[about: string, operation: unknown, culprits: string[]]>([
    ['nothing', null, ['data', 'op']],
    ['a list', [], ['data', 'op']],
    ['an unknown op', { op: 'delete', id: 'usr_123abc456def' }, ['data', 'id', 'op']],
    ['no data', { op: 'update', id: 'usr_123abc456def' }, ['data']],
    ['an unknown member', { op: 'update', id: 'usr_123abc456def', data: {}, if: 1 }, ['if']],
    ['an id that is a number', { op: 'update', id: 4, data: {} }, ['id']],
    ['a creation with an id', { op: 'create', id: 'usr_1', data: person() }, ['id']],
  ])('an operation that is %s is refused, and the others go on', async ([, operation, culprits]) => {
    const { id } = await create()
    const { status, results } = await batch([operation, update(id, { first_name: 'Bo' })])
    expect(status).toBe(200)
    expect(results[1]).toMatchObject({ status: 200 })
    const { details = {} } = results[0]?.body ?? {}
    const told = Object.keys(details as object).filter(
      (name) => !['email', 'username', 'password'].includes(name),
    )
    if (results[0]?.status === 400) expect(told.sort()).toEqual(culprits)
    else expect(results[0]?.status).toBe(404)
  })

  test('conditions are for one user, so a batch takes none', async () => {
    for (const header of ['if-match', 'if-none-match'])
      expect(await batch([creation(person())], {}, { [header]: '*' })).toMatchObject({ status: 400 })
  })
})

describe('counters', () => {
  const none = {
    followings_counter: 0,
    followers_counter: 0,
    posts_counter: 0,
    discussions_counter: 0,
    polls_counter: 0,
    statuses_counter: 0,
    categories_counter: 0,
    reputation: 0,
  }

  test('are 0 at first, are set and incremented, and leave the user’s version alone', async () => {
    const { id } = await create()
    const at = `/v1/users/${id}/counters`
    expect(await call(`GET ${at}`)).toMatchObject({ status: 200, body: none })
    const changed = await call(`PATCH ${at}`, {
      followers_counter: { increment: 2 },
      reputation: { set: 10 },
    })
    expect(changed).toMatchObject({ status: 200, body: { ...none, followers_counter: 2, reputation: 10 } })
    await call(`PATCH ${at}`, { followers_counter: { increment: -1 } })
    expect((await call(`GET ${at}`)).body).toEqual({ ...none, followers_counter: 1, reputation: 10 })
    expect(await call(`GET /v1/users/${id}`)).toMatchObject({ headers: { etag: '"1"' } })
  })

  test('of many increments at once all count', async () => {
    const at = `/v1/users/${(await create()).id}/counters`
    await Promise.all(
      Array.from({ length: 100 }, () => call(`PATCH ${at}`, { posts_counter: { increment: 1 } })),
    )
    expect(await call(`GET ${at}`)).toMatchObject({ body: { posts_counter: 100 } })
  })

  test.for<[about: string, body: unknown, culprit: string]>([
    ['an unknown one', { likes: { set: 1 } }, 'likes'],
    ['a plain number', { reputation: 10 }, 'reputation'],
    ['both verbs', { reputation: { set: 1, increment: 1 } }, 'reputation'],
    ['no verb', { reputation: {} }, 'reputation'],
    ['null', { reputation: null }, 'reputation'],
    ['a fraction', { reputation: { set: 1.5 } }, 'reputation'],
    ['a text', { reputation: { increment: '1' } }, 'reputation'],
    ['too much', { reputation: { set: 2 ** 53 } }, 'reputation'],
    ['less than none', { posts_counter: { increment: -1 } }, 'posts_counter'],
    ['a prototype', '{"__proto__":{"set":1}}', '__proto__'],
    ['a list', [], 'body'],
    ['a verb twice', '{"reputation":{"set":1,"set":2}}', 'body'],
  ])('%s is 400, and nothing is counted', async ([, body, culprit]) => {
    const at = `/v1/users/${(await create()).id}/counters`
    const text =
      typeof body === 'string' || Array.isArray(body)
        ? body
        : { polls_counter: { increment: 1 }, ...(body as object) }
    const rows = await platform.roster.everything()
    const answer = await call(`PATCH ${at}`, text)
    expect(answer.status).toBe(400)
    expect(Object.keys((answer.body as { details: object }).details)).toEqual([culprit])
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('of nobody are 404; they have no ETag, so a condition is 400', async () => {
    for (const line of [
      'GET /v1/users/usr_nobody123456/counters',
      'PATCH /v1/users/usr_nobody123456/counters',
    ])
      expect(await call(line, line.startsWith('GET') ? undefined : '{"')).toMatchObject({ status: 404 })
    const at = `/v1/users/${(await create()).id}/counters`
    expect(await call(`PATCH ${at}`, {}, { 'if-match': '"1"' })).toMatchObject({ status: 400 })
    expect(await call(`PATCH ${at}`, '{}', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
  })
})
