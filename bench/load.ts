import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { cpuSeconds, type Target } from './targets.ts'

/** The load: wrk for throughput, and loadtest (fixed-rate.ts) for latency at a rate that does not yield. */
const run = promisify(execFile)

export interface Request {
  readonly method: 'PATCH' | 'PUT' | 'GET'
  /** `%d` stands for the id of a random user. */
  readonly path: string
  readonly users: number
  /** The property that an update changes; `phone` where nothing is said. */
  readonly property?: string
  readonly key?: string
}

export interface Sample {
  readonly requests: number
  readonly seconds: number
  readonly bytes: number
  /** Milliseconds, as all latencies. */
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly failed: number
  /** Microseconds of CPU time of the server for a request. */
  readonly cpu: number | undefined
}

export interface Rated {
  readonly rate: number
  /** Answered requests, with those of the warm-up. */
  readonly answered: number
  readonly failed: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  /** The rate that the generator really had. */
  readonly reached: number
  /** How far the generator itself was behind its schedule. */
  readonly lag: number
}

let runs = 0
/** A text that no other run's values have. */
const unique = () => `${process.pid}-${++runs}`

export async function hasTool(name: string): Promise<boolean> {
  try {
    await run('sh', ['-c', `command -v ${name}`])
    return true
  } catch {
    return false
  }
}

/**
 * Keeps a number of connections busy for some seconds.
 * @param alongside processes whose CPU time counts as the server's too
 * @throws Error when a request failed
 */
export async function load(
  target: Target,
  { method, path, users, property, key }: Request,
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
  alongside: () => readonly number[] = () => [],
): Promise<Sample> {
  const options = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '60s', '-s', 'bench/load.lua']
  const pids = () => [target.pid, ...alongside()]
  const more = [property ?? 'phone', key].filter((one) => one !== undefined)
  const before = cpuSeconds(pids())
  const { stdout } = await run('wrk', [
    ...options,
    target.url,
    '--',
    method,
    path,
    `${users}`,
    unique(),
    ...more,
  ])
  const after = cpuSeconds(pids())
  const sample = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Sample
  if (sample.failed > 0) throw new Error(`${sample.failed} of ${sample.requests} requests failed`)
  const used = before === undefined || after === undefined ? undefined : after - before
  return { ...sample, cpu: used === undefined ? undefined : (used / sample.requests) * 1e6 }
}

/**
 * Sends at a fixed rate whether answers come or not; latencies count from when a request was due.
 * @throws Error when a request failed or was not answered
 */
export async function loadAtRate(
  target: Target,
  request: Request,
  { rate, seconds }: { readonly rate: number; readonly seconds: number },
): Promise<Rated> {
  const task = { ...request, url: target.url, rate, seconds, run: unique() }
  const { stdout } = await run(process.execPath, ['bench/fixed-rate.ts', JSON.stringify(task)])
  const rated = JSON.parse(stdout) as Rated
  if (rated.failed > 0)
    throw new Error(`${rated.failed} of ${rated.answered + rated.failed} requests failed at ${rate}/s`)
  return rated
}
