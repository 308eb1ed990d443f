import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { placeOf, plainOf, roughly, type SearchQuery } from '../../directory/search.ts'
import { derivedValues, noFields, type User } from '../../directory/user.ts'
import { createPeople, type Searched } from './people.ts'

/** The walk over flat arrays finds what looking at each record would find. */

const nobody: User = {
  ...noFields,
  id: 1,
  uid: '',
  status: 'active',
  version: 1,
  created_at: 0,
  updated_at: 0,
}

const word = fc.constantFrom(
  'an',
  'Anna',
  'ÁNN',
  'banana',
  'nan',
  'é',
  'e\u0301',
  'Straße',
  '日本',
  '',
  'x-y_z',
)
const text = fc.option(fc.array(word, { maxLength: 3 }).map((words) => words.join(' ')))
const place = fc.constantFrom('0,0', '44.4949,11.3426', '44.49,11.34', '-90,0', '12.5,-180', '1,179.99')
const row: fc.Arbitrary<Searched> = fc.record({
  id: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(2 ** 32, 2 ** 32 - 1, 2 ** 53 - 1)),
  status: fc.constantFrom('active', 'active', 'active', 'blocked', 'deleted', 'erased'),
  username: fc.option(
    fc.constantFrom('ann', 'Ann-2', 'banana', 'zz', 'NAN_1', 'same-long-name-1', 'same-long-name-2'),
  ),
  real_name: text,
  first_name: text,
  last_name: text,
  location: text,
  description: text,
  gender: fc.option(fc.constantFrom('Male', 'Female', 'Unspecified')),
  date_of_birth: fc.option(fc.constantFrom('1990-12-31', '2000-02-29', '2000-03-01')),
  location_lat_lng: fc.option(place),
  role: fc.option(fc.constantFrom('user', 'admin')),
  tags: fc.option(
    fc
      .subarray([1, 2, 3])
      .map((ids) => ids.map((id) => ({ id, type: '', name: '', description: '', color: '' }))),
  ),
})

const part = fc.option(
  fc.constantFrom('a', 'AN', 'nn', 'ána', 'e', 'ss', 'ß', '本', ' ', 'qq', 'long-name'),
  {
    nil: undefined,
  },
)
const descending = fc.boolean()
const query: fc.Arbitrary<SearchQuery> = fc.record({
  has: fc.record({ username: part, name: part, location: part, description: part }),
  called: part,
  gender: fc.option(fc.constantFrom('Male', 'Unspecified'), { nil: undefined, freq: 1 }),
  born: fc.option(
    fc.record({
      from: fc.option(fc.constantFrom('1990-12-31', '2000-03-01'), { nil: undefined }),
      to: fc.option(fc.constantFrom('1990-12-31', '2000-02-29'), { nil: undefined }),
    }),
    { nil: undefined, freq: 1 },
  ),
  staff: fc.option(fc.boolean(), { nil: undefined, freq: 1 }),
  tag: fc.option(fc.constantFrom(1, 2, 9), { nil: undefined, freq: 1 }),
  order: fc.oneof(
    fc.record({ by: fc.constantFrom('id', 'username', 'name', 'location'), descending }),
    fc.record({
      by: fc.constant('distance' as const),
      descending,
      from: fc.constant({ lat: 44.5, lng: 11.3 }),
    }),
  ) as fc.Arbitrary<SearchQuery['order']>,
  offset: fc.nat({ max: 5 }),
  limit: fc.integer({ min: 1, max: 8 }),
})

const nameOf = (user: User) => user.real_name ?? derivedValues(user).real_name

/** As it is defined, one record at a time. */
function naive(
  rows: readonly Searched[],
  { has, called, gender, born, staff, tag, order, offset, limit }: SearchQuery,
) {
  const people = [...new Map(rows.map((one) => [one.id, { ...nobody, ...one }])).values()]
  const holds = (value: string | null, wanted: string | undefined) =>
    wanted === undefined || (value !== null && plainOf(value).includes(plainOf(wanted)))
  const fitting = people.filter(
    (user) =>
      user.username !== null &&
      (user.status === 'active' || user.status === 'blocked') &&
      holds(user.username, has.username) &&
      holds(nameOf(user), has.name) &&
      holds(user.location, has.location) &&
      holds(user.description, has.description) &&
      (called === undefined || holds(user.username, called) || holds(nameOf(user), called)) &&
      (gender === undefined || (user.gender ?? 'Unspecified') === gender) &&
      (born === undefined ||
        (user.date_of_birth !== null &&
          (born.from === undefined || user.date_of_birth >= born.from) &&
          (born.to === undefined || user.date_of_birth <= born.to))) &&
      (staff === undefined || (user.role !== null && user.role !== 'user') === staff) &&
      (tag === undefined || (user.tags ?? []).some(({ id }) => id === tag)),
  )
  const key = (user: User): Buffer | number | null => {
    if (order.by === 'id') return user.id
    if (order.by === 'distance') {
      const at = user.location_lat_lng === null ? undefined : placeOf(user.location_lat_lng)
      return at === undefined ? null : angle(roughly(at), roughly(order.from))
    }
    const value = order.by === 'name' ? nameOf(user) : user[order.by]
    return value === null || value === '' ? null : Buffer.from(plainOf(value))
  }
  fitting.sort((a, b) => {
    const [x, y] = [key(a), key(b)]
    if (x === null || y === null) return Number(x === null) - Number(y === null) || a.id - b.id
    const difference = typeof x === 'number' ? x - Number(y) : Buffer.compare(x, y as Buffer)
    const sign = order.descending ? -1 : 1
    return Math.abs(difference) < 1e-6 ? a.id - b.id : sign * difference
  })
  return { ids: fitting.slice(offset, offset + limit).map(({ id }) => id), total: fitting.length }
}

/** The chord between two places on the unit sphere, haversine. */
function angle(a: { lat: number; lng: number }, b: { lat: number; lng: number }): number {
  const [p, q] = [(a.lat * Math.PI) / 180, (b.lat * Math.PI) / 180]
  const half = (degrees: number) => Math.sin((degrees * Math.PI) / 360) ** 2
  return half(a.lat - b.lat) + Math.cos(p) * Math.cos(q) * half(a.lng - b.lng)
}

describe('people', () => {
  test('are found as one record at a time would be, whatever was written before', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), query, (rows, asked) => {
        const people = createPeople()
        // What came before may come again.
        for (const one of [...rows, ...rows.slice(-3)]) people.put(one)
        expect(people.search(asked)).toEqual(naive([...rows, ...rows.slice(-3)], asked))
      }),
      { numRuns: 2_000 },
    )
  })

  test('very many are counted exactly, by parts that few and that most have', () => {
    const people = createPeople()
    const names = ['ann', 'bob', 'zoë', 'mira', 'fiona', 'david']
    for (let id = 1; id <= 50_000; id++) {
      const username = `${names[id % 6]}-${(id * 7919) % 1_000_003}`
      people.put({ ...nobody, id, username, real_name: `${names[(id >> 3) % 6]} ${names[id % 5]} ${id}` })
    }
    for (const called of ['a', 'zo', 'ann', 'mira fiona', 'qq', '9999', 'i']) {
      const order = { by: 'username', descending: false } as const
      const { total } = people.search({ has: {}, called, order, offset: 0, limit: 20 })
      expect(total).toBe(naiveTotal(names, called))
    }
  })
})

describe('pages far on', () => {
  const people = createPeople()
  for (let id = 1; id <= 3_000; id++) {
    const location_lat_lng = id % 3 === 0 ? null : `${id % 90},${id % 180}`
    const location = id % 5 === 0 ? null : `Town ${id % 40}`
    people.put({ ...nobody, id, username: `u${(id * 7919) % 3_001}`, location, location_lat_lng })
  }
  const from = { lat: 1, lng: 1 }
  const orders = (['id', 'username', 'location'] as const).flatMap((by) =>
    [false, true].map((descending): SearchQuery['order'] => ({ by, descending })),
  )
  const distance: SearchQuery['order'] = { by: 'distance', descending: false, from }

  test.for([...orders, distance])('go on where those before end: %j', (order) => {
    const page = (offset: number, limit: number) => people.search({ has: {}, order, offset, limit }).ids
    const all: number[] = []
    for (let offset = 0; offset < 3_000; offset += 100) all.push(...page(offset, 100))
    expect(new Set(all).size).toBe(3_000)
    // One by the way for near pages, one by that for far ones.
    expect(page(901, 100)).toEqual(page(900, 100).slice(1).concat(page(1_000, 1)))
    expect(all.slice(0, 1_000)).toEqual(page(0, 1_000))
    expect(page(2_990, 100)).toEqual(all.slice(2_990))
    expect(page(3_000, 100)).toEqual([])
  })
})

function naiveTotal(names: readonly string[], called: string): number {
  let total = 0
  for (let id = 1; id <= 50_000; id++) {
    const username = plainOf(`${names[id % 6]}-${(id * 7919) % 1_000_003}`)
    const name = plainOf(`${names[(id >> 3) % 6]} ${names[id % 5]} ${id}`)
    if (username.includes(called) || name.includes(called)) total++
  }
  return total
}
