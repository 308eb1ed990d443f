import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import type { FieldName } from '../../directory/fields.ts'
import type { LogTail } from './log-tail.ts'

/**
 * An index of one field in memory, for exact matches on a field that has none in the file: built when
 * it is first needed, kept up to date by the change log, so that writing pays nothing for it. It may
 * name users who had the value once; whoever asks looks at the row anyway. It never leaves anybody
 * out whom the read transaction under way can see.
 */
export interface MemoryIndex {
  /** Ids of users who may have one of the values; undefined where there are more than are worth looking at. */
  readonly find: (values: readonly string[]) => number[] | undefined
  /** Takes in what the log has, so that the next one who asks need not wait for it. */
  readonly catchUp: () => void
}

/** Rows of the log that are taken in rather than building anew. */
const farthest = 200_000

/** Candidates that are looked at one by one. */
const mostCandidates = 1_000

export function createMemoryIndex(db: DatabaseSync, tail: LogTail, field: FieldName): MemoryIndex {
  const everybody = db.prepare(
    `SELECT id, ${field} FROM users WHERE status IN ('active', 'blocked') AND ${field} IS NOT NULL`,
  )
  everybody.setReturnArrays(true)
  const count = db.prepare('SELECT count(*) AS users FROM users')
  const current = db.prepare(`SELECT ${field} AS value FROM users WHERE id = ?`)
  let table = createTable(0)
  let built = 0
  let seq: number | undefined

  function build(): void {
    table = createTable(Number(count.get()?.users))
    for (const row of everybody.iterate()) {
      const [id, value] = row as unknown as SQLOutputValue[]
      table.add(String(value), Number(id))
    }
    built = table.size()
  }

  function catchUp(): void {
    const newest = tail.newest()
    // Values that were given up stay until there are as many of them as of others.
    const isWorn = table.size() > 2 * built + farthest
    if (seq === undefined || newest - seq > farthest || isWorn) build()
    else {
      for (const { userId, fields } of tail.since(seq, [field])) {
        const [, value] = fields[field] ?? [null, current.get(userId)?.value ?? null]
        if (typeof value === 'string') table.add(value, userId)
      }
    }
    seq = newest
  }

  return {
    catchUp,
    find(values) {
      catchUp()
      const ids = new Set<number>()
      for (const value of values) {
        for (const id of table.get(value)) {
          ids.add(id)
          if (ids.size > mostCandidates) return undefined
        }
      }
      return [...ids]
    },
  }
}

/** Ids by a hash of the value, chained: some 20 bytes for each, and no value is kept. */
function createTable(expected: number) {
  let size = Math.max(1_024, Math.ceil(expected * 1.1))
  let count = 0
  let heads = new Int32Array(0)
  let next = new Int32Array(0)
  let hashes = new Uint32Array(0)
  let ids = new Float64Array(0)
  allot()

  /** Arrays of the size, with the entries that there are. */
  function allot(): void {
    const [oldHashes, oldIds, entries] = [hashes, ids, count]
    heads = new Int32Array(2 ** Math.floor(Math.log2(size)))
    next = new Int32Array(size + 1)
    hashes = new Uint32Array(size + 1)
    ids = new Float64Array(size + 1)
    count = 0
    for (let i = 1; i <= entries; i++) put(oldHashes[i] ?? 0, oldIds[i] ?? 0)
  }

  function put(hash: number, id: number): void {
    count++
    const at = hash & (heads.length - 1)
    hashes[count] = hash
    ids[count] = id
    next[count] = heads[at] ?? 0
    heads[at] = count
  }

  return {
    add(value: string, id: number): void {
      if (count >= size) {
        size = Math.ceil(size * 1.5)
        allot()
      }
      put(hashOf(value), id)
    },

    *get(value: string): Generator<number> {
      const hash = hashOf(value)
      for (let at = heads[hash & (heads.length - 1)] ?? 0; at !== 0; at = next[at] ?? 0) {
        if (hashes[at] === hash) yield ids[at] ?? 0
      }
    },

    size: () => count,
  }
}

/** FNV-1a over UTF-16 units. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
