import { unavailable } from '../../directory/errors.ts'
import {
  type Connection,
  codeOf,
  Failed,
  failureOf,
  hostsOf,
  inWords,
  isLocked,
  openConnection,
  type Sql,
} from './connection.ts'
import { createTimelines, type Timelines } from './timeline.ts'

export type Parameter = string | number | boolean | null
export type Row = Readonly<Record<string, unknown>>

/** What statements may hold their connection for: reading, writing what nobody has locked, or any writing. */
export type LaneName = 'read' | 'pass' | 'write'

export interface Statement {
  readonly text: string
  readonly parameters?: readonly Parameter[]
  /** Whether the server should keep it: for texts of which there are few. */
  readonly prepare?: boolean
  /** Milliseconds that the answer may take once it has been sent, where that may be longer than waiting for a connection. */
  readonly answerWithin?: number
  /** `read` if left out. One that writes waits for a standby that is away, `write` also for what somebody has locked. */
  readonly lane?: LaneName
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
   * the work writes, begins and commits by itself; what it leaves open when it throws is rolled back. From a
   * statement with a time of its own on, that counts for all the rest.
   */
  readonly session: <T>(work: (run: Run) => Promise<T>, ms?: number) => Promise<T>
  /** Whether a statement of this lane would have to wait for others of it. */
  readonly isFull: (lane: LaneName) => boolean
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

/** Those that write leave so many connections for reading, and those that may wait for locks so many of theirs. */
const [forReading, forPassing] = [4, 2]

/** Statements that may be under way on so many connections, with those of the lanes within it. */
interface Lane {
  readonly most: number
  readonly outer?: Lane
  readonly waiting: Set<Job>
  underWay: number
  /** Those under way whose callers have been told that no answer came. */
  unanswered: number
  /** When the last answer came. */
  answered: number
}

function createLane(most: number, outer?: Lane): Lane {
  return { most, ...(outer && { outer }), waiting: new Set(), underWay: 0, unanswered: 0, answered: 0 }
}

function hasRoom(lane: Lane): boolean {
  return lane.underWay < lane.most && (lane.outer === undefined || hasRoom(lane.outer))
}

interface Job {
  readonly lane: Lane
  readonly work: (connection: Worker) => Promise<unknown>
  readonly resolve: (result: never) => void
  readonly reject: (error: unknown) => void
  readonly ms: number
  readonly answerWithin: number
  /** Whether it is about the statement of another connection: nothing is done about its own. */
  readonly isAside: boolean
  isGivenUp?: boolean
  /** The server is being told to end it. */
  ending?: Promise<unknown>
  timer?: NodeJS.Timeout
}

interface Worker extends Connection {
  /** The statement under way. */
  job?: Job | undefined
}

/** One that waits for its client has not had the statement, or has answered it: the connection carries nothing. */
const atWork = `SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type IS DISTINCT FROM 'Client'`

const end = 'SELECT pg_cancel_backend($1)'

const unanswered = 'The database did not answer in time'

function away(reason: unknown): Error {
  return unavailable('The database is not available now', reason)
}

/** What is said of a host that takes writes although another was promoted in its place. */
const superseded = 'another host has taken over from it'

/**
 * Connections to the one host that takes writes: never again to one from which another has taken over, should
 * it come back and think itself the primary. One statement at a time is under way on each, so that
 * none waits behind a slow one, and one whose caller has given up before it was sent is never sent. Those
 * that write never take all of them, since all that write can hang together while others are answered.
 */
export function createPool(url: string, size: number, timelines = createTimelines()): Pool {
  const hosts = hostsOf(url)
  /** The host that is tried next: the one that worked last. */
  let turn = 0
  /** Why the last attempt to connect failed. */
  let failure: unknown
  let opening = 0
  let closing = false
  let opened = Promise.withResolvers<void>()
  const connections = new Set<Worker>()
  const idle: Worker[] = []
  const read = createLane(size)
  const pass = createLane(size - Math.min(forReading, Math.floor(size / 2)), read)
  const write = createLane(pass.most - Math.min(forPassing, Math.floor(pass.most / 2)), pass)
  const lanes = { read, pass, write }
  const everyLane = [write, pass, read]

  function submit<T>(
    work: (connection: Worker) => Promise<T>,
    lane: Lane,
    ms: number,
    answerWithin = ms,
    isAside = false,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (closing) return reject(unavailable('The store has been closed'))
      if (countWaiting() >= maxWaiting) return reject(unavailable('Too much is waiting for the database'))
      // They wait for what all that write would have to wait for.
      if (lane !== read && lane.unanswered >= lane.most)
        return reject(away(new Failed('UNANSWERED', unanswered)))
      const job: Job = { lane, work, resolve, reject, ms, answerWithin, isAside }
      const connection = hasRoom(lane) ? idle.pop() : undefined
      if (connection !== undefined) return send(connection, job)
      lane.waiting.add(job)
      job.timer = setTimeout(keepWaiting, ms, job)
      grow()
    })
  }

  function countWaiting(): number {
    return write.waiting.size + pass.waiting.size + read.waiting.size
  }

  function keepWaiting(job: Job): void {
    const left = job.lane.answered + job.ms - Date.now()
    if (left > 0) {
      job.timer = setTimeout(keepWaiting, left, job)
      return
    }
    job.lane.waiting.delete(job)
    job.reject(away(failure ?? new Failed('BUSY', 'All connections are busy')))
  }

  function giveUp(connection: Worker, job: Job): void {
    job.isGivenUp = true
    for (let lane: Lane | undefined = job.lane; lane !== undefined; lane = lane.outer) lane.unanswered++
    job.reject(new Failed('UNANSWERED', unanswered))
    if (job.lane === read && !job.isAside) endOnServer(connection, job)
    watch(connection, job)
  }

  /** What only reads would go on for nobody, beside those that come next, and keep its connection. */
  function endOnServer(connection: Worker, job: Job): void {
    const work = async ({ sql }: Worker) => {
      if (connection.job !== job) return
      job.ending = run(sql, { text: end, parameters: [connection.pid] })
      await job.ending
    }
    // Where nobody can be told, it is over by itself, or its connection is dropped.
    aside(work).catch(() => {})
  }

  /** While the server is at work on what was written, a new connection would only hang too. */
  function watch(connection: Worker, job: Job): void {
    setTimeout(async () => {
      const isKept = connection.job === job && job.lane !== read && (await isAtWork(connection))
      if (connection.job !== job) return
      if (isKept) watch(connection, job)
      else drop(connection)
    }, givenUp).unref()
  }

  /** As another connection tells; where none does, one that was answered lately is taken for a yes. */
  function isAtWork({ pid }: Worker): Promise<boolean> {
    const asked = aside(({ sql }) => run(sql, { text: atWork, parameters: [pid] }))
    return asked.then(
      (rows) => rows.length > 0,
      () => Date.now() - read.answered < givenUp,
    )
  }

  /** Has another connection do something about the statement of one. */
  function aside<T>(work: (other: Worker) => Promise<T>): Promise<T> {
    return submit(work, read, patience, patience, true)
  }

  function send(connection: Worker, job: Job): void {
    connection.job = job
    for (let lane: Lane | undefined = job.lane; lane !== undefined; lane = lane.outer) lane.underWay++
    clearTimeout(job.timer)
    job.timer = setTimeout(giveUp, job.answerWithin, connection, job)
    job.work(connection).then(
      (result) => {
        clearTimeout(job.timer)
        noteAnswer(job.lane)
        job.resolve(result as never)
        release(connection, job)
      },
      (error: unknown) => {
        clearTimeout(job.timer)
        job.reject(error)
        if (failureOf(error) === 'lost') return drop(connection)
        // Who waits behind those that wait for locks shall hear too.
        noteAnswer(isLocked(error) ? read : job.lane)
        release(connection, job)
      },
    )
  }

  /** Milliseconds from now on that the answer may take. */
  function prolong(connection: Worker, ms: number): void {
    const { job } = connection
    if (job === undefined || job.isGivenUp) return
    clearTimeout(job.timer)
    job.timer = setTimeout(giveUp, ms, connection, job)
  }

  function noteAnswer(answering: Lane): void {
    const now = Date.now()
    for (let lane: Lane | undefined = answering; lane !== undefined; lane = lane.outer) lane.answered = now
  }

  /** Makes room where the job of a connection was. */
  function leave(connection: Worker): void {
    const { job } = connection
    connection.job = undefined
    // The driver tells its caller soon; given up once it has left, it would be counted for good.
    clearTimeout(job?.timer)
    for (let lane = job?.lane; lane !== undefined; lane = lane.outer) {
      lane.underWay--
      if (job?.isGivenUp) lane.unanswered--
    }
  }

  /** Once nothing is on its way that would end the next statement in place of this one. */
  function release(connection: Worker, { ending }: Job): void {
    const now = () => free(connection)
    if (ending === undefined) now()
    else ending.then(now, now)
  }

  function free(connection: Worker): void {
    if (!connections.has(connection)) return
    leave(connection)
    idle.push(connection)
    serve()
  }

  /** Gives connections that are free to what waits; what writes comes first, since it has fewer. */
  function serve(): void {
    for (const lane of everyLane)
      for (const job of lane.waiting) {
        const connection = hasRoom(lane) ? idle.pop() : undefined
        if (connection === undefined) break
        lane.waiting.delete(job)
        send(connection, job)
      }
  }

  function drop(connection: Worker): void {
    if (!connections.delete(connection)) return
    leave(connection)
    const at = idle.indexOf(connection)
    if (at >= 0) idle.splice(at, 1)
    void connection.close(0)
    serve()
    grow()
  }

  /** As many connections as there is work for; while they fail, one attempt at a time. */
  function grow(): void {
    const wanted = everyLane.reduce((sum, lane) => sum + (hasRoom(lane) ? lane.waiting.size : 0), 0)
    const most = failure === undefined ? Math.min(size - connections.size, wanted) : 1
    while (!closing && wanted > 0 && opening < most && connections.size + opening < size) void open()
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
    query: (statement, ms = patience) =>
      submit(({ sql }) => run(sql, statement), lanes[statement.lane ?? 'read'], ms, statement.answerWithin),
    session: (work, ms = patience) =>
      submit(
        async (connection) => {
          const { sql } = connection
          try {
            return await work((statement) => {
              if (statement.answerWithin !== undefined) prolong(connection, statement.answerWithin)
              return run(sql, statement)
            })
          } catch (error) {
            if (failureOf(error) !== 'lost') await sql.unsafe('ROLLBACK')
            throw error
          }
        },
        write,
        ms,
      ),
    isFull: (lane) => !hasRoom(lanes[lane]),
    close: async () => {
      closing = true
      for (const { waiting } of everyLane) {
        for (const job of waiting) {
          clearTimeout(job.timer)
          job.reject(unavailable('The store has been closed'))
        }
        waiting.clear()
      }
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
