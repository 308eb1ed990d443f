import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { connectTo, type Database, readKept } from '../../../test/postgres.ts'
import { createProxy } from '../../../test/postgres-proxy.ts'
import { database, open } from '../../../test/postgres-store.ts'
import { claim } from '../../directory/claims.ts'
import type { Command } from '../../directory/command.ts'
import { maxAvatars } from '../../directory/picture.ts'
import type { Outcome, Store } from '../../directory/store.ts'
import {
  all,
  codeOf,
  committed,
  contradictions,
  create,
  lifecycle,
  range,
  replace,
  update,
} from '../conformance.ts'
import { hostsOf } from './connection.ts'
import { migrate, migrations, newestVersion } from './migrate.ts'
import { createPool } from './pool.ts'
import { createUnits } from './units.ts'

async function nodes(count: number, isolation = 'read committed'): Promise<[Store[], Database]> {
  const made = await database()
  const url = `${made.url}?default_transaction_isolation=${encodeURIComponent(isolation)}`
  return [await Promise.all(range(count).map(() => open(url))), made]
}

/** Sends commands in turn to one node and to the next. */
function spread(stores: readonly Store[], commands: readonly Command[]): Promise<Outcome[]> {
  return Promise.all(commands.map((command, n) => (stores[n % stores.length] as Store).change(command)))
}

describe.each(['read committed', 'serializable'])('several nodes on one database, %s', (isolation) => {
  it('lose nothing of what they write to the same user, and explain all of it', async () => {
    const [stores, { sql }] = await nodes(3, isolation)
    await all(stores[0] as Store, [create({}), create({})])
    const writers = range(30).map(async (writer) => {
      for (const n of range(8)) {
        const patch = writer % 2 === 0 ? { bio: `${writer} ${n}` } : { phone: `${writer} ${n}` }
        await committed(stores[writer % 3] as Store, update(writer % 3 === 0 ? 2 : 1, patch))
      }
    })
    await Promise.all(writers)
    const { users, log, damage } = await readKept(sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(users.map(({ version }) => version)).toEqual([1 + 20 * 8, 1 + 10 * 8])
  })

  it('add no more avatars than a list may have, however many add at once', async () => {
    const [stores, { sql }] = await nodes(2, isolation)
    await committed(stores[0] as Store, create({}))
    for (const round of range(40)) {
      await sql`DELETE FROM avatars`
      await sql`INSERT INTO avatars (user_id, picture, added, uploaded_at)
        SELECT 1, 'kept ' || n, 1, 0 FROM generate_series(1, ${maxAvatars - 1}) AS n`
      const added = await Promise.all(
        range(6).map((n) =>
          (stores[n % 2] as Store).pictures.addAvatar({ picture: `${round} ${n}`, userId: 1, at: 0 }),
        ),
      )
      expect(added.filter((one) => one !== undefined)).toHaveLength(1)
      expect(await stores[0]?.pictures.avatars(1)).toHaveLength(maxAvatars)
    }
  })

  it('let exactly one writer win who saw the same version', async () => {
    const [stores, { sql }] = await nodes(2, isolation)
    await committed(stores[0] as Store, create({}))
    for (const version of range(20)) {
      const outcomes = await spread(
        stores,
        range(10).map((n) => update(1, { bio: `${version} ${n}` }, { ifMatch: [version] })),
      )
      expect(outcomes.filter(({ outcome }) => outcome === 'committed')).toHaveLength(1)
      expect(outcomes.filter((outcome) => codeOf(outcome) === 'precondition_failed')).toHaveLength(9)
    }
    const { users, log } = await readKept(sql)
    expect(contradictions(users, log)).toEqual([])
  })

  it('give a claim that they fight over to one user, and to another once it is free', async () => {
    const [stores, { sql }] = await nodes(2, isolation)
    await all(
      stores[0] as Store,
      range(8).map(() => create({})),
    )
    for (const round of range(12)) {
      const wanted = range(8).map((id) => update(id, { username: `wanted-${round}`, bio: `${round}` }))
      const created = range(4).map((n) => create({ username: `Wanted-${round}`, phone: `${n}` }))
      const outcomes = await spread(stores, [...wanted, ...created])
      expect(outcomes.filter(({ outcome }) => outcome === 'committed')).toHaveLength(1)
      expect(outcomes.filter((outcome) => codeOf(outcome) === 'conflict')).toHaveLength(11)
    }
    const { users, log, damage } = await readKept(sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    const [holder] = await sql`SELECT user_id FROM claims WHERE key = 'wanted-12'`
    const [one, other] = stores as [Store, Store]
    await Promise.all([
      committed(one, lifecycle('erase', holder?.user_id)),
      expect
        .poll(async () => (await other.change(create({ username: 'wanted-12' }))).outcome)
        .toBe('committed'),
    ])
    expect((await readKept(sql)).damage).toEqual([])
  })

  it('make users under ids of the allocator’s while callers choose ids that are in its way', async () => {
    const [stores, { sql }] = await nodes(2, isolation)
    const outcomes = await spread(stores, [
      ...range(60).flatMap((n) => [create({}), replace(n * 2, {})]),
      replace(Number.MAX_SAFE_INTEGER, {}),
      ...range(20).map(() => create({})),
    ])
    expect(outcomes.filter(({ outcome }) => outcome === 'refused')).toEqual([])
    const { users, log, damage } = await readKept(sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    const created = log.filter(({ kind }) => kind === 'created').length
    expect(users).toHaveLength(created)
    const { id } = await committed(stores[1] as Store, create({}))
    expect(id).toBeLessThan(400)
  })
})

describe('a person whom everybody changes', () => {
  it('does not keep others waiting, nor does one whose row somebody has locked', async () => {
    const [[store], { sql }] = (await nodes(1)) as [[Store], Database]
    await all(
      store,
      range(40).map(() => create({})),
    )
    await sql.unsafe('BEGIN')
    await sql`SELECT FROM users WHERE id = 1 FOR UPDATE`
    const blocked = range(60).map((n) => store.change(update(1, { bio: `${n}` })))
    const settled = Promise.allSettled(blocked)
    const started = Date.now()
    for (const n of range(20))
      await all(
        store,
        range(39).map((id) => update(id + 1, { bio: `${n}` })),
      )
    expect(Date.now() - started).toBeLessThan(1_500)
    const late = await settled
    expect(Date.now() - started).toBeLessThan(2_500)
    for (const one of late) expect(one).toMatchObject({ reason: { code: 'unavailable' } })
    await sql.unsafe('ROLLBACK')
    expect(await committed(store, update(1, { bio: 'free' }))).toMatchObject({ version: 2 })
  })

  it('is written in few statements, not one for each who waits', async () => {
    const [[store], { sql }] = (await nodes(1)) as [[Store], Database]
    await committed(store, create({}))
    await all(
      store,
      range(1_000).map((n) => update(1, { bio: `${n}` })),
    )
    const [row] = await sql`SELECT count(DISTINCT tx::text) AS transactions, count(*) AS rows FROM changes`
    expect(row?.rows).toBe(1_001)
    expect(row?.transactions).toBeLessThan(20)
  })
})

describe('too many commands at once', () => {
  it('are turned away past a bound, and those before it are served', async () => {
    const [[store], { sql }] = (await nodes(1)) as [[Store], Database]
    await committed(store, create({}))
    const settled = await Promise.allSettled(
      range(25_000).map((n) => store.change(update(1, { bio: `${n}` }))),
    )
    const served = settled.filter(({ status }) => status === 'fulfilled').length
    expect(served).toBe(20_000)
    expect(settled.at(-1)).toMatchObject({ reason: { code: 'unavailable' } })
    const [row] = await sql`SELECT version FROM users`
    expect(row?.version).toBe(20_001)
  })
})

describe('a statement that fails after some of its rows have come', () => {
  it('leaves nothing behind in what the next one on that connection finds (porsager/postgres#1181)', async () => {
    const [[store], { url }] = (await nodes(1)) as [[Store], Database]
    await committed(store, create({ username: 'ann' }))
    const pool = createPool(url, 1)
    onTestFinished(pool.close)
    const units = createUnits(pool)
    const rowsThenError = { text: 'SELECT 1 / (3 - n) FROM generate_series(1, 5) AS n' }
    await expect(pool.query(rowsThenError)).rejects.toThrow('division by zero')
    expect(await units.get(1)).toMatchObject({ username: 'ann' })
    await expect(pool.query(rowsThenError)).rejects.toThrow('division by zero')
    expect(await pool.query({ text: 'SELECT id FROM users' })).toEqual([{ id: 1 }])
    await expect(pool.query(rowsThenError)).rejects.toThrow('division by zero')
    expect(await pool.query({ text: 'SELECT FROM users WHERE id = 2' })).toEqual([])
  })
})

describe('an id that is used', () => {
  it('is stepped over, and one that is not after all moves nothing', async () => {
    const [[store], { url }] = (await nodes(1)) as [[Store], Database]
    await all(store, [replace(3, {}), replace(4, {}), replace(1_000_000, {})])
    const pool = createPool(url, 1)
    onTestFinished(pool.close)
    const units = createUnits(pool)
    await units.skipUsedIds(2)
    expect(await committed(store, create({}))).toMatchObject({ id: 1 })
    await units.skipUsedIds(3)
    expect(await committed(store, create({}))).toMatchObject({ id: 5 })
    await units.skipUsedIds(3)
    expect(await committed(store, create({}))).toMatchObject({ id: 6 })
  })
})

describe.each([
  ['before the server has read it', 'before'],
  ['after the server has done it', 'after'],
  ['and the server reads it later', 'late'],
] as const)('a connection that breaks over a statement %s', (_, when) => {
  it('leaves what was asked for done once, and tells it as it is', async () => {
    const made = await database()
    const proxy = await createProxy(inject('postgresUrl'), when)
    onTestFinished(proxy.close)
    const url = new URL(made.url)
    url.host = proxy.host
    const store = await open(url.href)
    await all(store, [create({ username: 'ann' }), create({})])
    const commands: [Command, object][] = [
      [update(1, { bio: 'a' }, { ifMatch: [1] }), { outcome: 'committed', user: { id: 1, version: 2 } }],
      [update(1, { username: 'anna' }), { outcome: 'committed', user: { id: 1, version: 3 } }],
      [create({ username: 'bob' }), { outcome: 'committed', user: { id: 3, username: 'bob' } }],
      [replace(9, { username: 'eve' }, { ifNoneMatch: '*' }), { outcome: 'committed', user: { id: 9 } }],
      [create({ username: 'Anna' }), { outcome: 'refused', refusal: { code: 'conflict' } }],
      [lifecycle('erase', 2), { outcome: 'committed', user: { id: 2, status: 'erased' } }],
    ]
    for (const [command, outcome] of commands) {
      proxy.breakOver(command.changeId)
      expect(await store.change(command)).toMatchObject(outcome)
      expect(proxy.broken()).toBe(true)
      await proxy.deliver()
    }
    const { users, log, damage } = await readKept(made.sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(log).toHaveLength(2 + 5)
  })

  it('that writes several users does so for each of them', async () => {
    const made = await database()
    const proxy = await createProxy(inject('postgresUrl'), when)
    onTestFinished(proxy.close)
    const url = new URL(made.url)
    url.host = proxy.host
    const store = await open(url.href)
    const count = 20
    await all(
      store,
      range(count).map(() => create({})),
    )
    const commands = range(count).map((id) => update(id, { bio: `${id}` }))
    proxy.breakOver(commands.at(-1)?.changeId ?? '')
    expect(await all(store, commands)).toMatchObject(
      range(count).map((id) => ({ outcome: 'committed', user: { id, version: 2, bio: `${id}` } })),
    )
    expect(proxy.broken()).toBe(true)
    await proxy.deliver()
    const { users, log, damage } = await readKept(made.sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(log).toHaveLength(2 * count)
  })
})

describe('the schema of a database', () => {
  it('is made once, however many nodes start on it at once', async () => {
    for (const isolation of ['read committed', 'serializable']) {
      const [stores, { sql }] = await nodes(6, isolation)
      expect((await sql`SELECT version FROM schema_version`).map(({ version }) => version)).toEqual(
        migrations.map(({ version }) => version),
      )
      await committed(stores[5] as Store, create({}))
    }
  })

  it('is brought up from every older version', async () => {
    for (const version of [0, ...migrations.map((step) => step.version)].slice(0, -1)) {
      const { url } = await database()
      const sql = connectTo(url)
      await migrate(sql, version)
      await sql.end()
      await committed(await open(url), create({}))
    }
  })

  it('of a newer Roster is refused, naming both versions, and left as it was', async () => {
    const { url, sql } = await database()
    await committed(await open(url), create({ bio: 'kept' }))
    await sql`INSERT INTO schema_version (version) VALUES (${newestVersion + 7})`
    await expect(open(url)).rejects.toThrow(
      `schema version ${newestVersion + 7}, this Roster knows ${newestVersion}:`,
    )
    expect((await readKept(sql)).users).toMatchObject([{ bio: 'kept' }])
  })

  it('needs no right to change it once it is there', async () => {
    const { url, sql } = await database()
    const role = `roster_role_${process.pid}`
    const limited = new URL(url)
    limited.username = role
    await sql.unsafe(`CREATE ROLE ${role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
    onTestFinished(async () => void (await sql.unsafe(`DROP OWNED BY ${role}; DROP ROLE ${role}`)))
    await expect(open(limited.href)).rejects.toThrow('the user may not create tables in this database')
    await open(url)
    await sql.unsafe(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role};
       GRANT SELECT, UPDATE, USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role}`,
    )
    const store = await open(limited.href)
    await committed(store, replace(1, { username: 'ann' }))
    expect(await committed(store, create({}))).toMatchObject({ id: 2 })
    await committed(store, lifecycle('erase', 1))
  })
})

describe('what PostgreSQL can not hold', () => {
  it('is held by nobody, rather than an error', async () => {
    const [[store]] = (await nodes(1)) as [[Store], Database]
    await committed(store, create({ username: 'ann', bio: '\ufffd' }))
    expect(await store.find({ kind: 'username', key: 'a\0nn' })).toBeUndefined()
    expect(await store.find({ kind: 'username', key: '\ud800' })).toBeUndefined()
    const page = await store.page({
      after: 0,
      filters: [{ name: 'bio', comparison: 'eq', values: ['\0', '\ud800'] }],
    })
    expect(page.users).toEqual([])
    expect(await store.find(claim('username', 'ann'))).toMatchObject({ id: 1 })
  })
})

describe('DATABASE_URL', () => {
  it('names hosts by name, address or folder, each with a port of its own', () => {
    expect(hostsOf('postgres://u:p@db1:6432,db2,[::1]:7,10.0.0.1/roster?sslmode=require')).toEqual([
      { host: 'db1', port: 6432 },
      { host: 'db2', port: 5432 },
      { host: '::1', port: 7 },
      { host: '10.0.0.1', port: 5432 },
    ])
    expect(hostsOf('postgresql://%2Fvar%2Frun%2Fpostgresql/roster')).toEqual([
      { host: '/var/run/postgresql', port: 5432 },
    ])
  })
})
