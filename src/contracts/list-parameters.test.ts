import { parse } from 'node:querystring'
import { describe, expect, test } from 'vitest'
import type { ListQuery } from '../directory/query.ts'
import { decodeList, linksOf } from './list-parameters.ts'

const properties = { firstName: 'first_name', email: 'email' } as const
const decode = (query: string) => decodeList(parse(query) as Record<string, string | string[]>, properties)

const everything: ListQuery = {
  ...{ filters: [], search: undefined, sort: [] },
  ...{ offset: 0, limit: Number.POSITIVE_INFINITY, count: false },
}

describe('list parameters', () => {
  test.for<[query: string, decoded: Partial<ListQuery>]>([
    ['', {}],
    ['first_name=Ann&last=1&__proto__=1&callback=f&_=1&_embed=posts', {}],
    ['firstName=Ann', { filters: [{ name: 'first_name', comparison: 'eq', values: ['Ann'] }] }],
    ['id=1&id=2', { filters: [{ name: 'id', comparison: 'eq', values: ['1', '2'] }] }],
    ['email_ne=', { filters: [{ name: 'email', comparison: 'ne', values: [''] }] }],
    ['id_gte=2', { filters: [{ name: 'id', comparison: 'gte', values: ['2'] }] }],
    ['firstName_like=.*', { filters: [{ name: 'first_name', comparison: 'like', values: ['.*'] }] }],
    ['first_name_like=a', { filters: [{ name: 'id', comparison: 'eq', values: [] }] }],
    ['_ne=1', { filters: [{ name: 'id', comparison: 'eq', values: [] }] }],
    ['q=ann', { search: { text: 'ann', names: ['first_name', 'email', 'id'] } }],
    ['q=', {}],
    ['q=a&q=b', { search: { text: 'a', names: ['first_name', 'email', 'id'] } }],
    ['_sort=', {}],
    ['_sort=first_name,nobody', {}],
    ['_sort=id&_order=DESC', { sort: [{ name: 'id', descending: true }] }],
    ['_sort=id&_order=descending', { sort: [{ name: 'id', descending: false }] }],
    [
      '_sort=x,email,firstName,email&_order=asc,desc',
      {
        sort: [
          { name: 'email', descending: true },
          { name: 'first_name', descending: false },
        ],
      },
    ],
    [
      '_sort=id&_sort=email&_order=asc&_order=desc',
      {
        sort: [
          { name: 'id', descending: false },
          { name: 'email', descending: true },
        ],
      },
    ],
    ['_page=3', { offset: 20, limit: 10, count: true }],
    ['_page=3&_limit=5&_start=1&_end=2', { offset: 10, limit: 5, count: true }],
    ['_page=x', { offset: 0, limit: 10, count: true }],
    ['_page=-2&_limit=-5', { offset: 0, limit: 10, count: true }],
    ['_page=99999999999999999999&_limit=1e3', { offset: 2 ** 53 - 2, limit: 1, count: true }],
    ['_page=9007199254740991&_limit=1000', { offset: 2 ** 53 - 1, limit: 1000, count: true }],
    ['_page=&_limit=', {}],
    ['_limit=5', { limit: 5, count: true }],
    ['_limit=0', { limit: 0, count: true }],
    ['_limit=many', { limit: 0, count: true }],
    ['_limit=-1', { limit: 0, count: true }],
    ['_start=5&_limit=5', { offset: 5, limit: 5, count: true }],
    ['_start=5', {}],
    ['_start=5&_end=20', { offset: 5, limit: 15, count: true }],
    ['_start=-5&_end=2', { offset: 0, limit: 2, count: true }],
    ['_start=20&_end=5', { offset: 20, limit: 0, count: true }],
    ['_end=5&_limit=1', { limit: 5, count: true }],
  ])('%s', ([query, decoded]) => {
    const { filters, search, sort, offset, limit, count } = { ...everything, ...decoded }
    expect(decode(query).query).toEqual({ filters, search, sort, offset, limit, count })
  })

  test('make links as json-server writes them', () => {
    const at = 'http://localhost:3000/users?_page=2&_limit=5'
    const page = (number: number) => `http://localhost:3000/users?_page=${number}&_limit=5`
    const two = { number: 2, size: 5 }
    expect(linksOf(at, two, { shown: 5, total: 17 })).toBe(
      `<${page(1)}>; rel="first", <${page(1)}>; rel="prev", <${page(3)}>; rel="next", <${page(4)}>; rel="last"`,
    )
    expect(linksOf(at, two, { shown: 5, total: 10 })).toBe(
      `<${page(1)}>; rel="first", <${page(1)}>; rel="prev", <${page(2)}>; rel="last"`,
    )
    expect(linksOf(at, two, { shown: 0, total: 5 })).toBeUndefined()
    expect(linksOf(page(1), { number: 1, size: 5 }, { shown: 5, total: 5 })).toBeUndefined()
  })

  test('make links that nothing in an address can break out of', () => {
    const links = linksOf('/users?q=a>;x="<b&%5Fpage=1', { number: 1, size: 1 }, { shown: 1, total: 2 })
    const target = (page: number) => `</users?q=a%3E;x=%22%3Cb&%5Fpage=${page}>`
    expect(links).toBe(`${target(1)}; rel="first", ${target(2)}; rel="next", ${target(2)}; rel="last"`)
  })
})
