import { expect, it } from 'vitest'
import { claim } from '../../directory/claims.ts'
import {
  all,
  codeOf,
  committed,
  create,
  type Given,
  many,
  present,
  range,
  times,
  update,
} from './commands.ts'
import { contradictions } from './contradictions.ts'

export function updating(given: Given): void {
  it('lets exactly one of many writers win who saw the same version', async () => {
    const { store, readLog } = given()
    const { id } = await committed(store, create({}))
    for (let round = 1; round <= 25; round++) {
      const writers = times(12, (n) => update(id, { bio: `${round} by ${n}` }, { ifMatch: [round] }))
      const outcomes = await all(store, writers)
      const winners = writers.filter((_, n) => outcomes[n]?.outcome === 'committed')
      expect(winners).toHaveLength(1)
      expect(outcomes.filter((outcome) => codeOf(outcome) === 'precondition_failed')).toHaveLength(11)
      expect(await store.get(id)).toMatchObject({ version: round + 1, bio: winners[0]?.patch.bio })
    }
    expect((await readLog()).map(({ version }) => version)).toEqual(range(26))
  })

  it('applies every one of many writers who demand no version, each on what the one before left', async () => {
    const { store, readLog } = given()
    const { id } = await committed(store, create({}))
    const outcomes = await many(store, 200, (n) =>
      update(id, n % 2 === 0 ? { bio: `bio ${n}` } : { phone: `phone ${n}` }),
    )
    const versions = outcomes.map((outcome) => (outcome.outcome === 'committed' ? outcome.user.version : 0))
    expect(versions.toSorted((a, b) => a - b)).toEqual(times(200, (n) => n + 1))
    expect(contradictions([await present(store, id)], await readLog())).toEqual([])
  })

  it('tells of nothing that it can not read back at once', async () => {
    const { store } = given()
    await many(store, 8, () => create({}))
    const writer = async (id: number) => {
      for (let n = 1; n <= 40; n++) {
        const user = await committed(store, update(id, { username: `name-${id}-${n}`, phone: `${n}` }))
        expect(await store.get(id)).toEqual(user)
        expect(await store.find(claim('username', `name-${id}-${n}`))).toEqual(user)
        expect((await store.page({ after: id - 1, filters: [] })).users[0]).toEqual(user)
      }
    }
    await Promise.all(range(8).map(writer))
  })
}
