import { catalogue, type FieldName } from '../../directory/fields.ts'
import { type Condition, type Conditions, conditionOf, fits, type Sortable } from '../../directory/query.ts'
import type { LogRow, LogTail } from './log-tail.ts'

/**
 * Totals that were counted, kept for as long as the log can tell what has become of them. Counting
 * 300,000 users takes 10 ms and more by an index, and every page of a list asks for the same.
 */
export interface Totals {
  /** @param count counts in the read transaction under way */
  readonly of: (conditions: Conditions, count: () => number) => number
}

interface Counted {
  total: number
  /** The newest row of the log when it was right. */
  seq: number
}

/** Totals that are kept. */
const limit = 500

/** Rows of the log that are read rather than counting anew. */
const farthest = 20_000

export function createTotals(tail: LogTail): Totals {
  const kept = new Map<string, Counted>()

  function keep(key: string, counted: Counted): void {
    kept.delete(key)
    kept.set(key, counted)
    const [oldest] = kept.keys()
    if (kept.size > limit && oldest !== undefined) kept.delete(oldest)
  }

  return {
    of({ filters, search }, count) {
      const conditions = filters.map(conditionOf)
      const fields = fieldsOf(conditions, search?.names ?? [])
      if (fields === undefined) return count()
      const key = JSON.stringify([conditions, search])
      const newest = tail.newest()
      const known = kept.get(key)
      const isNear = known !== undefined && newest - known.seq <= farthest
      const news = isNear ? tail.since(known.seq, fields) : undefined
      // What a search finds in a user takes more than the log tells of a change.
      const isTold = news !== undefined && (search === undefined || news.length === 0)
      const now = known !== undefined && isTold ? adjust(known, conditions, news) : undefined
      const total = now ?? count()
      keep(key, { total, seq: newest })
      return total
    },
  }
}

/** The fields that a list depends on; undefined where it depends on something that changes and that the log has not. */
function fieldsOf(conditions: readonly Condition[], searched: readonly Sortable[]): FieldName[] | undefined {
  const names = conditions.flatMap((condition) => (condition.test === 'none' ? [] : [condition.name]))
  const fields: FieldName[] = []
  for (const name of [...names, ...searched]) {
    if (name in catalogue) fields.push(name as FieldName)
    else if (name !== 'id' || names.includes('id')) return undefined
  }
  return fields
}

/** The total after what the log tells; undefined where that takes more than it tells. */
function adjust(
  { total }: Counted,
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
