import { unavailable } from '../../directory/errors.ts'
import {
  type Connection,
  codeOf,
  Failed,
  failureOf,
  hostsOf,
  inWords,
  openConnection,
  type Sql,
} from './connection.ts'
import { createTimelines, type Timelines } from './timeline.ts'

export type Parameter = string | number | boolean | null
export type Row = Readonly<Record<string, unknown>>

export interface Statement {
  readonly text: string
  readonly parameters?: readonly Parameter[]
  /** Whether the server should keep it: for texts of which there are few. */
  readonly prepare?: boolean
  /** Milliseconds that the answer may take once it has been sent, where that may be longer than waiting for a connection. */
  readonly answerWithin?: number
}

export interface Pool {
  /**
   * Runs a statement, which is a transaction of its own. It waits its turn for as long as the database
   * answers others. Rejects as unavailable where it has not been sent when nothing has come back for
   * some time, and then it never will be; as UNANSWERED where it has been.
   * @param ms how long that time is
   */
  readonly query: (statement: Statement, ms?: number) => Promise<readonly Row[]>
  /**
   * Runs statements one after the other on one connection, in the same turn and time as one statement;
   * the work begins and commits by itself, and what it leaves open when it throws is rolled back.
   */
  readonly session: <T>(work: (run: Run) => Promise<T>, ms?: number) => Promise<T>
  readonly close: () => Promise<void>
}

/** Runs one statement. */
export type Run = (statement: Statement) => Promise<readonly Row[]>

/** Milliseconds after which a caller hears that the database is away: with all the rest, less than two seconds. */
export const patience = 1_800

/** Statements that may wait for a connection; the next one is turned away. */
const maxWaiting = 20_000

/** Milliseconds between attempts to connect while they fail. */
const betweenAttempts = 100

/** Milliseconds without an answer after which a connection is taken for broken: its host may be gone without a word. */
const givenUp = 10_000

interface Job {
  readonly work: (sql: Sql) => Promise<unknown>
  readonly resolve: (result: never) => void
  readonly reject: (error: unknown) => void
  readonly ms: number
  readonly answerWithin: number
  timer?: NodeJS.Timeout
}

interface Worker extends Connection {
  /** The statement under way. */
  job?: Job | undefined
}

/** What is said of a host that takes writes although another was promoted in its place. */
const superseded = 'another host has taken over from it'

/**
 * Connections to the one host that takes writes: never again to one from which another has taken over, should
 * it come back and think itself the primary. One statement at a time is under way on each, so that
 * none waits behind a slow one, and one whose caller has given up before it was sent is never sent.
 */
export function createPool(url: string, size: number, timelines = createTimelines()): Pool {
  const hosts = hostsOf(url)
  /** The host that is tried next: the one that worked last. */
  let turn = 0
  /** Why the last attempt to connect failed. */
  let failure: unknown
  let opening = 0
  /** When the database gave its last answer. */
  let answered = 0
  let closing = false
  let opened = Promise.withResolvers<void>()
  const connections = new Set<Worker>()
  const idle: Worker[] = []
  const waiting = new Set<Job>()

  function submit<T>(work: (sql: Sql) => Promise<T>, ms: number, answerWithin = ms): Promise<T> {
    return new Promise((resolve, reject) => {
      if (closing) return reject(unavailable('The store has been closed'))
      if (waiting.size >= maxWaiting) return reject(unavailable('Too much is waiting for the database'))
      const job: Job = { work, resolve, reject, ms, answerWithin }
      const connection = idle.pop()
      if (connection !== undefined) return send(connection, job)
      waiting.add(job)
      job.timer = setTimeout(keepWaiting, ms, job)
      grow()
    })
  }

  function keepWaiting(job: Job): void {
    const left = answered + job.ms - Date.now()
    if (left > 0) {
      job.timer = setTimeout(keepWaiting, left, job)
      return
    }
    waiting.delete(job)
    const reason = failure ?? new Failed('BUSY', 'All connections are busy')
    job.reject(unavailable('The database is not available now', reason))
  }

  function giveUp(connection: Worker, job: Job): void {
    job.reject(new Failed('UNANSWERED', 'The database did not answer in time'))
    setTimeout(() => {
      if (connection.job === job) drop(connection)
    }, givenUp).unref()
  }

  function send(connection: Worker, job: Job): void {
    connection.job = job
    clearTimeout(job.timer)
    const timer = setTimeout(giveUp, job.answerWithin, connection, job)
    job.work(connection.sql).then(
      (result) => {
        clearTimeout(timer)
        answered = Date.now()
        job.resolve(result as never)
        free(connection)
      },
      (error: unknown) => {
        clearTimeout(timer)
        job.reject(error)
        if (failureOf(error) === 'lost') return drop(connection)
        answered = Date.now()
        free(connection)
      },
    )
  }

  function free(connection: Worker): void {
    if (!connections.has(connection)) return
    connection.job = undefined
    const [next] = waiting
    if (next === undefined) return void idle.push(connection)
    waiting.delete(next)
    send(connection, next)
  }

  function drop(connection: Worker): void {
    if (!connections.delete(connection)) return
    const at = idle.indexOf(connection)
    if (at >= 0) idle.splice(at, 1)
    void connection.close(0)
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
      const connection: Worker = await openConnection(url, host, () => drop(connection))
      if (timelines.isOld(connection.timeline)) {
        void connection.close(0)
        throw new Failed('SUPERSEDED', superseded)
      }
      timelines.note(connection.timeline)
      for (const other of connections) if (timelines.isOld(other.timeline)) drop(other)
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
    query: (statement, ms = patience) => submit((sql) => run(sql, statement), ms, statement.answerWithin),
    session: (work, ms = patience) =>
      submit(async (sql) => {
        try {
          return await work((statement) => run(sql, statement))
        } catch (error) {
          if (failureOf(error) !== 'lost') await sql.unsafe('ROLLBACK')
          throw error
        }
      }, ms),
    close: async () => {
      closing = true
      for (const job of waiting) {
        clearTimeout(job.timer)
        job.reject(unavailable('The store has been closed'))
      }
      waiting.clear()
      if (opening > 0) await opened.promise
      await Promise.all([...connections].map((connection) => connection.close(1)))
      connections.clear()
    },
  }
}

/**
 * A statement that fails after rows of it have come, which a serialization failure does, leaves the driver's
 * count of rows where it was, and those of the next one on the connection follow a gap
 * (porsager/postgres#1181): whoever looks for the first row would find that there is none.
 */
function dense(rows: readonly Row[]): readonly Row[] {
  return rows.length === 0 || 0 in rows ? rows : Object.values(rows)
}

async function run(sql: Sql, { text, parameters = [], prepare = false }: Statement): Promise<readonly Row[]> {
  return dense(await sql.unsafe(text, [...parameters], { prepare }))
}

/** Milliseconds that a database which is starting too is waited for. */
const startPatience = 10_000

/**
 * A connection for what is done at start, to the host that takes writes: should several do, to the one that was
 * promoted last.
 * @throws Error saying of every host why not
 */
export async function firstConnection(url: string, timelines: Timelines): Promise<Connection> {
  const hosts = hostsOf(url)
  for (const deadline = Date.now() + startPatience; ; ) {
    const opened = await Promise.allSettled(hosts.map((host) => openConnection(url, host, () => {})))
    const found = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    for (const { timeline } of found) timelines.note(timeline)
    const chosen = found.find(({ timeline }) => !timelines.isOld(timeline))
    for (const other of found) if (other !== chosen) void other.close(0)
    if (chosen !== undefined) return chosen
    const failures = opened.map((one) => (one.status === 'rejected' ? one.reason : undefined))
    if (!failures.some(isStarting) || Date.now() > deadline) {
      const reasons = hosts.map(({ host, port }, i) => `${host}:${port}: ${inWords(failures[i])}`)
      throw new Error(reasons.join('; '), { cause: failures[0] })
    }
    await new Promise((resolve) => setTimeout(resolve, betweenAttempts))
  }
}

function isStarting(error: unknown): boolean {
  return codeOf(error) === '57P03'
}
