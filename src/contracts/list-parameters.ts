import type { Comparison, Filter, ListQuery, Sort, Sortable } from '../directory/query.ts'
import type { Properties } from './request.ts'
import type { Schema } from './schema.ts'

/**
 * json-server's list parameters, as version 0.17.4 reads them, over a contract's own properties and
 * `id`. Nothing is refused: what is none of them is left alone, and what is no number counts as one
 * that was left out, or as 0. What differs by design is told where it does.
 */
export interface ListParameters {
  readonly query: Omit<ListQuery, 'after'>
  /** The page that was asked for by its number: the answer tells of its neighbours. */
  readonly page?: { readonly number: number; readonly size: number } | undefined
}

type Query = Readonly<Record<string, string | readonly string[]>>

export function decodeList(query: Query, properties: Properties): ListParameters {
  const names = new Map<string, Sortable>([...entriesOf(properties), ['id', 'id']])
  const text = first(query.q)
  return {
    query: {
      filters: decodeFilters(query, names),
      search: text ? { text, names: [...names.values()] } : undefined,
      sort: decodeSort(query, names),
      ...decodeSlice(query),
    },
    page: decodePage(query),
  }
}

function entriesOf(properties: Properties): [string, Sortable][] {
  return Object.entries(properties).flatMap(([property, field]) =>
    field === 'tags' ? [] : [[property, field]],
  )
}

const comparisons: Readonly<Record<string, Comparison>> = {
  _ne: 'ne',
  _gte: 'gte',
  _lte: 'lte',
  // A text to be contained, where json-server takes it for a regular expression, which can take for ever.
  _like: 'like',
}

/** A repeated parameter lists alternatives. One that has a comparison and names no property fits nobody. */
function decodeFilters(query: Query, names: ReadonlyMap<string, Sortable>): Filter[] {
  const filters: Filter[] = []
  for (const [parameter, value] of Object.entries(query)) {
    const values = [value].flat()
    const exact = names.get(parameter)
    if (exact !== undefined) {
      filters.push({ name: exact, comparison: 'eq', values })
      continue
    }
    const [suffix] = /_(?:ne|gte|lte|like)$/.exec(parameter) ?? []
    const comparison = suffix === undefined ? undefined : comparisons[suffix]
    if (suffix === undefined || comparison === undefined) continue
    const name = names.get(parameter.slice(0, -suffix.length))
    filters.push(name === undefined ? nobody : { name, comparison, values })
  }
  return filters
}

const nobody: Filter = { name: 'id', comparison: 'eq', values: [] }

/** Orders belong to the keys at the same place; whatever is not `desc` is upwards. */
function decodeSort(query: Query, names: ReadonlyMap<string, Sortable>): Sort[] {
  const orders = list(query._order).map((order) => order.toLowerCase())
  const sort = new Map<Sortable, Sort>()
  for (const [i, property] of list(query._sort).entries()) {
    const name = names.get(property)
    if (name !== undefined && !sort.has(name)) sort.set(name, { name, descending: orders[i] === 'desc' })
  }
  return [...sort.values()]
}

/** `_page` comes before `_end`, and `_end` before `_limit`; the total is told with any of the three. */
function decodeSlice(query: Query): Pick<ListQuery, 'offset' | 'limit' | 'count'> {
  const page = decodePage(query)
  if (page !== undefined) {
    const offset = Math.min((page.number - 1) * page.size, Number.MAX_SAFE_INTEGER)
    return { offset, limit: page.size, count: true }
  }
  const offset = natural(query._start)
  if (first(query._end)) return { offset, limit: Math.max(natural(query._end) - offset, 0), count: true }
  if (first(query._limit)) return { offset, limit: natural(query._limit), count: true }
  return { offset: 0, limit: Number.POSITIVE_INFINITY, count: false }
}

const usualSize = 10

function decodePage(query: Query): ListParameters['page'] {
  if (!first(query._page)) return undefined
  return { number: natural(query._page) || 1, size: natural(query._limit) || usualSize }
}

/** The whole number that a text begins with; 0 where there is none or it is below 0. */
function natural(value: string | readonly string[] | undefined): number {
  const number = Number.parseInt(first(value), 10)
  return number > 0 ? Math.min(number, Number.MAX_SAFE_INTEGER) : 0
}

function first(value: string | readonly string[] | undefined): string {
  return [value].flat()[0] ?? ''
}

function list(value: string | readonly string[] | undefined): string[] {
  return value === undefined ? [] : [value].flat().join().split(',')
}

/** The targets of `Link` (RFC 8288), in json-server's order; none where everything fits on one page. */
export function linksOf(
  url: string,
  { number, size }: { readonly number: number; readonly size: number },
  { shown, total }: { readonly shown: number; readonly total: number },
): string | undefined {
  if (shown === 0 || shown === total) return undefined
  const last = Math.ceil(total / size)
  const targets = {
    first: 1,
    ...(number > 1 && { prev: number - 1 }),
    ...(number < last && { next: number + 1 }),
    last,
  }
  return Object.entries(targets)
    .map(([relation, page]) => `<${withPage(url, page)}>; rel="${relation}"`)
    .join(', ')
}

/** The same address with another `_page`; nothing in it can end the target or the header. */
function withPage(url: string, page: number): string {
  return url
    .replace(/([?&](?:_|%5f)page=)[^&]*/i, `$1${page}`)
    .replace(/[<>"\s]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** The parameters for the OpenAPI document. */
export function listSchema(properties: Properties): Schema {
  const described: Record<string, Schema> = {}
  const text = (description: string) => ({ type: 'string', description })
  for (const name of ['id', ...Object.keys(properties)]) {
    described[name] = text('Only users with exactly this value; repeated, with any of them')
    described[`${name}_ne`] = text('Only users with another value; repeated, with none of them')
    described[`${name}_gte`] = text('At least this: numbers by size, texts by code points')
    described[`${name}_lte`] = text('At most this: numbers by size, texts by code points')
    described[`${name}_like`] = text('Only users who have this in the value, whatever the case')
  }
  const number = (description: string) => ({ type: 'integer', minimum: 0, description })
  return {
    type: 'object',
    properties: {
      ...described,
      q: text('Only users who have this in any value, whatever the case'),
      _sort: text('Properties to sort by, with commas between; equals by id'),
      _order: text('`asc` or `desc` for each of them, with commas between'),
      _page: number('The page with this number, from 1; with `Link` to its neighbours'),
      _limit: number('How many users, 10 a page where it is left out'),
      _start: number('How many users are left out from the start, with `_end` or `_limit`'),
      _end: number('The number of the user before whom the list ends'),
    },
  }
}

/** A list of users as the OpenAPI document describes it. */
export function listAnswer(user: Schema): Schema {
  const headers = {
    'X-Total-Count': { type: 'integer', description: 'How many users fit, with _page, _limit or _end' },
    Link: { type: 'string', description: 'The first, previous, next and last page, with _page (RFC 8288)' },
  }
  return { type: 'array', items: user, description: 'The users that fit, by id or as sorted', headers }
}
