import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { permit } from '../../directory/policy.ts'
import {
  type Filter,
  isText,
  kindOf,
  type Listing,
  type ListQuery,
  type Position,
  positionOf,
  type Sort,
  type Sortable,
} from '../../directory/query.ts'
import type { User } from '../../directory/user.ts'
import { originOf } from '../address.ts'
import { context, goneSignal } from '../contract.ts'
import { encodeUser, profileNames } from './wire.ts'

export interface ListOptions {
  readonly directory: Directory
  /** What links start with; undefined for what the request itself says. */
  readonly publicUrl: string | undefined
}

/** `GET /v1/users`: pages by number as the page about queries has them, or by cursor for deep ones. */
export function createList({ directory, publicUrl }: ListOptions) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const asked = decodeQuery(request.query as Query)
    const origin = originOf(request, publicUrl)
    const problems = origin === undefined ? [...asked.problems, hostProblem] : asked.problems
    if (problems.length > 0) {
      const permission = permit(request.actor, 'read', undefined)
      const refused =
        'refusal' in permission
          ? permission.refusal
          : refusal('invalid', 'The request is not valid', problems)
      throw new DirectoryError(refused)
    }
    const link = linker(`${origin}/v1/users`, request.url)
    const list = (query: ListQuery) => directory.list(context(request), query, goneSignal(reply))
    return asked.cursor === undefined ? byNumber(list, asked, link) : byCursor(list, asked, link)
  }
}

async function byNumber(list: Lister, { filters, sort, page, perPage }: Asked, link: Link) {
  const offset = (page - 1) * perPage
  const query = { filters, sort, offset, limit: perPage, count: true }
  const { users, total = 0 } = await list(query)
  return {
    data: users.map(encodeItem),
    meta: { total, page, per_page: perPage },
    links: {
      self: link('page', String(page)),
      next: offset + perPage < total ? link('page', String(page + 1)) : null,
      prev: page > 1 ? link('page', String(page - 1)) : null,
    },
  }
}

/** Costs the same on every page, and so there is no total, and no way back. */
async function byCursor(list: Lister, asked: Asked, link: Link) {
  const { filters, sort, perPage, cursor = '', after } = asked
  const query = { filters, sort, offset: 0, limit: perPage + 1, after, count: false }
  const { users: found } = await list(query)
  const users = found.slice(0, perPage)
  const last = users.at(-1)
  const isMore = last !== undefined && found.length > perPage
  return {
    data: users.map(encodeItem),
    meta: { per_page: perPage },
    links: {
      self: link('cursor', cursor),
      next: isMore ? link('cursor', encodeCursor(positionOf(last, sort), asked)) : null,
      prev: null,
    },
  }
}

export function encodeItem(user: User) {
  const { id, ...attributes } = encodeUser(user)
  return { id, type: 'user', attributes }
}

type Query = Readonly<Record<string, string | string[]>>
type Lister = (query: ListQuery) => Promise<Listing>
type Link = (name: 'page' | 'cursor', value: string) => string

interface Asked {
  readonly filters: readonly Filter[]
  readonly sort: readonly Sort[]
  readonly page: number
  readonly perPage: number
  readonly cursor?: string
  readonly after?: Position
  readonly problems: readonly Problem[]
}

/** The wire's names of what can be filtered by; the times only sort. */
export const filterNames: ReadonlyMap<string, Sortable> = new Map<string, Sortable>([
  ['id', 'uid'],
  ...profileNames.filter((name) => name !== 'tags').map((name) => [name, name] as const),
])
export const sortNames: ReadonlyMap<string, Sortable> = new Map<string, Sortable>([
  ...filterNames,
  ['created_at', 'created_at'],
  ['updated_at', 'updated_at'],
])

const single = ['page', 'per_page', 'sort', 'order', 'cursor'] as const
type Single = Readonly<Partial<Record<(typeof single)[number], string>>>

export const maxPerPage = 100

function decodeQuery(query: Query): Asked {
  const problems: Problem[] = []
  const wrong = (property: string, message: string) => {
    problems.push({ property, location: 'query', message })
  }
  const filters: Filter[] = []
  const given: Record<string, string> = {}
  for (const [name, value] of Object.entries(query)) {
    const filtered = /^filter\[(.*)\]$/s.exec(name)?.[1]
    if (filtered !== undefined) {
      const field = filterNames.get(filtered)
      if (field === undefined) wrong('filter', `Unknown field: ${filtered.slice(0, 100)}`)
      else filters.push({ name: field, comparison: 'eq', values: [value].flat() })
    } else if (!(single as readonly string[]).includes(name)) {
      const parameter = name.slice(0, 100)
      wrong(parameter.startsWith('filter') ? 'filter' : parameter, `Unknown parameter: ${parameter}`)
    } else if (typeof value !== 'string') wrong(name, 'Must be given once')
    else given[name] = value
  }
  const { page, per_page, cursor }: Single = given
  const sort = decodeSort(given, wrong)
  const perPage = decodeNumber(per_page, 10, maxPerPage)
  if (perPage === undefined) wrong('per_page', `Must be a whole number from 1 to ${maxPerPage}`)
  const number = decodeNumber(page, 1, 1_000_000_000)
  if (number === undefined) wrong('page', 'Must be a whole number from 1')
  if (page !== undefined && cursor !== undefined) wrong('cursor', 'Must not be given together with page')
  const asked = { filters, sort, page: number ?? 1, perPage: perPage ?? 10 }
  if (!cursor) return { ...asked, ...(cursor !== undefined && { cursor }), problems: problems.slice(0, 50) }
  const after = decodeCursor(cursor, asked)
  if (after === undefined)
    wrong('cursor', 'Must be from a link of the same list, with the same filters and order')
  return { ...asked, cursor, ...(after !== undefined && { after }), problems: problems.slice(0, 50) }
}

function decodeSort(
  { sort, order = 'asc' }: Single,
  wrong: (property: string, message: string) => void,
): Sort[] {
  if (order !== 'asc' && order !== 'desc') wrong('order', 'Must be asc or desc')
  const descending = order === 'desc'
  // In the order in which they were made.
  if (sort === undefined) return descending ? [{ name: 'id', descending }] : []
  const name = sortNames.get(sort)
  if (name !== undefined) return [{ name, descending }]
  wrong('sort', `Unknown field: ${sort.slice(0, 100)}`)
  return []
}

function decodeNumber(text: string | undefined, fallback: number, max: number): number | undefined {
  if (text === undefined) return fallback
  const value = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0
  return value >= 1 && value <= max ? value : undefined
}

type Ordered = Pick<Asked, 'filters' | 'sort'>

/** Where a page ended, for the list with these filters in this order and for no other. */
function encodeCursor({ values, id }: Position, ordered: Ordered): string {
  return Buffer.from(JSON.stringify([fingerprint(ordered), id, ...values])).toString('base64url')
}

function decodeCursor(text: string, ordered: Ordered): Position | undefined {
  if (text.length > 8_192 || !/^[\w-]+$/.test(text)) return undefined
  let parts: unknown
  try {
    parts = JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    return undefined
  }
  if (!Array.isArray(parts)) return undefined
  const [mark, id, ...values] = parts as readonly unknown[]
  if (mark !== fingerprint(ordered) || !Number.isSafeInteger(id) || values.length !== ordered.sort.length) {
    return undefined
  }
  const fits = ordered.sort.every(({ name }, at) => isValueOf(name, values[at]))
  return fits ? { id: id as number, values: values as Position['values'] } : undefined
}

function isValueOf(name: Sortable, value: unknown): boolean {
  if (value === null) return true
  if (kindOf(name) === 'number') return Number.isSafeInteger(value)
  if (kindOf(name) === 'boolean') return typeof value === 'boolean'
  return typeof value === 'string' && isText(value)
}

function fingerprint({ filters, sort }: Ordered): string {
  return hash('sha256', JSON.stringify([filters, sort]), 'base64url').slice(0, 12)
}

const hostProblem: Problem = {
  property: 'Host',
  location: 'header',
  message: 'must be a name or an address, with or without a port, since links are made of it',
}

/** Links to other pages, with every parameter of the caller's. */
function linker(address: string, url: string): Link {
  const at = url.indexOf('?')
  const parameters = new URLSearchParams(at < 0 ? '' : url.slice(at + 1))
  return (name, value) => {
    parameters.set(name, value)
    return `${address}?${parameters}`
  }
}
