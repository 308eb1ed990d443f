import { variantsOf, withoutCase } from '../../directory/caseless.ts'
import { unavailable } from '../../directory/errors.ts'
import { kindOf, type Listing, type ListQuery, type Sortable } from '../../directory/query.ts'
import type { User } from '../../directory/user.ts'
import { isQuick } from '../sql/cost.ts'
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

type Read = (statement: Statement) => Promise<readonly Row[]>

/** Lists that look at everybody at a time: the others leave connections for everything else. */
const mostAtOnce = 2
/** Those that may wait; the next one is turned away. */
const mostWaiting = 64
/** Milliseconds that such a one may take. */
const longest = 15_000

const besides: ReadonlySet<Sortable> = new Set(['phone'])

/** Reads lists: those that an index leads to at once, the others a few at a time. */
export function createListReader(read: Read) {
  const waiting = new Set<() => void>()
  let underWay = 0

  /** @throws DirectoryError `unavailable` when too many wait already, or nobody waits for it any more */
  async function inTurn<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (underWay >= mostAtOnce) await turn(signal)
    else underWay++
    try {
      return await work()
    } finally {
      const [next] = waiting
      if (next === undefined) underWay--
      else next()
    }
  }

  function turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (waiting.size >= mostWaiting) return reject(unavailable('Too many lists are waiting'))
      const begin = () => {
        waiting.delete(begin)
        resolve()
      }
      waiting.add(begin)
      // What nobody waits for any more is not read.
      signal?.addEventListener('abort', () => {
        if (waiting.delete(begin)) reject(unavailable('The caller has gone'))
      })
    })
  }

  /** Both are of the moment of their statement. */
  async function list(query: ListQuery, more: Partial<Statement>): Promise<Listing> {
    const users: User[] = []
    for (const part of lists.page(query)) {
      const page = part(users.length)
      const select = numbered(`SELECT ${columns.join(', ')} FROM users ${page.sql}`, page)
      users.push(...(await read({ ...select, ...more })).map(toUser))
      if (users.length >= query.limit) break
    }
    if (!query.count) return { users, total: undefined }
    const where = lists.where(query)
    const count = numbered(`SELECT count(*) AS total FROM users WHERE ${where.sql}`, where)
    const [row] = await read({ ...count, ...more })
    return { users, total: Number(row?.total) }
  }

  return (query: ListQuery, signal?: AbortSignal): Promise<Listing> =>
    isQuick(query, besides) ? list(query, {}) : inTurn(() => list(query, { answerWithin: longest }), signal)
}
