import { type ClaimKind, claim } from '../../directory/claims.ts'
import { catalogue } from '../../directory/fields.ts'
import {
  type Comparable,
  type Condition,
  type Conditions,
  canBeIn,
  conditionOf,
  type ListQuery,
  type Position,
  type Search,
  type Sort,
  type Sortable,
} from '../../directory/query.ts'

/** Lists in SQL: what the stores' databases have in common. */

/** A piece of SQL with the values of its parameters, which are written `?`, in their order. */
export interface Sql {
  readonly sql: string
  readonly values: readonly (Comparable | null)[]
}

/** Where the databases differ. */
export interface Dialect {
  /** The column, as something that is compared and sorted by code points where it is text. */
  readonly column: (name: Sortable) => string
  /** Whether a part is in the text of a column, whatever the case. */
  readonly contains: (name: Sortable, part: string) => Sql
}

export function createLists({ column, contains }: Dialect) {
  function conditionsOf({ filters, search }: Conditions): Sql[] {
    return [
      visible,
      ...filters.map((filter) => compile(conditionOf(filter))),
      ...(search === undefined ? [] : [compileSearch(search)]),
    ]
  }

  function compile(condition: Condition): Sql {
    switch (condition.test) {
      case 'none':
        return nobody
      case 'any':
        return { sql: `${condition.name} IS NOT NULL`, values: [] }
      case 'in':
      case 'notIn': {
        const { name, test, values } = condition
        const marks = values.map(() => '?').join(', ')
        return { sql: `${column(name)} ${test === 'in' ? 'IN' : 'NOT IN'} (${marks})`, values }
      }
      case 'atLeast':
        return { sql: `${column(condition.name)} >= ?`, values: [condition.value] }
      case 'atMost':
        return { sql: `${column(condition.name)} <= ?`, values: [condition.value] }
      case 'contains':
        return or(condition.values.map((part) => contains(condition.name, part)))
    }
  }

  function compileSearch({ text, names }: Search): Sql {
    return canBeIn(text) ? or(names.map((name) => contains(name, text.normalize('NFC')))) : nobody
  }

  function order(sort: readonly Sort[]): string {
    const keys = keysOf(sort).map(({ name, descending }) => {
      const nulls = name in catalogue ? ` NULLS ${descending ? 'FIRST' : 'LAST'}` : ''
      return `${column(name)}${descending ? ' DESC' : ''}${nulls}`
    })
    return keys.join(', ')
  }

  /** Who comes after a position: equal in the first keys, and after it in the next, for each of them. */
  function after({ values, id }: Position, sort: readonly Sort[]): Sql {
    const keys = keysOf(sort)
    const position = [...values.slice(0, keys.length - 1), id]
    return or(
      keys.map((key, i) => {
        const same = keys.slice(0, i).map(({ name }, k) => equals(name, position[k] ?? null))
        return and([...same, comesAfter(key, position[i] ?? null)])
      }),
    )
  }

  /**
   * What the first key's value lies within from a position on, which leads an index there. Where those
   * without a value come last they are a part of their own, since no index finds the two in one go.
   */
  function bounds({ values }: Position, sort: readonly Sort[]): readonly Sql[] {
    const [key] = sort
    const [value = null] = values
    if (key === undefined || key.name === 'id') return [everyone]
    const { name, descending } = key
    const none: Sql = { sql: `${name} IS NULL`, values: [] }
    if (value === null) return [descending ? everyone : none]
    const within: Sql = { sql: `${column(name)} ${descending ? '<=' : '>='} ?`, values: [value] }
    return descending || !(name in catalogue) ? [within] : [within, none]
  }

  function equals(name: Sortable, value: Comparable | null): Sql {
    if (value === null) return { sql: `${name} IS NULL`, values: [] }
    return { sql: `${column(name)} = ?`, values: [value] }
  }

  function comesAfter({ name, descending }: Sort, value: Comparable | null): Sql {
    if (value === null) return descending ? { sql: `${name} IS NOT NULL`, values: [] } : nobody
    if (descending) return { sql: `${column(name)} < ?`, values: [value] }
    const greater = `${column(name)} > ?`
    return { sql: name in catalogue ? `(${greater} OR ${name} IS NULL)` : greater, values: [value] }
  }

  return {
    /** What holds for everybody, also those whom lists leave out. */
    everybody: { sql: 'TRUE', values: [] } satisfies Sql,

    /**
     * What holds for the users to be found.
     * @param more what holds for all of them besides, and is good to know for the database
     */
    where: (conditions: Conditions, more: readonly Sql[] = []): Sql =>
      and([...conditionsOf(conditions), ...more]),

    /**
     * A page, from the WHERE on, in parts: the next is needed where those before have less than the limit.
     * @param more as for `where`
     */
    page(query: ListQuery, more: readonly Sql[] = []): readonly Part[] {
      const { after: position, sort, limit, offset } = query
      const conditions = [...conditionsOf(query), ...more]
      const part = (from: readonly Sql[]): Part => {
        const { sql, values } = and([...conditions, ...from])
        const text = `WHERE ${sql} ORDER BY ${order(sort)} LIMIT ? OFFSET ?`
        return (found) => ({ sql: text, values: [...values, limit < 0 ? limit : limit - found, offset] })
      }
      if (position === undefined) return [part([])]
      const rest = after(position, sort)
      // What is passed over is counted in one part only.
      if (offset > 0) return [part([rest])]
      return bounds(position, sort).map((bound) => part([bound, rest]))
    },
  }
}

/** @param found how many users the parts before had */
export type Part = (found: number) => Sql

/** What no index of users leads to, since the claims do. */
export const claimed: ReadonlySet<string> = new Set<ClaimKind>(['uid', 'username', 'ext_id'])

/**
 * Whom a condition leads to by the claims that its values would make; whether the value is the same to the
 * letter, the row tells.
 */
export function holders(condition: Condition): Sql | undefined {
  if (condition.test !== 'in' || !claimed.has(condition.name)) return undefined
  const keys = condition.values.map((value) => claim(condition.name as ClaimKind, String(value)).key)
  const marks = keys.map(() => '?').join(', ')
  return {
    sql: `id IN (SELECT user_id FROM claims WHERE kind = ? AND key IN (${marks}))`,
    values: [condition.name, ...keys],
  }
}

/** What a list is sorted by: nothing more after the id, which no two users share. */
function keysOf(sort: readonly Sort[]): readonly Sort[] {
  const id = sort.findIndex(({ name }) => name === 'id')
  return id < 0 ? [...sort, { name: 'id', descending: false }] : sort.slice(0, id + 1)
}

const everyone: Sql = { sql: 'TRUE', values: [] }

/** Word for word as in the indexes that have nobody else (migrations 0004). */
const visible: Sql = { sql: `status IN ('active', 'blocked')`, values: [] }

const nobody: Sql = { sql: 'FALSE', values: [] }

function and(parts: readonly Sql[]): Sql {
  return join(parts, ' AND ')
}

/** Halved until it is short, so that the expression does not get deeper than SQLite takes (1,000). */
function or(parts: readonly Sql[]): Sql {
  if (parts.length === 0) return nobody
  const half = Math.ceil(parts.length / 2)
  const { sql, values } =
    parts.length <= 8 ? join(parts, ' OR ') : join([or(parts.slice(0, half)), or(parts.slice(half))], ' OR ')
  return { sql: `(${sql})`, values }
}

function join(parts: readonly Sql[], by: string): Sql {
  return { sql: parts.map(({ sql }) => sql).join(by), values: parts.flatMap(({ values }) => values) }
}
