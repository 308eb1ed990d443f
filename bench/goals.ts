import type { Sample } from './load.ts'
import { type Figures, json, number, pageBesideUpdates, postgresql, type Results, sqlite } from './results.ts'
import { count } from './scenarios.ts'
import { median } from './stats.ts'

/** What was promised, and whether it was kept. */
interface Goal {
  readonly measure: string
  readonly value: number | undefined
  readonly goal: string
  readonly isMet: (value: number) => boolean
  readonly unit: string
}

export function goals({ memory, start, imports, run, rated }: Results, { ratio }: Figures): Goal[] {
  const least = (goal: number) => ({ goal: `at least ${goal}`, isMet: (value: number) => value >= goal })
  const most = (goal: number) => ({ goal: `at most ${goal}`, isMet: (value: number) => value <= goal })
  const patch = sqlite('PATCH', 1000)
  const million = memory.find(([name]) => name === 'Roster on sqlite, 1,000,000 users')?.[1]
  const imported = (users: number) => imports.find((one) => one.users === users)
  const under = (goal: number) => ({ goal: `under ${goal}`, isMet: (value: number) => value < goal })
  const p99 = ({ p99: value }: Sample) => value
  const of = 'part of'
  return [
    {
      ...{ measure: `SQLite PATCH, ${of} the echo`, value: ratio(patch, 'echo PATCH'), unit: '' },
      ...least(0.5),
      goal: '0.5; under 0.40 is a failure',
    },
    {
      measure: `SQLite v1 PATCH with key and limit, ${of} the echo`,
      value: ratio(sqlite('v1 PATCH with key and limit', 1000), 'echo PATCH'),
      unit: '',
      ...least(0.35),
    },
    {
      measure: `SQLite GET one, ${of} the echo`,
      value: ratio(sqlite('GET one', 1000), 'echo GET one'),
      unit: '',
      ...least(0.7),
    },
    {
      measure: 'SQLite PATCH against json-server, 4 users',
      value: ratio(sqlite('PATCH', 4), json(4)),
      unit: ' ×',
      ...least(5),
      // json-server answers first and writes afterwards, so with few users it may be nearly as quick as the echo.
      goal: `at least 5, which is ${number(5 * (ratio(json(4), 'echo PATCH') ?? Number.NaN))} of the echo`,
    },
    {
      measure: 'the same, 1,000 users',
      value: ratio(patch, json(1000)),
      unit: ' ×',
      goal: '–',
      isMet: () => true,
    },
    {
      measure: 'the same, 100,000 users',
      value: ratio(sqlite('PATCH', 100_000), json(100_000)),
      unit: ' ×',
      ...least(1000),
    },
    {
      measure: `SQLite PATCH with 1,000,000 users, ${of} that with 1,000`,
      value: ratio(sqlite('PATCH', 1_000_000), patch),
      unit: '',
      ...least(0.8),
    },
    ...[sqlite, postgresql].flatMap((on) =>
      [
        'GET a page of few, with total',
        'GET a page of many, with total',
        'GET a sorted page, with total',
      ].map((what) => ({
        measure: `${on === sqlite ? 'SQLite' : 'PostgreSQL'} ${what}, 1,000,000 users, p99 at half of the peak`,
        value: rated.get(on(what, 1_000_000))?.p99,
        unit: ' ms',
        ...under(20),
      })),
    ),
    ...[sqlite, postgresql].map((on) => ({
      measure: `${on === sqlite ? 'SQLite' : 'PostgreSQL'} GET a page of few, 1,000,000 users, p99 at 500/s beside 500 updates/s`,
      value: rated.get(`${on('GET a page of few, with total', 1_000_000)}${pageBesideUpdates}`)?.p99,
      unit: ' ms',
      ...under(20),
    })),
    ...[sqlite, postgresql].flatMap((on) =>
      [
        'search for a part that few have',
        'suggest for a part that many have, by username',
        'search, sorted by distance',
      ].map((what) => ({
        measure: `${on === sqlite ? 'SQLite' : 'PostgreSQL'} ${what}, 1,000,000 users, p99 at half of the peak`,
        value: rated.get(on(what, 1_000_000))?.p99,
        unit: ' ms',
        ...under(50),
      })),
    ),
    {
      measure: 'SQLite PATCH, p99 at half of the peak beside 50 sign-ins against alone',
      value: besideAlone(rated, patch),
      unit: ' ×',
      goal: 'under 2',
      isMet: (value) => value < 2,
    },
    {
      measure: 'memory with 1,000,000 users after the load',
      value: million?.now,
      unit: ' MB',
      goal: 'under 300',
      isMet: (value) => value < 300,
    },
    {
      measure: `ready after the start with ${count(start?.users ?? 1_000_000)} users`,
      value: start && median(start.milliseconds) / 1000,
      unit: ' s',
      goal: 'under 2',
      isMet: (value) => value < 2,
    },
    { measure: 'import of 100,000 users', value: imported(100_000)?.seconds, unit: ' s', ...under(20) },
    { measure: 'import of 1,000,000 users', value: imported(1_000_000)?.seconds, unit: ' s', ...under(240) },
    {
      measure: 'memory of the import of 1,000,000',
      value: imported(1_000_000)?.memory,
      unit: ' MB',
      ...under(300),
    },
    {
      measure: `SQLite, p99 of ${run.connections} callers on one user against as many on 1,000`,
      value: ratio(sqlite('PATCH, all on one user', 1000), patch, p99),
      unit: ' ×',
      ...most(5),
    },
    {
      measure: `PostgreSQL PATCH, ${of} pgbench with the same statement and as many connections`,
      value: ratio(postgresql('PATCH', 1000), `pgbench, the write alone, ${run.adapterConnections} clients`),
      unit: '',
      ...least(0.5),
    },
    {
      measure: 'PostgreSQL, p99 on one user against 1,000',
      value: ratio(postgresql('PATCH, all on one user', 1000), postgresql('PATCH', 1000), p99),
      unit: ' ×',
      ...most(5),
    },
  ]
}

export function goalRow({ measure, value, goal, isMet, unit }: Goal): string {
  if (value === undefined || !Number.isFinite(value)) return `| ${measure} | not measured | ${goal} | |`
  const verdict = goal === '–' ? '' : isMet(value) ? 'met' : '**missed**'
  return `| ${measure} | ${number(value)}${unit} | ${goal} | ${verdict} |`
}

function besideAlone(rated: Results['rated'], name: string): number | undefined {
  const [alone, beside] = [rated.get(`${name}, alone`), rated.get(`${name}, beside 50 sign-ins`)]
  return alone && beside && beside.p99 / alone.p99
}
