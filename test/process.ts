import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import type { Change } from '../src/directory/change.ts'
import { claimsOf, type User } from '../src/directory/user.ts'
import type { Aside } from '../src/store/conformance.ts'
import { columns, toUser } from '../src/store/sqlite/rows.ts'

/** The real program as a child process, a client for it, and a look at what it leaves on disk. */

const program = fileURLToPath(new URL('../src/main.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly folder: string
  readonly env?: Readonly<Record<string, string>>
  /** A command that runs the program, such as a shell that sets limits first. */
  readonly under?: readonly string[]
}

export interface Roster {
  readonly url: string
  readonly pid: number
  /** The lines of its log so far. */
  readonly log: () => readonly string[]
  readonly ended: Promise<Ended>
  /** Asks it to stop (SIGTERM). */
  readonly stop: () => Promise<Ended>
  /** Ends it without asking (SIGKILL). */
  readonly kill: () => Promise<Ended>
}

const children = new Set<ChildProcess>()
const folders = new Set<string>()

/** Ends what is still running and removes every temporary folder: for `afterEach`. */
export async function cleanUp(): Promise<void> {
  for (const child of children) child.kill('SIGKILL')
  await Promise.all([...children].map((child) => new Promise((resolve) => child.once('close', resolve))))
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  folders.clear()
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'roster-test-'))
  folders.add(folder)
  return folder
}

/** Runs a command of the program to its end. */
export async function run(args: readonly string[], options: RunOptions): Promise<Ended> {
  return start(args, options).ended
}

/** Begins a command, to be ended without asking (SIGKILL). */
export function begin(args: readonly string[], options: RunOptions): Pick<Roster, 'kill'> {
  const { child, ended } = start(args, options)
  return {
    kill: () => {
      child.kill('SIGKILL')
      return ended
    },
  }
}

/**
 * Serves on a free port.
 * @throws Error with all that it said, where it ends before it is ready
 */
export async function serve(args: readonly string[], options: RunOptions): Promise<Roster> {
  const { child, lines, ended } = start(['serve', ...args], options)
  const ready = Promise.withResolvers<string>()
  lines.on('line', (line) => {
    const entry = parseEntry(line)
    if (entry?.msg === 'ready') ready.resolve(String(entry.docs).replace(/\/docs$/, ''))
  })
  const log: string[] = []
  lines.on('line', (line) => log.push(line))
  ended.then(({ code, signal, stdout, stderr }) =>
    ready.reject(new Error(`ended before it was ready (${code ?? signal}):\n${stdout}${stderr}`)),
  )
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal)
    return ended
  }
  return {
    url: await ready.promise,
    pid: child.pid ?? 0,
    log: () => log,
    ended,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  }
}

/** Open to this machine, as the contracts that know no credentials have to be for these tests. */
const settings = { PORT: '0', ROSTER_OPEN_CONTRACTS: 'loopback' }

/** Of the program, and of nothing that happens to be set where the tests run. */
export function environment({ folder, env }: Pick<RunOptions, 'folder' | 'env'>): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, ...settings, ROSTER_DATA: folder, ...env }
}

function start(args: readonly string[], { under = [], ...options }: RunOptions) {
  const [command = '', ...rest] = [...under, process.execPath, program, ...args]
  const child = spawn(command, rest, {
    env: environment(options),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      children.delete(child)
      resolve({ code, signal, stdout, stderr })
    })
  })
  return { child, lines: createInterface({ input: child.stdout }), ended }
}

/** A line of the log, undefined where it is none. */
export function parseEntry(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const entry: unknown = JSON.parse(line)
    return typeof entry === 'object' && entry !== null ? { ...entry } : undefined
  } catch {
    return undefined
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export type Send = (
  method: string,
  path: string,
  body?: unknown,
  headers?: OutgoingHttpHeaders,
) => Promise<Answer>

/**
 * Sends requests over connections that are kept.
 * @param connections how many at most; further requests wait for one
 */
export function createClient(url: string, connections = 1): Send {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  return (method, path, body, more) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
      const headers =
        text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
      const all = { ...headers, ...more }
      const sent = request(`${url}${path}`, { method, agent, headers: all }, (response) => {
        let received = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          received += part
        })
        response.once('error', reject)
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: received }),
        )
      })
      sent.once('error', reject)
      sent.end(text)
    })
}

/** The version that an answer's entity tag stands for. */
export function versionOf({ headers }: Answer): number {
  return Number(/^"(\d+)"$/.exec(headers.etag ?? '')?.[1])
}

/** What a folder's database holds, read on a connection of its own. */
export interface Kept {
  readonly users: readonly User[]
  readonly log: readonly Change[]
  /** What is wrong with the file, the chains of the log, or the claims, in words. */
  readonly damage: readonly string[]
}

export function readKept(folder: string): Kept {
  const db = new DatabaseSync(join(folder, 'roster.db'), { readOnly: true })
  try {
    const rows = db.prepare(`SELECT ${columns.join(', ')} FROM users ORDER BY id`)
    rows.setReturnArrays(true)
    const users = (rows.all() as unknown as Parameters<typeof toUser>[0][]).map(toUser)
    const log = db.prepare('SELECT * FROM changes ORDER BY seq').all().map(toChange)
    return { users, log, damage: [...damageOf(db), ...wrongClaims(db, users)] }
  } finally {
    db.close()
  }
}

/** What a folder's database holds beside users and log. */
export function readAside(folder: string): Aside {
  const db = new DatabaseSync(join(folder, 'roster.db'), { readOnly: true })
  try {
    const rows = (text: string) => db.prepare(text).all()
    return {
      receipts: rows('SELECT key, user_id FROM receipts ORDER BY key').map(({ key, user_id }) => ({
        key: String(key),
        userId: Number(user_id),
      })),
      counters: rows('SELECT user_id FROM counters ORDER BY user_id').map(({ user_id }) => Number(user_id)),
      passwords: rows('SELECT user_id, hash FROM passwords ORDER BY user_id').map(
        ({ user_id, hash }) => [Number(user_id), String(hash)] as const,
      ),
    }
  } finally {
    db.close()
  }
}

function toChange(row: Record<string, unknown>): Change {
  return {
    changeId: String(row.change_id),
    userId: Number(row.user_id),
    version: Number(row.version),
    at: Number(row.at),
    actor: { kind: row.actor_kind, id: row.actor_id } as Change['actor'],
    contract: String(row.contract),
    requestId: String(row.request_id),
    kind: row.kind as Change['kind'],
    fields: JSON.parse(String(row.fields)) as Change['fields'],
  }
}

function damageOf(db: DatabaseSync): string[] {
  const check = String(db.prepare('PRAGMA integrity_check').get()?.integrity_check)
  const unchained = db
    .prepare(
      `SELECT seq FROM (
         SELECT seq, previous, lag(seq) OVER (PARTITION BY user_id ORDER BY seq) AS expected FROM changes
       ) WHERE previous IS NOT expected
       UNION ALL
       SELECT last_change FROM users LEFT JOIN
         (SELECT user_id, max(seq) AS newest FROM changes GROUP BY user_id) ON user_id = id
       WHERE last_change IS NOT newest`,
    )
    .all()
  return [
    ...(check === 'ok' ? [] : [check]),
    ...unchained.map(({ seq }) => `row ${seq} of the log is not chained to the one before`),
  ]
}

function wrongClaims(db: DatabaseSync, users: readonly User[]): string[] {
  const kept = db
    .prepare('SELECT kind, key, user_id FROM claims')
    .all()
    .map(({ kind, key, user_id }) => `${kind} ${key} of ${user_id}`)
  const due = users.flatMap((user) => claimsOf(user).map(({ kind, key }) => `${kind} ${key} of ${user.id}`))
  return [...new Set(kept).symmetricDifference(new Set(due))].map((text) => `claim ${text}`)
}
