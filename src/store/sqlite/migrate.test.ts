import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { catalogue, fieldNames } from '../../directory/fields.ts'
import { migrate, migrations, newestVersion } from './migrate.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roster-migrate-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function using<T>(name: string, work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(join(folder, name))
  try {
    return work(db)
  } finally {
    db.close()
  }
}

const versionOf = (db: DatabaseSync) => db.prepare('PRAGMA user_version').get()?.user_version
const schemaOf = (db: DatabaseSync) =>
  db.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name').all()

describe('migrations', () => {
  it('each have a number of their own, the newest the greatest', () => {
    const versions = migrations.map(({ version }) => version)
    expect(versions).toEqual([...new Set(versions)].toSorted((a, b) => a - b))
    expect(newestVersion).toBe(versions.at(-1))
  })

  it('make the same schema step by step, reopened each time, as in one go', () => {
    expect(using('stepwise', schemaOf)).toEqual([])
    for (const { version } of migrations) {
      using('stepwise', (db) => migrate(db, version))
      expect(using('stepwise', versionOf)).toBe(version)
    }
    using('at once', migrate)
    expect(using('at once', versionOf)).toBe(newestVersion)
    expect(using('stepwise', schemaOf)).toEqual(using('at once', schemaOf))
    expect(using('at once', schemaOf)).not.toEqual([])
  })

  it('go no further than asked, and change nothing where nothing is left to do', () => {
    using('none', (db) => migrate(db, 0))
    expect(using('none', (db) => [versionOf(db), schemaOf(db)])).toEqual([0, []])
    using('twice', migrate)
    using('twice', (db) => db.exec('UPDATE allocator SET next_id = 42'))
    const before = using('twice', schemaOf)
    using('twice', migrate)
    expect(using('twice', schemaOf)).toEqual(before)
    expect(using('twice', (db) => db.prepare('SELECT * FROM allocator').all())).toEqual([{ next_id: 42 }])
  })

  it('refuse a database of a newer Roster, naming both versions', () => {
    using('newer', (db) => db.exec(`PRAGMA user_version = ${newestVersion + 1}`))
    expect(() => using('newer', migrate)).toThrow(
      `The database has schema version ${newestVersion + 1}, this Roster knows ${newestVersion}`,
    )
    expect(using('newer', schemaOf)).toEqual([])
  })

  it('give users a column for every field of the catalogue, nullable and of its type, and the system’s own', () => {
    using('columns', migrate)
    const rows = using('columns', (db) =>
      db.prepare(`SELECT name, type, "notnull" FROM pragma_table_info('users')`).all(),
    )
    const system = {
      id: 'INTEGER',
      uid: 'TEXT',
      status: 'TEXT',
      version: 'INTEGER',
      created_at: 'INTEGER',
      updated_at: 'INTEGER',
      email_change: 'TEXT',
      last_change: 'INTEGER',
    }
    const fields = fieldNames.map((name) => {
      const { type } = catalogue[name].schema
      return [name, type === 'boolean' || type === 'integer' ? 'INTEGER' : 'TEXT']
    })
    const types = Object.fromEntries(rows.map(({ name, type }) => [name, type]))
    expect(types).toEqual({ ...system, ...Object.fromEntries(fields) })
    const nullable = rows.filter(({ notnull }) => notnull === 0).map(({ name }) => name)
    // SQLite tells of a primary key as of any column; an INTEGER one is never null all the same.
    expect(nullable.toSorted()).toEqual(['id', 'email_change', ...fieldNames].toSorted())
  })
})
