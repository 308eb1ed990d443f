import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../test/app.ts'
import { createDirectory } from '../directory/directory.ts'

/** What must hold between the contracts: one person, whichever way one looks and writes. */

const names = ['first_name', 'last_name', 'email', 'phone', 'interested_in'] as const
type Person = Readonly<Record<(typeof names)[number], string | null>>
type ContractName = 'adoption' | 'records' | 'v1'
const contracts: readonly ContractName[] = ['adoption', 'records', 'v1']

/** The properties of each contract, in its order, each with the one that the other tests speak of. */
const words: Readonly<Record<ContractName, readonly (readonly [string, keyof Person])[]>> = {
  adoption: names.map((name) => [name, name]),
  records: [
    ['lastName', 'last_name'],
    ['firstName', 'first_name'],
    ['email', 'email'],
  ],
  // It shows more, which the others know nothing of.
  v1: [
    ['email', 'email'],
    ['first_name', 'first_name'],
    ['last_name', 'last_name'],
  ],
}
const one = { adoption: '/users', records: '/records/users', v1: '/v1/users' } as const

/** As much as a contract can say of some values. */
function say(contract: ContractName, values: Partial<Person>): object {
  const said = words[contract].filter(([, name]) => values[name] !== undefined)
  return Object.fromEntries(said.map(([word, name]) => [word, values[name]]))
}

/** As much of an answer as the other tests speak of. */
function seen(contract: ContractName, body: unknown): string {
  if (contract !== 'v1') return JSON.stringify(body)
  const { email, first_name, last_name } = body as Person
  return JSON.stringify({ email, first_name, last_name })
}

const show = (contract: ContractName, person: Person, id: number) =>
  JSON.stringify(contract === 'v1' ? say(contract, person) : { ...say(contract, person), id })

const martha = {
  first_name: 'Martha',
  last_name: 'Smith',
  email: 'msmith@example.com',
  phone: '987-654-3210',
  interested_in: 'both',
} satisfies Person

let roster: TestApp
beforeAll(async () => {
  roster = spoken(await startApp())
})

/** v1 wants a key, and says uid: here its users are called by their numbers, like those of the others. */
function spoken(app: TestApp): TestApp {
  const key = app.keyWith('read', 'write')
  return {
    ...app,
    call: async (line, body, headers = {}) => {
      const [, number] = /\/v1\/users\/(\d+)/.exec(line) ?? []
      const uid = number === undefined ? undefined : (await app.store.get(Number(number)))?.uid
      const own = uid === undefined ? line : line.replace(`/${number}`, `/${uid}`)
      return app.call(own, body, line.includes('/v1/') ? { ...(await key), ...headers } : headers)
    },
  }
}
afterAll(() => roster.close())

let enrolled = 0
const newEmail = () => `person${++enrolled}@example.org`

async function enroll(): Promise<{ readonly id: number; readonly person: Person }> {
  const person = { ...martha, email: newEmail() }
  const answer = await roster.call('POST /users', person)
  expect(answer.status).toBe(201)
  return { id: (answer.body as { id: number }).id, person }
}

const versionOf = ({ headers }: Answer) => Number(JSON.parse(headers.etag ?? '0'))

describe('preconditions (RFC 9110, section 13)', () => {
  const conditions: readonly (readonly [headers: Record<string, string>, holds: boolean])[] = [
    [{ 'if-match': '"1"' }, true],
    [{ 'if-match': '*' }, true],
    [{ 'if-match': '"9" , "1"' }, true],
    [{ 'if-match': '"9"' }, false],
    [{ 'if-match': 'W/"1"' }, false],
    [{ 'if-match': '"01"' }, false],
    [{ 'if-match': '"another-service"' }, false],
    [{ 'if-match': '""' }, false],
    [{ 'if-none-match': '"9"' }, true],
    [{ 'if-none-match': 'W/"9", "another-service"' }, true],
    [{ 'if-none-match': '"1"' }, false],
    [{ 'if-none-match': 'W/"1"' }, false],
    [{ 'if-none-match': '"9", W/"1"' }, false],
    [{ 'if-none-match': '*' }, false],
    [{ 'if-match': '"1"', 'if-none-match': '"9"' }, true],
    [{ 'if-match': '"9"', 'if-none-match': '"9"' }, false],
    [{ 'if-match': '"1"', 'if-none-match': '"1"' }, false],
  ]
  const writes = [
    ...['/users/', '/adoption/users/'].flatMap((path) => [`PATCH ${path}`, `PUT ${path}`, `DELETE ${path}`]),
    ...['PUT /users?id=', 'PUT /records/users?id=', 'PUT /records/users/'],
    ...['PATCH /records/users/', 'DELETE /records/users/'],
    ...['PATCH /v1/users/', 'DELETE /v1/users/'],
  ]

  test.for(writes)('%s…: 412 where they do not hold, and then nothing changes', async (line) => {
    for (const [headers, holds] of conditions) {
      const { id, person } = await enroll()
      const contract =
        line.includes('records') || line.includes('?') ? 'records' : line.includes('v1') ? 'v1' : 'adoption'
      const body = line.startsWith('DELETE') ? undefined : say(contract, { ...person, last_name: 'New' })
      const rows = await roster.everything()
      const { status } = await roster.call(`${line}${id}`, body, headers)
      const done = line.startsWith('DELETE /v1') ? 204 : 200
      expect({ headers, status }).toEqual({ headers, status: holds ? done : 412 })
      const now = await roster.call(`GET /users/${id}`)
      if (!holds) expect(await roster.everything()).toEqual(rows)
      else if (body === undefined) expect(now.status).toBe(404)
      else expect(now).toMatchObject({ body: { last_name: 'New' }, headers: { etag: '"2"' } })
    }
  })

  test('the ETag that one contract gave counts in the other', async () => {
    const { id, person } = await enroll()
    const { etag: first = '' } = (await roster.call(`GET /records/users/${id}`)).headers
    const patched = await roster.call(`PATCH /users/${id}`, { phone: '1' }, { 'if-match': first })
    const { etag: second = '' } = patched.headers
    expect(patched.status).toBe(200)
    const body = say('records', { ...person, last_name: 'New' })
    expect(await roster.call(`PUT /users?id=${id}`, body, { 'if-match': first })).toMatchObject({
      status: 412,
    })
    const replaced = await roster.call(`PUT /users?id=${id}`, body, { 'if-match': second })
    expect(replaced.status).toBe(200)
    const stale = await roster.call(`DELETE /adoption/users/${id}`, undefined, { 'if-match': second })
    expect(stale.status).toBe(412)
    const gone = { 'if-match': replaced.headers.etag }
    expect(await roster.call(`DELETE /adoption/users/${id}`, undefined, gone)).toMatchObject({ status: 200 })
  })

  test.for(['/users', '/adoption/users', '/records/users', '/v1/users'])(
    'GET %s/… is 304 for who has it',
    async (path) => {
      const { id } = await enroll()
      const ask = (method: string, tags: string) =>
        roster.call(`${method} ${path}/${id}`, undefined, { 'if-none-match': tags })
      for (const method of ['GET', 'HEAD']) {
        for (const tags of ['"1"', 'W/"1"', '"9", "1"', '*']) {
          expect(await ask(method, tags)).toMatchObject({ status: 304, text: '', headers: { etag: '"1"' } })
        }
        // Nothing is lost by reading, so a tag that is none only means that there is no such tag.
        for (const tags of ['"2"', '"another-service"', '1'])
          expect(await ask(method, tags)).toMatchObject({ status: 200, headers: { etag: '"1"' } })
      }
      await roster.call(`PATCH /users/${id}`, { phone: '1' })
      expect(await ask('GET', '"1"')).toMatchObject({ status: 200, headers: { etag: '"2"' } })
    },
  )
})

describe('many callers at once', () => {
  // keycloak/keycloak#50924, #11588, #15788: concurrent writes gave 500s or merged values.
  test('80 on one person: each change is kept, in some order that every answer agrees with', async () => {
    const { id, person } = await enroll()
    const calls = Array.from({ length: 96 }, (_, i) => {
      const [contract, values] = [
        ['adoption', { phone: `${i}` }],
        ['records', { first_name: `First ${i}` }],
        ['v1', { last_name: `Last of v1 ${i}` }],
        ['adoption', { last_name: `Last ${i}`, interested_in: ['cats', 'dogs', 'both'][i % 3] as string }],
        ['records', { email: `at-once-${i}@example.org` }],
        ['adoption', {}],
      ][i % 6] as [ContractName, Partial<Person>]
      return { contract, values }
    })
    const answers = await Promise.all(
      calls.map(async ({ contract, values }) => {
        const answer = await roster.call(`PATCH ${one[contract]}/${id}`, say(contract, values))
        return { contract, values, answer, version: versionOf(answer) }
      }),
    )
    expect(new Set(answers.map(({ answer }) => answer.status))).toEqual(new Set([200]))
    const changes = answers.filter(({ values }) => Object.keys(values).length > 0)
    expect(changes.map(({ version }) => version).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 80 }, (_, i) => i + 2),
    )
    const states = new Map<number, Person>([[1, person]])
    for (const { version, values } of changes.toSorted((a, b) => a.version - b.version))
      states.set(version, { ...(states.get(version - 1) as Person), ...values })
    for (const { contract, version, answer } of answers)
      expect(seen(contract, answer.body)).toBe(show(contract, states.get(version) as Person, id))
    const last = await roster.call(`GET /users/${id}`)
    expect(last.text).toBe(show('adoption', states.get(81) as Person, id))
    expect(last.headers.etag).toBe('"81"')
  })

  // directus/directus#3558: the last save silently wins.
  test('of three that saw the same version, through different contracts, exactly one wins', async () => {
    const { id, person } = await enroll()
    for (let round = 1; round <= 20; round++) {
      const headers = { 'if-match': `"${round}"` }
      const whole = say('records', { ...person, last_name: `Replaced ${round}` })
      const answers = await Promise.all([
        roster.call(`PATCH /users/${id}`, { last_name: `Patched ${round}` }, headers),
        roster.call(`PUT /users?id=${id}`, whole, headers),
        roster.call(`PATCH /v1/users/${id}`, { last_name: `Called ${round}` }, headers),
      ])
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412])
      const winner = ['Patched', 'Replaced', 'Called'][answers.findIndex(({ status }) => status === 200)]
      const now = await roster.call(`GET /users/${id}`)
      expect(now).toMatchObject({
        body: { last_name: `${winner} ${round}` },
        headers: { etag: `"${round + 1}"` },
      })
    }
  })
})

test('who was removed is 404 everywhere, hidden in lists, and keeps the address', async () => {
  const { id, person } = await enroll()
  const { store } = roster
  const rules = { roles: ['user', 'admin'] }
  const directory = createDirectory({
    store,
    rules,
    now: Date.now,
    newChangeId: randomUUID,
    newUid: randomUUID,
  })
  const actor = { kind: 'operator', id: null, scopes: ['admin'], contract: 'operator' } as const
  await directory.remove({ actor, requestId: 'test' }, { id })
  const rows = await roster.everything()
  for (const [line, body] of [
    ...['/users/', '/records/users/', '/v1/users/'].flatMap((path) => [
      [`GET ${path}`, undefined] as const,
      [`PATCH ${path}`, {}] as const,
      [`DELETE ${path}`, undefined] as const,
    ]),
    ['PUT /users/', {}] as const,
    ['PUT /users?id=', say('records', person)] as const,
  ])
    expect(await roster.call(`${line}${id}`, body)).toMatchObject({ status: 404 })
  for (const path of ['/users', '/records/users'])
    expect((await roster.call(`GET ${path}`)).body).not.toContainEqual(expect.objectContaining({ id }))
  expect(await roster.call('POST /users', person)).toMatchObject({ status: 400 })
  expect(await roster.call('POST /records/users', say('records', person))).toMatchObject({ status: 409 })
  expect(await roster.everything()).toEqual(rows)
})

describe.for(['/users', '/records/users'])('the list of 5,000 at %s', (path) => {
  let crowd: TestApp
  beforeAll(async () => {
    crowd = await startApp({ openContracts: 'always' })
    const { store } = crowd
    const rules = { roles: ['user', 'admin'] }
    const circumstances = { store, rules, now: Date.now, newChangeId: randomUUID, newUid: randomUUID }
    const directory = createDirectory(circumstances)
    const actor = { kind: 'operator', id: null, scopes: ['admin'], contract: 'operator' } as const
    await Promise.all(
      Array.from({ length: 4_996 }, (_, i) =>
        directory.create(
          { actor, requestId: 'test' },
          { patch: { first_name: `Ann ${i}`, email: `${i}@example.org` } },
        ),
      ),
    )
  })
  afterAll(() => crowd.close())

  const open = async (): Promise<IncomingMessage> => {
    const [answer] = await once(get(`${crowd.url}${path}`, { agent: false }), 'response')
    return answer as IncomingMessage
  }

  test('is whole, in the order of ids and valid JSON, while others are added', async () => {
    const list = await open()
    expect(list.headers['transfer-encoding']).toBe('chunked')
    const chunks: Buffer[] = []
    let added: Promise<Answer[]> | undefined
    for await (const chunk of list) {
      chunks.push(chunk)
      added ??= Promise.all(
        Array.from({ length: 200 }, () => crowd.call('POST /users', { ...martha, email: newEmail() })),
      )
      await added
    }
    const ids = (JSON.parse(Buffer.concat(chunks).toString()) as { id: number }[]).map(({ id }) => id)
    expect(ids.slice(0, 5_000)).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1))
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
    expect((await added)?.map(({ status }) => status)).toEqual(Array(200).fill(201))
    expect((await crowd.call(`GET ${path}`)).body).toHaveLength(5_200)
  })

  test('may be left in the middle, and HEAD tells the same without it', async () => {
    for (let i = 0; i < 20; i++) {
      const list = await open()
      await once(list, 'data')
      list.destroy()
    }
    const whole = await crowd.call(`GET ${path}`)
    expect((whole.body as object[]).length).toBeGreaterThanOrEqual(5_000)
    const { 'content-type': type } = whole.headers
    expect(await crowd.call(`HEAD ${path}`)).toMatchObject({
      status: 200,
      text: '',
      headers: { 'content-type': type },
    })
  })
})

/** What a caller does, with values that may be too many for the contract: it says what it can. */
interface Step {
  readonly contract: ContractName
  readonly verb: 'create' | 'update' | 'replace' | 'erase'
  readonly id: number
  readonly values: Person
  readonly named: readonly (keyof Person)[]
  readonly when: 'always' | 'current' | 'stale'
  readonly path: number
}

interface Model {
  readonly people: Map<number, { readonly person: Person; readonly version: number }>
  readonly erased: Set<number>
  next: number
}

const text = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
  .map((value) => value.normalize('NFC'))
  .filter((value) => !/\p{Cc}/u.test(value) && value.length <= 64)
const emails = ['drenn08@uw.edu', 'DRENN08@UW.EDU', 'fionab@example.com', 'a@example.org', 'A@Example.org']
const step: fc.Arbitrary<Step> = fc.record({
  contract: fc.constantFrom(...contracts),
  verb: fc.constantFrom('create', 'update', 'update', 'replace', 'replace', 'erase'),
  id: fc.integer({ min: 1, max: 8 }),
  values: fc.record({
    first_name: text,
    last_name: text,
    email: fc.oneof(
      fc.constantFrom(...emails),
      fc.nat({ max: 999 }).map((n) => `${n}@example.org`),
    ),
    phone: text,
    interested_in: fc.constantFrom('cats', 'dogs', 'both'),
  }),
  named: fc.subarray([...names]),
  when: fc.constantFrom('always', 'always', 'current', 'stale'),
  path: fc.nat({ max: 5 }),
})

const paths = {
  adoption: { create: ['/users', '/adoption/users'], one: ['/users/', '/adoption/users/'] },
  records: { create: ['/records/users'], one: ['/records/users/'] },
  v1: { create: ['/v1/users'], one: ['/v1/users/'] },
} as const
const replacing = ['/users?id=', '/records/users?id=', '/records/users/']

/** v1 wants a username of whoever is made there. */
let named = 0

/** The request of a step; adoption has no replace, there PUT is an update; v1 has no PUT. */
function request({ contract, verb, id, values, named: chosen, path }: Step) {
  const at = (places: readonly string[]) => places[path % places.length]
  const picked = Object.fromEntries(chosen.map((name) => [name, values[name]]))
  if (verb === 'create' && contract === 'v1') {
    const more = { username: `named-${++named}`, password: 'correct horse' }
    return { line: 'POST /v1/users', values: { ...say(contract, values), ...more }, sent: values }
  }
  if (verb === 'create')
    return { line: `POST ${at(paths[contract].create)}`, values: say(contract, values), sent: values }
  if (verb === 'erase') return { line: `DELETE ${at(paths[contract].one)}${id}`, sent: {} }
  if (verb === 'replace' && contract === 'records')
    return { line: `PUT ${at(replacing)}${id}`, values: say(contract, values), sent: values }
  const method = verb === 'update' || contract === 'v1' ? 'PATCH' : 'PUT'
  return {
    line: `${method} ${at(paths[contract].one)}${id}`,
    values: say(contract, picked),
    sent: picked as Partial<Person>,
  }
}

const nobody: Person = { first_name: null, last_name: null, email: null, phone: null, interested_in: null }

/** What a step does to the model, and the status that it is answered with. */
function act(model: Model, { contract, verb, id, when }: Step, sent: Partial<Person>): number {
  const known = words[contract].map(([, name]) => name)
  const heard = Object.fromEntries(
    Object.entries(sent).filter(([name]) => known.includes(name as keyof Person)),
  )
  const conflict = contract === 'adoption' ? 400 : 409
  const current = verb === 'create' ? undefined : model.people.get(id)
  const isTaken = [...model.people].some(
    ([other, { person }]) =>
      (other !== id || verb === 'create') && person.email?.toLowerCase() === heard.email?.toLowerCase(),
  )
  if (current === undefined) {
    const isNew = verb === 'replace' && contract === 'records' && !model.erased.has(id)
    if (verb !== 'create' && !isNew) return 404
    if (isNew && when !== 'always') return 412
    if (isTaken) return conflict
    while (model.people.has(model.next) || model.erased.has(model.next)) model.next++
    model.people.set(isNew ? id : model.next++, { person: { ...nobody, ...heard }, version: 1 })
    return 201
  }
  if (when === 'stale') return 412
  if (verb === 'erase') {
    model.people.delete(id)
    model.erased.add(id)
    return contract === 'v1' ? 204 : 200
  }
  if (heard.email !== undefined && isTaken) return conflict
  const person: Person = { ...current.person, ...heard }
  const isChange = names.some((name) => person[name] !== current.person[name])
  model.people.set(id, { person, version: current.version + (isChange ? 1 : 0) })
  return 200
}

// BerriAI/litellm#38760: a replace deletes the part that the client can not see.
// keycloak/keycloak#19691, #28220: sending one attribute erases the others.
test('whatever is written through any contract shows in all, and nothing else is lost', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }), async (steps) => {
      const { call, close } = spoken(await startApp())
      try {
        const start = (await call('GET /users')).body as (Person & { id: number })[]
        const people = start.map(({ id, ...person }) => [id, { person, version: 1 }] as const)
        const model: Model = { people: new Map(people), erased: new Set(), next: 5 }
        for (const step of steps) {
          const { line, values, sent } = request(step)
          const version = model.people.get(step.id)?.version ?? 1
          const tag = { current: `"${version}"`, stale: `"${version + 7}"`, always: undefined }[step.when]
          const known = new Set(model.people.keys())
          const status = act(model, step, sent)
          const answer = await call(line, values, step.verb === 'create' ? {} : { 'if-match': tag })
          expect({ line, status: answer.status }).toEqual({ line, status })
          const created = [...model.people.keys()].find((id) => !known.has(id))
          const id = created ?? step.id
          for (const contract of contracts) {
            const read = await call(`GET ${one[contract]}/${id}`)
            const expected = model.people.get(id)
            expect(read.status).toBe(expected === undefined ? 404 : 200)
            if (expected === undefined) continue
            expect(seen(contract, read.body)).toBe(show(contract, expected.person, id))
            expect(versionOf(read)).toBe(expected.version)
          }
        }
        const inOrder = [...model.people].toSorted(([a], [b]) => a - b)
        for (const contract of ['adoption', 'records'] as const) {
          const all = inOrder.map(([id, { person }]) => show(contract, person, id))
          expect((await call(`GET ${one[contract]}`)).text).toBe(`[${all.join()}]`)
        }
        const { data } = (await call('GET /v1/users?per_page=100')).body as { data: { attributes: Person }[] }
        expect(data.map(({ attributes }) => seen('v1', attributes))).toEqual(
          inOrder.map(([id, { person }]) => show('v1', person, id)),
        )
      } finally {
        await close()
      }
    }),
    // A failure is made small for no longer than that, so that it is told before the test times out.
    { numRuns: 20, interruptAfterTimeLimit: 45_000 },
  )
}, 60_000)
