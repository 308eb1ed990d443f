import { randomUUID } from 'node:crypto'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { createGroups } from '../src/store/sqlite/group.ts'
import { rules } from './seed.ts'

/** Microseconds of an update in the writer, by statement: the adapter's own code over a copy of a directory. */
export interface StatementTimes {
  readonly group: number
  readonly parts: Readonly<Record<string, number>>
}

const updates = 16_000

/** @param group how many updates share a transaction */
export function timeStatements(folder: string, copy: string, group: number): StatementTimes {
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') })
  const db = new DatabaseSync(join(copy, 'roster.db'))
  // As the writer has it (src/store/sqlite/writer.ts); the file itself knows the rest.
  db.exec('PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -65536')
  const spent = new Map<string, number>()
  const commit = createGroups(watched(db, spent), rules)
  const actor = { kind: 'anonymous', id: null, scopes: ['read', 'write'], contract: 'adoption' } as const
  let began = 0
  // The first half warms up.
  for (let sent = 0; sent < 2 * updates; sent += group) {
    if (sent >= updates && began === 0) {
      spent.clear()
      began = performance.now()
    }
    const commands = Array.from({ length: group }, (_, i) => ({
      ...({ kind: 'update', id: ((sent + i) % 1000) + 1, patch: { phone: `${sent + i}` } } as const),
      ...{ actor, changeId: randomUUID(), requestId: `req-${randomUUID()}`, at: Date.now() },
    }))
    if (commit(commands).some(({ outcome }) => outcome !== 'committed')) throw new Error('not committed')
  }
  const total = performance.now() - began
  db.close()
  const known = [...spent].map(([name, ms]) => [name, (ms / updates) * 1000] as const)
  const rest = (total / updates) * 1000 - known.reduce((all, [, us]) => all + us, 0)
  return { group, parts: { ...Object.fromEntries(known), 'deciding and the rest': rest } }
}

function watched(db: DatabaseSync, spent: Map<string, number>): DatabaseSync {
  function prepare(sql: string) {
    const statement = db.prepare(sql)
    const name = nameOf(sql)
    const timed =
      <T>(call: (...values: SQLInputValue[]) => T) =>
      (...values: SQLInputValue[]): T => {
        const began = performance.now()
        const result = call(...values)
        spent.set(name, (spent.get(name) ?? 0) + performance.now() - began)
        return result
      }
    return {
      run: timed((...values) => statement.run(...values)),
      get: timed((...values) => statement.get(...values)),
      setReturnArrays: (on: boolean) => statement.setReturnArrays(on),
    }
  }
  return { prepare, isTransaction: true } as unknown as DatabaseSync
}

function nameOf(sql: string): string {
  if (/^BEGIN/.test(sql)) return 'BEGIN, shared'
  if (/^COMMIT/.test(sql)) return 'COMMIT with its sync, shared'
  if (/INSERT INTO changes/.test(sql)) return 'the row of the change log'
  if (/^UPDATE users/.test(sql)) return 'the row of the user'
  return 'reading the user'
}
