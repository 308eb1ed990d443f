import { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { ListQuery } from '../../directory/query.ts'
import { createListReader } from './list.ts'
import { type Packed, pack } from './rows.ts'

/**
 * A thread that reads lists, on a connection of its own that can not write and sees what is on disk:
 * a list that takes long keeps nobody waiting but other lists of its kind.
 */
export interface ReaderOptions {
  readonly path: string
}

/** Of a list its users are wanted, or all their ids. */
export type Asked = { readonly query: ListQuery } | { readonly idsOf: ListQuery }
export type ToReader = Asked | { readonly close: true }
/** The users as JSON text, as between the writer and the main thread. */
export type ReadUsers = { readonly users: string; readonly total: number | undefined }
export type ReadIds = { readonly ids: Float64Array }
export type Read = ReadUsers | ReadIds
export type FromReader = Read | { readonly failed: Error }

export type PackedUsers = readonly Packed[]

/** Milliseconds between looks at the change log while lists are asked for. */
const betweenLooks = 500
/** Looks after the last list. */
const looks = 60

function serve(port: MessagePort, { path }: ReaderOptions): void {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
  db.exec('PRAGMA cache_size = -4096; PRAGMA query_only = ON')
  const reader = createListReader(db)
  let left = 0

  const timer = setInterval(() => {
    if (left-- > 0) reader.catchUp()
  }, betweenLooks).unref()

  function answer(asked: Asked): FromReader {
    try {
      if ('idsOf' in asked) return { ids: reader.listIds(asked.idsOf) }
      const { users, total } = reader.list(asked.query)
      return { users: JSON.stringify(users.map(pack)), total }
    } catch (error) {
      return { failed: error instanceof Error ? error : new Error(String(error)) }
    }
  }

  port.on('message', (message: ToReader) => {
    if ('close' in message) {
      clearInterval(timer)
      db.close()
      port.close()
      return
    }
    left = looks
    port.postMessage(answer(message))
  })
}

if (parentPort !== null) serve(parentPort, workerData as ReaderOptions)
