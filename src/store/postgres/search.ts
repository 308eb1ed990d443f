import { parentPort, workerData } from 'node:worker_threads'
import { type Searched, searchedFields } from '../search/people.ts'
import { type SearchSource, serveSearch } from '../search/serve.ts'
import { createPool } from './pool.ts'
import { columns, toUser } from './rows.ts'

/** The thread that searches, on a connection of its own. Each node has one, and learns from the change log what others do. */
export interface SearchOptions {
  readonly url: string
}

/** Rows of the log that are taken in rather than reading everybody anew. */
const farthest = 200_000
/** Users that are read in one go. */
const pieceSize = 20_000

/** Where the log was at some time, and which transactions may have been under way then. */
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

export function createSearchSource({ url }: SearchOptions): SearchSource {
  const pool = createPool(url, 1)
  const read = ['id', 'status', ...searchedFields].join(', ')
  /** Up to here every row of the log was seen: a number that is given out may be committed much later. */
  let settled = 0
  let marks: Mark[] = []

  /** Moves on as far as no transaction that could have taken a number is still under way. */
  async function settle(): Promise<number> {
    const text = `SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('changes', 'seq')), 0) AS seq,
      pg_snapshot_xmin(snapshot)::text AS xmin, pg_snapshot_xmax(snapshot)::text AS xmax
      FROM pg_current_snapshot() AS snapshot`
    const [row] = await pool.query({ text, prepare: true })
    const xmin = BigInt(String(row?.xmin))
    const now = Date.now()
    const seq = Number(row?.seq)
    const isOver = ({ xmax, at }: Mark) => xmax <= xmin || now - at > longest
    for (const mark of marks) if (isOver(mark)) settled = Math.max(settled, mark.seq)
    marks = marks.filter((mark) => !isOver(mark))
    if (marks.length < mostMarks) marks.push({ seq, xmax: BigInt(String(row?.xmax)), at: now })
    return seq
  }

  return {
    async *everybody() {
      settled = 0
      marks = []
      const before = await settle()
      for (let after = 0; ; ) {
        const text = `SELECT ${read} FROM users WHERE id > $1 ORDER BY id LIMIT ${pieceSize}`
        const rows = await pool.query({ text, parameters: [after] })
        if (rows.length > 0) yield rows as unknown as readonly Searched[]
        if (rows.length < pieceSize) break
        after = Number(rows.at(-1)?.id)
      }
      // Who took a number before the start may commit after it.
      settled = Math.max(before - overlap, 0)
    },

    async news() {
      const from = settled
      const newest = await settle()
      if (newest - from > farthest) return undefined
      const text = `SELECT ${read} FROM users WHERE id IN (
          SELECT user_id FROM changes WHERE seq > $1 AND (kind <> 'updated' OR fields ?| $2::text[]))`
      const names = `{${[...searchedFields, 'status'].join()}}`
      return (await pool.query({
        text,
        parameters: [from, names],
        prepare: true,
      })) as unknown as readonly Searched[]
    },

    users: async (ids) => {
      const text = `SELECT ${columns.join(', ')} FROM users
        WHERE id IN (SELECT value::bigint FROM jsonb_array_elements_text($1::text::jsonb))`
      return (await pool.query({ text, parameters: [JSON.stringify(ids)], prepare: true })).map(toUser)
    },

    close: () => pool.close(),
  }
}

/** Numbers of the log before the start that are looked at again: of what was under way then. */
const overlap = 50_000

const mostMarks = 1_000

if (parentPort !== null) serveSearch(parentPort, createSearchSource(workerData as SearchOptions))
