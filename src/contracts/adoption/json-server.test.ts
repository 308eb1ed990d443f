import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, callAt, startApp, type TestApp } from '../../../test/app.ts'
import { type RunningJsonServer, startJsonServer } from '../../../test/json-server.ts'

/**
 * The same requests, sent to json-server 0.17.4 and to Roster, give the same answers. Left out is what
 * Roster does otherwise by design (README, "Where Roster differs"):
 * - `_like` with characters that mean something in a regular expression: Roster takes them as they are;
 * - negative numbers: json-server counts some of them from the end, and loses users over others;
 * - characters beyond U+FFFF in a sort or a comparison: json-server compares halves of them;
 * - letters whose lower case is another one's too (İ, K, ſ) in `q`;
 * - a number of a page that is not spelled as usual (`_page=01`): json-server links every page to itself;
 * - a repeated `_sort`: json-server answers 500;
 * - `callback`, `_embed`, `_expand`: there is no JSONP, and nothing to embed;
 * - bodies that Roster refuses, and an e-mail address that somebody has: json-server knows no rules;
 * - PUT with a part of the properties, which json-server lets destroy the rest;
 * - POST after the newest person was deleted: json-server gives the id away again;
 * - headers other than X-Total-Count and Link, an empty Link, and white space in bodies.
 */
let roster: TestApp
let oracle: RunningJsonServer
beforeAll(async () => {
  roster = await startApp()
  oracle = await startJsonServer()
})
afterAll(async () => {
  await oracle.close()
  await roster.close()
})

const words = [
  'Ann',
  'ann',
  'ANNA',
  'Bob',
  'Zoë',
  'ZOË',
  'Émile',
  'émile',
  'de la Cruz',
  '10',
  '9',
  '1e1',
  '%',
  '_',
]
const odd = [
  'O’Neil',
  "d'Or",
  'a&b=c',
  'x+y',
  '*',
  '.',
  '[',
  '\\',
  'ﬀ',
  '李',
  'ÿ',
  'z',
  'Z',
  'true',
  'null',
  '"',
  'ß',
]
const name = fc.constantFrom(...words, ...odd)
const pet = fc.constantFrom('cats', 'dogs', 'both')
const values = { first_name: name, last_name: name, phone: name, interested_in: pet }
const properties = ['first_name', 'last_name', 'email', 'phone', 'interested_in', 'id'] as const
const property = fc.constantFrom(...properties)

const plain = fc.constantFrom('a', 'N', 'nn', 'é', 'É', 'ZO', 'example', '1', '0', 'dogs', ' la ', '李', '')
const number = fc.constantFrom(
  '',
  '0',
  '1',
  '2',
  '3',
  '5',
  '10',
  '007',
  '1.9',
  '2x',
  'x',
  '99999999999999999999',
)
const pageNumber = fc.constantFrom('', '0', '1', '1', '2', '2', '3', '4', '9', 'x')

/** Parameters with values that people have, so that something is found. */
const exact = fc.oneof(
  fc.tuple(fc.constantFrom('first_name', 'last_name', 'phone'), name),
  fc.tuple(fc.constant('interested_in'), fc.oneof(pet, fc.constant('birds'))),
  fc.tuple(fc.constant('id'), fc.constantFrom('{1}', '{2}', '{3}', '0', 'x', '1.0', '')),
  fc.tuple(fc.constant('email'), fc.constantFrom('p{1}@example.com', 'P{1}@example.com', '')),
)
const compared = fc.tuple(
  fc.tuple(property, fc.constantFrom('_ne', '_gte', '_lte')).map((parts) => parts.join('')),
  fc.oneof(
    name,
    pet,
    fc.constantFrom('{1}', '{2}', '{3}', '', '0', ' 3', '0x2', 'p{2}@example.com', '{2}.5'),
  ),
)
const like = fc.tuple(
  property.map((one) => `${one}_like`),
  plain,
)
const unknown = fc.tuple(
  fc.constantFrom('nick', 'first-name', 'firstName', '_', 'nick_ne', 'nick_gte', '_like'),
  plain,
)
const filter = fc.oneof(
  { arbitrary: exact, weight: 4 },
  { arbitrary: compared, weight: 4 },
  { arbitrary: like, weight: 2 },
  { arbitrary: unknown, weight: 1 },
)

const sortedBy = fc.constantFrom(...properties, 'nick', '')
const sort = fc.record({
  _sort: fc.array(sortedBy, { minLength: 1, maxLength: 3 }).map(String),
  _order: fc.array(fc.constantFrom('asc', 'desc', 'DESC', 'up', ''), { maxLength: 3 }).map(String),
})
const slice = fc.oneof(
  fc.record({ _page: pageNumber, _limit: number }, { requiredKeys: ['_page'] }),
  fc.record({ _start: number, _end: number, _limit: number }, { requiredKeys: [] }),
  fc.record({ _page: pageNumber, _limit: number, _start: number, _end: number }, { requiredKeys: [] }),
)

const listed = fc
  .tuple(
    fc.oneof(fc.constant([]), fc.array(filter, { maxLength: 3 })),
    fc.constantFrom(null, null, 'a', 'É', 'zo', '1', '@EXAMPLE', 'dogs', 'nobody'),
    fc.option(sort, { freq: 2 }),
    fc.option(slice, { freq: 4 }),
  )
  .chain(([filters, q, sorting, slicing]) => {
    const all = [...filters, ...Object.entries({ ...(q !== null && { q }), ...sorting, ...slicing })]
    return fc.shuffledSubarray(all, { minLength: all.length })
  })
  .map((parameters) => ({ list: parameters.map((pair) => pair.map(encodeURIComponent).join('=')).join('&') }))

const whoever = fc.constantFrom('{1}', '{2}', '{3}', '{4}', '{9}', '0', 'x')
const steps = fc.array(
  fc.oneof(
    { arbitrary: listed, weight: 12 },
    { arbitrary: fc.record({ get: whoever }), weight: 1 },
    { arbitrary: fc.record({ post: fc.record(values) }), weight: 1 },
    { arbitrary: fc.record({ patch: whoever, body: fc.record(values, { requiredKeys: [] }) }), weight: 2 },
    { arbitrary: fc.record({ put: whoever, body: fc.record(values) }), weight: 1 },
    { arbitrary: fc.record({ remove: whoever }), weight: 1 },
  ),
  { minLength: 5, maxLength: 40 },
)

/** Some have everything, some are records without a telephone. */
const people = fc.array(fc.oneof(fc.record(values), fc.record({ firstName: name, lastName: name })), {
  minLength: 1,
  maxLength: 25,
})

let made = 0
const email = () => `p${++made}@example.com`

describe('json-server and Roster', () => {
  test('answer the same requests alike', async () => {
    const run = fc.asyncProperty(people, steps, async (start, all) => {
      const ids = await begin(start)
      try {
        for (const step of all) await compare(step, ids)
      } finally {
        for (const id of ids) await roster.call(`DELETE /users/${id}`)
      }
    })
    await fc.assert(run, { numRuns: 40 })
  })
})

/** The people in Roster, and the same in json-server. */
async function begin(start: readonly object[]): Promise<number[]> {
  for (const { id } of (await roster.call('GET /users')).body as { id: number }[])
    await roster.call(`DELETE /users/${id}`)
  const ids: number[] = []
  for (const person of start) {
    const path = 'firstName' in person ? '/records/users' : '/users'
    const { status, body } = await roster.call(`POST ${path}`, { ...person, email: email() })
    expect(status).toBe(201)
    ids.push((body as { id: number }).id)
  }
  oracle.reset((await roster.call('GET /users')).body as object[])
  return ids
}

type Step = typeof steps extends fc.Arbitrary<(infer S)[]> ? S : never

async function compare(step: Step, ids: number[]): Promise<void> {
  const told = (text: string) =>
    text.replace(/(?:\{|%7B)(\d)(?:\}|%7D)/g, (_, n) =>
      `${ids[0] ?? 0}`.replace(/^.*$/, (first) => `${Number(first) + Number(n) - 1}`),
    )
  if ('list' in step) return void (await both(`GET /users?${told(step.list)}`))
  if ('get' in step) return void (await both(`GET /users/${told(step.get)}`))
  if ('post' in step) {
    const { first_name, last_name, phone, interested_in } = step.post
    const { body } = await both('POST /users', {
      first_name,
      last_name,
      email: email(),
      phone,
      interested_in,
    })
    ids.push((body as { id: number }).id)
    return
  }
  if ('patch' in step) return void (await both(`PATCH /users/${told(step.patch)}`, step.body))
  if ('put' in step) {
    const { first_name, last_name, phone, interested_in } = step.body
    const body = { first_name, last_name, email: email(), phone, interested_in }
    return void (await both(`PUT /users/${told(step.put)}`, body))
  }
  const id = told(step.remove)
  if (Number(id) < (ids.at(-1) ?? 0)) await both(`DELETE /users/${id}`)
}

async function both(line: string, body?: object): Promise<Answer> {
  const [ours, theirs] = [await roster.call(line, body), await callAt(oracle.url, line, body)]
  const unlinked = /[?&]_page=(?![1-9]\d*(?:&|$))/.test(line) ? { link: 'of no usual page' } : {}
  const [got, expected] = [comparable(ours, roster.url), comparable(theirs, oracle.url)]
  expect({ line, ...got, ...unlinked }).toEqual({ line, ...expected, ...unlinked })
  return ours
}

function comparable({ status, headers, body, text }: Answer, url: string) {
  const properties = Array.isArray(body) ? body.map((one) => Object.keys(one).join()) : []
  const link = headers.link || undefined
  return {
    status,
    body,
    order: properties,
    empty: text === '',
    total: headers['x-total-count'],
    link: link?.toString().replaceAll(url, ''),
  }
}
