import { createConnection, type Socket } from 'node:net'
import postgres from 'postgres'
import { outcomeUnknown, unavailable } from '../../directory/errors.ts'
import { type Timeline, timelineOf } from './timeline.ts'

export type Sql = postgres.Sql<{ bigint: number }>

export interface Host {
  readonly host: string
  readonly port: number
}

/** Scheme and user; hosts; the rest. */
const parts = /^(postgres(?:ql)?:\/\/(?:[^@/]*@)?)([^@/?]+)(\/.*)$/

/**
 * The hosts of `DATABASE_URL`, in its order. A folder, with its slashes percent-encoded, is that of a socket.
 * @throws Error saying what would be right, and nothing of what was given
 */
export function hostsOf(url: string): Host[] {
  const [, , hosts = ''] = parts.exec(url) ?? []
  return hosts.split(',').map((text) => {
    const one = URL.parse(`postgres://${text}`)
    if (one === null || one.hostname === '') {
      throw new Error(
        'it must be like postgres://user:password@host:5432/database, with special characters percent-encoded',
      )
    }
    const host = decodeURIComponent(one.hostname).replace(/^\[(.*)\]$/, '$1')
    return { host, port: Number(one.port || 5432) }
  })
}

export interface Connection {
  readonly sql: Sql
  readonly timeline: Timeline | undefined
  /** The server's process for it. */
  readonly pid: number
  /** Ends it. What is under way may take so many seconds more, then it fails. */
  readonly close: (seconds: number) => Promise<void>
}

/**
 * One connection to one host that takes writes, ready to be used; it is never made anew. The driver's
 * own pool is not used: it keeps statements whose callers have long been answered and sends them when
 * the database is back, puts fast ones behind slow ones, takes a standby for a primary, and where
 * several hosts are away tries them without a pause.
 * @param onClose called when a connection that was ready has ended
 */
export async function openConnection(url: string, at: Host, onClose: () => void): Promise<Connection> {
  let ready = false
  const socket = socketOnce(at)
  const sql = connect(url, socket.make, () => ready && onClose())
  const close = async (seconds: number) => {
    await sql.end({ timeout: seconds })
    // The server would have to hang up too, and one that waits for a standby does not.
    socket.destroy()
  }
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Failed('CONNECT_TIMEOUT', 'it does not answer')), connectPatience)
  try {
    // What is told to be durable must not depend on a setting of the server's.
    const [row] = await Promise.race([
      sql.unsafe(
        `SELECT pg_backend_pid() AS pid, current_setting('transaction_read_only') AS read_only, set_config('synchronous_commit',
           CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on'
           ELSE current_setting('synchronous_commit') END, false)`,
      ),
      promise,
    ])
    if (row?.read_only !== 'off') throw new Failed('25006', 'it is read-only')
    const timeline = await Promise.race([timelineOf(sql), promise])
    ready = true
    return { sql, timeline, pid: Number(row.pid), close }
  } catch (error) {
    void close(0)
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** Milliseconds. */
const connectPatience = 2_000

function connect(url: string, socket: () => Socket, onclose: () => void): Sql {
  return postgres(url.replace(parts, '$1localhost$3'), {
    ...{ socket },
    max: 1,
    connect_timeout: connectPatience / 1000,
    max_lifetime: null,
    // A connection that breaks while the driver fetches types would end the process.
    fetch_types: false,
    onnotice: () => {},
    onclose,
    // In seconds: so a host that is gone without a word is noticed by those that wait for it for long.
    keep_alive: 10,
    connection: {
      application_name: 'roster',
      // Whoever locks a row for long must not use up all connections.
      lock_timeout: 1_500,
      // Nor must a transaction whose node is gone without a word keep what it has locked; the host is
      // asked whether it is there (in seconds) for what was cut off within a statement.
      idle_in_transaction_session_timeout: 700,
      tcp_keepalives_idle: 5,
      tcp_keepalives_interval: 2,
      tcp_keepalives_count: 3,
    },
    // Whole numbers of the schema stay below 2^53.
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  })
}

/** Left alone, the driver connects again, without a pause and for ever, to a host that hangs up before it is ready. */
function socketOnce({ host, port }: Host) {
  let socket: Socket | undefined
  return {
    make(): Socket {
      if (socket !== undefined) throw new Failed('CONNECTION_CLOSED', 'it hangs up')
      socket = host.startsWith('/')
        ? createConnection(`${host}/.s.PGSQL.${port}`)
        : createConnection({ host, port })
      // Where the driver looks for the name that a certificate must be for.
      return Object.assign(socket, { host, port })
    },
    destroy: () => socket?.destroy(),
  }
}

/** A failure that has no code of PostgreSQL's or the system's. */
export class Failed extends Error {
  override readonly name = 'Failed'
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** How a statement failed: each calls for something else. */
export type Failure = 'again' | 'lost' | 'unanswered' | 'away' | 'taken' | 'other'

/** Serialization failures and deadlocks: nothing was written, and another try may succeed. */
const again = new Set(['40001', '40P01'])

/** The connection broke while the statement was under way: it may have been committed. */
const lost =
  /^(CONNECTION_CLOSED|CONNECTION_DESTROYED|ECONNRESET|EPIPE|ETIMEDOUT|25P03|57P01|57P02|57P05|08.{3})$/

/**
 * The database can not do it now, and has not: not there, starting or stopping, read-only, out of
 * disk, memory or connections, or somebody holds a lock.
 */
const away =
  /^(CONNECT_TIMEOUT|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT|57P03|57014|55P03|25006|53.{3}|58.{3})$/

export function failureOf(error: unknown): Failure {
  const code = codeOf(error)
  if (again.has(code)) return 'again'
  if (lost.test(code)) return 'lost'
  if (away.test(code)) return 'away'
  if (code === 'UNANSWERED') return 'unanswered'
  return code === '23505' ? 'taken' : 'other'
}

/** Out of disk, memory or the like, which may not concern what needs less of it. */
export function isShortage(error: unknown): boolean {
  return /^(53|58)/.test(codeOf(error))
}

/** Somebody else did not let go of a lock in time. */
export function isLocked(error: unknown): boolean {
  return codeOf(error) === '55P03'
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** The unique constraint that a failure with 23505 is about. */
export function constraintOf(error: unknown): string {
  return error instanceof Error && 'constraint_name' in error ? String(error.constraint_name) : ''
}

/** What callers are told of a reading statement that failed: whatever became of it, nothing was written. */
export function toReadError(error: unknown): unknown {
  return failureOf(error) === 'other' ? error : unavailable('The database is not available now', error)
}

/** What callers are told of a writing statement that failed. */
export function toWriteError(error: unknown): unknown {
  const failure = failureOf(error)
  return failure === 'lost' || failure === 'unanswered' ? outcomeUnknown(error) : toReadError(error)
}

/** A moment that grows and differs, so that nodes in each other's way part. */
export function pause(tries: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * Math.min(2 ** tries, 100)))
}

/** In words for the operator. */
export function inWords(error: unknown): string {
  switch (codeOf(error)) {
    case '28P01':
    case '28000':
      return 'it refuses the user or the password'
    case '3D000':
      return 'it has no database of this name'
    case '42501':
      return 'the user may not create tables in this database'
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENOENT':
    case 'CONNECT_TIMEOUT':
      return 'it can not be reached'
    case 'CONNECTION_CLOSED':
    case 'CONNECTION_DESTROYED':
    case 'ECONNRESET':
      return 'it hangs up'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}
