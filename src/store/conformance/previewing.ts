import { expect, it } from 'vitest'
import type { Command } from '../../directory/command.ts'
import {
  all,
  codeOf,
  committed,
  create,
  everybody,
  type Given,
  lifecycle,
  replace,
  update,
} from './commands.ts'
import { once } from './repeating.ts'

export function previewing(given: Given): void {
  it('tells what a command would come to, and then comes to', async () => {
    const { store, readLog } = given()
    await all(store, [create({ username: 'ann', bio: 'old' }), replace(2, {}), replace(3, {}), create({})])
    const commands: Command[] = [
      create({ username: 'eve', email: 'eve@example.com' }),
      update(1, { bio: 'new', username: 'anna' }),
      replace(9, { username: 'zoe' }),
      replace(9, { first_name: 'Zoe' }),
      lifecycle('remove', 2),
      lifecycle('restore', 2),
      lifecycle('erase', 1),
      create({ username: 'anna' }),
    ]
    for (const command of commands) {
      const preview = await store.change({ ...command, dryRun: true })
      const user = await committed(store, command)
      const change = (await readLog()).at(-1)
      expect(preview).toEqual({
        outcome: 'previewed',
        user,
        change: { kind: change?.kind, fields: change?.fields },
      })
    }
    const user = await store.get(9)
    expect(await store.change(update(9, { first_name: 'Zoe' }, { dryRun: true }))).toEqual({
      outcome: 'previewed',
      user,
      change: null,
    })
  })

  it('refuses as the command would be refused, for claims that others hold too', async () => {
    const { store } = given()
    await all(store, [create({ username: 'ann' }), create({ username: 'bob' })])
    const commands: Command[] = [
      update(1, { username: 'Bob' }),
      create({ username: 'ANN', ext_id: 'x' }),
      update(1, { bio: 5 }),
      update(1, { bio: 'x' }, { ifMatch: [7] }),
      update(7, { bio: 'x' }),
      lifecycle('restore', 1),
    ]
    for (const command of commands) {
      const preview = await store.change({ ...command, dryRun: true })
      expect(codeOf(preview)).toBeTypeOf('string')
      expect(preview).toEqual(await store.change(command))
    }
  })

  it('writes nothing at all: no user, no id, no claim, no row of the log, no receipt, no password', async () => {
    const { store, readLog, readAside } = given()
    await committed(store, create({ username: 'ann' }))
    const before = [await everybody(store), await readLog(), await readAside()]
    const dryRun = true
    for (let round = 0; round < 3; round++) {
      const outcomes = await all(store, [
        create({ username: 'bob' }, { dryRun, once: once('k'), password: '$argon2id$secret' }),
        update(1, { username: 'bob' }, { dryRun, once: once('k', { hash: 'other' }) }),
        { ...lifecycle('erase', 1), dryRun },
        replace(7, { username: 'zoe' }, { dryRun }),
      ])
      expect(outcomes.map(({ outcome }) => outcome)).toEqual([
        'previewed',
        'previewed',
        'previewed',
        'previewed',
      ])
      expect(JSON.stringify(outcomes)).not.toContain('secret')
    }
    expect([await everybody(store), await readLog(), await readAside()]).toEqual(before)
    expect(await committed(store, create({ username: 'bob' }))).toMatchObject({ id: 2 })
    expect(await store.get(7)).toBeUndefined()
  })
}
