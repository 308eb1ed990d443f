import { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { isFailedSync } from './group.ts'

/**
 * A thread that copies the write-ahead log into the database while the writer goes on: with a large
 * directory nearly every update is a page of its own, and the writer would stand still for as long as
 * it takes to write and sync thousands of them.
 *
 * It copies again what came in meanwhile, until that is little or it will not become less. The rest
 * is left to the writer, since the log starts anew only when all of it has been copied.
 */
export interface CopierOptions {
  readonly path: string
}

export type ToCopier = 'copy' | 'close'
/** `failed` is why a sync of the database failed. */
export type FromCopier = { readonly nearlyAll: true } | { readonly failed: string }

/** Pages that the writer copies in a moment. */
const little = 300
const rounds = 5

function serve(port: MessagePort, { path }: CopierOptions): void {
  const db = new DatabaseSync(path, { timeout: 5_000 })
  db.exec('PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA checkpoint_fullfsync = ON')
  const checkpoint = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')

  function copy(): FromCopier {
    try {
      for (let round = 0, before = 0; round < rounds; round++) {
        const pages = Number(checkpoint.get()?.log)
        if (pages - before < little) break
        before = pages
      }
    } catch (error) {
      // A full disk only delays the copy.
      if (isFailedSync(error)) return { failed: String(error) }
    }
    return { nearlyAll: true }
  }

  port.on('message', (message: ToCopier) => {
    if (message === 'copy') return port.postMessage(copy())
    db.close()
    port.close()
  })
}

if (parentPort !== null) serve(parentPort, workerData as CopierOptions)
