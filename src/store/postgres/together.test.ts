import { describe, expect, it } from 'vitest'
import { type Database, readKept } from '../../../test/postgres.ts'
import { connected, database, open } from '../../../test/postgres-store.ts'
import type { Patch } from '../../directory/patch.ts'
import type { Store } from '../../directory/store.ts'
import { all, committed, contradictions, create, many, range, times, update } from '../conformance.ts'
import { columns, columnType } from './rows.ts'

/** What is written and read together, for several users at once, by one statement. */

async function start(
  nodes = 1,
  isolation = 'read committed',
): Promise<Database & { readonly store: Store; readonly stores: Store[] }> {
  const made = await database()
  const url = `${made.url}?default_transaction_isolation=${encodeURIComponent(isolation)}`
  const store = await open(url)
  const stores = [store, ...(await Promise.all(times(nodes - 1, () => open(url))))]
  return { ...made, store, stores }
}

async function expectSound({ sql }: Pick<Database, 'sql'>): Promise<void> {
  const { users, log, damage } = await readKept(sql)
  expect([damage, contradictions(users, log)]).toEqual([[], []])
}

describe('updates of several users', () => {
  it('that set the same fields are written by few statements, each with its own row of the log', async () => {
    const made = await start()
    await many(made.store, 200, () => create({}))
    const outcomes = await many(made.store, 200, (id) => update(id, { bio: `${id}`, phone: `+${id}` }))
    expect(outcomes).toMatchObject(
      times(200, (id) => ({ outcome: 'committed', user: { id, version: 2, bio: `${id}`, phone: `+${id}` } })),
    )
    const [row] =
      await made.sql`SELECT count(DISTINCT tx::text) AS transactions FROM changes WHERE version = 2`
    expect(row?.transactions).toBeLessThan(10)
    await expectSound(made)
  })

  it('set every kind of field as one alone does', async () => {
    const made = await start()
    await many(made.store, 6, () => create({}))
    const tag = { id: 1, type: 't', name: 'ä "n" \\', description: '', color: '' }
    const patches: Patch[] = [
      { tags: [tag], community_badge: true, bio: "'; --\n{}[],\"\\'", gender: 'Male', first_name: 'null' },
      { tags: null, community_badge: null, bio: null, gender: 'Female', first_name: '🙂' },
      { tags: [], community_badge: false, bio: '', gender: 'Unspecified', first_name: '{"a":[1]}' },
    ]
    for (const round of range(3)) {
      const commands = range(6).map((id) => update(id, patches[(id + round) % 3] as Patch))
      const outcomes = await all(made.store, commands)
      for (const [n, outcome] of outcomes.entries()) {
        if (outcome.outcome === 'refused') throw new Error(outcome.refusal.message)
        expect(await made.store.get(n + 1)).toEqual(outcome.user)
        expect(outcome.user).toMatchObject(commands[n]?.patch ?? {})
      }
    }
    await expectSound(made)
  })

  it('fail one by one, and those that can be written are', async () => {
    const made = await start()
    await many(made.store, 20, () => create({}))
    await made.sql.unsafe(
      `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
       CREATE TRIGGER fail BEFORE UPDATE ON users FOR EACH ROW WHEN (NEW.bio = 'boom') EXECUTE FUNCTION fail()`,
    )
    const settled = await Promise.allSettled(
      times(20, (id) => made.store.change(update(id, { bio: id % 7 === 0 ? 'boom' : 'fine' }))),
    )
    expect(settled.map(({ status }) => status)).toEqual(
      times(20, (id) => (id % 7 === 0 ? 'rejected' : 'fulfilled')),
    )
    expect(settled[6]).toMatchObject({ reason: { message: 'broken' } })
    const users = await Promise.all(times(20, made.store.get))
    expect(users.map((user) => user?.bio)).toEqual(times(20, (id) => (id % 7 === 0 ? null : 'fine')))
    await expectSound(made)
  })

  it('do not wait for one of them whose row somebody holds, who hears within two seconds', async () => {
    const made = await start()
    await many(made.store, 30, () => create({}))
    await made.sql.unsafe('BEGIN')
    await made.sql`SELECT FROM users WHERE id = 7 FOR UPDATE`
    const started = Date.now()
    const held: Promise<unknown>[] = []
    const others = times(30, (id) => {
      const outcome = made.store.change(update(id, { bio: 'x' }))
      if (id !== 7) return outcome
      held.push(expect(outcome).rejects.toMatchObject({ code: 'unavailable' }))
      return undefined
    })
    await Promise.all(others)
    expect(Date.now() - started).toBeLessThan(1_000)
    await Promise.all(held)
    expect(Date.now() - started).toBeLessThan(2_000)
    await made.sql.unsafe('ROLLBACK')
    expect(await committed(made.store, update(7, { bio: 'x' }))).toMatchObject({ version: 2 })
  })

  it('do not wait for many others whose rows somebody holds', async () => {
    const made = await start()
    const store = await open(made.url, { connections: 12 })
    await many(store, 21, () => create({}))
    await made.sql.unsafe('BEGIN')
    await made.sql`SELECT FROM users WHERE id <= 20 FOR UPDATE`
    const held = Promise.allSettled(times(20, (id) => store.change(update(id, { bio: 'x' }))))
    const other = connected(made.url)
    const locked = async () =>
      (
        await other`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
      ).length
    await expect.poll(locked).toBeGreaterThan(5)
    const started = Date.now()
    for (const bio of ['a', 'b', 'c']) await committed(store, update(21, { bio }))
    await store.get(1)
    expect(Date.now() - started).toBeLessThan(500)
    for (const one of await held) expect(one).toMatchObject({ reason: { code: 'unavailable' } })
    expect(Date.now() - started).toBeLessThan(4_500)
    await made.sql.unsafe('ROLLBACK')
  })

  it.each(['read committed', 'repeatable read', 'serializable'])(
    'by several nodes at once, in whatever order, lose nothing: %s',
    async (isolation) => {
      const made = await start(3, isolation)
      await many(made.store, 40, () => create({}))
      for (const round of range(15))
        await Promise.all(
          made.stores.map((store, node) => {
            const ids = times(40, (id) => (node === 1 ? 41 - id : id))
            return Promise.all(ids.map((id) => committed(store, update(id, { bio: `${round} by ${node}` }))))
          }),
        )
      const { users } = await readKept(made.sql)
      expect(users.map(({ version }) => version)).toEqual(times(40, () => 1 + 15 * 3))
      await expectSound(made)
    },
  )
})

describe('new users', () => {
  it('are made by few statements; who wants what somebody has is refused, and nobody else', async () => {
    const made = await start()
    await many(made.store, 4, (n) => create({ username: `held-${n}` }))
    const nameOf = (n: number) => {
      if (n % 50 === 0) return `HELD-${n / 50}`
      return n > 190 ? 'wanted-by-nine' : `new-${n}`
    }
    const outcomes = await many(made.store, 200, (n) => create({ username: nameOf(n), bio: `${n}` }))
    expect(outcomes.filter(({ outcome }) => outcome !== 'committed')).toHaveLength(4 + 8)
    for (const outcome of outcomes)
      if (outcome.outcome === 'refused')
        expect(outcome.refusal).toMatchObject({ code: 'conflict', problems: [{ field: 'username' }] })
    await expectSound(made)
    const more = await many(made.store, 200, (n) => create({ username: `more-${n}` }))
    expect(more.filter(({ outcome }) => outcome !== 'committed')).toEqual([])
    const [row] = await made.sql`
      SELECT count(DISTINCT tx::text) AS transactions FROM changes JOIN users ON id = user_id WHERE username LIKE 'more-%'`
    expect(row?.transactions).toBeLessThan(10)
  })

  it('do not wait for one of them whose name somebody is about to have, who hears within two seconds', async () => {
    const made = await start()
    await made.sql.unsafe('BEGIN')
    await made.sql`INSERT INTO claims (kind, key, user_id) VALUES ('username', 'new-7', 99)`
    const started = Date.now()
    const outcomes = times(30, (n) => made.store.change(create({ username: `new-${n}` })))
    const held = expect(outcomes[6]).rejects.toMatchObject({ code: 'unavailable' })
    await Promise.all(outcomes.filter((_, n) => n !== 6))
    expect(Date.now() - started).toBeLessThan(1_000)
    await held
    expect(Date.now() - started).toBeLessThan(2_000)
    await made.sql.unsafe('ROLLBACK')
    await committed(made.store, create({ username: 'new-7' }))
    await expectSound(made)
  })
})

describe('readers of several users', () => {
  it('get each their own, and nobody where there is nobody', async () => {
    const { store } = await start()
    await many(store, 50, () => create({}))
    const asked = times(600, (n) => (n * 37) % 60)
    const found = await Promise.all(asked.map(store.get))
    expect(found.map((user) => user?.id)).toEqual(asked.map((id) => (id >= 1 && id <= 50 ? id : undefined)))
  })

  it('never get less than what they could know of when they asked', async () => {
    const { store } = await start()
    await many(store, 4, () => create({}))
    const newest = new Map<number, number>()
    let wrong = 0
    const writer = async (id: number) => {
      for (const n of range(60)) newest.set(id, (await committed(store, update(id, { bio: `${n}` }))).version)
    }
    const reader = async (id: number) => {
      while ((newest.get(id) ?? 1) < 61) {
        const known = newest.get(id) ?? 1
        if (((await store.get(id))?.version ?? 0) < known) wrong++
      }
    }
    await Promise.all(range(4).flatMap((id) => [writer(id), reader(id), reader(id), reader(id)]))
    expect(wrong).toBe(0)
  })
})

describe('the columns', () => {
  it('have the types that statements give them', async () => {
    const { sql } = await start()
    const rows = await sql`
      SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = 'users'`
    expect(Object.fromEntries(rows.map(({ name, type }) => [name, type]))).toEqual(
      Object.fromEntries(columns.map((name) => [name, columnType(name)])),
    )
  })
})
