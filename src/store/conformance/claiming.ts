import { expect, it } from 'vitest'
import { claim } from '../../directory/claims.ts'
import {
  all,
  codeOf,
  committed,
  create,
  everybody,
  type Given,
  lifecycle,
  many,
  replace,
  takenFields,
  update,
} from './commands.ts'

export function claiming(given: Given): void {
  it('refuses claims that somebody else holds, naming every one, and applies the rest of what came along', async () => {
    const { store } = given()
    await committed(store, create({ email: 'ann@example.com', username: 'ann', ext_id: 'x-1' }))
    await committed(store, create({ email: 'bob@example.com' }))
    const outcomes = await all(store, [
      update(2, { bio: 'before' }),
      update(2, { email: 'ANN@example.com', username: 'Ann', ext_id: 'x-1', phone: 'not kept' }),
      create({ email: 'eve@example.com' }),
      create({ email: 'Bob@Example.com' }),
      update(2, { last_name: 'after' }),
    ])
    expect(outcomes.map(codeOf)).toEqual([undefined, 'conflict', undefined, 'conflict', undefined])
    expect(takenFields(outcomes[1])).toEqual(['email', 'ext_id', 'username'])
    expect(takenFields(outcomes[3])).toEqual(['email'])
    expect(await store.get(2)).toMatchObject({ bio: 'before', last_name: 'after', phone: null, version: 3 })
  })

  it('gives a value that many want at once to exactly one of them', async () => {
    const { store } = given()
    for (let round = 0; round < 15; round++) {
      const outcomes = await many(store, 10, (n) => create({ username: `Wanted-${round}`, bio: `${n}` }))
      const winners = outcomes.flatMap((outcome) => (outcome.outcome === 'committed' ? [outcome.user] : []))
      expect(winners).toHaveLength(1)
      expect(outcomes.filter((outcome) => codeOf(outcome) === 'conflict')).toHaveLength(9)
      expect(await store.find(claim('username', `wanted-${round}`))).toEqual(winners[0])
    }
  })

  it('keeps nothing of a unit that was refused: no field, no claim, no row of the log', async () => {
    const { store, readLog } = given()
    const ann = await committed(store, create({ email: 'ann@example.com' }))
    const bob = await committed(store, create({ email: 'bob@example.com', username: 'bob' }))
    const log = await readLog()
    const both = { email: 'ann@example.com', username: 'robert', bio: 'new' }
    expect(codeOf(await store.change(update(bob.id, both)))).toBe('conflict')
    expect(codeOf(await store.change(create(both)))).toBe('conflict')
    expect(codeOf(await store.change(replace(77, both)))).toBe('conflict')
    expect([await store.get(ann.id), await store.get(bob.id)]).toEqual([ann, bob])
    expect(await store.get(77)).toBeUndefined()
    expect(await store.find(claim('username', 'bob'))).toEqual(bob)
    expect(await store.find(claim('username', 'robert'))).toBeUndefined()
    expect(await everybody(store)).toEqual([ann, bob])
    expect(await readLog()).toEqual(log)
    // Nor does it stand in the way of whoever comes next.
    await committed(store, create({ username: 'robert' }))
  })

  it('frees the value that a user gives up, and knows a change of spelling for the same claim', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    expect(await committed(store, update(1, { username: 'Ann' }))).toMatchObject({ username: 'Ann' })
    expect(takenFields(await store.change(create({ username: 'ANN' })))).toEqual(['username'])
    await committed(store, update(1, { username: 'anna' }))
    const heir = await committed(store, create({ username: 'ann' }))
    expect(await store.find(claim('username', 'ann'))).toEqual(heir)
  })

  it('knows a uid for a claim too', async () => {
    const { store } = given()
    const { uid } = await committed(store, create({}))
    expect(takenFields(await store.change(create({}, { uid })))).toEqual(['uid'])
  })

  it('keeps the claims of a removed user until an erasure, and gives the user back whole', async () => {
    const { store } = given()
    const values = { email: 'ann@example.com', username: 'ann', ext_id: 'x-1', bio: 'still here' }
    await committed(store, create(values))
    await committed(store, lifecycle('remove', 1))
    expect(takenFields(await store.change(create(values)))).toEqual(['email', 'ext_id', 'username'])
    expect(await store.get(1)).toMatchObject({ ...values, status: 'deleted', version: 2 })
    expect(codeOf(await store.change(update(1, { bio: 'changed' })))).toBe('not_found')
    const restored = await committed(store, lifecycle('restore', 1))
    expect(restored).toMatchObject({ ...values, status: 'active', version: 3 })
    expect(await store.find(claim('email', 'ann@example.com'))).toEqual(restored)
  })
}
