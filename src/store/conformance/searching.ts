import { expect, it } from 'vitest'
import type { SearchQuery } from '../../directory/search.ts'
import { committed, create, type Given, lifecycle, times, update } from './commands.ts'

const by = (called: string, more: Partial<SearchQuery> = {}): SearchQuery => ({
  ...{ has: {}, called, order: { by: 'id', descending: false }, offset: 0, limit: 20 },
  ...more,
})

export function searching(given: Given): void {
  it('finds who has a username, as they are now, and nobody who is hidden', async () => {
    const { store } = given()
    const ann = await committed(store, create({ username: 'ann', real_name: 'Ánna', bio: 'x' }))
    await committed(store, create({ first_name: 'Anna' }))
    expect(await store.search(by('ANN'))).toEqual({ users: [ann], total: 1 })
    const named = await committed(store, update(2, { username: 'Annika' }))
    expect(await store.search(by('ann'))).toEqual({ users: [ann, named], total: 2 })
    const renamed = await committed(store, update(1, { username: 'bob', real_name: 'Bob' }))
    expect(await store.search(by('ann'))).toEqual({ users: [named], total: 1 })
    expect(await store.search(by('bob'))).toEqual({ users: [renamed], total: 1 })
    await committed(store, lifecycle('remove', 2))
    expect(await store.search(by('ann'))).toEqual({ users: [], total: 0 })
    const back = await committed(store, lifecycle('restore', 2))
    expect(await store.search(by('ann'))).toEqual({ users: [back], total: 1 })
    await committed(store, lifecycle('erase', 2))
    expect(await store.search(by('ann'))).toEqual({ users: [], total: 0 })
  })

  it('finds what was acknowledged before, while others write', async () => {
    const { store } = given()
    await committed(store, create({ username: 'first' }))
    await store.search(by('first'))
    await Promise.all(
      times(40, async (n) => {
        const user = await committed(store, create({ username: `person-${n}` }))
        const found = await store.search(by(`person-${n}`, { has: { username: `person-${n}` }, limit: 100 }))
        expect(found.users.map(({ id }) => id)).toContain(user.id)
      }),
    )
    expect((await store.search(by('person', { limit: 5, offset: 10 }))).total).toBe(40)
  })

  it('does not begin a list or a search that nobody waits for any more', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    const page = { filters: [], sort: [], offset: 0, limit: 1, count: true } as const
    for (const work of [store.list(page, AbortSignal.abort()), store.search(by('ann'), AbortSignal.abort())])
      await expect(work).rejects.toMatchObject({ code: 'unavailable' })
    expect(await store.search(by('ann'))).toMatchObject({ total: 1 })
  })
}
