import simpleRest from '@refinedev/simple-rest'
import jsonServerProvider from 'ra-data-json-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'

/** What people build on json-server with: the real clients of react-admin and refine. */
let app: TestApp
beforeAll(async () => {
  app = await startApp()
  for (const n of [1, 2, 3, 4, 5, 6, 7]) await app.call('POST /users', person(n))
})
afterAll(() => app.close())

const person = (n: number) => ({
  first_name: `First${n}`,
  last_name: `Last${9 - n}`,
  email: `person${n}@example.org`,
  phone: `555-000${n}`,
  interested_in: n % 2 === 0 ? 'dogs' : 'cats',
})

const idsOf = (records: readonly { readonly id?: unknown }[]) => records.map(({ id }) => id)

const read = async (id: number) => (await app.call(`GET /users/${id}`)).body

describe.for(['', '/adoption'])('react-admin, with ra-data-json-server at %s/users', (prefix) => {
  const provider = () => jsonServerProvider(`${app.url}${prefix}`)
  const sort = { field: 'id', order: 'ASC' } as const

  test('shows a page of a sorted and filtered list, and knows how many pages there are', async () => {
    const { data, total } = await provider().getList('users', {
      pagination: { page: 2, perPage: 2 },
      sort: { field: 'last_name', order: 'DESC' },
      filter: { last_name_like: 'last', interested_in: ['cats', 'dogs'] },
    })
    expect(total).toBe(7)
    expect(data.map(({ last_name }) => last_name)).toEqual(['Last6', 'Last5'])
    expect(Object.keys(data[0])).toEqual([...Object.keys(person(1)), 'id'])
  })

  test('searches', async () => {
    const search = { pagination: { page: 1, perPage: 25 }, sort, filter: { q: 'PERSON3@' } }
    const { data, total } = await provider().getList('users', search)
    expect(total).toBe(1)
    expect(data).toEqual([{ ...person(3), id: 7 }])
  })

  test('reads one, several, and those that refer to somebody', async () => {
    expect(await provider().getOne('users', { id: 7 })).toEqual({ data: { ...person(3), id: 7 } })
    const many = await provider().getMany('users', { ids: [9, 7, 12345] })
    expect(idsOf(many.data)).toEqual([7, 9])
    const reference = {
      target: 'interested_in',
      id: 'dogs',
      pagination: { page: 1, perPage: 2 },
      sort,
      filter: {},
    }
    const { data, total } = await provider().getManyReference('users', reference)
    expect(total).toBeGreaterThanOrEqual(3)
    expect(data).toHaveLength(2)
  })

  test('creates, edits by PUT, edits many with a part of the properties, and deletes', async () => {
    const made = { ...person(50), email: `ra${prefix.length}@example.org` }
    const { data } = await provider().create('users', { data: made })
    const id = Number(data.id)
    expect(data).toEqual({ ...made, id })
    const edited = { ...data, phone: '555-1234' }
    expect(await provider().update('users', { id, data: edited, previousData: data })).toEqual({
      data: edited,
    })
    const two = { ids: [id, 7], data: { interested_in: 'both' } }
    expect(await provider().updateMany('users', two)).toEqual({ data: [id, 7] })
    expect([await read(id), await read(7)]).toEqual([
      { ...edited, interested_in: 'both' },
      { ...person(3), interested_in: 'both', id: 7 },
    ])
    await app.call('PATCH /users/7', person(3))
    expect(await provider().delete('users', { id, previousData: edited })).toEqual({ data: {} })
    expect((await app.call(`GET /users/${id}`)).status).toBe(404)
    const other = await provider().create('users', { data: made })
    // It looks for ids in what json-server too answers with `{}`.
    await provider().deleteMany('users', { ids: [other.data.id] })
    expect((await app.call(`GET /users/${other.data.id}`)).status).toBe(404)
  })

  test('is told why an edit is refused', async () => {
    const wrong = { ...person(3), id: 7, interested_in: 'birds' }
    const error: unknown = await provider()
      .update('users', { id: 7, data: wrong, previousData: wrong })
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({ status: 400, body: { fields: { interested_in: expect.any(String) } } })
    expect(await read(7)).toEqual({ ...person(3), id: 7 })
  })
})

describe('refine, with @refinedev/simple-rest', () => {
  const provider = () => simpleRest(app.url)

  test('shows a page of a sorted and filtered list, and knows how many there are', async () => {
    const { data, total } = await provider().getList({
      resource: 'users',
      pagination: { currentPage: 2, pageSize: 3, mode: 'server' },
      sorters: [
        { field: 'interested_in', order: 'desc' },
        { field: 'last_name', order: 'asc' },
      ],
      filters: [
        { field: 'id', operator: 'gte', value: 5 },
        { field: 'email', operator: 'contains', value: 'PERSON' },
        { field: 'last_name', operator: 'ne', value: 'Last4' },
      ],
    })
    expect(total).toBe(6)
    expect(data.map(({ last_name }) => last_name)).toEqual(['Last2', 'Last6', 'Last8'])
  })

  test('reads one and several', async () => {
    expect(await provider().getOne({ resource: 'users', id: 6 })).toEqual({ data: { ...person(2), id: 6 } })
    const many = await provider().getMany?.({ resource: 'users', ids: [8, 6] })
    expect(idsOf(many?.data ?? [])).toEqual([6, 8])
  })

  test('creates, edits and deletes', async () => {
    const made = { ...person(60), email: 'refine@example.org' }
    const { data } = await provider().create({ resource: 'users', variables: made })
    const id = Number(data.id)
    const edited = await provider().update({ resource: 'users', id, variables: { phone: '555-1234' } })
    expect(edited.data).toEqual({ ...made, phone: '555-1234', id })
    const byPut = { resource: 'users', id, variables: { phone: '555-9' }, meta: { method: 'put' } } as const
    expect((await provider().update(byPut)).data).toEqual({ ...made, phone: '555-9', id })
    expect(await provider().deleteOne({ resource: 'users', id, variables: { id } })).toEqual({ data: {} })
    expect((await app.call(`GET /users/${id}`)).status).toBe(404)
  })
})
