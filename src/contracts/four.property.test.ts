import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Community, formData, startCommunity, urlencoded } from '../../test/community.ts'
import type { FieldName } from '../directory/fields.ts'
import type { User } from '../directory/user.ts'

/** One person behind all four contracts: what is written through any shows in every one, and nothing else is lost. */

let roster: Community
let key: { readonly authorization: string }
beforeAll(async () => {
  roster = await startCommunity()
  key = await roster.keyWith('read', 'write')
})
afterAll(() => roster.close())

type Values = Readonly<Partial<Record<FieldName, string>>>

interface Contract {
  /** The fields that it can write, each with its property. */
  readonly properties: Readonly<Partial<Record<FieldName, string>>>
  /** The ways to write some of them; `whole` needs all that the contract consists of. */
  readonly writes: readonly {
    readonly line: (user: User) => string
    readonly type?: 'form' | 'parts'
    readonly whole?: readonly FieldName[]
  }[]
  readonly read: (user: User) => string
}

const same = (names: readonly FieldName[]) => Object.fromEntries(names.map((name) => [name, name]))
const community: readonly FieldName[] = [
  ...(['username', 'real_name', 'bio', 'location', 'location_lat_lng', 'position_lat_lng'] as const),
  ...(['date_of_birth', 'description', 'gender', 'website'] as const),
]
const names: readonly FieldName[] = ['first_name', 'last_name', 'email']
const own = ({ id }: User) => `/api/v2/user/${id}/`

const contracts: Readonly<Record<string, Contract>> = {
  adoption: {
    properties: same([...names, 'phone', 'interested_in']),
    writes: [{ line: ({ id }) => `PATCH /users/${id}` }, { line: ({ id }) => `PUT /adoption/users/${id}` }],
    read: ({ id }) => `/users/${id}`,
  },
  records: {
    properties: { first_name: 'firstName', last_name: 'lastName', email: 'email' },
    writes: [
      { line: ({ id }) => `PATCH /records/users/${id}` },
      { line: ({ id }) => `PUT /users?id=${id}`, whole: names },
    ],
    read: ({ id }) => `/records/users/${id}`,
  },
  v1: {
    properties: same([...names, 'phone', 'interested_in', ...community, 'role']),
    writes: [{ line: ({ uid }) => `PATCH /v1/users/${uid}/profile` }],
    read: ({ uid }) => `/v1/users/${uid}/profile`,
  },
  community: {
    properties: same(community),
    writes: [
      { line: (user) => `PATCH ${own(user)}` },
      { line: (user) => `PATCH ${own(user)}`, type: 'form' },
      { line: (user) => `PUT ${own(user)}`, type: 'parts', whole: ['username'] },
    ],
    read: own,
  },
}

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
const plain = text.map((value) => value.normalize('NFC')).filter((value) => !/\p{Cc}/u.test(value))
let made = 0
const unique = fc.constant(0).map(() => `name-${++made}`)
const values = {
  first_name: plain,
  last_name: plain,
  email: unique.map((name) => `${name}@example.com`),
  phone: plain,
  interested_in: fc.constantFrom('cats', 'dogs', 'both'),
  username: unique,
  role: fc.constantFrom('user', 'admin'),
  real_name: plain,
  bio: plain,
  location: plain,
  location_lat_lng: fc.constantFrom('1,2', '-33.5,151.25'),
  position_lat_lng: fc.constantFrom('0,0', '89.9,-180'),
  date_of_birth: fc.constantFrom('1980-02-29', '2001-01-01'),
  description: plain,
  gender: fc.constantFrom('Male', 'Female'),
  website: fc.constantFrom('https://a.example/', 'http://b.example/?q=1&r=2'),
} as const

async function write(user: User, contract: Contract, way: number, asked: Values): Promise<Values> {
  const {
    line,
    type,
    whole = [],
  } = contract.writes[way % contract.writes.length] ?? contract.writes[0] ?? { line: () => '' }
  const known = Object.keys(contract.properties) as FieldName[]
  const before = (await roster.store.get(user.id)) as User
  // What is needed and not asked for is sent as it is.
  const sent: Record<string, string> = {}
  for (const name of known) {
    const value = asked[name] ?? (whole.includes(name) ? String(before[name]) : undefined)
    if (value !== undefined) sent[contract.properties[name] ?? ''] = value
  }
  const form = type === 'parts' ? formData(sent) : undefined
  const body = form?.body ?? (type === 'form' ? new URLSearchParams(sent).toString() : sent)
  const headers = form?.headers ?? (type === 'form' ? urlencoded : {})
  const credentials = contract === contracts.community ? await roster.tokenOf(user.id) : key
  const answer = await roster.call(line(user), body, { ...headers, ...credentials })
  expect({ line: line(user), status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual(
    {
      ...{ line: line(user), status: 200, text: '' },
    },
  )
  return Object.fromEntries(Object.entries(asked).filter(([name]) => known.includes(name as FieldName)))
}

/** What each contract shows, in the directory's words. */
async function shown(user: User, contract: Contract): Promise<Record<string, unknown>> {
  const credentials = contract === contracts.community ? await roster.tokenOf(user.id) : key
  const { body } = await roster.call(`GET ${contract.read(user)}`, undefined, credentials)
  const entries = Object.entries(contract.properties)
  return Object.fromEntries(
    entries.map(([name, property]) => [name, (body as Record<string, unknown>)[property]]),
  )
}

async function person(): Promise<User> {
  const rest = { first_name: 'Mira', last_name: 'Sole', phone: '1', interested_in: 'dogs' }
  return (await roster.store.get(await roster.newPerson(rest))) as User
}

async function expectEverywhere(user: User, expected: User): Promise<void> {
  const { version: _, updated_at: __, ...kept } = expected
  expect(await roster.store.get(user.id)).toMatchObject(kept)
  for (const contract of Object.values(contracts)) {
    const there = Object.keys(contract.properties) as FieldName[]
    expect(await shown(user, contract)).toEqual(
      Object.fromEntries(there.map((name) => [name, expected[name]])),
    )
  }
}

test('a profile edited through all four in turn shows every edit in every contract, and has lost nothing', async () => {
  const user = await person()
  let expected = user
  for (const [contract, values] of [
    ['adoption', { phone: '2', last_name: 'One' }],
    ['records', { first_name: 'Two' }],
    ['v1', { role: 'admin', bio: 'Three', last_name: 'Three' }],
    ['community', { real_name: 'Four', bio: 'Four', location: 'Four' }],
    ['adoption', { interested_in: 'cats' }],
  ] as const) {
    const heard = await write(user, contracts[contract] as Contract, 0, values)
    expect(heard).toEqual(values)
    expected = { ...expected, ...heard } as User
    await expectEverywhere(user, expected)
  }
})

// BerriAI/litellm#38760: a replace deletes the part that the client can not see.
const all = Object.keys(contracts)
const pairs = all.flatMap((one) => all.map((other) => [one, other] as const))
describe.each(pairs)('%s, then %s', (one, other) => {
  test('each keeps what only the other can say', async () => {
    const arbitrary = fc.record({
      ways: fc.tuple(fc.nat(2), fc.nat(2)),
      first: fc.record(values),
      second: fc.record(values, { requiredKeys: [] }),
    })
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ ways, first, second }) => {
        const user = await person()
        const before = await write(user, contracts[one] as Contract, ways[0], first)
        const after = await write(user, contracts[other] as Contract, ways[1], second)
        await expectEverywhere(user, { ...user, ...before, ...after } as User)
      }),
      { numRuns: 6, interruptAfterTimeLimit: 20_000 },
    )
  })
})
