import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'

/** The servers under load, each a process of its own, and what the system tells of such a process. */
export interface Target {
  readonly url: string
  readonly pid: number
  /** Milliseconds from the start of the process to its first good answer. */
  readonly readyAfter: number
  /** Ends it the usual way, so that it finishes what it began. */
  readonly stop: () => Promise<void>
  /** Ends it at once, for servers with work that nobody waits for. */
  readonly kill: () => Promise<void>
}

export const startEcho = () => start(['bench/echo.ts'], { ready: '/users/4' })

export const startLayer = (layer: string) => start(['bench/layers.ts', layer], { ready: '/healthz' })

/**
 * @param where the folder of a directory in SQLite, or the address of a PostgreSQL database
 * @param settings besides the usual ones
 */
export function startRoster(
  where: { folder: string } | { url: string },
  settings: Readonly<Record<string, string>> = {},
): Promise<Target> {
  const place = 'url' in where ? { DATABASE_URL: where.url } : { ROSTER_DATA: where.folder, DATABASE_URL: '' }
  // A limit that counts and that nobody reaches.
  const limit = { ROSTER_RATE_LIMIT: '999999999/m' }
  const env = { ...place, ...limit, HOST: '127.0.0.1', ROSTER_OPEN_CONTRACTS: 'loopback', ...settings }
  return start(['src/main.js', 'serve'], { env, ready: '/readyz' })
}

export function startJsonServer(file: string): Promise<Target> {
  const bin = 'node_modules/json-server/lib/cli/bin.js'
  // Without --quiet it prints a line for each request, which would cost it a part of its speed.
  return start([bin, file, '--quiet', '--host', '127.0.0.1'], { ready: '/users/1', portOption: true })
}

interface Starting {
  readonly env?: NodeJS.ProcessEnv
  /** The path whose 200 says that it serves. */
  readonly ready: string
  readonly portOption?: boolean
}

async function start(args: readonly string[], { env = {}, ready, portOption }: Starting): Promise<Target> {
  const port = await freePort()
  const began = performance.now()
  const child = spawn(process.execPath, portOption ? [...args, '--port', `${port}`] : args, {
    env: { ...process.env, ...env, PORT: `${port}` },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  while (!(await answers(`${url}${ready}`))) {
    if (child.exitCode !== null) throw new Error(`${args.join(' ')} ended with ${child.exitCode}`)
    if (performance.now() - began > 120_000) throw new Error(`${args.join(' ')} did not get ready`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const readyAfter = performance.now() - began
  const end = (signal: NodeJS.Signals) => () => ended(child, signal)
  return { url, pid: child.pid ?? 0, readyAfter, stop: end('SIGTERM'), kill: end('SIGKILL') }
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

async function answers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { headers: { connection: 'close' } })
    await answer.arrayBuffer()
    return answer.ok
  } catch {
    return false
  }
}

function freePort(): Promise<number> {
  const probe = createServer()
  return new Promise((resolve) => {
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}

/** Seconds of CPU that the processes have used, all threads together; undefined where /proc does not tell. */
export function cpuSeconds(pids: readonly number[]): number | undefined {
  try {
    const ticks = pids.map((pid) => {
      // After the name, which may hold anything, the 12th and the 13th are user and system time (proc(5)).
      const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(/\) (?!.*\) )/)
      const fields = rest.split(' ')
      return Number(fields[11]) + Number(fields[12])
    })
    return ticks.reduce((total, count) => total + count, 0) / 100
  } catch {
    return undefined
  }
}

/** Megabytes in memory now, and at most since the start. */
export function residentMegabytes(pid: number): { readonly now: number; readonly peak: number } | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const of = (name: string) =>
      Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024)
    return { now: of('VmRSS'), peak: of('VmHWM') }
  } catch {
    return undefined
  }
}

/** The server processes of PostgreSQL on this machine that serve one database. */
export function postgresProcesses(database: string): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && commandLine(name).startsWith('postgres: '))
      .filter((name) => commandLine(name).includes(` ${database} `))
      .map(Number)
  } catch {
    return []
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
