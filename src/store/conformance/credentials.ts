import { expect, it } from 'vitest'
import type { Import } from '../../directory/command.ts'
import { committed, create, type Given, lifecycle, setPassword, update } from './commands.ts'

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

  it('changes a password, ends tokens, and logs that it did in one unit, and forgets all of it with the user', async () => {
    const { store, readLog } = given()
    await committed(store, create({ username: 'ann' }, { password: 'first' }))
    await committed(store, create({ username: 'bob' }))
    const once = { actor: 'key:1', key: 'k', hash: 'h' }
    for (const command of [
      setPassword(1, 'second'),
      setPassword(1, 'third', { once }),
      setPassword(2, 'other'),
    ])
      expect(await committed(store, command)).toMatchObject({ updated_at: command.at })
    const last = setPassword(1, 'fourth')
    expect(await committed(store, last)).toMatchObject({ version: 4, username: 'ann' })
    expect(await store.credentials(1)).toMatchObject({ password: 'fourth', tokensValidFrom: last.at })
    expect(await store.credentials(2)).toMatchObject({ password: 'other' })
    const fields = { password: [null, null] }
    expect((await readLog()).at(-1)).toMatchObject({ kind: 'updated', version: 4, fields })
    for (const refused of [
      { ifMatch: [3] },
      { basis: { version: 3 } },
      { dryRun: true },
      { called: 'usr_x' },
    ])
      await store.change(setPassword(1, 'fifth', refused))
    expect(await store.credentials(1)).toMatchObject({ password: 'fourth', tokensValidFrom: last.at })
    await committed(store, lifecycle('erase', 1))
    expect(await store.credentials(1)).toEqual({ status: 'erased', password: null, tokensValidFrom: 0 })
    expect(JSON.stringify(await readLog())).not.toMatch(/second|third|fourth|fifth/)
  })

  it('ends tokens, and forgets that, also in units that are done once', async () => {
    const { store } = given()
    const key = (name: string) => ({ once: { actor: 'key:1', key: name, hash: 'h' } })
    await committed(store, create({ username: 'ann' }))
    const ended = setPassword(1, 'second', key('a'))
    await committed(store, ended)
    const now = { password: 'second', tokensValidFrom: ended.at }
    expect(await store.credentials(1)).toMatchObject(now)
    expect(await store.change({ ...setPassword(1, 'third'), ...key('a') })).toMatchObject({ replayed: true })
    expect(await store.credentials(1)).toMatchObject(now)
    await committed(store, { ...lifecycle('erase', 1), ...key('b') })
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
