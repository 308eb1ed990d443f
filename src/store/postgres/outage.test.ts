import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createDatabase, readKept } from '../../../test/postgres.ts'
import { broken, type Load, startLoad } from '../../../test/postgres-load.ts'
import { createProxy } from '../../../test/postgres-proxy.ts'
import { connected, database, open as openStore, server } from '../../../test/postgres-store.ts'
import type { ListQuery } from '../../directory/query.ts'
import type { SearchQuery } from '../../directory/search.ts'
import type { Store } from '../../directory/store.ts'
import { all, committed, contradictions, create, range, update } from '../conformance.ts'
import type { PostgresOptions } from './store.ts'

const open = (url: string, more: Partial<PostgresOptions> = {}) => openStore(url, { connections: 6, ...more })

/** Many who change users until the test is over, however it ends. */
function loaded(store: Store, users: number, writers: number): Load {
  const load = startLoad(store, users, writers)
  onTestFinished(load.halt)
  return load
}

const unavailable = { name: 'DirectoryError', code: 'unavailable' }

/** Looks at everybody, so it waits its turn. */
const slow: ListQuery = {
  ...{ filters: [], sort: [], offset: 0, limit: 1, count: true },
  search: { text: 'nobody', names: ['bio'] },
}

const search: SearchQuery = { has: {}, order: { by: 'id', descending: false }, offset: 0, limit: 1 }

/** That every kind of request hears soon that the database is away. */
/** @param lists that look at everybody: they are given longer while connections stand, which do not tell of a server that froze */
async function expectAway(store: Store, lists = 30): Promise<void> {
  const started = Date.now()
  const settled = await Promise.allSettled([
    store.get(1),
    store.page({ after: 0, filters: [] }),
    store.find({ kind: 'username', key: 'ann' }),
    store.ready(),
    store.change(update(1, { bio: randomUUID() })),
    store.change(create({})),
    ...range(lists).map(() => store.list(slow)),
  ])
  expect(settled).toMatchObject(settled.map(() => ({ status: 'rejected', reason: unavailable })))
  expect(Date.now() - started).toBeLessThan(2_000)
}

async function people(store: Store, count: number): Promise<void> {
  await all(
    store,
    range(count).map(() => create({})),
  )
}

describe('a server that crashes under load and comes back', () => {
  it('has all that was acknowledged and nothing that was refused; meanwhile everybody hears soon', async () => {
    const postgres = await server()
    const store = await open(postgres.url)
    await people(store, 5)
    await store.search(search)
    const load = loaded(store, 5, 30)
    for (let crash = 1; crash <= 3; crash++) {
      await load.more(150)
      await postgres.crash()
      if (crash === 1) {
        await expectAway(store)
        const started = Date.now()
        for (const one of await Promise.allSettled(range(10).map(() => store.search(search))))
          expect(one).toMatchObject({ status: 'rejected', reason: unavailable })
        expect(Date.now() - started).toBeLessThan(4_000)
      }
      await postgres.start()
    }
    await load.more(150)
    await load.stop()
    expect(load.slowest).toBeLessThan(2_500)
    expect(await broken(connected(postgres.url), load)).toEqual([])
    await store.ready()
  })

  it('is waited for when it is back at once: nobody notices', async () => {
    const postgres = await server()
    const store = await open(postgres.url)
    await people(store, 2)
    await postgres.stop()
    const late = [store.change(update(1, { bio: 'late' })), store.get(2), store.change(create({}))]
    await postgres.start()
    await Promise.all(late)
    expect(await store.get(1)).toMatchObject({ bio: 'late', version: 2 })
  })

  it('is not in the way of closing', async () => {
    const postgres = await server()
    const store = await open(postgres.url)
    await people(store, 1)
    await postgres.crash()
    const waiting = store.change(update(1, { bio: 'x' }))
    const heard = expect(waiting).rejects.toMatchObject(unavailable)
    const started = Date.now()
    await store.close()
    await heard
    expect(Date.now() - started).toBeLessThan(4_500)
  })
})

describe('connections that the server ends under load', () => {
  it('lose no acknowledged update, apply none twice, and fail few callers', async () => {
    const postgres = await server()
    const store = await open(postgres.url)
    await people(store, 5)
    const sql = connected(postgres.url)
    const load = loaded(store, 5, 30)
    for (let round = 1; round <= 40; round++) {
      await load.more(20)
      await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'roster'`
    }
    await load.stop()
    expect(await broken(sql, load)).toEqual([])
    expect([load.refused.length, load.unknown.length]).toEqual([0, 0])
  })
})

describe('a server that freezes', () => {
  it('is answered for in time, and does nothing later that callers were told had not been done', async () => {
    const postgres = await server()
    const store = await open(postgres.url)
    await people(store, 5)
    const load = loaded(store, 5, 40)
    await load.more(100)
    const thaw = postgres.freeze()
    await expectAway(store, 0)
    await expect.poll(() => load.refused.length, { timeout: 5_000 }).toBeGreaterThan(60)
    thaw()
    await load.more(100)
    await load.stop()
    expect(load.slowest).toBeLessThan(2_500)
    expect(await broken(connected(postgres.url), load)).toEqual([])
  })
})

describe('a primary whose standbys are away', () => {
  it('is read as ever while updates hang, and updates hear at once once enough of them do', async () => {
    const postgres = await server()
    const store = await open(postgres.url, { connections: 12 })
    await people(store, 40)
    const sql = connected(postgres.url)
    const setStandbys = async (names: string) => {
      await sql.unsafe(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`)
      await sql`SELECT pg_reload_conf()`
      const setting = async () => (await sql`SHOW synchronous_standby_names`)[0]
      await expect.poll(setting).toEqual({ synchronous_standby_names: names })
    }
    await setStandbys('ANY 1 (*)')
    const fields = ['username', 'bio', 'phone', 'location'] as const
    const updates = range(40).map((id) =>
      store.change(update(id, { [fields[id % 4] ?? 'bio']: `new-${id}` })),
    )
    let hanging = true
    const heard = Promise.allSettled([...updates, store.settings.set(1, { qa_frequency: 0 })]).finally(() => {
      hanging = false
    })
    let slowest = 0
    const page = { filters: [], sort: [], offset: 0, limit: 10, count: true }
    while (hanging) {
      const started = Date.now()
      await Promise.all([store.get(1), store.find({ kind: 'username', key: 'x' }), store.list(page)])
      slowest = Math.max(slowest, Date.now() - started)
    }
    expect(slowest).toBeLessThan(700)
    for (const one of await heard)
      expect(one).toMatchObject({
        reason: { code: expect.stringMatching(/^(outcome_unknown|unavailable)$/) },
      })
    const started = Date.now()
    await expect(store.change(update(1, { username: 'ann' }))).rejects.toMatchObject(unavailable)
    await expect(store.change(update(2, { bio: 'x' }))).rejects.toMatchObject(unavailable)
    expect(Date.now() - started).toBeLessThan(500)
    await setStandbys('')
    const outcome = () =>
      store.change(update(1, { bio: 'back' })).then(
        (one) => one.outcome,
        () => undefined,
      )
    await expect.poll(outcome).toBe('committed')
  })
})

describe('connections that carry nothing any more, while new ones do', () => {
  it('are replaced, also those that were writing while reads are answered', async () => {
    const { url, sql } = await database()
    const proxy = await createProxy(url, 'before')
    onTestFinished(proxy.close)
    const store = await open(url.replace(new URL(url).host, proxy.host), { connections: 12 })
    await people(store, 1)
    const write = () => range(6).map((id) => store.settings.set(id, { qa_frequency: 0 }))
    const opened = async () => {
      await Promise.all(write())
      const [row] = await sql`SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'roster' AND datname = current_database()`
      return Number(row?.count)
    }
    await expect.poll(opened).toBeGreaterThanOrEqual(6)
    proxy.silence()
    await Promise.allSettled(write())
    const outcome = async () => {
      await Promise.allSettled(range(12).map(store.get))
      return (await Promise.allSettled(write()))[0]?.status
    }
    await expect.poll(outcome, { timeout: 20_000 }).toBe('fulfilled')
  })
})

describe('a read-only server', () => {
  it('is refused at start in plain words, and only reads while it is read-only', async () => {
    const postgres = await server()
    const store = await open(postgres.url)
    await people(store, 3)
    const sql = connected(postgres.url)
    const setReadOnly = async (value: string) => {
      await sql.unsafe(`ALTER SYSTEM SET default_transaction_read_only = ${value}`)
      await sql`SELECT pg_reload_conf()`
      const setting = async () => (await sql`SHOW default_transaction_read_only`)[0]
      await expect.poll(setting).toEqual({ default_transaction_read_only: value })
    }
    await setReadOnly('on')
    await expect(store.change(update(1, { bio: 'x' }))).rejects.toMatchObject(unavailable)
    await expect(open(postgres.url)).rejects.toThrow(`127.0.0.1:${postgres.port}: it is read-only`)
    await sql.unsafe('SET default_transaction_read_only = off')
    await setReadOnly('off')
    await sql.unsafe('RESET default_transaction_read_only')
    await expect.poll(async () => (await store.change(update(1, { bio: 'y' }))).outcome).toBe('committed')
    expect(await store.get(1)).toMatchObject({ bio: 'y', version: 2 })
  })
})

describe('a password that no longer holds', () => {
  it('ends nothing: requests hear soon that the database is away, until it holds again', async () => {
    const postgres = await server()
    const sql = connected(postgres.url)
    await sql.unsafe("CREATE ROLE ann LOGIN PASSWORD 'right'")
    await sql.unsafe('CREATE DATABASE roster OWNER ann')
    const hba = join(postgres.folder, 'data', 'pg_hba.conf')
    writeFileSync(hba, `host all ann 127.0.0.1/32 scram-sha-256\n${readFileSync(hba, 'utf8')}`)
    await sql`SELECT pg_reload_conf()`
    const store = await open(`postgres://ann:right@127.0.0.1:${postgres.port}/roster`)
    await people(store, 1)
    await sql.unsafe("ALTER ROLE ann PASSWORD 'other'")
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'`
    await expectAway(store)
    await sql.unsafe("ALTER ROLE ann PASSWORD 'right'")
    await expect.poll(() => store.get(1).catch(() => undefined)).toMatchObject({ id: 1 })
    await committed(store, update(1, { bio: 'x' }))
  })
})

describe('several hosts in DATABASE_URL', () => {
  it('are one service: the standby takes over with all that was acknowledged, and Roster follows', async () => {
    const first = await server()
    await (await open(first.url)).close()
    await first.stop()
    const second = await server({ standbyOf: first, settings: { wal_retrieve_retry_interval: '100ms' } })
    await first.start()
    const url = `postgres://roster@127.0.0.1:${second.port},127.0.0.1:${first.port}/postgres`
    await expect(open(second.url)).rejects.toThrow(`127.0.0.1:${second.port}: it is read-only`)

    const warnings: string[] = []
    await open(url, { onWarning: (warning) => warnings.push(warning) })
    expect(warnings).toEqual([expect.stringContaining('synchronous_standby_names')])
    const primary = connected(first.url)
    const standbys = async () => (await primary`SELECT FROM pg_stat_replication`).length
    await expect.poll(standbys, { timeout: 10_000 }).toBe(1)
    await primary.unsafe("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
    await primary`SELECT pg_reload_conf()`
    const synchronous = async () => (await primary`SELECT sync_state FROM pg_stat_replication`)[0]?.sync_state
    await expect.poll(synchronous).toBe('quorum')
    warnings.length = 0
    const store = await open(url, { onWarning: (warning) => warnings.push(warning) })
    expect(warnings).toEqual([])

    await people(store, 5)
    const load = loaded(store, 5, 20)
    await load.more(200)
    await first.crash()
    const standby = connected(second.url)
    await standby`SELECT pg_promote()`
    await load.more(200)
    await load.stop()
    expect(await broken(standby, load)).toEqual([])
    await store.ready()

    // The old primary comes back by itself and takes writes, which nobody else would ever see.
    await first.start()
    const both = await open(`postgres://roster@127.0.0.1:${first.port},127.0.0.1:${second.port}/postgres`)
    await committed(both, update(1, { bio: 'to the new one' }))
    expect(await store.get(1)).toMatchObject({ bio: 'to the new one' })
    await second.stop()
    await expectAway(store)
    await expectAway(both)
    await second.start()
    await expect.poll(() => store.get(1).catch(() => undefined)).toMatchObject({ bio: 'to the new one' })
    await committed(store, update(1, { bio: 'still' }))
  })
})

describe('a unit that PostgreSQL refuses for a reason that nobody expected', () => {
  it('fails alone, and those that were decided with it are decided anew', async () => {
    const postgres = await server()
    const { url, sql, drop } = await createDatabase(postgres.url)
    onTestFinished(drop)
    const store = await open(url)
    await people(store, 1)
    await sql.unsafe(
      `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
       CREATE TRIGGER fail BEFORE INSERT ON changes FOR EACH ROW
         WHEN (NEW.fields @? '$.phone[1] ? (@ == "boom")') EXECUTE FUNCTION fail()`,
    )
    const settled = await Promise.allSettled(
      [{ bio: 'a' }, { bio: 'b' }, { phone: 'boom' }, { bio: 'c' }, { phone: 'fine' }].map((patch) =>
        store.change(update(1, patch)),
      ),
    )
    expect(settled.map(({ status }) => status)).toEqual(
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'], // biome-ignore format: as sent
    )
    expect(await store.get(1)).toMatchObject({ bio: 'c', phone: 'fine', version: 5 })
    const { users, log } = await readKept(sql)
    expect(contradictions(users, log)).toEqual([])
  })
})
