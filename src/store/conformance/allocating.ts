import { expect, it } from 'vitest'
import { all, committed, create, type Given, idsOf, lifecycle, many, range, replace } from './commands.ts'

export function allocating(given: Given): void {
  it('counts from 1, one by one, however many ask at once', async () => {
    const { store } = given()
    const outcomes = await many(store, 300, () => create({}))
    expect(idsOf(outcomes).toSorted((a, b) => a - b)).toEqual(range(300))
  })

  it('is not moved by an id that a client chose, and steps over those that are used', async () => {
    const { store } = given()
    await all(store, [replace(2, {}), replace(1_000_000, {}), replace(Number.MAX_SAFE_INTEGER, {})])
    const made = [await committed(store, create({})), await committed(store, create({}))]
    expect(made.map(({ id }) => id)).toEqual([1, 3])
  })

  it('steps over a long run of used ids, erased ones among them, in no time to speak of', async () => {
    const { store } = given()
    await many(store, 5_000, (id) => replace(id, {}))
    await committed(store, lifecycle('erase', 5_000))
    const made = idsOf(await all(store, [create({}), create({}), create({})]))
    expect(made.toSorted((a, b) => a - b)).toEqual([5_001, 5_002, 5_003])
  })

  it('never gives an id twice, whoever had it was erased or not, before or after reopening', async () => {
    const { store, reopen } = given()
    await all(store, [create({}), create({}), replace(4, {})])
    await all(store, [lifecycle('erase', 2), lifecycle('erase', 4)])
    expect((await committed(store, create({}))).id).toBe(3)
    const reopened = await reopen()
    expect((await committed(reopened, create({}))).id).toBe(5)
    await committed(reopened, lifecycle('erase', 5))
    expect((await committed(await reopen(), create({}))).id).toBe(6)
  })
}
