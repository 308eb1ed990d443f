import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { checkPostgres, checkSqlite } from './check.ts'
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
  /** Stops the servers of Roster and checks what they were told. @returns what was checked, in words */
  readonly check: () => Promise<readonly string[]>
  readonly clear: () => Promise<void>
}

export interface Directory {
  readonly target: Target
  readonly database?: string
  readonly updated: (answered: number, untold: number) => void
}

/** @param server an address of PostgreSQL with a database to connect to, undefined where there is none */
export async function prepareGround(server: string | undefined): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'roster-bench-'))
  const made = new Map<string, Promise<unknown>>()
  const running = new Set<Target>()
  const databases = new Set<string>()
  const checks: (() => Promise<string | undefined>)[] = []

  /** Makes each thing once. */
  function once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const existing = made.get(name) ?? make()
    made.set(name, existing)
    return existing as Promise<T>
  }

  async function started(starting: Promise<Target>): Promise<Target> {
    const target = await starting
    running.add(target)
    return target
  }

  async function createDatabase(name: string): Promise<string> {
    if (server === undefined) throw new Error('There is no PostgreSQL')
    const sql = postgres(server, { max: 1, onnotice: () => {} })
    await sql.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    await sql.unsafe(`CREATE DATABASE ${name}`)
    await sql.end()
    databases.add(name)
    return Object.assign(new URL(server), { pathname: `/${name}` }).href
  }

  async function roster(what: 'sqlite' | 'postgres', users: number, named: boolean): Promise<Directory> {
    const expected = { answered: 0, untold: 0 }
    const count = (answered: number, untold: number) => {
      expected.answered += answered
      expected.untold += untold
    }
    const told = () =>
      expected.answered > 0
        ? `${whole(expected.answered)} updates on ${what} with ${whole(users)} users`
        : undefined
    if (what === 'sqlite') {
      await once('seeding of SQLite', () => checkSqliteSeeding(join(folder, 'seeding')))
      const at = named ? `${folderOf(users)}-named` : folderOf(users)
      await seedSqlite(at, users)
      if (named) nameSqlite(at)
      const target = await started(startRoster({ folder: at }))
      if (named) await readToSearch(target)
      checks.push(async () => {
        await stop(target)
        await checkSqlite(at, expected)
        return told()
      })
      return { target, updated: count }
    }
    await once('seeding of PostgreSQL', async () =>
      checkPostgresSeeding(await createDatabase('roster_bench_seeding')),
    )
    const database = `roster_bench_${users}${named ? '_named' : ''}`
    const url = await createDatabase(database)
    await seedPostgres(url, users)
    if (named) await namePostgres(url)
    const target = await started(startRoster({ url }))
    if (named) await readToSearch(target)
    checks.push(async () => {
      await stop(target)
      await checkPostgres(url, expected)
      return told()
    })
    return { target, database, updated: count }
  }

  async function jsonServer(users: number): Promise<Target> {
    const at = join(folder, `json-${users}`)
    mkdirSync(at, { recursive: true })
    seedJson(join(at, 'db.json'), users)
    return started(startJsonServer(join(at, 'db.json')))
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

  async function stop(target: Target): Promise<void> {
    running.delete(target)
    await target.stop()
  }

  const folderOf = (users: number) => join(folder, `sqlite-${users}`)
  return {
    echo: () => once('echo', () => started(startEcho())),
    layer: (name) => once(`layer ${name}`, () => started(startLayer(name))),
    roster: (what, users, named = false) =>
      once(`roster ${what} ${users}${named ? ' named' : ''}`, () => roster(what, users, named)),
    jsonServer: (users) => once(`json-server ${users}`, () => jsonServer(users)),
    async dropJsonServer(users) {
      const target = (await made.get(`json-server ${users}`)) as Target
      made.delete(`json-server ${users}`)
      running.delete(target)
      await target.kill()
    },
    pgbench: () => once('pgbench', pgbench),
    folderOf,
    spareFolder: join(folder, 'spare'),
    async check() {
      const told: (string | undefined)[] = []
      for (const check of checks.splice(0)) told.push(await check())
      return told.filter((words) => words !== undefined)
    },
    async clear() {
      await Promise.all([...running].map((target) => target.kill()))
      if (server !== undefined && databases.size > 0) {
        const sql = postgres(server, { max: 1, onnotice: () => {} })
        for (const name of databases) await sql.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
        await sql.end()
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
