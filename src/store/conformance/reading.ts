import { expect, it } from 'vitest'
import { claim } from '../../directory/claims.ts'
import type { Filter, Sortable } from '../../directory/query.ts'
import type { Store } from '../../directory/store.ts'
import { all, committed, create, everybody, type Given, idsOf, lifecycle, many, replace } from './commands.ts'

/** More users than a page may have, by far; a page of more than this would keep everybody else waiting. */
const manyUsers = 4_500
const mostPerPage = 2_000

export function paging(given: Given): void {
  it('shows everybody who stays exactly once while others come and go, in pages of bounded size', async () => {
    const { store } = given()
    const outcomes = await many(store, manyUsers, (n) =>
      replace(n * 2, { bio: n === manyUsers ? 'last' : 'other' }),
    )
    const staying = new Set(idsOf(outcomes))
    const seen: number[] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const { users, next }: Awaited<ReturnType<Store['page']>> = await store.page({ after, filters: [] })
      expect(users.length).toBeLessThanOrEqual(mostPerPage)
      if (next !== undefined) expect(next).toBeGreaterThan(after)
      seen.push(...users.map(({ id }) => id))
      const gone = [Math.max(2, after), after + 2 * mostPerPage + 2].filter((id) => staying.delete(id))
      const come = [after + 1, after + 3 * mostPerPage + 1].filter((id) => id < 2 * manyUsers)
      await all(store, [
        ...gone.map((id) => lifecycle('erase', id)),
        ...come.map((id) => replace(id, {})),
        create({}),
      ])
      after = next
    }
    expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b))
    expect([...staying].filter((id) => !seen.includes(id))).toEqual([])
    expect(await everybody(store, [{ name: 'bio', comparison: 'eq', values: ['last'] }])).toMatchObject([
      { id: 2 * manyUsers },
    ])
    expect(await store.page({ after: Number.MAX_SAFE_INTEGER, filters: [] })).toEqual({ users: [] })
  })

  it('filters exactly: all filters hold, values are alternatives, and hidden users stay hidden', async () => {
    const { store } = given()
    const ann = { first_name: 'Ann', last_name: 'Lee', phone: '1' }
    await all(store, [
      create(ann),
      create({ ...ann, first_name: 'ann', phone: '01' }),
      create({ ...ann, last_name: 'Doe' }),
      create({ ...ann, first_name: 'Ann ' }),
      create({ first_name: 'Bob' }),
      create(ann),
      create(ann),
    ])
    await all(store, [lifecycle('remove', 6), lifecycle('erase', 7)])
    const by = (name: Sortable, ...values: string[]): Filter => ({ name, comparison: 'eq', values })
    const cases: [filters: Filter[], ids: number[]][] = [
      [[], [1, 2, 3, 4, 5]],
      [[by('first_name', 'Ann')], [1, 3]],
      [[by('first_name', 'Ann', 'Bob', 'Eve')], [1, 3, 5]],
      [[by('first_name', 'Ann', 'Bob'), by('last_name', 'Lee')], [1]],
      [[by('phone', '1')], [1, 3, 4]],
      [[by('id', '5', '2', '6', '7', '8')], [2, 5]],
      [[by('id', '02', ' 2', '2.0', '+2', '2e0', '0x2', '', 'NaN')], []],
      [[by('id', '1', '2'), by('first_name', 'ann')], [2]],
      [[by('last_name', '', 'null', '%', "' OR 1=1 --", '\u0000')], []],
      [[by('last_name')], []],
    ]
    for (const [filters, ids] of cases)
      expect((await everybody(store, filters)).map(({ id }) => id)).toEqual(ids)
  })
}

export function finding(given: Given): void {
  it('finds a user by each kind of claim, in any spelling that is the same claim', async () => {
    const { store } = given()
    const values = { email: 'Straße.Ann@Example.com', username: 'Ann_B', ext_id: 'Xy-1' }
    const ann = await committed(store, create(values))
    await committed(store, create({ email: 'ann@example.com', username: 'ann', ext_id: 'xy-1' }))
    const same = [
      claim('uid', ann.uid),
      claim('email', 'STRASSE.ANN@EXAMPLE.COM'),
      claim('username', 'aNN_b'),
      claim('ext_id', 'Xy-1'),
    ]
    for (const one of same) expect(await store.find(one)).toEqual(ann)
    expect(await store.find(claim('ext_id', 'XY-1'))).toBeUndefined()
    expect(await store.find({ kind: 'email', key: claim('username', 'ann').key })).toBeUndefined()
  })

  it('knows nobody where nobody ever was', async () => {
    const { store } = given()
    expect(await store.get(1)).toBeUndefined()
    expect(await store.find(claim('email', 'ann@example.com'))).toBeUndefined()
    expect(await store.page({ after: 0, filters: [] })).toEqual({ users: [] })
  })
}
