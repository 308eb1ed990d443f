import { expect, it } from 'vitest'
import type { Import } from '../../directory/command.ts'
import { committed, create, type Given, lifecycle, update } from './commands.ts'

/** What every store must tell of whoever signs in, or brings a token. */
export function keepingCredentials(given: Given): void {
  it('tells the status, the hash of the password and since when tokens count', async () => {
    const { store, reopen } = given()
    const hash = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
    await committed(store, create({ username: 'ann' }, { password: hash }))
    await committed(store, create({ username: 'bob' }))
    await committed(store, update(1, { bio: 'x' }))
    const active = { status: 'active', tokensValidFrom: 0 }
    for (const open of [() => store, reopen]) {
      const { credentials } = await open()
      expect(await credentials(1)).toEqual({ ...active, password: hash })
      expect(await credentials(2)).toEqual({ ...active, password: null })
      expect(await credentials(3)).toBeUndefined()
    }
  })

  it('ends tokens in the unit that removes or blocks, keeps that past a restoration, and forgets it with the user', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    const removal = lifecycle('remove', 1)
    await committed(store, removal)
    const ended = { password: null, tokensValidFrom: removal.at }
    expect(await store.credentials(1)).toEqual({ ...ended, status: 'deleted' })
    await committed(store, lifecycle('restore', 1))
    expect(await store.credentials(1)).toEqual({ ...ended, status: 'active' })

    const blocking: Import = {
      ...create({}),
      kind: 'import',
      id: 1,
      source: { status: 'blocked' },
      update: true,
    }
    await committed(store, blocking)
    expect(await store.credentials(1)).toEqual({ ...ended, status: 'blocked', tokensValidFrom: blocking.at })
    await committed(store, lifecycle('erase', 1))
    expect(await store.credentials(1)).toEqual({ status: 'erased', password: null, tokensValidFrom: 0 })
  })

  it('never puts the time back, whose clock ever is behind', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    const first = lifecycle('remove', 1)
    await committed(store, first)
    await committed(store, lifecycle('restore', 1))
    await committed(store, { ...lifecycle('remove', 1), at: first.at - 60_000 })
    expect(await store.credentials(1)).toMatchObject({ tokensValidFrom: first.at })
  })

  it('ends nothing where nothing was changed', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    await store.change({ ...lifecycle('remove', 1), dryRun: true })
    await store.change({ ...lifecycle('remove', 1), ifMatch: [7] })
    expect(await store.credentials(1)).toEqual({ status: 'active', password: null, tokensValidFrom: 0 })
  })
}
