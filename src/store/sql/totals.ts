import type { FieldChange } from '../../directory/change.ts'
import { catalogue, type FieldName } from '../../directory/fields.ts'
import { type Condition, type Conditions, conditionOf, fits, type Sortable } from '../../directory/query.ts'

/**
 * Totals that were counted, kept for as long as the log can tell what has become of them. Counting
 * 300,000 users takes 10 ms and more by an index, and every page of a list asks for the same.
 */

/** A row of the change log, as far as it matters to what is kept of some fields. */
export interface LogRow {
  readonly kind: string
  readonly fields: { readonly [F in FieldName | 'status']?: FieldChange }
}

/** What a total is about, and what may change it. */
export interface Counting {
  readonly key: string
  readonly fields: readonly FieldName[]
  /** The total after what the log tells; undefined where that takes more than it tells. */
  readonly adjusted: (total: number, rows: readonly LogRow[]) => number | undefined
}

/** Undefined where a total depends on something that changes and that the log has not. */
export function countingOf({ filters, search }: Conditions): Counting | undefined {
  const conditions = filters.map(conditionOf)
  const fields = fieldsOf(conditions, search?.names ?? [])
  if (fields === undefined) return undefined
  return {
    key: JSON.stringify([conditions, search]),
    fields,
    adjusted: (total, rows) =>
      // What a search finds in a user takes more than the log tells of a change.
      search !== undefined && rows.length > 0 ? undefined : adjust(total, conditions, rows),
  }
}

/** Totals that are kept. */
const limit = 500

/** The totals that were wanted lately, under their keys. */
export function createKept<T>() {
  const kept = new Map<string, T>()
  return {
    get: (key: string): T | undefined => kept.get(key),
    set(key: string, counted: T): void {
      kept.delete(key)
      kept.set(key, counted)
      const [oldest] = kept.keys()
      if (kept.size > limit && oldest !== undefined) kept.delete(oldest)
    },
  }
}

/** The fields that a list depends on. */
function fieldsOf(conditions: readonly Condition[], searched: readonly Sortable[]): FieldName[] | undefined {
  const names = conditions.flatMap((condition) => (condition.test === 'none' ? [] : [condition.name]))
  const fields: FieldName[] = []
  for (const name of [...names, ...searched]) {
    if (name in catalogue) fields.push(name as FieldName)
    else if (name !== 'id' || names.includes('id')) return undefined
  }
  return fields
}

function adjust(
  total: number,
  conditions: readonly Condition[],
  rows: readonly LogRow[],
): number | undefined {
  let adjusted = total
  for (const { kind, fields } of rows) {
    if ((kind !== 'created' && kind !== 'updated') || fields.status !== undefined) return undefined
    const holds = (side: 0 | 1) => {
      const verdicts = conditions.map((condition) => {
        if (condition.test === 'none') return false
        const change = fields[condition.name as FieldName]
        if (change === undefined) return kind === 'created' ? fits(condition, null) : undefined
        return fits(condition, change[side] as Parameters<typeof fits>[1])
      })
      // One that fails decides; one that is not told does only where none fails.
      return verdicts.includes(false) ? false : verdicts.includes(undefined) ? undefined : true
    }
    const before = kind === 'created' ? false : holds(0)
    const after = holds(1)
    if (before === undefined || after === undefined) return undefined
    adjusted += Number(after) - Number(before)
  }
  return adjusted
}
