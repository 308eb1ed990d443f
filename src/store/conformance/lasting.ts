import { expect, it } from 'vitest'
import { claim } from '../../directory/claims.ts'
import {
  all,
  committed,
  create,
  everybody,
  type Given,
  idsOf,
  lifecycle,
  range,
  times,
  update,
} from './commands.ts'

export function lasting(given: Given): void {
  it('finds everything again after closing and opening', async () => {
    const { store, reopen, readLog } = given()
    await all(store, [
      create({ username: 'ann', tags: [], email: 'ann@example.com' }),
      create({}),
      create({}),
    ])
    await all(store, [update(1, { bio: 'ü', reg_approved: true }), lifecycle('remove', 2)])
    await committed(store, lifecycle('erase', 3))
    const users = [await store.get(1), await store.get(2), await store.get(3)]
    const log = await readLog()
    const reopened = await reopen()
    expect([await reopened.get(1), await reopened.get(2), await reopened.get(3)]).toEqual(users)
    expect(await readLog()).toEqual(log)
    expect(await reopened.find(claim('username', 'ann'))).toEqual(users[0])
    expect(await everybody(reopened)).toEqual([users[0]])
    expect(await committed(reopened, update(1, { bio: 'u' }, { ifMatch: [2] }))).toMatchObject({ version: 3 })
  })

  it('finishes what it accepted before it closes', async () => {
    const { store, reopen } = given()
    const accepted = times(60, (n) => store.change(create({ username: `name-${n}` })))
    const closed = store.close()
    await letOtherThreadsGoOn()
    await closed
    const ids = idsOf(await Promise.all(accepted))
    expect((await everybody(await reopen())).map(({ id }) => id)).toEqual(ids.toSorted((a, b) => a - b))
  })

  it('turns commands away once it is closed', async () => {
    const { store } = given()
    await committed(store, create({}))
    await store.ready()
    await store.close()
    const unavailable = { name: 'DirectoryError', code: 'unavailable' }
    await expect(store.change(update(1, { bio: 'late' }))).rejects.toMatchObject(unavailable)
    await expect(store.ready()).rejects.toMatchObject(unavailable)
  })

  it('answers a command that comes while it closes, and does what it answered', async () => {
    const { store, reopen } = given()
    await committed(store, create({}))
    let answer = 'none'
    const closed = store.close()
    const late = store.change(update(1, { bio: 'late' })).then(
      ({ outcome }) => (answer = outcome),
      ({ code }) => (answer = code),
    )
    await letOtherThreadsGoOn()
    await closed
    await Promise.race([late, new Promise(setImmediate)])
    expect(['committed', 'unavailable']).toContain(answer)
    expect((await (await reopen()).get(1))?.bio ?? null).toBe(answer === 'committed' ? 'late' : null)
  })

  it('is closed once, however many ask for it', async () => {
    const { store } = given()
    await committed(store, create({}))
    await Promise.all([store.close(), store.close()])
    await store.close()
  })
}

/** What was begun in this turn begins, and other threads get on with it before this one hears more of it. */
async function letOtherThreadsGoOn(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await undefined
  JSON.stringify(range(1_000_000))
}
