import { expect, it } from 'vitest'
import type { Actor } from '../../directory/actor.ts'
import type { Command, Once } from '../../directory/command.ts'
import { receiptLife } from '../../directory/receipt.ts'
import type { Outcome } from '../../directory/store.ts'
import {
  all,
  codeOf,
  committed,
  create,
  type Given,
  lifecycle,
  present,
  range,
  replace,
  times,
  update,
} from './commands.ts'

export function once(key: string, more: Partial<Once> = {}): Once {
  return { actor: 'key key_1', key, hash: `hash of ${key}`, ...more }
}

/** The same request again: under another change id, at a later time. */
function again<C extends Command>(command: C, more: Partial<C> = {}): C {
  const { requestId, changeId, at } = create({})
  return { ...command, requestId, changeId, at, ...more }
}

const replayed = (outcome: Outcome) => ({ ...outcome, replayed: true })

export function repeating(given: Given): void {
  it('carries out a command with a key once, and tells whoever repeats it what came of it then', async () => {
    const { store, readLog, reopen } = given()
    await all(store, [create({ username: 'ann', bio: 'old' }), create({ username: 'bob' }), create({})])
    const commands = [
      create({ username: 'eve' }, { once: once('create') }),
      update(1, { bio: 'new' }, { once: once('update') }),
      update(1, { bio: 'new' }, { once: once('no change') }),
      replace(9, { username: 'new' }, { once: once('replace') }),
      { ...lifecycle('remove', 2), once: once('remove') },
      { ...lifecycle('restore', 2), once: once('restore') },
      { ...lifecycle('erase', 3), once: once('erase') },
    ]
    const outcomes: Outcome[] = []
    for (const command of commands) outcomes.push(await store.change(command))
    const kinds = outcomes.map(({ outcome }) => outcome)
    expect(kinds).toEqual(['committed', 'committed', 'unchanged', ...range(4).map(() => 'committed')])
    for (const id of [1, 2, 4, 9])
      await committed(store, update(id, { bio: 'later', username: `later-${id}` }))
    const log = await readLog()

    for (const open of [async () => store, reopen]) {
      const current = await open()
      const repeated = await all(
        current,
        commands.map((command) => again(command)),
      )
      expect(repeated).toEqual(outcomes.map(replayed))
      // What was told of an old version must not be taken for the newest.
      for (const id of [1, 2, 4, 9]) expect(await present(current, id)).toMatchObject({ bio: 'later' })
    }
    expect(await readLog()).toEqual(log)
  })

  it('writes for a command that changes nothing no more than that it was asked for', async () => {
    const { store, readLog, readAside } = given()
    const ann = await committed(store, create({ bio: 'same' }))
    const log = await readLog()
    const command = update(1, { bio: 'same' }, { once: once('k') })
    expect(await store.change(command)).toEqual({ outcome: 'unchanged', user: ann })
    expect((await readAside()).receipts).toEqual([{ key: 'k', userId: 1 }])
    expect(await store.receipt(once('k'))).toEqual({
      once: once('k'),
      at: command.at,
      userId: 1,
      told: { outcome: 'unchanged', user: ann },
    })
    expect([await present(store, 1), await readLog()]).toEqual([ann, log])
  })

  it('refuses the key of another request, and knows the same key of somebody else for another', async () => {
    const { store, readLog } = given()
    await committed(store, create({ username: 'ann' }, { once: once('k') }))
    const log = await readLog()
    const other = once('k', { hash: 'hash of another' })
    const refused: Command[] = [
      create({ username: 'bob' }, { once: other }),
      update(1, { bio: 'x' }, { once: other }),
      update(77, { bio: 'x' }, { once: other }),
      update(1, { bio: 5 }, { once: other }),
      update(1, { bio: 'x' }, { once: other, ifMatch: [] }),
      create({ username: 'ann' }, { once: other }),
      { ...lifecycle('erase', 1), once: other, problems: [{ property: 'x', message: 'is wrong' }] },
    ]
    for (const command of refused) expect(codeOf(await store.change(command))).toBe('idempotency_mismatch')
    expect(await readLog()).toEqual(log)
    for (const [actor, key] of [
      ['key key_2', 'k'],
      ['key key_1', 'K'],
      ['key key_1k', ''],
    ] as const)
      await committed(store, create({}, { once: { actor, key, hash: 'other' } }))
  })

  it('tells what was told before whatever the record says by now, but nobody who may not ask any more', async () => {
    const { store } = given()
    const command = create({ username: 'ann', email: 'ann@example.com' }, { once: once('k') })
    const outcome = await store.change(command)
    await committed(store, lifecycle('remove', 1))
    // Its values are taken by now, and a precondition that held does not any more.
    expect(
      await store.change(again(command, { problems: [{ property: 'x', message: 'is wrong' }] })),
    ).toEqual(replayed(outcome))
    const changed = update(1, { bio: 'x' }, { once: once('u'), ifMatch: [3] })
    await committed(store, lifecycle('restore', 1))
    const updated = await store.change(changed)
    expect(await store.change(again(changed))).toEqual(replayed(updated))
    const stranger: Actor = { kind: 'anonymous', id: null, scopes: [], contract: 'v1' }
    const reader: Actor = { kind: 'key', id: 'key_1', scopes: ['read'], contract: 'v1' }
    expect(codeOf(await store.change(again(command, { actor: stranger })))).toBe('unauthenticated')
    expect(codeOf(await store.change(again(changed, { actor: reader })))).toBe('forbidden')
  })

  it('keeps nothing of what was refused, so the key is as good as new', async () => {
    const { store, readAside } = given()
    await committed(store, create({ username: 'ann' }))
    const refused: [Command, string][] = [
      [create({ username: 'Ann' }, { once: once('k') }), 'conflict'],
      [update(1, { bio: 5 }, { once: once('k') }), 'invalid'],
      [
        update(1, { bio: 'x' }, { once: once('k'), problems: [{ property: 'x', message: 'is wrong' }] }),
        'invalid',
      ],
      [update(1, { bio: 'x' }, { once: once('k'), ifMatch: [] }), 'precondition_failed'],
      [update(77, { bio: 'x' }, { once: once('k') }), 'not_found'],
    ]
    for (const [command, code] of refused) expect(codeOf(await store.change(command))).toBe(code)
    expect((await readAside()).receipts).toEqual([])
    await committed(store, update(1, { bio: 'x' }, { once: once('k', { hash: 'other' }) }))
  })

  it('carries out a command once however many send it at the same time', async () => {
    const { store, readLog } = given()
    await committed(store, create({ bio: '0' }))
    for (let round = 1; round <= 8; round++) {
      const commands: ((n: number) => Command)[] = [
        () => create({ username: `name-${round}` }, { once: once(`create ${round}`) }),
        () => create({}, { once: once(`nobody ${round}`) }),
        (n) => update(1, { bio: `${round} ${n}` }, { once: once(`update ${round}`) }),
        () => update(1, {}, { once: once(`no change ${round}`) }),
      ]
      for (const make of commands) {
        const outcomes = await all(store, times(12, make))
        const first = outcomes.filter((one) => 'user' in one && !('replayed' in one))
        expect(first).toHaveLength(1)
        expect(outcomes).toEqual(
          outcomes.map((one) => (one === first[0] ? one : replayed(first[0] as Outcome))),
        )
      }
    }
    expect(await readLog()).toHaveLength(1 + 8 * 3)
  })

  it('keeps it for a day, and removes it bit by bit after that, and no other', async () => {
    const { store, reopen, readAside } = given()
    const command = create({ bio: '1' }, { once: once('k') })
    const outcome = await store.change(command)
    const at = command.at + receiptLife
    expect(await store.change(again(command, { at: at - 1 }))).toEqual(replayed(outcome))
    expect(
      await committed(store, again(command, { at, uid: 'usr_again', once: once('k', { hash: 'new' }) })),
    ).toMatchObject({
      uid: 'usr_again',
    })
    expect(await store.receipt(once('k'))).toMatchObject({ at, once: { hash: 'new' } })

    const noChange = (name: string, n: number, when: number) =>
      update(1, {}, { once: once(`${name} ${n}`), at: when })
    await all(
      store,
      times(1_500, (n) => noChange('old', n, at + n)),
    )
    const later = at + 2 * receiptLife
    await all(
      store,
      times(100, (n) => noChange('new', n, later + n)),
    )
    expect(await store.expire(at)).toBe(0)
    const portions: number[] = []
    for (let count = 1; count > 0; portions.push(count)) count = await store.expire(later)
    expect(portions.reduce((sum, count) => sum + count)).toBe(1_501)
    expect(Math.max(...portions)).toBeLessThanOrEqual(1_000)
    const names = (await readAside()).receipts.map(({ key }) => key.split(' ', 1)[0])
    expect(names).toEqual(times(100, () => 'new'))
    expect(await (await reopen()).expire(later + receiptLife + 50)).toBe(50)
  })

  it('forgets with a user what was kept about him, by whoever asked, but that he was erased', async () => {
    const { store, readAside } = given()
    await committed(store, create({ bio: 'secret' }, { once: once('made') }))
    await committed(store, create({}, { once: once('bob') }))
    await committed(store, update(1, { bio: 'secret 2' }, { once: once('changed', { actor: 'person 1' }) }))
    await store.change(update(1, { bio: 'secret 2' }, { once: once('same') }))
    await store.counters.change({ kind: 'count', id: 1, at: 1, changes: {}, once: once('counted') })
    const erase = { ...lifecycle('erase', 1), once: once('erase') }
    const outcome = await store.change(erase)
    expect((await readAside()).receipts).toEqual([
      { key: 'bob', userId: 2 },
      { key: 'erase', userId: 1 },
    ])
    expect(JSON.stringify(await store.receipt(once('erase')))).not.toContain('secret')
    expect(await store.change(again(erase))).toEqual(replayed(outcome))
    expect(codeOf(await store.change(update(1, { bio: 'x' }, { once: once('same') })))).toBe('not_found')
  })

  it('takes keys for what they are, whatever is in them', async () => {
    const { store } = given()
    for (const key of ['', ' ', "'; DROP TABLE users --", 'ключ \u{1f511}', '{"a":1}', 'x'.repeat(255)]) {
      const made = await committed(store, create({}, { once: once(key) }))
      expect(await store.change(create({}, { once: once(key) }))).toMatchObject({ user: { id: made.id } })
    }
  })
}
