import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/**
 * Makes this process the owner of a data folder, until it lets go or ends, however it ends.
 * SQLite's own lock on a file of its own serves, since Node.js has no other that the system takes
 * back from a process that was killed.
 * @returns a function that gives the folder up, or undefined where another process owns it
 */
export function own(folder: string): (() => void) | undefined {
  const path = join(folder, 'owner.lock')
  const lock = new DatabaseSync(path, { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === 5) return undefined
    throw error
  }
  chmodSync(path, 0o600)
  return () => lock.close()
}
