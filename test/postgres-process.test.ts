import { afterEach, describe, expect, inject, it } from 'vitest'
import { contradictions, range } from '../src/store/conformance.ts'
import { newestVersion } from '../src/store/postgres/migrate.ts'
import { connectTo, createDatabase, createServerOfOwn, type Database, readKept } from './postgres.ts'
import {
  type Answer,
  cleanUp,
  createClient,
  parseEntry,
  type Roster,
  run,
  type Send,
  serve,
  temporaryFolder,
  versionOf,
} from './process.ts'

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  await cleanUp()
  for (const one of cleanUps.splice(0).reverse()) await one()
})

async function database(): Promise<Database> {
  const made = await createDatabase(inject('postgresUrl'))
  cleanUps.push(made.drop)
  return made
}

function node(url: string): Promise<Roster> {
  return serve([], { folder: temporaryFolder(), env: { DATABASE_URL: url } })
}

async function addPeople(send: Send, count: number): Promise<void> {
  for (const n of range(count)) {
    const person = { first_name: `p${n}`, last_name: 'Load', phone: '1', interested_in: 'both' }
    const answer = await send('POST', '/users', { ...person, email: `p${n}@example.com` })
    expect(answer).toMatchObject({ status: 201 })
  }
}

interface Told {
  readonly id: number
  readonly version: number
  readonly phone: string
}

/** Changes a user again and again, noting what is acknowledged, until the server is gone or `until` is true. */
async function write(send: Send, id: number, told: Told[], until: () => boolean): Promise<Answer[]> {
  const others: Answer[] = []
  for (let n = 1; !until(); n++) {
    const phone = `${id}-${told.length}-${n}-${Math.random()}`
    const answer = await send('PATCH', `/users/${id}`, { phone }).catch(() => undefined)
    if (answer === undefined) return others
    if (answer.status === 200) told.push({ id, version: versionOf(answer), phone })
    else others.push(answer)
  }
  return others
}

async function broken({ sql }: Pick<Database, 'sql'>, told: readonly Told[]): Promise<string[]> {
  const { users, log, damage } = await readKept(sql)
  const rows = new Map(log.map((row) => [`${row.userId} ${row.version}`, row.fields.phone?.[1]]))
  const lost = told.filter(({ id, version, phone }) => rows.get(`${id} ${version}`) !== phone)
  return [...damage, ...contradictions(users, log), ...lost.map((one) => `lost: ${JSON.stringify(one)}`)]
}

describe('Roster on PostgreSQL', () => {
  it('loses no acknowledged update and keeps no half of one, killed under load', async () => {
    const made = await database()
    const told: Told[] = []
    for (let life = 1; life <= 4; life++) {
      const server = await node(made.url)
      const send = createClient(server.url, 20)
      if (life === 1) await addPeople(send, 5)
      const last = told.length + 150
      let killed: Promise<unknown> | undefined
      const heard = () => {
        if (told.length >= last) killed ??= server.kill()
        return false
      }
      const others = await Promise.all(range(20).map((n) => write(send, (n % 5) + 1, told, heard)))
      expect(await killed).toMatchObject({ signal: 'SIGKILL' })
      expect(others.flat()).toEqual([])
      expect(await broken(made, told)).toEqual([])
    }
    expect(told.length).toBeGreaterThan(600)
  })

  it('is one service on two nodes that change the same user', async () => {
    const made = await database()
    const sends = (await Promise.all([node(made.url), node(made.url)])).map(({ url }) => createClient(url, 8))
    const [one, other] = sends as [Send, Send]
    await addPeople(one, 1)
    const told: Told[] = []
    const writers = range(12).map((n) => write(n % 2 ? one : other, 1, told, () => told.length >= 400))
    expect((await Promise.all(writers)).flat()).toEqual([])
    expect(await broken(made, told)).toEqual([])
    expect(new Set(told.map(({ version }) => version)).size).toBe(told.length)
    const shown = await Promise.all(sends.map((send) => send('GET', '/users/1')))
    expect(shown[0]?.text).toBe(shown[1]?.text)
    expect(versionOf(shown[0] as Answer)).toBe(told.length + 1)
  })

  it('answers 503 with Retry-After while the server is away, and goes on by itself when it is back', async () => {
    const postgres = await createServerOfOwn()
    cleanUps.push(postgres.remove)
    const server = await node(postgres.url)
    const send = createClient(server.url, 40)
    await addPeople(send, 5)
    const told: Told[] = []
    let stopping = false
    const load = Promise.all(range(20).map((n) => write(send, (n % 5) + 1, told, () => stopping)))
    await expect.poll(() => told.length, { timeout: 10_000 }).toBeGreaterThan(200)
    await postgres.crash()

    const started = Date.now()
    const person = { first_name: 'A', last_name: 'B', email: 'a@example.com' }
    const record = { firstName: 'A', lastName: 'B', email: 'a@example.com' }
    const away = await Promise.all([
      send('GET', '/users/1'),
      send('GET', '/users'),
      send('PATCH', '/users/1', { phone: '5' }),
      send('POST', '/users', { ...person, phone: '1', interested_in: 'cats' }),
      send('PUT', '/users?id=1', record),
      send('DELETE', '/users/2'),
    ])
    expect(Date.now() - started).toBeLessThan(2_000)
    expect(away).toMatchObject(away.map(() => ({ status: 503, headers: { 'retry-after': '1' } })))
    expect(await send('GET', '/readyz')).toMatchObject({ status: 503 })
    expect(await send('GET', '/healthz')).toMatchObject({ status: 200 })

    await postgres.start()
    const before = told.length
    await expect.poll(() => told.length, { timeout: 10_000 }).toBeGreaterThan(before + 200)
    stopping = true
    const others = (await load).flat()
    expect(others).toMatchObject(others.map(() => ({ status: 503, headers: { 'retry-after': '1' } })))
    expect(await send('GET', '/readyz')).toMatchObject({ status: 200 })
    const sql = connectTo(postgres.url)
    expect(await broken({ sql }, told)).toEqual([])
    await sql.end()

    await postgres.crash()
    expect(await server.stop()).toMatchObject({ code: 0, stderr: '' })
    expect(server.log().some((line) => parseEntry(line)?.level === 60)).toBe(false)
  })

  it('says that it can not know, and ends, while the primary waits for a standby that is not there', async () => {
    const postgres = await createServerOfOwn()
    cleanUps.push(postgres.remove)
    const server = await node(postgres.url)
    const send = createClient(server.url, 4)
    await addPeople(send, 2)
    const sql = connectTo(postgres.url)
    await sql.unsafe("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await sql`SELECT pg_reload_conf()`
    const setting = async () => (await sql`SHOW synchronous_standby_names`)[0]
    await expect.poll(setting).toEqual({ synchronous_standby_names: 'nobody' })
    await sql.end()

    const started = Date.now()
    const answers = await Promise.all([send('PATCH', '/users/1', { phone: '7' }), send('GET', '/users/2')])
    expect(Date.now() - started).toBeLessThan(2_500)
    expect(answers).toMatchObject([{ status: 503, headers: { 'retry-after': '1' } }, { status: 200 }])
    expect(answers[0]?.text).toContain('may or may not have been saved')
    const options = { folder: temporaryFolder(), env: { DATABASE_URL: postgres.url } }
    const { code, stderr } = await run(['user', 'update', '2', '{"phone":"9"}'], options)
    expect([code, stderr]).toEqual([1, expect.stringContaining('may or may not have been saved')])
    expect(await server.stop()).toMatchObject({ code: 0, stderr: '' })
  })

  it('says in one line why it does not start, and keeps the password to itself', async () => {
    const { url, sql } = await database()
    const options = { folder: temporaryFolder() }
    const start = (DATABASE_URL: string) => run(['serve'], { ...options, env: { DATABASE_URL } })
    const cases: [url: string, reason: string][] = [
      ['postgres://ann:s3cret@127.0.0.1:1/roster', '127.0.0.1:1: it can not be reached'],
      ['postgres://ann:s3cret@/roster', 'must be like postgres://user:password@host:5432/database'],
      ['postgres://ann:s3cret@host:port/roster', 'DATABASE_URL'],
      ['mysql://ann:s3cret@host/roster', 'DATABASE_URL must be like'],
    ]
    await (await node(url)).stop()
    await sql`INSERT INTO schema_version (version) VALUES (1000)`
    cases.push([url, `schema version 1000, this Roster knows ${newestVersion}`])
    for (const [url, reason] of cases) {
      const { code, stdout, stderr } = await start(url)
      expect({ code, stdout }, stderr).toEqual({ code: 1, stdout: '' })
      expect(stderr).toContain(reason)
      expect(stderr.trim().split('\n')).toHaveLength(1)
      expect(stderr).not.toMatch(/s3|cret/)
    }
  })

  it('shows commands the same people as the server, and the server what commands change', async () => {
    const { url } = await database()
    const server = await serve(['--demo'], { folder: temporaryFolder(), env: { DATABASE_URL: url } })
    const send = createClient(server.url)
    const options = { folder: temporaryFolder(), env: { DATABASE_URL: url } }
    const { code, stdout } = await run(['user', 'update', '4', '{"phone":"9"}'], options)
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { id: 4, phone: '9', version: 2 }])
    const shown = await send('GET', '/users/4')
    expect(JSON.parse(shown.text)).toMatchObject({ first_name: 'Fiona', phone: '9' })
    expect(server.log().join()).not.toMatch(/postgres:\/\/[^/]*:[^/]*@/)
  })
})
