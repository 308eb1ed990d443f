import { expect, it } from 'vitest'
import type { Command } from '../../directory/command.ts'
import { maxBatch, type Outcome } from '../../directory/store.ts'
import {
  all,
  codeOf,
  committed,
  create,
  everybody,
  type Given,
  idsOf,
  lifecycle,
  present,
  range,
  replace,
  times,
  update,
} from './commands.ts'
import { contradictions } from './contradictions.ts'
import { once } from './repeating.ts'

const kindsOf = (outcomes: readonly Outcome[]) => outcomes.map((one) => codeOf(one) ?? one.outcome)

export function batching(given: Given): void {
  it('carries out many commands together, each on what the ones before it leave', async () => {
    const { store, readLog } = given()
    await all(store, [create({ username: 'ann', bio: '0' }), create({ username: 'bob' })])
    const outcomes = await store.changeAll([
      update(1, { username: 'free', bio: '1' }, { ifMatch: [1] }),
      update(2, { username: 'ann' }),
      update(1, { username: 'bob' }, { ifMatch: [2] }),
      update(1, { bio: '1' }),
      replace(4, { username: 'free', first_name: 'A' }),
      replace(4, { first_name: 'B' }, { ifMatch: [1] }),
      create({ email: 'eve@example.com' }),
      create({}),
      lifecycle('remove', 2),
      lifecycle('erase', 4),
      create({ username: 'Free' }),
    ])
    expect(kindsOf(outcomes)).toEqual([
      ...['committed', 'committed', 'committed', 'unchanged', 'committed', 'committed'],
      ...['committed', 'committed', 'committed', 'committed', 'committed'],
    ])
    // Where a client chose an id that the allocator comes to, it is stepped over.
    expect(idsOf(outcomes.filter((_, n) => [6, 7, 10].includes(n)))).toEqual([3, 5, 6])
    const users = await Promise.all(times(6, (id) => present(store, id)))
    expect(users).toMatchObject([
      { username: 'bob', bio: '1', version: 3 },
      { username: 'ann', status: 'deleted', version: 3 },
      { email: 'eve@example.com', version: 1 },
      { status: 'erased', first_name: null, version: 3 },
      {},
      { username: 'Free' },
    ])
    expect(contradictions(users, await readLog())).toEqual([])
    expect(await store.find({ kind: 'username', key: 'ann' })).toEqual(users[1])
    expect((await committed(store, create({}))).id).toBe(7)
    // Even where that is somebody who was made by one of them.
    const met = await store.changeAll([create({}), update(8, { bio: 'x' }), replace(9, {}), create({})])
    expect(met).toMatchObject([8, 8, 9, 10].map((id) => ({ outcome: 'committed', user: { id } })))
  })

  it('keeps nothing of a batch in which one is refused, and tells every refusal', async () => {
    const { store, readLog, readAside } = given()
    await all(store, [create({ username: 'ann' }), create({ username: 'bob' })])
    const before = [await everybody(store), await readLog(), await readAside()]
    const outcomes = await store.changeAll([
      update(1, { username: 'anna', bio: 'lost' }),
      create({ username: 'ann' }, { once: once('a'), password: '$argon2id$secret' }),
      update(2, { username: 'anna' }),
      update(2, { bio: 5 }),
      update(2, {}, { once: once('b') }),
      update(77, {}),
      lifecycle('erase', 2),
      create({ username: 'Bob' }),
      create({ username: 'zoe' }),
      create({ username: 'ZOE' }),
    ])
    expect(kindsOf(outcomes)).toEqual([
      ...['batch_aborted', 'batch_aborted', 'conflict', 'invalid', 'batch_aborted', 'not_found'],
      ...['batch_aborted', 'batch_aborted', 'batch_aborted', 'conflict'],
    ])
    expect([await everybody(store), await readLog(), await readAside()]).toEqual(before)
    expect(await store.find({ kind: 'username', key: 'anna' })).toBeUndefined()
    await all(store, [update(1, { username: 'anna' }), create({ username: 'zoe' })])
    expect(await present(store, 1)).toMatchObject({ username: 'anna', bio: null, version: 2 })
  })

  it('takes as many commands as a batch may have, on one user or on many', async () => {
    const { store, readLog, readAside } = given()
    const made = await store.changeAll(
      times(maxBatch, (n) =>
        create({ username: `name-${n}`, email: `${n}@example.com` }, { once: once(`${n}`) }),
      ),
    )
    expect(idsOf(made)).toEqual(times(maxBatch, (n) => n))
    expect((await readAside()).receipts).toHaveLength(maxBatch)
    const changed = await store.changeAll(
      times(maxBatch, (n) => update(1, { bio: `${n}` }, { ifMatch: [n] })),
    )
    expect(changed.at(-1)).toMatchObject({ outcome: 'committed', user: { id: 1, version: maxBatch + 1 } })
    expect(
      contradictions(
        [await present(store, 1)],
        (await readLog()).filter(({ userId }) => userId === 1),
      ),
    ).toEqual([])
    expect(await store.changeAll([])).toEqual([])
  })

  it('tells a batch with keys again, as a whole', async () => {
    const { store, readLog } = given()
    await committed(store, create({ username: 'ann' }))
    const commands = () => [
      create({ username: 'bob' }, { once: once('1') }),
      update(1, { bio: 'x' }, { once: once('2') }),
      update(1, { bio: 'x' }, { once: once('3') }),
    ]
    const outcomes = await store.changeAll(commands())
    await committed(store, update(1, { bio: 'y' }))
    const log = await readLog()
    expect(await store.changeAll(commands())).toEqual(outcomes.map((one) => ({ ...one, replayed: true })))
    expect(await readLog()).toEqual(log)
    // One key twice in a batch is a repetition too.
    const twice = [create({}, { once: once('4') }), create({}, { once: once('4') })]
    const [first, second] = await store.changeAll(twice)
    expect(second).toEqual({ ...first, replayed: true })
    const mixed = [update(1, { bio: 'z' }), create({}, { once: once('1', { hash: 'other' }) })]
    expect(kindsOf(await store.changeAll(mixed))).toEqual(['batch_aborted', 'idempotency_mismatch'])
  })

  it('forgets with a user who is erased in a batch what was kept about him, in the batch or before', async () => {
    const { store, readAside } = given()
    const made = create({ bio: 'secret' }, { once: once('before') })
    await committed(store, made)
    const erasing = () => [
      update(1, { bio: 'secret too' }, { once: once('within') }),
      { ...lifecycle('erase', 1), once: once('erase') },
    ]
    const other = once('before', { hash: 'other' })
    const refused = await store.changeAll([...erasing(), update(1, {}, { once: other })])
    expect(kindsOf(refused)).toEqual(['batch_aborted', 'batch_aborted', 'not_found'])
    expect((await readAside()).receipts).toEqual([{ key: 'before', userId: 1 }])
    expect(kindsOf(await store.changeAll(erasing()))).toEqual(['committed', 'committed'])
    expect((await readAside()).receipts).toEqual([{ key: 'erase', userId: 1 }])
  })

  it('previews a batch as a whole', async () => {
    const { store, readLog } = given()
    await committed(store, create({ username: 'ann' }))
    const before = [await everybody(store), await readLog()]
    const commands: Command[] = [
      update(1, { username: 'anna' }),
      create({ username: 'ann' }),
      create({}),
      update(1, { username: 'Anna', bio: 'x' }),
      update(1, { bio: 'x' }),
    ]
    const previews = await store.changeAll(commands.map((command) => ({ ...command, dryRun: true })))
    const clash = commands.slice(0, 2).toReversed()
    expect(kindsOf(await store.changeAll(clash.map((command) => ({ ...command, dryRun: true }))))).toEqual([
      'conflict',
      'batch_aborted',
    ])
    expect([await everybody(store), await readLog()]).toEqual(before)
    const outcomes = await store.changeAll(commands)
    const log = await readLog()
    const made = log.slice(1).map(({ kind, fields }) => ({ kind, fields }))
    expect(previews).toEqual(
      outcomes.map((one, n) => ({ ...one, outcome: 'previewed', change: made[n] ?? null })),
    )
    const mixed = [update(1, {}, { dryRun: true }), update(1, { bio: 'y' })]
    await expect(store.changeAll(mixed)).rejects.toThrow('as a whole or not at all')
    expect(await readLog()).toEqual(log)
  })

  it('lets batches that want the same users, in any order, and others besides, all have their turn', async () => {
    const { store, readLog } = given()
    await all(
      store,
      times(6, () => create({ bio: '' })),
    )
    const batches = range(12).map((n) => {
      const ids = n % 2 === 0 ? range(6) : range(6).toReversed()
      return store.changeAll(ids.map((id) => update(id, { bio: `batch ${n}`, username: `b-${n}-${id}` })))
    })
    const single = all(
      store,
      times(60, (n) => update((n % 6) + 1, { phone: `${n}` })),
    )
    const keyed = all(
      store,
      times(30, (n) => update((n % 6) + 1, { location: `${n}` }, { once: once(`${n}`) })),
    )
    const outcomes = [...(await Promise.all(batches)).flat(), ...(await single), ...(await keyed)]
    expect(new Set(kindsOf(outcomes))).toEqual(new Set(['committed']))
    const users = await Promise.all(times(6, (id) => present(store, id)))
    expect(users.map(({ version }) => version)).toEqual(times(6, () => 1 + 12 + 10 + 5))
    expect(contradictions(users, await readLog())).toEqual([])
    // The last batch was the last for all of them.
    expect(new Set(users.map(({ bio }) => bio)).size).toBe(1)
  })
}
