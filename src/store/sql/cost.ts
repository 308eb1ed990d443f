import type { Filter, ListQuery, Sortable } from '../../directory/query.ts'

/** Which lists cost little: what the stores' indexes have in common. */

/** Values that few people share, and that an index or a claim leads to. */
const rare: ReadonlySet<Sortable> = new Set([
  ...(['id', 'uid', 'email', 'username', 'ext_id', 'last_name', 'first_name'] as const),
])

/** What the file has in the order that is asked for. */
const ordered: ReadonlySet<Sortable> = new Set(['id', 'created_at', 'email', 'last_name', 'first_name'])

/** Rows that may be passed over. */
const farthest = 5_000

/** Whether an index leads to what is asked for, so that it costs the same in a directory of any size. */
export function isQuick(query: ListQuery, more: ReadonlySet<Sortable> = new Set()): boolean {
  const isRare = ({ name, comparison }: Filter) => comparison === 'eq' && (rare.has(name) || more.has(name))
  return query.filters.some(isRare) || isShort(query)
}

function isShort({ filters, search, sort, offset, limit }: ListQuery): boolean {
  if (search !== undefined || offset + limit > farthest) return false
  const [key] = sort
  if (key === undefined || key.name === 'id') return filters.every(isCommonMatch)
  return filters.length === 0 && sort.length === 1 && ordered.has(key.name)
}

/** Every third person or so has the value, so a page of them is found soon. */
function isCommonMatch({ name, comparison }: Filter): boolean {
  return comparison === 'eq' && name === 'interested_in'
}
