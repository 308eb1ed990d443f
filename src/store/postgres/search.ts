import { parentPort, workerData } from 'node:worker_threads'
import { type Searched, searchedFields } from '../search/people.ts'
import { type SearchSource, serveSearch } from '../search/serve.ts'
import { createLogTail } from './log-tail.ts'
import { createPool } from './pool.ts'
import { createRead } from './read.ts'
import { columns, toUser } from './rows.ts'

/** The thread that searches, on a connection of its own. Each node has one, and learns from the change log what others do. */
export interface SearchOptions {
  readonly url: string
}

/** Rows of the log that are taken in rather than reading everybody anew. */
const farthest = 200_000
/** Users that are read in one go. */
const pieceSize = 2_000

export function createSearchSource({ url }: SearchOptions): SearchSource {
  const pool = createPool(url, 1)
  const read = createRead(pool.query)
  const searched = ['id', 'status', ...searchedFields].join(', ')
  const tail = createLogTail(read)
  /** Up to here every row of the log has been taken in. */
  let taken = 0

  return {
    async size() {
      // As the server estimates it: counting would read the whole table once more.
      const text = `SELECT greatest(reltuples, 0)::bigint AS size FROM pg_class WHERE oid = 'users'::regclass`
      const [row] = await read({ text, parameters: [] })
      return Number(row?.size ?? 0)
    },

    async *everybody() {
      ;({ settled: taken } = await tail.look())
      for (let after = 0; ; ) {
        const text = `SELECT ${searched} FROM users WHERE id > $1 ORDER BY id LIMIT ${pieceSize}`
        const rows = await read({ text, parameters: [after] })
        if (rows.length > 0) yield rows as unknown as readonly Searched[]
        if (rows.length < pieceSize) break
        after = Number(rows.at(-1)?.id)
      }
    },

    async news() {
      const from = taken
      const { newest, settled } = await tail.look()
      if (newest - from > farthest) return undefined
      const text = `SELECT ${searched} FROM users WHERE id IN (
          SELECT user_id FROM changes WHERE seq > $1 AND (kind <> 'updated' OR fields ?| $2::text[]))`
      const names = `{${[...searchedFields, 'status'].join()}}`
      const rows = await read({ text, parameters: [from, names], prepare: true })
      taken = settled
      return rows as unknown as readonly Searched[]
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
