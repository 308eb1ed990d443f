import { parentPort, workerData } from 'node:worker_threads'
import { type Searched, searchedFields } from '../search/people.ts'
import { type SearchSource, serveSearch } from '../search/serve.ts'
import { createLogTail, type Position } from './log-tail.ts'
import { createPool } from './pool.ts'
import { createRead } from './read.ts'
import { columns, toUser } from './rows.ts'

/** The thread that searches, on a connection of its own. Each node has one, and learns from the change log what others do. */
export interface SearchOptions {
  readonly url: string
}

/** Rows of the log since the last news that are taken in rather than reading everybody anew. */
const farthest = 200_000
/** Users that are read in one go, and rows of the log that are looked through. */
const [pieceSize, logPieceSize] = [2_000, 20_000]
/** A snapshot in which nothing is visible. */
const empty = '1:1:'

export function createSearchSource({ url }: SearchOptions): SearchSource {
  const pool = createPool(url, 1)
  const read = createRead(pool.query)
  const searched = ['id', 'status', ...searchedFields].join(', ')
  const tail = createLogTail(read)
  /** What is visible from here has been taken in. */
  let taken: Position | undefined

  /**
   * Those of whom something is visible now that was not at a position, piece by piece. What is settled there is
   * passed over; what lies behind that is looked through as often as it takes, and told once.
   */
  async function* changedSince(from: Position, to: Position) {
    const text = `SELECT ${searched} FROM users WHERE id IN (
        SELECT user_id FROM changes WHERE seq > $1 AND seq <= $2
          AND NOT pg_visible_in_snapshot(tx, $3::text::pg_snapshot) AND (kind <> 'updated' OR fields ?| $4::text[]))`
    const names = `{${[...searchedFields, 'status'].join()}}`
    const known = from.connection === to.connection ? from.snapshot : empty
    for (let after = from.settled; after < to.newest; after += logPieceSize) {
      const parameters = [after, Math.min(after + logPieceSize, to.newest), known, names]
      const rows = await read({ text, parameters, prepare: true })
      if (rows.length > 0) yield rows as unknown as readonly Searched[]
    }
  }

  return {
    async size() {
      // As the server estimates it: counting would read the whole table once more.
      const text = `SELECT greatest(reltuples, 0)::bigint AS size FROM pg_class WHERE oid = 'users'::regclass`
      const [row] = await read({ text, parameters: [] })
      return Number(row?.size ?? 0)
    },

    async *everybody() {
      const from = await tail.look()
      for (let after = 0; ; ) {
        const text = `SELECT ${searched} FROM users WHERE id > $1 ORDER BY id LIMIT ${pieceSize}`
        const rows = await read({ text, parameters: [after] })
        if (rows.length > 0) yield rows as unknown as readonly Searched[]
        if (rows.length < pieceSize) break
        after = Number(rows.at(-1)?.id)
      }
      // However much came meanwhile: less will come while that is read.
      taken = await tail.look()
      yield* changedSince(from, taken)
    },

    async news() {
      const to = await tail.look()
      if (taken === undefined || to.newest - taken.newest > farthest) return undefined
      const pieces = await Array.fromAsync(changedSince(taken, to))
      taken = to
      return pieces.flat()
    },

    users: async (ids) => {
      const text = `SELECT ${columns.join(', ')} FROM users
        WHERE id IN (SELECT value::bigint FROM jsonb_array_elements_text($1::text::jsonb))`
      return (await read({ text, parameters: [JSON.stringify(ids)], prepare: true })).map(toUser)
    },

    close: () => pool.close(),
  }
}

if (parentPort !== null) serveSearch(parentPort, createSearchSource(workerData as SearchOptions))
