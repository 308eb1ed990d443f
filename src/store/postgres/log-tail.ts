import type { Row, Statement } from './pool.ts'

/** Where the change log is. */
export interface Position {
  /** The highest number that was given out; its row may not be committed yet. */
  readonly newest: number
  /** Whoever reads from now on sees every row up to here that there will ever be. */
  readonly settled: number
  /** What had been committed by then, in the words of `pg_snapshot`: no row of it has a higher number than `newest`. */
  readonly snapshot: string
  /**
   * Which connection it is of. On another one a snapshot tells nothing: a server that crashed or was promoted
   * may give numbers of transactions again that were given to some that failed.
   */
  readonly connection: string
}

/** What may still be missing up to a number: rows of transactions that had begun by then. */
interface Mark {
  readonly seq: number
  /** Those that had begun have lower numbers. */
  readonly next: bigint
  readonly at: number
}

/**
 * Milliseconds after which only those who write the log count: so transactions of others that are open for
 * hours do not keep it from being settled.
 */
const longest = 60_000

/**
 * The transactions that write the log. They hold their locks until everybody sees what they wrote, also where
 * a commit waits for a standby.
 */
const writers = `SELECT own.transactionid::text AS xid FROM pg_locks AS own JOIN pg_locks AS held USING (virtualtransaction)
  JOIN pg_database ON pg_database.oid = held.database AND datname = current_database()
  WHERE held.relation = 'changes'::regclass AND held.mode = 'RowExclusiveLock'
    AND own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock'`

/** Numbers before the first look, or the first for long, that may be committed after it. */
const overlap = 50_000

const mostMarks = 1_000

/** The first number that a transaction can have, of 32 bits; the age of it is how many have begun since. */
const firstXid = 3

/**
 * Tells a reader that follows the change log how far it may forget what lies behind: a number that is
 * given out may be committed long after the next ones.
 */
export function createLogTail(read: (statement: Statement) => Promise<readonly Row[]>, now = Date.now) {
  const text = `SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('changes', 'seq')), 0) AS seq,
    pg_snapshot_xmin(snapshot)::text AS xmin, age('${firstXid}'::xid) AS begun, snapshot::text,
    pg_backend_pid() || ' ' || pg_postmaster_start_time() AS connection FROM pg_current_snapshot() AS snapshot`
  let seen: number | undefined
  let looked = now()
  let settled = 0
  let marks: Mark[] = []

  async function underWay(): Promise<bigint[]> {
    const rows = await read({ text: writers, prepare: true })
    return rows.map(({ xid }) => BigInt(String(xid)))
  }

  return {
    async look(): Promise<Position> {
      // Of the look before this one: who has a number of it had begun before this one's snapshot.
      const before = seen
      const [row] = await read({ text, prepare: true })
      const [newest, xmin] = [Number(row?.seq), BigInt(String(row?.xmin))]
      // No snapshot tells it: one may have begun, though none after it has ended yet.
      const next = xmin + BigInt.asUintN(32, BigInt(firstXid + Number(row?.begun)) - xmin)
      const at = now()
      const isOld = (mark: Mark) => mark.next > xmin && at - mark.at > longest
      const under = marks.some(isOld) ? await underWay() : []
      const isOver = (mark: Mark) =>
        mark.next <= xmin || (isOld(mark) && !under.some((xid) => isBefore(xid, mark.next)))
      for (const mark of marks) if (isOver(mark)) settled = Math.max(settled, mark.seq)
      marks = marks.filter((mark) => !isOver(mark))
      // What came while nobody looked is not all to be looked through.
      if (before === undefined || at - looked > longest) settled = Math.max(newest - overlap, settled, 0)
      if (before !== undefined && marks.length < mostMarks) marks.push({ seq: before, next, at })
      seen = Math.max(newest, seen ?? 0)
      looked = at
      return { newest, settled, snapshot: String(row?.snapshot), connection: String(row?.connection) }
    },
  }
}

/** @param xid of a transaction that has not ended, of which only the lower 32 bits are known */
function isBefore(xid: bigint, next: bigint): boolean {
  return BigInt.asIntN(32, xid - next) < 0n
}

export type LogTail = ReturnType<typeof createLogTail>
