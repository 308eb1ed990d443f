import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import type { User } from '../../directory/user.ts'
import { type Searched, searchedFields } from '../search/people.ts'
import { type SearchSource, serveSearch } from '../search/serve.ts'
import { createLogTail } from './log-tail.ts'
import { columns, toUser } from './rows.ts'

/** The thread that searches, on a connection of its own that sees what is on disk. */
export interface SearchOptions {
  readonly path: string
}

/** Rows of the log that are taken in rather than reading everybody anew. */
const farthest = 200_000
/** Users that are read in one go. */
const pieceSize = 500

export function createSearchSource({ path }: SearchOptions): SearchSource {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
  db.exec('PRAGMA cache_size = -2048; PRAGMA query_only = ON')
  const tail = createLogTail(db)
  const read = ['id', 'status', ...searchedFields]
  const piece = db.prepare(`SELECT ${read.join(', ')} FROM users WHERE id > ? ORDER BY id LIMIT ${pieceSize}`)
  const size = db.prepare('SELECT count(*) AS size FROM users')
  const some = db.prepare(`SELECT ${read.join(', ')} FROM users WHERE id IN (SELECT value FROM json_each(?))`)
  const whole = db.prepare(
    `SELECT ${columns.join(', ')} FROM users WHERE id IN (SELECT value FROM json_each(?))`,
  )
  whole.setReturnArrays(true)
  let seq = 0

  return {
    size: async () => Number(size.get()?.size),

    *everybody() {
      seq = tail.newest()
      for (let after = 0; ; ) {
        const rows = piece.all(after)
        if (rows.length > 0) yield rows.map(toSearched)
        if (rows.length < pieceSize) return
        after = Number(rows.at(-1)?.id)
      }
    },

    async news() {
      const newest = tail.newest()
      if (newest - seq > farthest) return undefined
      if (newest === seq) return []
      const ids = new Set(tail.since(seq, searchedFields).map(({ userId }) => userId))
      // Read after the log, so no older than it.
      const rows = ids.size === 0 ? [] : some.all(JSON.stringify([...ids]))
      seq = newest
      return rows.map(toSearched)
    },

    users: async (ids) => {
      const rows = whole.all(JSON.stringify(ids)) as unknown as Parameters<typeof toUser>[0][]
      return rows.map(toUser)
    },

    close: async () => db.close(),
  }
}

function toSearched(row: Readonly<Record<string, unknown>>): Searched {
  const { tags } = row
  return { ...row, tags: typeof tags === 'string' ? (JSON.parse(tags) as User['tags']) : null } as Searched
}

if (parentPort !== null) serveSearch(parentPort, createSearchSource(workerData as SearchOptions))
