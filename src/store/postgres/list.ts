import { variantsOf, withoutCase } from '../../directory/caseless.ts'
import { kindOf, type Listing, type ListQuery } from '../../directory/query.ts'
import { createLists, type Sql } from '../sql/list.ts'
import type { Row, Statement } from './pool.ts'
import { columns, toUser } from './rows.ts'

/** Text is compared by its bytes, which is by code points, whatever the database's own order is. */
export const lists = createLists({
  column: (name) => (kindOf(name) === 'text' ? `${name} COLLATE "C"` : name),
  contains: (name, part) => {
    const variants = variantsOf(part)
    const [others, firsts] = [variants.map(([, ...rest]) => rest), variants.map(([first]) => first)]
    const from = others.flat().join('')
    const to = others.flatMap((rest, i) => rest.map(() => firsts[i])).join('')
    const text = `translate(${name}::text, ?::text, ?::text)`
    return { sql: `strpos(${text}, ?::text) > 0`, values: [from, to, withoutCase(part)] }
  },
})

/** A statement with its parameters numbered, as PostgreSQL wants them. */
export function numbered(text: string, { values }: Pick<Sql, 'values'>): Statement {
  let number = 0
  return { text: text.replaceAll('?', () => `$${++number}`), parameters: values }
}

/** Reads a page and the total. Both are of the moment of their statement. */
export async function list(
  read: (statement: Statement) => Promise<readonly Row[]>,
  query: ListQuery,
): Promise<Listing> {
  const page = lists.page(query)
  const rows = await read(numbered(`SELECT ${columns.join(', ')} FROM users ${page.sql}`, page))
  if (!query.count) return { users: rows.map(toUser), total: undefined }
  const where = lists.where(query)
  const [row] = await read(numbered(`SELECT count(*) AS total FROM users WHERE ${where.sql}`, where))
  return { users: rows.map(toUser), total: Number(row?.total) }
}
