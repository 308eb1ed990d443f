import { unavailable } from '../../directory/errors.ts'
import { discard, Failed, failureOf, hostsOf, inWords, openConnection, type Sql } from './connection.ts'

export type Parameter = string | number | boolean | null
export type Row = Readonly<Record<string, unknown>>

export interface Statement {
  readonly text: string
  readonly parameters?: readonly Parameter[]
  /** Whether the server should keep it: for texts of which there are few. */
  readonly prepare?: boolean
}

export interface Pool {
  /**
   * Runs a statement, which is a transaction of its own. Rejects by the deadline: as unavailable while
   * it has not been sent, and then it never will be; as UNANSWERED once it has been.
   */
  readonly query: (statement: Statement, deadline: number) => Promise<readonly Row[]>
  readonly close: () => Promise<void>
}

/** Statements that may wait for a connection; the next one is turned away. */
const maxWaiting = 20_000

/** Milliseconds between attempts to connect while they fail. */
const betweenAttempts = 100

/** Milliseconds without an answer after which a connection is taken for broken: its host may be gone without a word. */
const givenUp = 10_000

interface Job extends Statement {
  readonly resolve: (rows: readonly Row[]) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}

interface Connection {
  readonly sql: Sql
  /** The statement under way. */
  job?: Job | undefined
}

/**
 * Connections to the one host that takes writes. One statement at a time is under way on each, so that
 * none waits behind a slow one, and one whose caller has given up before it was sent is never sent.
 */
export function createPool(url: string, size: number): Pool {
  const hosts = hostsOf(url)
  /** The host that is tried next: the one that worked last. */
  let turn = 0
  /** Why the last attempt to connect failed. */
  let failure: unknown
  let opening = 0
  let closing = false
  let opened = Promise.withResolvers<void>()
  const connections = new Set<Connection>()
  const idle: Connection[] = []
  const waiting = new Set<Job>()

  function query(statement: Statement, deadline: number): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      if (closing) return reject(unavailable('The store has been closed'))
      if (waiting.size >= maxWaiting) return reject(unavailable('Too much is waiting for the database'))
      const timer = setTimeout(() => giveUp(job), Math.max(deadline - Date.now(), 1))
      const job: Job = { ...statement, resolve, reject, timer }
      const connection = idle.pop()
      if (connection !== undefined) return send(connection, job)
      waiting.add(job)
      grow()
    })
  }

  function giveUp(job: Job): void {
    if (waiting.delete(job)) {
      const reason = failure ?? new Failed('BUSY', 'All connections are busy')
      return job.reject(unavailable('The database is not available now', reason))
    }
    job.reject(new Failed('UNANSWERED', 'The database did not answer in time'))
    setTimeout(() => {
      for (const connection of connections) if (connection.job === job) drop(connection)
    }, givenUp).unref()
  }

  function send(connection: Connection, job: Job): void {
    connection.job = job
    const { text, parameters = [], prepare = false } = job
    connection.sql.unsafe(text, [...parameters], { prepare }).then(
      (rows) => {
        clearTimeout(job.timer)
        job.resolve(rows)
        free(connection)
      },
      (error: unknown) => {
        clearTimeout(job.timer)
        job.reject(error)
        if (failureOf(error) === 'lost') drop(connection)
        else free(connection)
      },
    )
  }

  function free(connection: Connection): void {
    if (!connections.has(connection)) return
    connection.job = undefined
    const [next] = waiting
    if (next === undefined) return void idle.push(connection)
    waiting.delete(next)
    send(connection, next)
  }

  function drop(connection: Connection): void {
    if (!connections.delete(connection)) return
    const at = idle.indexOf(connection)
    if (at >= 0) idle.splice(at, 1)
    discard(connection.sql)
    grow()
  }

  /** As many connections as there is work for; while they fail, one attempt at a time. */
  function grow(): void {
    const most = failure === undefined ? Math.min(size - connections.size, waiting.size) : 1
    while (!closing && waiting.size > 0 && opening < most && connections.size + opening < size) void open()
  }

  async function open(): Promise<void> {
    opening++
    const at = turn
    try {
      const host = hosts[at % hosts.length] as (typeof hosts)[number]
      const connection: Connection = { sql: await openConnection(url, host, () => drop(connection)) }
      failure = undefined
      connections.add(connection)
      free(connection)
    } catch (error) {
      failure = error
      if (turn === at) turn++
      await new Promise((resolve) => setTimeout(resolve, betweenAttempts))
    }
    opening--
    if (opening === 0) {
      opened.resolve()
      opened = Promise.withResolvers()
    }
    grow()
  }

  return {
    query,
    close: async () => {
      closing = true
      for (const job of waiting) {
        clearTimeout(job.timer)
        job.reject(unavailable('The store has been closed'))
      }
      waiting.clear()
      if (opening > 0) await opened.promise
      await Promise.all([...connections].map(({ sql }) => sql.end({ timeout: 1 })))
      connections.clear()
    },
  }
}

/** Milliseconds that a database which is starting or failing over is waited for when Roster starts. */
const startPatience = 10_000

/**
 * A connection for what is done at start, to the first host that takes writes.
 * @throws Error saying of every host why not
 */
export async function firstConnection(url: string): Promise<Sql> {
  const hosts = hostsOf(url)
  for (const deadline = Date.now() + startPatience; ; ) {
    const failures: unknown[] = []
    for (const host of hosts) {
      try {
        return await openConnection(url, host, () => {})
      } catch (error) {
        failures.push(error)
      }
    }
    const passing = failures.some((error) => failureOf(error) === 'lost' || isStarting(error))
    if (!passing || Date.now() > deadline) {
      const reasons = hosts.map(({ host, port }, i) => `${host}:${port}: ${inWords(failures[i])}`)
      throw new Error(reasons.join('; '), { cause: failures[0] })
    }
    await new Promise((resolve) => setTimeout(resolve, betweenAttempts))
  }
}

function isStarting(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '57P03'
}
