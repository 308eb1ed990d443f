import { withoutCase } from './caseless.ts'
import { lengthOf } from './field-types.ts'
import { catalogue, type FieldName, fieldNames } from './fields.ts'
import { parseId, type User } from './user.ts'

/**
 * What a list is asked for: plain data, the same for every contract and every store. The meaning of
 * each part is defined here; a store only has to find the users quickly.
 */

/** What users can be filtered and sorted by: everything that is one value. */
export type Sortable = Exclude<FieldName, 'tags'> | 'id' | 'uid' | 'status' | 'created_at' | 'updated_at'

/**
 * `eq`: any of the values. `ne`: none of them. `gte`, `lte`: at least, at most any of them. `like`: has
 * any of them in it, whatever the case. Numbers are compared as numbers, texts by their code points.
 * A user who has no value there matches none of the five.
 */
export type Comparison = 'eq' | 'ne' | 'gte' | 'lte' | 'like'

export interface Filter {
  readonly name: Sortable
  readonly comparison: Comparison
  /** Alternatives, as text; of `ne`, all that must not be. */
  readonly values: readonly string[]
}

/** Users who have a text in any of the named values, whatever the case. */
export interface Search {
  readonly text: string
  readonly names: readonly Sortable[]
}

/** By code points, numbers by size, and those without a value last; descending is the reverse of that. */
export interface Sort {
  readonly name: Sortable
  readonly descending: boolean
}

/** Where a user stands in a sorted list: what it is sorted by, in that order, and the id. */
export interface Position {
  readonly values: readonly (string | number | boolean | null)[]
  readonly id: number
}

export interface Conditions {
  /** All of them must hold. */
  readonly filters: readonly Filter[]
  readonly search?: Search | undefined
}

export interface ListQuery extends Conditions {
  /** Equals are ordered by id, upwards. */
  readonly sort: readonly Sort[]
  /** How many of the users found are left out from the start, or from `after` on. */
  readonly offset: number
  readonly limit: number
  /** Only users who come after this position of the same sort: paging by it costs the same on every page. */
  readonly after?: Position | undefined
  /** Whether the total is wanted. */
  readonly count: boolean
}

export interface Listing {
  /** Visible users, in the order asked for. */
  readonly users: readonly User[]
  /** How many visible users fit the filters and the search; undefined where it was not asked for. */
  readonly total: number | undefined
}

/** The position of a user in a list sorted like this, to go on from. */
export function positionOf(user: User, sort: readonly Sort[]): Position {
  return { values: sort.map(({ name }) => user[name]), id: user.id }
}

export type Kind = 'number' | 'boolean' | 'text'

const numbers: ReadonlySet<Sortable> = new Set(['id', 'created_at', 'updated_at'])

/** What kind of value a name stands for. */
export function kindOf(name: Sortable): Kind {
  if (numbers.has(name)) return 'number'
  return name in catalogue && catalogue[name as FieldName].schema.type === 'boolean' ? 'boolean' : 'text'
}

/**
 * A filter as a store has to apply it: values have the type of the column, and those that nobody can
 * have are gone. `any` holds for whoever has a value, `none` for nobody.
 */
export type Condition =
  | { readonly name: Sortable; readonly test: 'in' | 'notIn'; readonly values: readonly Comparable[] }
  | { readonly name: Sortable; readonly test: 'atLeast' | 'atMost'; readonly value: Comparable }
  | { readonly name: Sortable; readonly test: 'contains'; readonly values: readonly string[] }
  | { readonly name: Sortable; readonly test: 'any' }
  | { readonly test: 'none' }

export type Comparable = string | number | boolean

/** Brings a filter into the form that stores apply. */
export function conditionOf({ name, comparison, values }: Filter): Condition {
  switch (comparison) {
    case 'eq':
    case 'ne': {
      const typed = [...new Set(values.flatMap((value) => exact(name, value)))]
      if (typed.length > 0) return { name, test: comparison === 'eq' ? 'in' : 'notIn', values: typed }
      return comparison === 'eq' ? { test: 'none' } : { name, test: 'any' }
    }
    case 'gte':
    case 'lte': {
      const sign = comparison === 'gte' ? 1 : -1
      const [least] = values
        .flatMap((value) => bound(name, value, sign))
        .sort((a, b) => sign * compareValues(a, b))
      if (least === undefined) return { test: 'none' }
      return { name, test: comparison === 'gte' ? 'atLeast' : 'atMost', value: least }
    }
    case 'like': {
      const parts = values.filter(canBeIn).map(normalForm)
      if (parts.length === 0) return { test: 'none' }
      return parts.includes('') ? { name, test: 'any' } : { name, test: 'contains', values: parts }
    }
  }
}

/** Whether a condition holds for somebody who has this value there. */
export function fits(condition: Condition, value: Comparable | null): boolean {
  if (value === null) return false
  switch (condition.test) {
    case 'none':
      return false
    case 'any':
      return true
    case 'in':
      return condition.values.includes(value)
    case 'notIn':
      return !condition.values.includes(value)
    case 'atLeast':
      return compareValues(value, condition.value) >= 0
    case 'atMost':
      return compareValues(value, condition.value) <= 0
    case 'contains':
      return condition.values.some((part) => withoutCase(String(value)).includes(withoutCase(part)))
  }
}

/** The value that a text stands for exactly; none where no user can have it. */
function exact(name: Sortable, text: string): Comparable[] {
  switch (kindOf(name)) {
    case 'number': {
      const number = parseId(text)
      return number === undefined ? [] : [number]
    }
    case 'boolean':
      return text === 'true' ? [true] : text === 'false' ? [false] : []
    case 'text':
      return isText(text) ? [normalForm(text)] : []
  }
}

/** A bound in the type of the column: what JavaScript's Number makes of a text, as a whole number. */
function bound(name: Sortable, text: string, sign: number): Comparable[] {
  if (kindOf(name) !== 'number') return exact(name, text)
  const number = Number(text)
  if (Number.isNaN(number)) return []
  const whole = sign > 0 ? Math.ceil(number) : Math.floor(number)
  return [Math.min(Math.max(whole, -Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER) + 0]
}

/** Whether it can be in a value at all: PostgreSQL refuses a statement with any other. */
export function isText(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0')
}

/** The characters of the longest value that is one text. */
const longest = Math.max(...fieldNames.map((name) => Number(catalogue[name].schema.maxLength ?? 0)))

/**
 * Whether it can be a part of a value. What is longer than any is not looked for: SQLite fails at a
 * pattern of more than 50,000 bytes (sqlite.org/limits.html).
 */
export function canBeIn(part: string): boolean {
  return isText(part) && lengthOf(normalForm(part)) <= longest
}

/** As values are kept. */
function normalForm(text: string): string {
  return text.normalize('NFC')
}

/** Numbers by size, false before true, texts by their code points, which is the order of their UTF-8 bytes. */
export function compareValues(a: Comparable, b: Comparable): number {
  if (typeof a !== 'string' || typeof b !== 'string') return Number(a) - Number(b)
  if (a === b) return 0
  let at = 0
  while (a[at] === b[at] && at < a.length) at++
  // Behind a shared high surrogate the low ones are compared: code points up to there are the same.
  const [x, y] = [rank(a.charCodeAt(at)), rank(b.charCodeAt(at))]
  return Number.isNaN(x) ? -1 : Number.isNaN(y) ? 1 : x - y
}

/** Surrogates stand for the code points above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
