import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseArgs, promisify } from 'node:util'
import { createDirectory } from '../src/directory/directory.ts'
import { openSqlite } from '../src/store/sqlite/store.ts'

/**
 * Roster and a bare `node:http` echo side by side: the same requests from wrk on the same machine, in
 * alternating rounds, so that a slow moment of the machine hits both. Every PATCH changes something,
 * every answer is checked, and at the end the change log must have a row for each of them.
 *
 *   npm run bench                      writes bench/RESULTS.md
 *   npm run bench -- --rounds 3 --seconds 2 --print
 */
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '64' },
    users: { type: 'string', default: '1000' },
    print: { type: 'boolean', default: false },
  },
})
const users = Number(options.users)
/** Updates of Roster that were answered. */
let expected = 0
const run = promisify(execFile)

interface Sample {
  readonly requests: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly failed: number
}

interface Scenario {
  readonly name: string
  readonly target: 'echo' | 'roster'
  readonly method: 'PATCH' | 'GET'
  readonly users: number
}

const scenarios: readonly Scenario[] = [
  { name: 'echo PATCH', target: 'echo', method: 'PATCH', users },
  { name: 'Roster PATCH', target: 'roster', method: 'PATCH', users },
  { name: 'Roster PATCH, one user', target: 'roster', method: 'PATCH', users: 1 },
  { name: 'echo GET', target: 'echo', method: 'GET', users },
  { name: 'Roster GET', target: 'roster', method: 'GET', users },
]

const folder = mkdtempSync(join(tmpdir(), 'roster-bench-'))
try {
  await seed(folder)
  const echo = await start(['bench/echo.ts'], 3101)
  const roster = await start(['src/main.ts', 'serve'], 3102, {
    ROSTER_DATA: folder,
    ROSTER_OPEN_CONTRACTS: 'loopback',
  })
  const samples = new Map<string, Sample[]>(scenarios.map(({ name }) => [name, []]))
  const counted = Number(options.rounds)
  // The first round warms both up and does not count.
  for (let round = 0; round <= counted; round++) {
    for (const scenario of scenarios) {
      const sample = await load(scenario, round)
      if (round > 0) samples.get(scenario.name)?.push(sample)
      if (scenario.method === 'PATCH' && scenario.target === 'roster') expected += sample.requests
    }
  }
  const memory = residentMegabytes(roster)
  await stop(echo)
  await stop(roster)
  checkLog(folder)
  report(samples, memory)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function seed(into: string): Promise<void> {
  const rules = { roles: ['user', 'admin'] }
  const onFatal = (error: Error) => {
    throw error
  }
  const store = await openSqlite({ folder: into, rules, onFatal })
  const newUid = () => `usr_${randomUUID().replaceAll('-', '').slice(0, 16)}`
  const directory = createDirectory({ store, rules, now: Date.now, newChangeId: randomUUID, newUid })
  const actor = { kind: 'operator', id: 'bench', scopes: ['admin'], contract: 'operator' } as const
  const made = Array.from({ length: users }, (_, index) => ({
    first_name: `First${index + 1}`,
    last_name: `Last${index + 1}`,
    email: `person${index + 1}@example.com`,
    phone: '0',
    interested_in: 'dogs',
  }))
  await Promise.all(made.map((patch) => directory.create({ actor, requestId: 'bench' }, { patch })))
  await store.close()
}

function start(args: readonly string[], port: number, env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}`)))
    child.stdout?.on('data', (text: Buffer) => {
      if (/listening|"ready"/.test(text.toString())) resolve(child)
    })
  })
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.removeAllListeners('exit').once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

async function load({ target, method, users: among, name }: Scenario, round: number): Promise<Sample> {
  const url = `http://127.0.0.1:${target === 'echo' ? 3101 : 3102}`
  const unique = `${process.pid}-${round}-${scenarios.findIndex((scenario) => scenario.name === name)}`
  const { stdout } = await run('wrk', [
    ...[
      '-t1',
      `-c${options.connections}`,
      `-d${options.seconds}s`,
      '--timeout',
      '10s',
      '-s',
      'bench/load.lua',
    ],
    ...[url, '--', method, String(among), unique],
  ])
  const sample = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Sample
  if (sample.failed > 0) throw new Error(`${name}: ${sample.failed} requests failed`)
  return sample
}

function residentMegabytes({ pid }: ChildProcess): number {
  return Math.round(Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)]).toString()) / 1024)
}

/** wrk ends with requests under way, which may or may not have been read: the log may have more rows, never fewer. */
function checkLog(at: string): void {
  const db = new DatabaseSync(join(at, 'roster.db'), { readOnly: true })
  const rows = Number(db.prepare("SELECT count(*) AS n FROM changes WHERE kind = 'updated'").get()?.n)
  db.close()
  if (rows < expected) throw new Error(`The log has ${rows} rows for ${expected} answered updates`)
}

function report(samples: ReadonlyMap<string, readonly Sample[]>, memory: number): void {
  const rate = (name: string) =>
    median(samples.get(name) ?? [], ({ requests, seconds }) => requests / seconds)
  const p99 = (name: string) => median(samples.get(name) ?? [], (sample) => sample.p99)
  const ratio = (a: string, b: string) =>
    medianOf(
      (samples.get(a) ?? []).map((sample, round) => {
        const other = samples.get(b)?.[round] as Sample
        return sample.requests / sample.seconds / (other.requests / other.seconds)
      }),
    )
  const rows = scenarios.map(({ name }) => {
    const of = samples.get(name) ?? []
    const rates = of.map(({ requests, seconds }) => requests / seconds)
    const spread = `${whole(Math.min(...rates))}–${whole(Math.max(...rates))}`
    const p50 = median(of, (sample) => sample.p50)
    return `| ${name} | ${whole(rate(name))} | ${spread} | ${p50.toFixed(2)} | ${p99(name).toFixed(2)} |`
  })
  const patch = ratio('Roster PATCH', 'echo PATCH')
  const get = ratio('Roster GET', 'echo GET')
  const hot = p99('Roster PATCH, one user') / p99('Roster PATCH')
  const text = `# Benchmark

${new Date().toISOString().slice(0, 10)}, commit ${commit()}, Node.js ${process.version}, SQLite ${process.versions.sqlite}.
Machine: ${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, a virtual one; wrk and the
servers share it. ${options.connections} connections, ${options.rounds} rounds of ${options.seconds} s each, alternating; medians. Made by \`npm run bench\`.

Every update is durable before it is answered (\`synchronous=FULL\`), validated, in the change log, and
changes something. The echo is \`node:http\` alone: it parses and answers JSON and keeps nothing.

| what | requests/s | spread | p50 ms | p99 ms |
|---|---|---|---|---|
${rows.join('\n')}

| measure | result | goal |
|---|---|---|
| PATCH, part of the echo (median of the rounds' ratios) | ${patch.toFixed(2)} | 0.5, failure under 0.40 |
| GET, part of the echo | ${get.toFixed(2)} | 0.7 |
| p99 of ${options.connections} callers on one user, against ${options.connections} on ${users} | ${hot.toFixed(2)} × | at most 5 × |
| resident memory of Roster after the run | ${memory} MB | |

What was checked: no request failed, and the change log has a row for each of the ${expected} answered updates.
`
  process.stdout.write(text)
  if (!options.print) writeFileSync('bench/RESULTS.md', text)
}

function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args).toString().trim()
  const dirty =
    git('status', '--porcelain', '--', 'src', 'bench/*.ts', 'bench/*.lua') === '' ? '' : ' with changes'
  return git('rev-parse', '--short', 'HEAD') + dirty
}

function median(samples: readonly Sample[], pick: (sample: Sample) => number): number {
  return medianOf(samples.map(pick))
}

function medianOf(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}
