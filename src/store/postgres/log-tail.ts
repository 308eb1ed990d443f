import type { Row, Statement } from './pool.ts'

/** Where the change log is. */
export interface Position {
  /** The highest number that was given out; its row may not be committed yet. */
  readonly newest: number
  /** Whoever reads from now on sees every row up to here that there will ever be. */
  readonly settled: number
}

/** What may still be missing up to a number: rows of transactions that had begun by then. */
interface Mark {
  readonly seq: number
  readonly xmax: bigint
  readonly at: number
}

/**
 * Milliseconds after which nothing of ours can be under way any more: so transactions of others that are
 * open for hours do not keep the log from being settled.
 */
const longest = 60_000

/** Numbers before the first look that may be committed after it. */
const overlap = 50_000

const mostMarks = 1_000

/**
 * Tells a reader that follows the change log how far it may forget what lies behind: a number that is
 * given out may be committed long after the next ones.
 */
export function createLogTail(read: (statement: Statement) => Promise<readonly Row[]>) {
  const text = `SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('changes', 'seq')), 0) AS seq,
    pg_snapshot_xmin(snapshot)::text AS xmin, pg_snapshot_xmax(snapshot)::text AS xmax
    FROM pg_current_snapshot() AS snapshot`
  let seen: number | undefined
  let settled = 0
  let marks: Mark[] = []

  return {
    async look(): Promise<Position> {
      // Of the look before this one: who has a number of it had begun before this one's snapshot.
      const before = seen
      const [row] = await read({ text, prepare: true })
      const [newest, xmin, xmax] = [Number(row?.seq), BigInt(String(row?.xmin)), BigInt(String(row?.xmax))]
      const now = Date.now()
      const isOver = (mark: Mark) => mark.xmax <= xmin || now - mark.at > longest
      for (const mark of marks) if (isOver(mark)) settled = Math.max(settled, mark.seq)
      marks = marks.filter((mark) => !isOver(mark))
      if (before === undefined) settled = Math.max(newest - overlap, settled, 0)
      else if (marks.length < mostMarks) marks.push({ seq: before, xmax, at: now })
      seen = Math.max(newest, seen ?? 0)
      return { newest, settled }
    },
  }
}

export type LogTail = ReturnType<typeof createLogTail>
