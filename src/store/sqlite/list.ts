import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import { variantsOf } from '../../directory/caseless.ts'
import { catalogue, type FieldName } from '../../directory/fields.ts'
import {
  type Condition,
  conditionOf,
  kindOf,
  type Listing,
  type ListQuery,
  type Sortable,
} from '../../directory/query.ts'
import type { User } from '../../directory/user.ts'
import { claimed, createLists, holders, type Sql } from '../sql/list.ts'
import { countingOf, createKept } from '../sql/totals.ts'
import { createLogTail } from './log-tail.ts'
import { createMemoryIndex, type MemoryIndex } from './memory-index.ts'
import { columns, toSql, toUser } from './rows.ts'

/** SQLite compares text by its bytes, which is by code points. */
export const lists = createLists({
  column: (name) => name,
  contains: (name, part) => ({ sql: `${textOf(name)} GLOB ?`, values: [`*${globOf(part)}*`] }),
})

/** Indexes in memory that are kept at a time, some 20 MB each with a million people. */
const mostIndexes = 3

const mostStatements = 100

/** Rows of the log that are read rather than counting anew. */
const farthest = 20_000

/** Reads lists on a connection, and keeps what makes the next ones quick: totals, and indexes that the file has not. */
export function createListReader(db: DatabaseSync) {
  const tail = createLogTail(db)
  /** Totals, each with the newest row of the log when it was right. */
  const totals = createKept<{ readonly total: number; readonly seq: number }>()
  const indexes = new Map<FieldName, MemoryIndex>()

  function indexOf(field: FieldName): MemoryIndex {
    const index = indexes.get(field) ?? createMemoryIndex(db, tail, field)
    indexes.delete(field)
    indexes.set(field, index)
    const [oldest] = indexes.keys()
    if (indexes.size > mostIndexes && oldest !== undefined) indexes.delete(oldest)
    return index
  }

  /** Who comes into question, where something knows that better than the file's indexes of users. */
  function candidates({ filters }: ListQuery): readonly Sql[] {
    for (const condition of filters.map(conditionOf)) {
      const sql = holders(condition) ?? remembered(condition)
      if (sql !== undefined) return [sql]
    }
    return []
  }

  function remembered(condition: Condition): Sql | undefined {
    if (condition.test !== 'in' || !isRemembered(condition.name)) return undefined
    const ids = indexOf(condition.name).find(condition.values.map(String))
    return ids && { sql: `id IN (${ids.join(', ')})`, values: [] }
  }

  const begin = db.prepare('BEGIN')
  const commit = db.prepare('COMMIT')
  /** Those that were used lately: preparing one takes as long as running it. */
  const statements = new Map<string, StatementSync>()

  function inTransaction<T>(work: () => T): T {
    begin.run()
    try {
      return work()
    } finally {
      commit.run()
    }
  }

  /** @returns rows as arrays */
  function rowsOf(text: string, values: Sql['values']): readonly (readonly SQLOutputValue[])[] {
    const statement = statements.get(text) ?? db.prepare(text)
    if (!statements.has(text)) {
      statement.setReturnArrays(true)
      if (statements.size >= mostStatements) statements.clear()
      statements.set(text, statement)
    }
    return statement.all(...values.map(toSql)) as unknown as SQLOutputValue[][]
  }

  function read(query: ListQuery): Listing {
    const few = candidates(query)
    if (!query.count) return { users: pageOf(query, few), total: undefined }
    let found: readonly number[] | undefined
    const count = () => {
      if (few.length > 0 || !isScan(query)) return countUsers(lists.where(query, few), isAnybody(query))
      found = idsOf({ ...query, offset: 0, limit: -1 }, few)
      return found.length
    }
    const total = few.length === 0 ? totalOf(query, count) : count()
    if (found === undefined) return { users: pageOf(query, few), total }
    return { users: usersInOrder(found.slice(query.offset, query.offset + query.limit)), total }
  }

  /** @param count counts in the read transaction under way */
  function totalOf(query: ListQuery, count: () => number): number {
    const counting = countingOf(query)
    if (counting === undefined) return count()
    const seq = tail.newest()
    const known = totals.get(counting.key)
    const isNear = known !== undefined && seq - known.seq <= farthest
    const told = isNear ? counting.adjusted(known.total, tail.since(known.seq, counting.fields)) : undefined
    const total = told ?? count()
    totals.set(counting.key, { total, seq })
    return total
  }

  function pageOf(query: ListQuery, more: readonly Sql[]): User[] {
    const users: User[] = []
    for (const part of lists.page(query, more)) {
      users.push(...usersOf(part(users.length)))
      if (users.length >= query.limit) break
    }
    return users
  }

  function usersOf({ sql, values }: Sql): User[] {
    return rowsOf(`SELECT ${columns.join(', ')} FROM users ${sql}`, values).map(toUser)
  }

  function usersInOrder(ids: readonly number[]): User[] {
    const users = usersOf({ sql: `WHERE id IN (${ids.join(', ')})`, values: [] })
    const byId = new Map(users.map((user) => [user.id, user]))
    return ids.flatMap((id) => byId.get(id) ?? [])
  }

  function idsOf(query: ListQuery, more: readonly Sql[]): number[] {
    const ids: number[] = []
    for (const part of lists.page(query, more)) {
      const { sql, values } = part(ids.length)
      const statement = db.prepare(`SELECT id FROM users ${sql}`)
      statement.setReturnArrays(true)
      for (const row of statement.iterate(...values.map(toSql))) ids.push((row as unknown as [number])[0])
    }
    return ids
  }

  /** @param anybody whether nothing else is asked than to be seen: then the smallest index has the answer */
  function countUsers({ sql, values }: Sql, anybody: boolean): number {
    const by = anybody ? ' INDEXED BY users_interested_in' : ''
    return Number(rowsOf(`SELECT count(*) FROM users${by} WHERE ${sql}`, values)[0]?.[0])
  }

  return {
    /** A page, and the total as it is at the same moment. */
    list: (query: ListQuery): Listing => inTransaction(() => read(query)),

    listIds: (query: ListQuery): Float64Array =>
      inTransaction(() => Float64Array.from(idsOf(query, candidates(query)))),

    /** Takes in what was written meanwhile, so that the next list need not. */
    catchUp: (): void => inTransaction(() => indexes.forEach((index) => void index.catchUp())),
  }
}

function isAnybody({ filters, search }: ListQuery): boolean {
  return filters.length === 0 && search === undefined
}

/** Whether every text has to be looked into: then the page is found on the way to the total. */
function isScan({ filters, search, after }: ListQuery): boolean {
  return (
    after === undefined && (search !== undefined || filters.some(({ comparison }) => comparison === 'like'))
  )
}

const indexed: ReadonlySet<string> = new Set([
  'email',
  'last_name',
  'first_name',
  'interested_in',
  ...claimed,
])

/** Texts of which most people have one of their own, and that have no index in the file. */
export function isRemembered(name: Sortable): name is Exclude<FieldName, 'tags'> {
  if (!(name in catalogue) || indexed.has(name) || name === 'role' || kindOf(name) !== 'text') return false
  return catalogue[name as FieldName].schema.enum === undefined
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
