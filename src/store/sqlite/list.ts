import type { DatabaseSync } from 'node:sqlite'
import { variantsOf } from '../../directory/caseless.ts'
import { kindOf, type Listing, type ListQuery, type Sortable } from '../../directory/query.ts'
import { createLists } from '../sql/list.ts'
import { columns, toSql, toUser } from './rows.ts'

/** SQLite compares text by its bytes, which is by code points. */
export const lists = createLists({
  column: (name) => name,
  contains: (name, part) => ({ sql: `${textOf(name)} GLOB ?`, values: [`*${globOf(part)}*`] }),
})

/** Reads a page, and the total as it is at the same moment. */
export function list(db: DatabaseSync, query: ListQuery): Listing {
  db.exec('BEGIN')
  try {
    const { sql, values } = lists.page(query)
    const statement = db.prepare(`SELECT ${columns.join(', ')} FROM users ${sql}`)
    statement.setReturnArrays(true)
    const rows = statement.all(...values.map(toSql)) as unknown as Parameters<typeof toUser>[0][]
    return { users: rows.map(toUser), total: query.count ? total(db, query) : undefined }
  } finally {
    db.exec('COMMIT')
  }
}

function total(db: DatabaseSync, query: ListQuery): number {
  const { sql, values } = lists.where(query)
  const row = db.prepare(`SELECT count(*) AS total FROM users WHERE ${sql}`).get(...values.map(toSql))
  return Number(row?.total)
}

/** Outside of a class, only `*`, `?` and `[` stand for something else (sqlite.org/lang_expr.html#glob). */
function globOf(text: string): string {
  return variantsOf(text)
    .map(([char, ...others]) =>
      others.length > 0 || '*?['.includes(char) ? `[${char}${others.join('')}]` : char,
    )
    .join('')
}

function textOf(name: Sortable): string {
  switch (kindOf(name)) {
    case 'number':
      return `CAST(${name} AS TEXT)`
    case 'boolean':
      return `CASE ${name} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END`
    case 'text':
      return name
  }
}
