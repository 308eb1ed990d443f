import { expect, it } from 'vitest'
import type { Count, CounterChanges } from '../../directory/counters.ts'
import { counterNames, noCounters } from '../../directory/counters.ts'
import { receiptLife } from '../../directory/receipt.ts'
import { committed, create, type Given, lifecycle, present, times } from './commands.ts'
import { once } from './repeating.ts'

const most = Number.MAX_SAFE_INTEGER
const count = (id: number, changes: CounterChanges, more: Partial<Count> = {}): Count => ({
  kind: 'count',
  id,
  changes,
  at: 1,
  ...more,
})

export function counting(given: Given): void {
  it('sets and increments counters, and leaves the others and the record as they are', async () => {
    const { store, readLog, reopen } = given()
    const ann = await committed(store, create({}))
    const log = await readLog()
    expect(await store.counters.get([1, 2])).toEqual(
      new Map([
        [1, noCounters],
        [2, noCounters],
      ]),
    )
    const all = Object.fromEntries(counterNames.map((name, n) => [name, { set: n }]))
    const expected = Object.fromEntries(counterNames.map((name, n) => [name, n]))
    expect(await store.counters.change(count(1, all))).toEqual({ outcome: 'counted', counters: expected })
    const more = {
      posts_counter: { increment: 5 },
      reputation: { increment: -100 },
      polls_counter: { set: 0 },
    }
    const counters = { ...expected, posts_counter: 7, reputation: -93, polls_counter: 0 }
    expect(await store.counters.change(count(1, more))).toEqual({ outcome: 'counted', counters })
    expect(await store.counters.change(count(1, {}))).toEqual({ outcome: 'counted', counters })
    const reopened = await reopen()
    expect((await reopened.counters.get([1])).get(1)).toEqual(counters)
    expect([await present(reopened, 1), await readLog()]).toEqual([ann, log])
  })

  it('counts every one of many increments at once, of users who had none and of those who had', async () => {
    const { store } = given()
    await store.changeAll(times(3, () => create({})))
    for (const round of [1, 2]) {
      await Promise.all(
        times(100, (n) => store.counters.change(count((n % 3) + 1, { followers_counter: { increment: 1 } }))),
      )
      const counters = await store.counters.get([1, 2, 3])
      expect([...counters.values()].map(({ followers_counter }) => followers_counter)).toEqual([
        33 * round,
        34 * round,
        33 * round,
      ])
    }
  })

  it('refuses what is no whole number or leads out of bounds, naming every one, and changes nothing', async () => {
    const { store } = given()
    await committed(store, create({}))
    await store.counters.change(count(1, { posts_counter: { set: most }, reputation: { set: -most } }))
    const before = await store.counters.get([1])
    const refused: [CounterChanges, string[]][] = [
      [{ posts_counter: { increment: 1 } }, ['posts_counter']],
      [
        { followers_counter: { set: 5 }, posts_counter: { increment: 1 }, reputation: { increment: -1 } },
        ['posts_counter', 'reputation'],
      ],
      [
        { polls_counter: { increment: -1 }, discussions_counter: { set: -1 } },
        ['discussions_counter', 'polls_counter'],
      ],
      [{ reputation: { set: 2 ** 53 }, posts_counter: { set: 0.5 } }, ['posts_counter', 'reputation']],
      [{ reputation: { increment: Number.NaN } }, ['reputation']],
    ]
    for (const [changes, names] of refused) {
      const outcome = await store.counters.change(count(1, changes))
      expect(outcome).toMatchObject({ outcome: 'refused', refusal: { code: 'invalid' } })
      const problems = outcome.outcome === 'refused' ? outcome.refusal.problems : []
      expect(problems.map(({ field }) => field)).toEqual(names)
    }
    expect(await store.counters.get([1])).toEqual(before)
    const back = { posts_counter: { increment: -most }, reputation: { increment: most } }
    expect(await store.counters.change(count(1, back))).toMatchObject({
      counters: { posts_counter: 0, reputation: 0 },
    })
  })

  it('knows no counters of who is not there, and forgets them with the user', async () => {
    const { store, readAside } = given()
    await store.changeAll(times(3, () => create({})))
    const change = { posts_counter: { set: 5 } }
    for (const id of [1, 2, 3]) await store.counters.change(count(id, change))
    await committed(store, lifecycle('remove', 1))
    await committed(store, lifecycle('erase', 2))
    expect((await readAside()).counters).toEqual([1, 3])
    const notFound = { outcome: 'refused', refusal: { code: 'not_found' } }
    for (const id of [1, 2, 77])
      expect(await store.counters.change(count(id, change))).toMatchObject(notFound)
    expect((await store.counters.get([2])).get(2)).toEqual(noCounters)
    await committed(store, lifecycle('restore', 1))
    expect((await store.counters.get([1])).get(1)).toMatchObject({ posts_counter: 5 })
  })

  it('counts once for a key, however often it comes, and tells what it was then', async () => {
    const { store } = given()
    await committed(store, create({}))
    const increment = { posts_counter: { increment: 1 } }
    const outcomes = await Promise.all(
      times(12, () => store.counters.change(count(1, increment, { once: once('k') }))),
    )
    const counted = { outcome: 'counted', counters: { ...noCounters, posts_counter: 1 } }
    expect(outcomes.filter((one) => 'replayed' in one)).toHaveLength(11)
    expect(outcomes).toEqual(
      outcomes.map((one) => ('replayed' in one ? { ...counted, replayed: true } : counted)),
    )
    await store.counters.change(count(1, increment))
    expect(await store.counters.change(count(1, increment, { once: once('k') }))).toEqual({
      ...counted,
      replayed: true,
    })
    const other = count(1, increment, { once: once('k', { hash: 'other' }) })
    expect(await store.counters.change(other)).toMatchObject({ refusal: { code: 'idempotency_mismatch' } })
    const late = count(1, increment, { once: once('k'), at: 1 + receiptLife })
    expect(await store.counters.change(late)).toMatchObject({ counters: { posts_counter: 3 } })
  })

  it('previews without counting', async () => {
    const { store, readAside } = given()
    await committed(store, create({}))
    const before = await readAside()
    const preview = count(1, { posts_counter: { increment: 1 } }, { dryRun: true, once: once('k') })
    const counters = { ...noCounters, posts_counter: 1 }
    for (const _ of [1, 2])
      expect(await store.counters.change(preview)).toEqual({ outcome: 'counted', counters })
    expect(await readAside()).toEqual(before)
  })
}

export function keepingPasswords(given: Given): void {
  it('keeps the hash of a password apart from the record, and forgets it with the user', async () => {
    const { store, readLog, readAside } = given()
    const hash = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
    const made = [
      await committed(store, create({ username: 'ann' }, { password: hash })),
      await committed(store, create({ username: 'bob' }, { password: hash, once: once('k') })),
      ...(await store.changeAll([create({ username: 'eve' }, { password: hash })])),
    ]
    expect((await readAside()).passwords).toEqual([1, 2, 3].map((id) => [id, hash]))
    const told = [made, await readLog(), await store.receipt(once('k'))]
    expect(JSON.stringify(told)).not.toContain('argon')
    await committed(store, lifecycle('erase', 1))
    await store.changeAll([lifecycle('erase', 3)])
    expect((await readAside()).passwords).toEqual([[2, hash]])
  })
}
