import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { besideSignIns } from './beside.ts'
import { type Ground, prepareGround } from './ground.ts'
import { type Imported, measureImport } from './import.ts'
import { hasTool, loadAtRate, type Rated, type Sample } from './load.ts'
import { report } from './report.ts'
import { pageBesideUpdates, type Results, sqlite } from './results.ts'
import { count, isSearch, kinds, matches, requestOf, type Scenario, scenarios, whats } from './scenarios.ts'
import { apiKey } from './seed.ts'
import { type StatementTimes, timeStatements } from './statements.ts'
import { median } from './stats.ts'
import { residentMegabytes, startRoster } from './targets.ts'

/**
 * Roster beside a bare echo, json-server and pgbench on one machine, in alternating rounds, so that a
 * slow moment of the machine hits all of them. Every update changes something, every answer is
 * checked, and at the end the change log must have a row for each of them.
 */
const usage = `npm run bench                            writes bench/RESULTS.md and bench/charts/
npm run bench -- --quick                 the same in under three minutes, less exact
npm run bench -- --only sqlite,get       some of it, printed
  servers: ${whats.join(' ')}; kinds: ${kinds.join(' ')}
  --rounds N --seconds N --connections N --print`

/** Pages, and updates beside them, a second. */
const besideUpdates = 500

/** Connections that the adapter keeps to PostgreSQL (src/store/postgres/store.ts) on few processors. */
const adapterConnections = 12

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string', default: '64' },
    print: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const quick = options.quick
const rounds = Number(options.rounds ?? (quick ? 2 : 7))
const loadOptions = {
  seconds: Number(options.seconds ?? (quick ? 1 : 5)),
  connections: Number(options.connections),
}
const only = options.only.split(',').filter((word) => word !== '')
const unknown = only.filter((word) => ![...whats, ...kinds].some((known) => known === word))

if (options.help || unknown.length > 0) {
  process.stdout.write(`${usage}\n`)
  process.exit(unknown.length > 0 ? 2 : 0)
}
if (!(await hasTool('wrk'))) {
  process.stderr.write('The benchmark needs wrk (Debian: apt install wrk; macOS: brew install wrk).\n')
  process.exit(1)
}
/** What others were doing on the machine before it began. */
const [busy = 0] = loadavg()
const server = process.env.TEST_POSTGRES_URL ?? 'postgres://127.0.0.1:5432/postgres'
const database = await versionOf(server)
const missing = [
  ...(database === undefined ? [`PostgreSQL at ${new URL(server).host} (TEST_POSTGRES_URL)`] : []),
  ...((await hasTool('pgbench')) ? [] : ['pgbench']),
]
const ground = await prepareGround(database === undefined ? undefined : server)
process.once('SIGINT', () => void ground.clear().finally(() => process.exit(130)))
try {
  const results = await measure(ground)
  const { text, charts } = report(results)
  process.stdout.write(text)
  if (!options.print && only.length === 0) {
    mkdirSync('bench/charts', { recursive: true })
    for (const [name, svg] of charts) writeFileSync(`bench/charts/${name}.svg`, svg)
    writeFileSync('bench/RESULTS.md', text)
  }
} finally {
  await ground.clear()
}

async function measure(on: Ground): Promise<Results> {
  const chosen = scenarios(quick, adapterConnections).filter(
    (scenario) => matches(scenario, only) && isPossible(scenario),
  )
  const samples = new Map<string, Sample[]>(chosen.map(({ name }) => [name, []]))
  // Where it may not do that, it shall be known now.
  await on.rest()
  // The first round puts everything up, warms it, and does not count.
  for (let round = 0; round <= rounds; round++) {
    for (const scenario of chosen) {
      if (round === 0 && scenario.isAnew) continue
      progress(`round ${round} of ${rounds}: ${scenario.name}`)
      const sample = await scenario.measure(on, round === 0 ? { ...loadOptions, seconds: 1 } : loadOptions)
      if (round > 0) samples.get(scenario.name)?.push(sample)
    }
  }
  const memory = await measureMemory(on, chosen)
  const rated = await measureRates(on, chosen, samples)
  progress('checking the change logs')
  const checked = await on.check()
  const start = matches({ what: 'sqlite', kind: 'start' }, only) ? await measureStart(on, chosen) : undefined
  const imports = matches({ what: 'sqlite', kind: 'import' }, only) ? await measureImports(on) : []
  const statements = chosen.some(({ what }) => what === 'layers') ? await measureStatements(on) : undefined
  progress('')
  const run = { rounds, ...loadOptions, adapterConnections, quick, busy, database, missing, commit: commit() }
  return { run, scenarios: chosen, samples, rated, memory, start, imports, statements, checked }
}

async function measureImports(on: Ground): Promise<readonly Imported[]> {
  const imports: Imported[] = []
  for (const users of quick ? [100_000] : [100_000, 1_000_000]) {
    progress(`importing ${count(users)} users`)
    imports.push(await measureImport(`${on.spareFolder}-import`, users))
  }
  return imports
}

function isPossible({ what }: Scenario): boolean {
  if (database === undefined && (what === 'postgres' || what === 'pgbench')) return false
  return what !== 'pgbench' || !missing.includes('pgbench')
}

/**
 * Latency at half of the rate that each reached under full load, of a server that has the machine to itself:
 * what the others left to be done, in PostgreSQL and on the disk, would stop it now and then.
 */
async function measureRates(
  on: Ground,
  chosen: readonly Scenario[],
  samples: ReadonlyMap<string, readonly Sample[]>,
): Promise<Map<string, Rated>> {
  const rated = new Map<string, Rated>()
  const wanted = chosen.filter(({ what, kind, users }) => {
    const isServer = what === 'echo' || what === 'sqlite' || what === 'postgres'
    const isPage = users === 1_000_000 && (kind === 'filter' || kind === 'common' || kind === 'sort')
    const isOne = (kind === 'patch' || kind === 'get') && users === 1000
    return isServer && (isOne || isPage || isSearch(kind)) && matches({ what, kind: 'rate' }, only)
  })
  for (const scenario of wanted) {
    const { name, what, kind, users } = scenario
    progress(`at half of the peak: ${name}`)
    await startAlone(on, scenario)
    const peak = median((samples.get(name) ?? []).map(({ requests, seconds }) => requests / seconds))
    const request = requestOf(kind as 'patch' | 'get' | 'filter', users)
    const times = { rate: Math.round(peak / 2), seconds: quick ? 1 : 10 }
    if (what === 'echo') {
      rated.set(name, await loadAtRate(await on.echo(), request, times))
      continue
    }
    const { target, updated } = await on.roster(what as 'sqlite' | 'postgres', users, isSearch(kind))
    const found = await loadAtRate(target, request, times)
    if (kind === 'patch') updated(found.answered, 0)
    rated.set(name, found)
  }
  for (const scenario of wanted.filter(({ kind }) => kind === 'filter')) {
    const { name, what, users } = scenario
    progress(`beside updates: ${name}`)
    await startAlone(on, scenario)
    const { target, updated } = await on.roster(what as 'sqlite' | 'postgres', users)
    const times = { rate: besideUpdates, seconds: quick ? 1 : 10 }
    const [pages, updates] = await Promise.all(
      (['filter', 'patch'] as const).map((kind) => loadAtRate(target, requestOf(kind, users), times)),
    )
    updated((updates as Rated).answered, 0)
    rated.set(`${name}${pageBesideUpdates}`, pages as Rated)
    rated.set(`${name.replace(/GET .*,(?= [\d,]+ users)/, 'PATCH,')}, beside as many pages`, updates as Rated)
  }
  const asked = [sqlite('PATCH', 1000), sqlite('GET one', 1000)].flatMap((name) => {
    const found = rated.get(name)
    const kind = name === sqlite('PATCH', 1000) ? 'patch' : 'get'
    return found === undefined
      ? []
      : [{ name, request: { ...requestOf(kind, 1000), key: apiKey }, rate: found.rate }]
  })
  if (asked.length > 0) {
    await on.rest()
    progress('at half of the peak, beside 50 sign-ins')
    const place = { folder: `${on.spareFolder}-signing`, users: 1000, seconds: quick ? 1 : 10 }
    for (const [name, found] of await besideSignIns(place, asked)) rated.set(name, found)
  }
  return rated
}

/** Ends the servers that run, and starts that of a scenario and warms it up. */
async function startAlone(on: Ground, scenario: Scenario): Promise<void> {
  await on.rest()
  await scenario.measure(on, { ...loadOptions, seconds: quick ? 1 : 3 })
  // Longer than it takes until what was updated is copied into the database.
  await pause(1_000)
}

async function measureMemory(on: Ground, chosen: readonly Scenario[]): Promise<Results['memory']> {
  const memory: [string, { now: number; peak: number }][] = []
  for (const what of ['sqlite', 'postgres'] as const) {
    const sizes = chosen.filter((scenario) => scenario.what === what).map(({ users }) => users)
    for (const users of [...new Set(sizes)].sort((a, b) => a - b)) {
      const { target } = await on.roster(what, users)
      const found = residentMegabytes(target.pid)
      if (found !== undefined) memory.push([`Roster on ${what}, ${count(users)} users`, found])
    }
  }
  return memory
}

/** From the start of the process to its first good answer, on the largest directory. */
async function measureStart(on: Ground, chosen: readonly Scenario[]): Promise<Results['start']> {
  const users = Math.max(
    ...chosen.filter(({ what }) => what === 'sqlite').map((scenario) => scenario.users),
    0,
  )
  if (users === 0) return undefined
  const milliseconds: number[] = []
  let memory = 0
  for (let i = 0; i < (quick ? 3 : 7); i++) {
    progress(`start ${i + 1} with ${count(users)} users`)
    const target = await startRoster({ folder: on.folderOf(users) })
    milliseconds.push(target.readyAfter)
    memory = residentMegabytes(target.pid)?.now ?? Number.NaN
    await target.stop()
  }
  return { users, milliseconds, memory }
}

async function measureStatements(on: Ground): Promise<readonly StatementTimes[]> {
  await on.roster('sqlite', 1000)
  await on.rest()
  return (quick ? [16] : [16, 64]).map((group) => {
    progress(`timing the writer’s statements in groups of ${group}`)
    return timeStatements(on.folderOf(1000), `${on.spareFolder}-${group}`, group)
  })
}

async function versionOf(url: string): Promise<string | undefined> {
  const sql = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => {} })
  try {
    const [row] = await sql`SHOW server_version`
    return String(row?.server_version)
  } catch {
    return undefined
  } finally {
    await sql.end({ timeout: 1 })
  }
}

function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', ['--no-optional-locks', ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  try {
    const changed = git('status', '--porcelain', '--', 'src', 'bench/*.ts', 'bench/*.lua') !== ''
    return git('rev-parse', '--short', 'HEAD') + (changed ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}

function progress(words: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${words}`)
  else if (words !== '') process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${words}\n`)
}
