import { expect, it } from 'vitest'
import { begun, receiptLife } from '../../directory/receipt.ts'
import { all, codeOf, committed, create, type Given, lifecycle, times, update } from './commands.ts'
import { once } from './repeating.ts'

/** One of several commands of a request with a key. */
const part = (of: string, n: number, hash = `hash of ${of}`) => once(`${of}\n${n}`, { whole: of, hash })

export function beginning(given: Given): void {
  it('keeps of a request of several commands that it has begun, with the first of them that is carried out', async () => {
    const { store, readAside } = given()
    await committed(store, create({ username: 'ann' }))
    expect(codeOf(await store.change(update(9, { bio: 'x' }, { once: part('k', 0) })))).toBe('not_found')
    expect((await readAside()).receipts).toEqual([])
    const second = update(1, { bio: 'x' }, { once: part('k', 1) })
    const outcome = await store.change(second)
    await store.change(update(1, { bio: 'y' }, { once: part('k', 2) }))
    expect((await readAside()).receipts).toEqual([
      { key: 'k', userId: 0 },
      { key: 'k\n1', userId: 1 },
      { key: 'k\n2', userId: 1 },
    ])
    expect(await store.receipt(once('k'))).toEqual(begun(once('k'), second.at))
    expect(await store.change(second)).toEqual({ ...outcome, replayed: true })
  })

  it('refuses another request with the key of one of several commands, and the other way round', async () => {
    const { store, readLog } = given()
    await committed(store, create({}, { once: once('single') }))
    await committed(store, create({}, { once: part('several', 0) }))
    const log = await readLog()
    for (const key of [
      once('several', { hash: 'other' }),
      part('several', 0, 'other'),
      part('several', 7, 'other'),
      part('single', 0, 'other'),
    ]) {
      const refused = [
        create({}, { once: key }),
        update(1, { bio: 'x' }, { once: key }),
        update(9, {}, { once: key }),
      ]
      for (const command of refused) {
        expect(codeOf(await store.change(command))).toBe('idempotency_mismatch')
        expect((await store.changeAll([create({}), command])).map(codeOf)).toEqual([
          'batch_aborted',
          'idempotency_mismatch',
        ])
      }
    }
    expect(await readLog()).toEqual(log)
  })

  it('keeps one receipt for commands that are carried out together, besides their own, and none when they are not', async () => {
    const { store, readAside } = given()
    const several = () => times(5, (n) => create({}, { once: part('k', n) }))
    const refused = await store.changeAll([...several(), update(77, {}, { once: part('k', 6) })])
    expect(codeOf(refused.at(-1))).toBe('not_found')
    expect((await readAside()).receipts).toEqual([])
    const outcomes = await store.changeAll(several())
    expect((await readAside()).receipts).toHaveLength(6)
    expect(await store.changeAll(several())).toEqual(outcomes.map((one) => ({ ...one, replayed: true })))
    expect((await readAside()).receipts).toHaveLength(6)
  })

  it('lets several commands of one request be carried out at once, each once', async () => {
    const { store, readAside, readLog } = given()
    await all(
      store,
      times(20, () => create({})),
    )
    for (const hash of ['first', 'first', 'other']) {
      const outcomes = await all(
        store,
        times(20, (n) => update(n, { bio: 'x' }, { once: part('k', n, hash) })),
      )
      expect(new Set(outcomes.map((one) => codeOf(one) ?? one.outcome))).toEqual(
        new Set([hash === 'first' ? 'committed' : 'idempotency_mismatch']),
      )
    }
    expect(await readLog()).toHaveLength(40)
    expect((await readAside()).receipts).toHaveLength(21)
  })

  it('keeps that a request has begun which is about no one user, once, for a day', async () => {
    const { store, reopen, readAside } = given()
    const first = begun(once('k'), 1_000, 'key_1')
    expect(await store.begin(first)).toEqual(first)
    expect(await store.receipt(once('k'))).toEqual(first)
    for (const open of [async () => store, reopen]) {
      const again = await open()
      expect(await again.begin(begun(once('k'), 2_000, 'key_2'))).toEqual(first)
      expect(await again.begin(begun(once('k', { hash: 'other' }), 2_000, 'key_3'))).toEqual(first)
    }
    const current = await reopen()
    expect(codeOf(await current.change(create({}, { once: once('k', { hash: 'other' }), at: 3_000 })))).toBe(
      'idempotency_mismatch',
    )
    const late = begun(once('k', { hash: 'other' }), 1_000 + receiptLife, 'key_4')
    expect(await current.begin(late)).toEqual(late)
    expect((await readAside()).receipts).toEqual([{ key: 'k', userId: 0 }])
    expect(await current.expire(late.at + receiptLife)).toBe(1)
  })

  it('lets one of many begin, and leaves receipts of others alone', async () => {
    const { store } = given()
    const made = create({}, { once: once('user') })
    const outcome = await store.change(made)
    expect(await store.begin(begun(once('user', { hash: 'other' }), made.at, 'key_1'))).toMatchObject({
      once: { hash: 'hash of user' },
      told: { outcome: 'committed' },
    })
    const kept = await Promise.all(times(20, (n) => store.begin(begun(once('k'), 1_000 + n, `key_${n}`))))
    for (const receipt of kept) expect(receipt).toEqual(kept[0])
    await committed(store, lifecycle('erase', outcome.outcome === 'committed' ? outcome.user.id : 0))
    expect(await store.receipt(once('k'))).toEqual(kept[0])
  })
}
