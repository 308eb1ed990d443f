import { setTimeout as pause } from 'node:timers/promises'
import type { Ground } from './ground.ts'
import { load, type Request, type Sample } from './load.ts'
import { apiKey } from './seed.ts'
import { postgresProcesses, type Target } from './targets.ts'

/** What is measured, in the order of a round: what is compared most stands side by side. */
export interface Scenario {
  readonly name: string
  readonly what: What
  readonly kind: Kind
  readonly users: number
  /** Its server is started anew for each round, so there is nothing to warm up. */
  readonly isAnew?: boolean
  readonly measure: (ground: Ground, options: LoadOptions) => Promise<Sample>
}

export const whats = ['echo', 'sqlite', 'postgres', 'json-server', 'pgbench', 'layers'] as const
export type What = (typeof whats)[number]
export const kinds = [
  'patch',
  'hot',
  'v1',
  'put',
  'get',
  'list',
  'filter',
  'common',
  'sort',
  'search',
  'suggest',
  'nearest',
  'stream',
  'rate',
  'start',
  'import',
] as const
export type Kind = (typeof kinds)[number]

export interface LoadOptions {
  readonly connections: number
  readonly seconds: number
}

const requests = {
  patch: { method: 'PATCH', path: '/users/%d' },
  hot: { method: 'PATCH', path: '/users/%d' },
  v1: { method: 'PATCH', path: '/v1/users/usr_%016d', property: 'first_name', key: apiKey },
  put: { method: 'PUT', path: '/users/%d' },
  get: { method: 'GET', path: '/users/%d' },
  list: { method: 'GET', path: '/users' },
  filter: { method: 'GET', path: '/users?last_name=Last%d&interested_in=dogs&_page=1' },
  common: { method: 'GET', path: '/users?interested_in=dogs&_page=1' },
  sort: { method: 'GET', path: '/users?_sort=last_name&_page=1' },
  search: { method: 'GET', path: '/api/v2/user/search/?user=%d' },
  suggest: { method: 'GET', path: '/api/v2/user/autocomplete/?search=an' },
  nearest: { method: 'GET', path: '/api/v2/user/search/?user=ren&lat_lng=44.5,11.3' },
} as const

/** The request of a scenario; everybody wants the same user in the hot one. */
export function requestOf(kind: keyof typeof requests, users: number): Request {
  return { ...requests[kind], users: kind === 'hot' ? 1 : users }
}

const words = {
  patch: 'PATCH',
  hot: 'PATCH, all on one user',
  v1: 'v1 PATCH with key and limit',
  put: 'PUT',
  get: 'GET one',
  list: 'GET a page of',
  filter: 'GET a page of few, with total',
  common: 'GET a page of many, with total',
  sort: 'GET a sorted page, with total',
  search: 'search for a part that few have',
  suggest: 'suggest for a part that many have, by username',
  nearest: 'search, sorted by distance',
  stream: 'GET all',
}

const reading: ReadonlySet<keyof typeof words> = new Set([
  ...(['get', 'list', 'filter', 'common', 'sort', 'search', 'suggest', 'nearest'] as const),
])

/** What people ask of the community: each search looks at everybody, so few are under way at a time. */
const searching: ReadonlySet<Kind> = new Set<Kind>(['search', 'suggest', 'nearest'])

export const isSearch = (kind: Kind) => searching.has(kind)

function roster(what: 'sqlite' | 'postgres', kind: keyof typeof words, users: number): Scenario {
  const name = `Roster ${what === 'sqlite' ? 'SQLite' : 'PostgreSQL'} ${words[kind]}, ${count(users)} users`
  const measure: Scenario['measure'] = async (ground, options) => {
    const directory = await ground.roster(what, users, isSearch(kind))
    if (kind === 'stream') return streamAll(directory.target, options, users)
    const alongside = () => (directory.database === undefined ? [] : postgresProcesses(directory.database))
    const sample = await load(
      directory.target,
      requestOf(kind, users),
      isSearch(kind) ? { ...options, connections: 2 } : options,
      alongside,
    )
    if (!reading.has(kind)) directory.updated(sample.requests, options.connections)
    return sample
  }
  return { name, what, kind, users, measure }
}

function echo(kind: 'patch' | 'get'): Scenario {
  return {
    ...{ name: `echo ${words[kind]}`, what: 'echo', kind, users: 1000 },
    measure: async (ground, options) => load(await ground.echo(), requestOf(kind, 1000), options),
  }
}

function layer(name: 'framework' | 'contract' | 'rules'): Scenario {
  const path = name === 'framework' ? '/framework/%d' : '/users/%d'
  return {
    ...{ name: `layer ${name}`, what: 'layers', kind: 'patch', users: 1000 },
    measure: async (ground, options) =>
      load(await ground.layer(name), { method: 'PATCH', path, users: 1000 }, options),
  }
}

function jsonServer(kind: 'patch' | 'get', users: number): Scenario {
  // It answers a few requests a second then, and goes on for seconds with what wrk has left behind.
  const isLarge = users > 10_000
  return {
    ...{ name: `json-server ${words[kind]}, ${count(users)} users`, what: 'json-server', kind, users },
    isAnew: isLarge,
    async measure(ground, options) {
      const target = await ground.jsonServer(users)
      const seconds = Math.max(options.seconds, isLarge ? 4 : 0)
      const sample = await load(target, requestOf(kind, users), { ...options, seconds })
      if (isLarge) await ground.dropJsonServer(users)
      else await pause(300)
      return sample
    },
  }
}

function pgbench(clients: number, readsFirst: boolean): Scenario {
  const what = readsFirst ? 'read and write' : 'the write alone'
  return {
    ...{ name: `pgbench, ${what}, ${clients} clients`, what: 'pgbench', kind: 'patch', users: 1000 },
    measure: async (ground, { seconds }) => (await ground.pgbench()).load(seconds, clients, readsFirst),
  }
}

/** Takes whole answers, one after the other, and looks whether everybody is in them. */
async function streamAll(target: Target, { seconds }: LoadOptions, users: number): Promise<Sample> {
  const began = performance.now()
  let [answers, bytes, spent] = [0, 0, 0]
  const times: number[] = []
  for (; answers === 0 || performance.now() - began < seconds * 1000; answers++) {
    const from = performance.now()
    const chunks: Uint8Array[] = []
    const answer = await fetch(`${target.url}/users`)
    for await (const chunk of answer.body ?? []) chunks.push(chunk)
    times.push(performance.now() - from)
    spent += performance.now() - from
    const text = Buffer.concat(chunks)
    bytes += text.length
    const people: unknown[] = JSON.parse(text.toString())
    if (people.length !== users) throw new Error(`${people.length} of ${users} users were sent`)
  }
  const [p50, p99, max] = [times[times.length >> 1] ?? 0, Math.max(...times), Math.max(...times)]
  return { requests: answers, seconds: spent / 1000, bytes, p50, p99, max, failed: 0, cpu: undefined }
}

export const count = (users: number) => users.toLocaleString('en')

/** @param connections how many the PostgreSQL adapter keeps */
export function scenarios(quick: boolean, connections: number): readonly Scenario[] {
  const more = (...all: Scenario[]) => (quick ? [] : all)
  return [
    echo('patch'),
    roster('sqlite', 'patch', 1000),
    roster('sqlite', 'hot', 1000),
    roster('sqlite', 'patch', 1_000_000),
    jsonServer('patch', 4),
    roster('sqlite', 'patch', 4),
    jsonServer('patch', 1000),
    roster('sqlite', 'patch', 100_000),
    jsonServer('patch', 100_000),
    roster('sqlite', 'v1', 1000),
    ...more(roster('sqlite', 'put', 1000)),
    layer('framework'),
    layer('contract'),
    layer('rules'),
    pgbench(connections, false),
    roster('postgres', 'patch', 1000),
    pgbench(connections, true),
    roster('postgres', 'hot', 1000),
    ...more(pgbench(24, false), roster('postgres', 'patch', 4)),
    ...more(roster('postgres', 'patch', 100_000), roster('postgres', 'patch', 1_000_000)),
    ...more(roster('postgres', 'put', 1000)),
    echo('get'),
    roster('sqlite', 'get', 1000),
    ...more(roster('sqlite', 'get', 1_000_000)),
    ...more(jsonServer('get', 1000)),
    roster('postgres', 'get', 1000),
    roster('sqlite', 'filter', 1_000_000),
    roster('sqlite', 'common', 1_000_000),
    roster('sqlite', 'sort', 1_000_000),
    ...more(
      ...(['search', 'suggest', 'nearest'] as const).flatMap((kind) => [
        roster('sqlite', kind, 1_000_000),
        roster('postgres', kind, 1_000_000),
      ]),
      roster('sqlite', 'list', 1000),
    ),
    roster('sqlite', 'stream', 100_000),
    ...more(roster('sqlite', 'stream', 1_000_000)),
    ...more(roster('postgres', 'list', 1000), roster('postgres', 'stream', 100_000)),
    ...more(...(['filter', 'common', 'sort'] as const).map((kind) => roster('postgres', kind, 1_000_000))),
  ]
}

/** Narrows by words: within servers and within kinds any of those given, and the echo with all of them. */
export function matches({ what, kind }: Pick<Scenario, 'what' | 'kind'>, only: readonly string[]): boolean {
  const chosen = (known: readonly string[]) => only.filter((word) => known.includes(word))
  const [servers, asked] = [chosen(whats), chosen(kinds)]
  const isServer = what === 'echo' || servers.length === 0 || servers.includes(what)
  return isServer && (asked.length === 0 || asked.includes(kind))
}
