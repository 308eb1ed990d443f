import type { TransactionSql } from 'postgres'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { readAside, readKept } from '../../../test/postgres.ts'
import { createProxy } from '../../../test/postgres-proxy.ts'
import { database, open } from '../../../test/postgres-store.ts'
import type { Command } from '../../directory/command.ts'
import { noCounters } from '../../directory/counters.ts'
import type { Outcome, Store } from '../../directory/store.ts'
import {
  all,
  committed,
  contradictions,
  create,
  lifecycle,
  once,
  range,
  replace,
  update,
} from '../conformance.ts'

describe('several nodes on one database', () => {
  it('carry out a command with a key once, whichever of them it is sent to at the same time', async () => {
    const { url, sql } = await database()
    const stores = await Promise.all(range(3).map(() => open(url)))
    await committed(stores[0] as Store, create({ bio: '0' }))
    const makers: ((round: number) => Command)[] = [
      (round) => create({ username: `name-${round}` }, { once: once(`create ${round}`) }),
      (round) => update(1, { bio: `${round}` }, { once: once(`update ${round}`) }),
      (round) => replace(1_000 + round, { phone: '1' }, { once: once(`replace ${round}`) }),
      (round) => update(1, {}, { once: once(`no change ${round}`) }),
    ]
    for (const round of range(10)) {
      for (const make of makers) {
        const outcomes = await Promise.all(stores.map((store) => store.change(make(round))))
        const first = outcomes.filter((one) => 'user' in one && !('replayed' in one))
        expect(first).toHaveLength(1)
        const told = outcomes.map((one) =>
          one === first[0] ? one : { ...(first[0] as Outcome), replayed: true },
        )
        expect(outcomes).toEqual(told)
      }
    }
    const { users, log, damage } = await readKept(sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(log).toHaveLength(1 + 3 * 10)
  })

  it('carry out batches on the same users, each whole', async () => {
    const { url, sql } = await database()
    const stores = await Promise.all(range(2).map(() => open(url)))
    await all(stores[0] as Store, [create({}), create({}), create({})])
    const batches = range(20).map((n) => {
      const ids = n % 2 === 0 ? [1, 2, 3] : [3, 2, 1]
      const commands = ids.map((id) => update(id, { bio: `${n}`, username: `name-${n}-${id}` }))
      return (stores[n % 2] as Store).changeAll([...commands, create({ email: `${n}@example.com` })])
    })
    const outcomes = (await Promise.all(batches)).flat()
    expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['committed']))
    const { users, log, damage } = await readKept(sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(new Set(users.slice(0, 3).map(({ bio }) => bio)).size).toBe(1)
  })
})

describe('an erasure', () => {
  it('forgets counters too that somebody begins while it waits for the user', async () => {
    const { url, sql } = await database()
    const store = await open(url)
    await committed(store, create({}))
    let erased: Promise<unknown> = Promise.resolve()
    await sql.begin(async (transaction) => {
      await transaction`SELECT id FROM users WHERE id = 1 FOR NO KEY UPDATE`
      await transaction`INSERT INTO counters SELECT 1, 1, 1, 1, 1, 1, 1, 1, 1`
      erased = committed(store, lifecycle('erase', 1))
      await untilSomebodyWaits(transaction)
    })
    await erased
    expect(await readAside(sql)).toMatchObject({ counters: [] })
  })
})

async function untilSomebodyWaits(sql: TransactionSql): Promise<void> {
  for (;;) {
    const [row] = await sql`SELECT count(*) FROM pg_locks WHERE NOT granted`
    if (Number(row?.count) > 0) return
  }
}

describe.each([
  ['before the server has read it', 'before'],
  ['after the server has done it', 'after'],
  ['and the server reads it later', 'late'],
] as const)('a connection that breaks %s', (_, when) => {
  it('leaves a transaction done once, and tells it as it is', async () => {
    const made = await database()
    const proxy = await createProxy(inject('postgresUrl'), when)
    onTestFinished(proxy.close)
    const url = new URL(made.url)
    url.host = proxy.host
    const store = await open(url.href)
    await all(store, [create({ username: 'ann' }), create({})])
    const work: [breakOver: string, ask: () => Promise<unknown>, told: object][] = []
    const ask = (command: Command, told: object) => {
      work.push([command.changeId, () => store.change(command), told])
    }
    ask(update(1, { bio: 'a' }, { ifMatch: [1], once: once('a') }), {
      outcome: 'committed',
      user: { version: 2 },
    })
    ask(create({ username: 'bob' }, { once: once('b') }), { outcome: 'committed', user: { username: 'bob' } })
    for (const n of [1, 2, 3]) {
      const commands = [
        update(1, { username: `ann-${n}` }, { ifMatch: [n + 1] }),
        create({ username: `eve-${n}` }),
        update(2, { bio: `${n}` }, { once: once(`${n}`) }),
      ]
      const told = [
        { user: { version: n + 2 } },
        { user: { username: `eve-${n}` } },
        { outcome: 'committed' },
      ]
      const over = n === 1 ? 'COMMIT' : n === 2 ? 'BEGIN ISOLATION' : (commands[1] as Command).changeId
      work.push([over, () => store.changeAll(commands), told])
    }
    const set = { kind: 'count', id: 1, at: 1, changes: { posts_counter: { set: 3 } } } as const
    work.push(['COMMIT', () => store.counters.change(set), { counters: { posts_counter: 3 } }])
    const add = { ...set, changes: { posts_counter: { increment: 1 } }, once: once('add') } as const
    work.push(['COMMIT', () => store.counters.change(add), { counters: { posts_counter: 4 } }])
    for (const [n, [part, asked, told]] of work.entries()) {
      await warmUp(store, n)
      proxy.breakOver(part)
      expect(await asked()).toMatchObject(told)
      expect(proxy.broken()).toBe(true)
      await proxy.deliver()
    }
    const { users, log, damage } = await readKept(made.sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(log.filter(({ contract }) => contract !== 'warm-up')).toHaveLength(2 + 2 + 3 * 3)
    expect((await store.counters.get([1])).get(1)).toEqual({ ...noCounters, posts_counter: 4 })
  })
})

/**
 * Has the connection that is used next know every statement: one that it does not know yet is sent in two
 * parts, and between them no timeout of the server's lets go of what was locked.
 */
async function warmUp(store: Store, n: number): Promise<void> {
  const actor = { ...create({}).actor, contract: 'warm-up' }
  for (const name of [`warm-${n}`, `up-${n}`]) {
    const made = create({ username: name }, { actor, once: once(name) })
    const [outcome] = await store.changeAll([made])
    const id = outcome?.outcome === 'committed' ? outcome.user.id : 0
    await store.change(update(id, { username: `${name}-again` }, { actor, once: once(`${name} again`) }))
    await store.counters.change({
      kind: 'count',
      id,
      at: 1,
      changes: { polls_counter: { set: 1 } },
      once: once(`${name} counted`),
    })
  }
}
