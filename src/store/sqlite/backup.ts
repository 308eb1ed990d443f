import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/**
 * Copies the database while a server writes to it, as it is at one moment. `VACUUM INTO` reads in one
 * transaction, so writes neither stop for it nor make it start over, as they do with SQLite's backup
 * interface; and nothing of what was freed is in the copy.
 * @param file must not be there yet; the copy is put there once it is whole, checked and on disk
 * @throws Error in words
 */
export function backupSqlite(folder: string, file: string): void {
  if (existsSync(file)) throw new Error(`${file} is there already`)
  const temporary = `${file}.${crypto.randomUUID()}.part`
  try {
    closeSync(openSync(temporary, 'wx', 0o600))
    const db = new DatabaseSync(join(folder, 'roster.db'), { readOnly: true, timeout: 5_000 })
    try {
      db.prepare('VACUUM INTO ?').run(temporary)
    } finally {
      db.close()
    }
    check(temporary)
    sync(temporary)
    // A link is refused where a file is; a rename would replace it.
    linkSync(temporary, file)
    // A name is on disk when its folder is (fsync(2)).
    sync(dirname(file))
  } finally {
    rmSync(temporary, { force: true })
  }
}

function check(path: string): void {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const found = String(db.prepare('PRAGMA integrity_check').get()?.integrity_check)
    if (found !== 'ok') throw new Error(`The copy is damaged: ${found}`)
  } finally {
    db.close()
  }
}

/** The copy is nobody's database yet, so it may be opened as a file. */
function sync(path: string): void {
  const file = openSync(path, 'r')
  fsyncSync(file)
  closeSync(file)
}
