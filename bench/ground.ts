import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import postgres from 'postgres'
import { checkPostgres, checkSqlite, type Expected } from './check.ts'
import { type PgBench, preparePgbench } from './pgbench.ts'
import {
  checkPostgresSeeding,
  checkSqliteSeeding,
  namePostgres,
  nameSqlite,
  seedJson,
  seedPostgres,
  seedSqlite,
} from './seed.ts'
import { whole } from './stats.ts'
import { startEcho, startJsonServer, startLayer, startRoster, type Target } from './targets.ts'

/** Everything that is put up for a run: directories are seeded and servers started when first asked for. */
export interface Ground {
  readonly echo: () => Promise<Target>
  readonly layer: (name: string) => Promise<Target>
  /** @param named whether people have what others look for them by */
  readonly roster: (what: 'sqlite' | 'postgres', users: number, named?: boolean) => Promise<Directory>
  readonly jsonServer: (users: number) => Promise<Target>
  readonly dropJsonServer: (users: number) => Promise<void>
  readonly pgbench: () => Promise<PgBench>
  /** The folder of a directory in SQLite whose server has stopped. */
  readonly folderOf: (users: number) => string
  readonly spareFolder: string
  /**
   * Stops all servers, and waits until PostgreSQL has done what they left it to do; each is started again when it
   * is asked for.
   */
  readonly rest: () => Promise<void>
  /** Stops all servers and checks what they were told. @returns what was checked, in words */
  readonly check: () => Promise<readonly string[]>
  readonly clear: () => Promise<void>
}

export interface Directory {
  readonly target: Target
  readonly database?: string
  readonly updated: (answered: number, untold: number) => void
}

/** A directory that a server can be started on, again and again. */
interface Place {
  /** What it is, in words. */
  readonly about: string
  readonly database?: string
  readonly expected: { answered: number; untold: number }
  readonly start: () => Promise<Target>
  readonly check: (expected: Expected) => Promise<void>
}

/** @param address an address of PostgreSQL with a database to connect to, undefined where there is none */
export async function prepareGround(address: string | undefined): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'roster-bench-'))
  const made = new Map<string, Promise<unknown>>()
  const running = new Map<string, Promise<Target>>()
  const places: Place[] = []
  const databases = new Set<string>()

  /** Makes each thing once. */
  function once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const existing = made.get(name) ?? make()
    made.set(name, existing)
    return existing as Promise<T>
  }

  /** Starts each server that does not run. */
  function server(name: string, start: () => Promise<Target>): Promise<Target> {
    const existing = running.get(name) ?? start()
    running.set(name, existing)
    return existing
  }

  async function createDatabase(name: string): Promise<string> {
    if (address === undefined) throw new Error('There is no PostgreSQL')
    const sql = postgres(address, { max: 1, onnotice: () => {} })
    await sql.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    await sql.unsafe(`CREATE DATABASE ${name}`)
    await sql.end()
    databases.add(name)
    return Object.assign(new URL(address), { pathname: `/${name}` }).href
  }

  async function sqlite(users: number, named: boolean): Promise<Place> {
    await once('seeding of SQLite', () => checkSqliteSeeding(join(folder, 'seeding')))
    const at = named ? `${folderOf(users)}-named` : folderOf(users)
    await seedSqlite(at, users)
    if (named) nameSqlite(at)
    return {
      about: `sqlite with ${whole(users)} users`,
      expected: { answered: 0, untold: 0 },
      start: () => startRoster({ folder: at }),
      check: (expected) => checkSqlite(at, expected),
    }
  }

  async function postgresql(users: number, named: boolean): Promise<Place> {
    await once('seeding of PostgreSQL', async () =>
      checkPostgresSeeding(await createDatabase('roster_bench_seeding')),
    )
    const database = `roster_bench_${users}${named ? '_named' : ''}`
    const url = await createDatabase(database)
    await seedPostgres(url, users)
    if (named) await namePostgres(url)
    return {
      about: `postgres with ${whole(users)} users`,
      database,
      expected: { answered: 0, untold: 0 },
      start: () => startRoster({ url }),
      check: (expected) => checkPostgres(url, expected),
    }
  }

  async function roster(what: 'sqlite' | 'postgres', users: number, named = false): Promise<Directory> {
    const name = `roster ${what} ${users}${named ? ' named' : ''}`
    const place = await once(name, async () => {
      const made = await (what === 'sqlite' ? sqlite : postgresql)(users, named)
      places.push(made)
      return made
    })
    const target = await server(name, async () => {
      const started = await place.start()
      if (named) await readToSearch(started)
      return started
    })
    const { database, expected } = place
    return {
      target,
      ...(database !== undefined && { database }),
      updated(answered, untold) {
        expected.answered += answered
        expected.untold += untold
      },
    }
  }

  async function jsonServer(users: number): Promise<Target> {
    const at = join(folder, `json-${users}`)
    mkdirSync(at, { recursive: true })
    seedJson(join(at, 'db.json'), users)
    return startJsonServer(join(at, 'db.json'))
  }

  async function pgbench(): Promise<PgBench> {
    const users = 1024
    const url = await createDatabase('roster_bench_pgbench')
    await seedPostgres(url, users)
    return preparePgbench(url, users, folder)
  }

  /** The first search waits until everybody has been read. */
  async function readToSearch(target: Target): Promise<void> {
    const answer = await fetch(`${target.url}/api/v2/user/search/?user=nobody`)
    if (!answer.ok) throw new Error(`The first search was answered with ${answer.status}`)
    await answer.arrayBuffer()
  }

  async function rest(): Promise<void> {
    for (const target of running.values()) await (await target).stop()
    running.clear()
    if (address === undefined) return
    const sql = postgres(address, { max: 1, onnotice: () => {} })
    const isCleaning = async () => {
      const [row] =
        await sql`SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'`
      return Number(row?.n) > 0
    }
    while (await isCleaning()) await pause(200)
    await sql`CHECKPOINT`
    await sql.end()
  }

  const folderOf = (users: number) => join(folder, `sqlite-${users}`)
  return {
    echo: () => server('echo', startEcho),
    layer: (name) => server(`layer ${name}`, () => startLayer(name)),
    roster,
    jsonServer: (users) => server(`json-server ${users}`, () => jsonServer(users)),
    async dropJsonServer(users) {
      const target = await running.get(`json-server ${users}`)
      running.delete(`json-server ${users}`)
      await target?.kill()
    },
    pgbench: () => once('pgbench', pgbench),
    folderOf,
    spareFolder: join(folder, 'spare'),
    rest,
    async check() {
      await rest()
      const told = places.filter(({ expected }) => expected.answered > 0)
      for (const { expected, check } of places) await check(expected)
      return told.map(({ about, expected }) => `${whole(expected.answered)} updates on ${about}`)
    },
    async clear() {
      await Promise.allSettled([...running.values()].map(async (target) => (await target).kill()))
      if (address !== undefined && databases.size > 0) {
        const sql = postgres(address, { max: 1, onnotice: () => {} })
        for (const name of databases) await sql.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
        await sql.end()
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
