import { equal, ok } from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import postgres from 'postgres'

/**
 * Whether a directory holds what was answered: a row of the change log for each update, no version
 * without one, and in every user the value that the newest row says.
 */
export interface Expected {
  /** Updates that were answered. */
  readonly answered: number
  /** Updates that were under way when a run ended: carried out or not, nobody was told. */
  readonly untold: number
}

type Read = (sql: string) => Promise<Readonly<Record<string, unknown>> | undefined>

async function check(read: Read, newest: string, phone: string, expected: Expected): Promise<void> {
  const number = async (sql: string) => Number((await read(sql))?.n)
  const rows = await number("SELECT count(*) AS n FROM changes WHERE kind = 'updated'")
  equal(await number('SELECT sum(version - 1) AS n FROM users'), rows, 'versions without a row in the log')
  const differ = `SELECT count(*) AS n FROM users JOIN changes ON ${newest} WHERE ${phone} <> users.phone`
  equal(await number(differ), 0, 'users who are not as the log says')
  const { answered, untold } = expected
  ok(rows >= answered, `the log has ${rows} rows for ${answered} answered updates`)
  ok(rows <= answered + untold, `the log has ${rows} rows for ${answered} updates and ${untold} untold`)
}

export async function checkSqlite(folder: string, expected: Expected): Promise<void> {
  const db = new DatabaseSync(join(folder, 'roster.db'), { readOnly: true })
  const phone = "json_extract(changes.fields, '$.phone[1]')"
  await check(async (sql) => db.prepare(sql).get(), 'seq = last_change', phone, expected)
  db.close()
}

export async function checkPostgres(url: string, expected: Expected): Promise<void> {
  const sql = postgres(url, { max: 1 })
  const newest = 'changes.user_id = users.id AND changes.version = users.version'
  const phone = "changes.fields -> 'phone' ->> 1"
  await check(async (text) => (await sql.unsafe(text))[0], newest, phone, expected)
  await sql.end()
}
