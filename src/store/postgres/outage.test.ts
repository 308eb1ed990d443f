import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import {
  connectTo,
  createDatabase,
  createServerOfOwn,
  readKept,
  type Server,
} from '../../../test/postgres.ts'
import type { Store } from '../../directory/store.ts'
import { all, committed, contradictions, create, range, rules, update } from '../conformance.ts'
import { openPostgres } from './store.ts'

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function server(options: Parameters<typeof createServerOfOwn>[0] = {}): Promise<Server> {
  const made = await createServerOfOwn(options)
  cleanUps.push(made.remove)
  return made
}

async function open(url: string, onWarning: (warning: string) => void = () => {}): Promise<Store> {
  const store = await openPostgres({ url, rules, onWarning, connections: 6 })
  cleanUps.push(store.close)
  return store
}

type Sql = ReturnType<typeof connectTo>

function connected(url: string): Sql {
  const sql = connectTo(url)
  cleanUps.push(() => sql.end({ timeout: 0 }))
  return sql
}

/** What callers of a store were told while they sent one update after the other. */
interface Load {
  readonly acknowledged: { readonly id: number; readonly version: number; readonly changeId: string }[]
  /** Those of which nothing may be left, since that is what their callers were told. */
  readonly refused: string[]
  readonly unknown: string[]
  /** How long the slowest of them took to hear, in milliseconds. */
  slowest: number
  readonly stop: () => Promise<void>
  /** Resolves once so many more have been acknowledged. */
  readonly more: (count: number) => Promise<void>
}

/** Many who change a few users, and some who make new ones. */
function startLoad(store: Store, users: number, writers: number): Load {
  let stopping = false
  const load = { acknowledged: [], refused: [], unknown: [], slowest: 0 } as unknown as Load
  const write = async (writer: number) => {
    while (!stopping) {
      const username = `u-${randomUUID()}`
      const patch = writer % 3 === 0 ? { username } : { bio: username }
      const command = writer % 5 === 0 ? create(patch) : update((writer % users) + 1, patch)
      const started = Date.now()
      try {
        const { id, version } = await committed(store, command)
        load.acknowledged.push({ id, version, changeId: command.changeId })
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined
        if (code === 'unavailable') load.refused.push(command.changeId)
        else if (code === 'outcome_unknown') load.unknown.push(command.changeId)
        else throw error
        load.slowest = Math.max(load.slowest, Date.now() - started)
      }
    }
  }
  const done = Promise.all(range(writers).map(write))
  cleanUps.push(() => {
    stopping = true
  })
  return Object.assign(load, {
    more: async (count: number) => {
      const until = load.acknowledged.length + count
      await expect.poll(() => load.acknowledged.length, { timeout: 15_000 }).toBeGreaterThan(until)
    },
    stop: async () => {
      stopping = true
      await done
    },
  })
}

/** What a database holds that it should not, or lacks, after all that callers were told. */
async function broken(sql: Sql, { acknowledged, refused }: Load): Promise<string[]> {
  const { users, log, damage } = await readKept(sql)
  const rows = new Map(log.map((row) => [row.changeId, row]))
  const lost = acknowledged.filter(({ id, version, changeId }) => {
    const row = rows.get(changeId)
    return row?.userId !== id || row.version !== version
  })
  return [
    ...damage,
    ...contradictions(users, log),
    ...lost.map((one) => `lost: ${JSON.stringify(one)}`),
    ...refused.filter((id) => rows.has(id)).map((id) => `written though refused: ${id}`),
  ]
}

const unavailable = { name: 'DirectoryError', code: 'unavailable' }

/** That every kind of request hears soon that the database is away. */
async function expectAway(store: Store): Promise<void> {
  const started = Date.now()
  const settled = await Promise.allSettled([
    store.get(1),
    store.page({ after: 0, filters: [] }),
    store.find({ kind: 'username', key: 'ann' }),
    store.ready(),
    store.change(update(1, { bio: randomUUID() })),
    store.change(create({})),
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
    const load = startLoad(store, 5, 30)
    for (let crash = 1; crash <= 3; crash++) {
      await load.more(150)
      await postgres.crash()
      if (crash === 1) await expectAway(store)
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
    const load = startLoad(store, 5, 30)
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
    const load = startLoad(store, 5, 40)
    await load.more(100)
    const thaw = postgres.freeze()
    await expectAway(store)
    await expect.poll(() => load.refused.length, { timeout: 5_000 }).toBeGreaterThan(60)
    thaw()
    await load.more(100)
    await load.stop()
    expect(load.slowest).toBeLessThan(2_500)
    expect(await broken(connected(postgres.url), load)).toEqual([])
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

describe('a full disk of the server', () => {
  it('refuses what does not fit, loses nothing, and goes on once there is room', async ({ skip }) => {
    const disk = mkdtempSync(join(tmpdir(), 'roster-disk-'))
    cleanUps.push(() => rmSync(disk, { recursive: true, force: true }))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=777', 'none', disk], { stdio: 'pipe' })
    } catch {
      skip('a disk that can be filled needs the right to mount one')
    }
    cleanUps.push(() => execFileSync('umount', [disk]))
    const postgres = await server()
    const place = join(disk, 'place')
    execFileSync('install', ['-d', '-m', '700', ...ownerOf(postgres), place])
    const admin = connected(postgres.url)
    await admin.unsafe(`CREATE TABLESPACE small LOCATION '${place}'`)
    await admin.unsafe('CREATE DATABASE roster TABLESPACE small')
    const url = postgres.url.replace(/postgres$/, 'roster')
    const store = await open(url)
    await people(store, 30)

    const ballast = join(disk, 'ballast')
    execFileSync('sh', ['-c', `cat /dev/zero > ${ballast} || true`], { stdio: 'pipe' })
    const told: { id: number; version: number; changeId: string }[] = []
    const refused: string[] = []
    for (let n = 1; refused.length < 40; n++) {
      const command = update((n % 30) + 1, { bio: `${n} ${randomUUID().repeat(100)}` })
      const outcome = await store.change(command).catch((error: unknown) => error)
      if (outcome instanceof Error) {
        expect(outcome).toMatchObject(unavailable)
        refused.push(command.changeId)
      } else
        told.push({
          id: (n % 30) + 1,
          version: (await store.get((n % 30) + 1))?.version ?? 0,
          changeId: command.changeId,
        })
    }
    const load = { acknowledged: told, refused } as unknown as Load
    const sql = connected(url)
    expect(await broken(sql, load)).toEqual([])
    rmSync(ballast)
    await expect
      .poll(async () => (await store.change(update(1, { bio: 'fits' })).catch(() => undefined))?.outcome)
      .toBe('committed')
    expect(await broken(sql, load)).toEqual([])
  })
})

/** As arguments of `install`. */
function ownerOf({ folder }: Server): string[] {
  const ids = execFileSync('stat', ['-c', '%u %g', join(folder, 'data')], { encoding: 'utf8' })
    .trim()
    .split(' ')
  return ['-o', ids[0] ?? '', '-g', ids[1] ?? '']
}

describe('several hosts in DATABASE_URL', () => {
  it('are one service: the standby takes over with all that was acknowledged, and Roster follows', async () => {
    const first = await server()
    await (await openPostgres({ url: first.url, rules, onWarning: () => {} })).close()
    await first.stop()
    const second = await server({ standbyOf: first, settings: { wal_retrieve_retry_interval: '100ms' } })
    await first.start()
    const url = `postgres://roster@127.0.0.1:${second.port},127.0.0.1:${first.port}/postgres`
    await expect(open(second.url)).rejects.toThrow(`127.0.0.1:${second.port}: it is read-only`)

    const warnings: string[] = []
    await open(url, (warning) => warnings.push(warning))
    expect(warnings).toEqual([expect.stringContaining('synchronous_standby_names')])
    const primary = connected(first.url)
    const standbys = async () => (await primary`SELECT FROM pg_stat_replication`).length
    await expect.poll(standbys, { timeout: 10_000 }).toBe(1)
    await primary.unsafe("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
    await primary`SELECT pg_reload_conf()`
    const synchronous = async () => (await primary`SELECT sync_state FROM pg_stat_replication`)[0]?.sync_state
    await expect.poll(synchronous).toBe('quorum')
    warnings.length = 0
    const store = await open(url, (warning) => warnings.push(warning))
    expect(warnings).toEqual([])

    await people(store, 5)
    const load = startLoad(store, 5, 20)
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
    cleanUps.push(drop)
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
