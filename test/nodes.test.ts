import { createServer } from 'node:net'
import { afterAll, afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { createDatabase } from './postgres.ts'
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
} from './process.ts'
import { findRedis, type Line, lineTo, newPrefix, type TestRedis } from './redis.ts'

const found = await findRedis()
const skipped = typeof found === 'string' ? ` (left out: ${found})` : ''
const there = found as TestRedis
afterAll(() => typeof found === 'string' || found.close())

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })
const range = (count: number) => Array.from({ length: count }, (_, n) => n)

/** A node that had to wait for Redis for too long counts for itself, which a busy machine may bring about. */
const again = { retry: 2 }

describe.skipIf(skipped !== '')(`two nodes on one PostgreSQL and one Redis${skipped}`, again, () => {
  let url: string
  let line: Line
  let nodes: readonly Roster[]
  let sends: readonly Send[]
  const cleanUps: (() => unknown)[] = []

  async function start(env: Readonly<Record<string, string>>): Promise<void> {
    const all = { DATABASE_URL: url, REDIS_URL: line.url, ROSTER_OPEN_CONTRACTS: 'never', ...env }
    nodes = await Promise.all(range(2).map(() => serve([], { folder: temporaryFolder(), env: all })))
    sends = nodes.map((node) => createClient(node.url, 10))
  }

  /** Until then each counts for itself. */
  const isShared = async () =>
    (await Promise.all(sends.map((send) => send('GET', '/readyz')))).every(({ text }) =>
      text.includes('shared'),
    )

  beforeEach(async () => {
    const database = await createDatabase(inject('postgresUrl'))
    cleanUps.push(database.drop)
    url = database.url
    line = await lineTo(there, newPrefix())
    cleanUps.push(line.close)
  })
  afterEach(async () => {
    await cleanUp()
    for (const one of cleanUps.splice(0).reverse()) await one()
  })

  const key = async (...args: string[]) =>
    run(['key', ...args], { folder: temporaryFolder(), env: { DATABASE_URL: url } })

  async function makeKey(
    scopes: string,
  ): Promise<{ readonly id: string; readonly headers: { authorization: string } }> {
    const { stdout, stderr } = await key('create', '--name', 'n', '--scopes', scopes)
    return { id: stderr.split(' ')[0] ?? '', headers: bearer(stdout.trim()) }
  }

  const ask = (node: number, headers: object): Promise<Answer> =>
    (sends[node] as Send)('GET', '/adoption/users', undefined, { ...headers })

  it('know a key as soon as it is made, and both refuse it within a second once it is revoked', async () => {
    await start({ ROSTER_RATE_LIMIT: 'off' })
    const { id, headers } = await makeKey('read')
    expect([await ask(0, headers), await ask(1, headers)]).toMatchObject([{ status: 200 }, { status: 200 }])
    // In use all the time, so that it is known and asked for again in the background.
    const seen: [at: number, status: number][][] = [[], []]
    let stopping = false
    const using = range(2).map(async (node) => {
      while (!stopping) {
        const at = Date.now()
        seen[node]?.push([at, (await ask(node, headers)).status])
      }
    })
    await key('revoke', id)
    const revoked = Date.now()
    const isRefused = () => seen.every((answers) => answers.at(-1)?.[1] === 401)
    await expect.poll(isRefused, { timeout: 5_000, interval: 10 }).toBe(true)
    stopping = true
    await Promise.all(using)
    for (const answers of seen) {
      const late = answers.filter(([at, status]) => at > revoked + 1_000 && status !== 401)
      const first = answers.findIndex(([, status]) => status === 401)
      expect([late, new Set(answers.slice(first).map(([, status]) => status))]).toEqual([[], new Set([401])])
      expect((answers[first]?.[0] ?? 0) - revoked).toBeLessThan(1_000)
    }
  })

  it('make a key on one that the other knows at once, and revoke it on the other', async () => {
    await start({})
    const admin = await makeKey('admin')
    const [one, other] = sends as [Send, Send]
    const asked = { name: 'n', scopes: ['read'] }
    const made = await one('POST', '/v1/keys', asked, admin.headers)
    const { id, secret } = JSON.parse(made.text)
    const headers = bearer(secret)
    expect(await other('GET', '/v1/users', undefined, headers)).toMatchObject({ status: 200 })
    expect(await one('GET', '/v1/users', undefined, headers)).toMatchObject({ status: 200 })
    expect(await other('DELETE', `/v1/keys/${id}`, undefined, admin.headers)).toMatchObject({ status: 204 })
    const revoked = Date.now()
    // The node that has done it needs no second look.
    expect(await other('GET', '/v1/users', undefined, headers)).toMatchObject({ status: 401 })
    const status = async () => (await one('GET', '/v1/users', undefined, headers)).status
    await expect.poll(status, { timeout: 5_000, interval: 10 }).toBe(401)
    expect(Date.now() - revoked).toBeLessThan(1_000)
  })

  it('carry a request with an idempotency key out once, whichever of them it comes to', async () => {
    await start({ ROSTER_RATE_LIMIT: 'off' })
    const [here, there] = sends as readonly [Send, Send]
    const headers = { ...(await makeKey('read,write')).headers, 'content-type': 'application/json' }
    for (const n of range(5)) {
      const once = { ...headers, 'idempotency-key': `"once ${n}"` }
      const person = { email: `n${n}@example.org`, username: `n${n}`, password: 'correct horse' }
      const answers = await Promise.all(
        [here, there, here, there].map((send) => send('POST', '/v1/users', person, once)),
      )
      expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true)
      const [again, first] = [
        await there('POST', '/v1/users', person, once),
        answers.find(({ status }) => status === 201),
      ]
      expect(again).toMatchObject({
        status: 201,
        text: first?.text,
        headers: { 'idempotency-replayed': 'true' },
      })
      const { location = '' } = again.headers
      const counted = { ...headers, 'idempotency-key': `"count ${n}"` }
      const increment = { posts_counter: { increment: 1 } }
      await Promise.all(
        [here, there].map((send) => send('PATCH', `${location}/counters`, increment, counted)),
      )
      const shown = await here('GET', `${location}/counters`, undefined, headers)
      expect(JSON.parse(shown.text)).toMatchObject({ posts_counter: 1 })
    }
    const { text } = await there('GET', '/v1/users', undefined, headers)
    expect(JSON.parse(text)).toMatchObject({ meta: { total: 5 } })
  })

  it('carry a batch out once, and make a key once, whichever of them it comes to', async () => {
    await start({ ROSTER_RATE_LIMIT: 'off' })
    const [here, there] = sends as readonly [Send, Send]
    const headers = { ...(await makeKey('admin')).headers, 'content-type': 'application/json' }
    for (const atomic of [false, true]) {
      const once = { ...headers, 'idempotency-key': `"batch ${atomic}"` }
      const operations = range(20).map((n) => {
        const name = `${atomic ? 'whole' : 'single'}-${n}`
        return {
          op: 'create',
          data: { email: `${name}@example.org`, username: name, password: 'correct horse' },
        }
      })
      const ask = (send: Send, more: object = {}) =>
        send('POST', '/v1/users/batch', { operations, atomic, ...more }, once)
      const answers = await Promise.all([here, there].map((send) => ask(send)))
      for (const { status, text } of answers) {
        expect(status).toBe(200)
        const { results } = JSON.parse(text) as { results: { status: number }[] }
        expect(new Set(results.map((result) => result.status))).toEqual(new Set([201]))
      }
      expect(await ask(there)).toMatchObject({ status: 200, headers: { 'idempotency-replayed': 'true' } })
      expect(await ask(here, { operations: operations.slice(1) })).toMatchObject({ status: 422 })
      expect(await there('PATCH', '/v1/users/usr_none', {}, once)).toMatchObject({ status: 422 })
    }
    const { text } = await here('GET', '/v1/users', undefined, headers)
    expect(JSON.parse(text)).toMatchObject({ meta: { total: 40 } })

    for (const things of ['keys', 'clients']) {
      const once = { ...headers, 'idempotency-key': `"${things}"` }
      const asked = { name: 'the shop', scopes: ['read'] }
      const made = await Promise.all([here, there].map((send) => send('POST', `/v1/${things}`, asked, once)))
      expect(made.map(({ status }) => status).toSorted()).toEqual([201, 409])
      const before = await here('GET', `/v1/${things}`, undefined, headers)
      expect(await there('POST', `/v1/${things}`, { ...asked, name: 'x' }, once)).toMatchObject({
        status: 422,
      })
      expect(await there('GET', `/v1/${things}`, undefined, headers)).toMatchObject({ text: before.text })
    }
  })

  it('count a key’s requests together, to the last one', async () => {
    await start({ ROSTER_RATE_LIMIT: '25/h' })
    const { headers } = await makeKey('read')
    await expect.poll(isShared, { timeout: 5_000 }).toBe(true)
    const answers = await Promise.all(range(60).map((n) => ask(n % 2, headers)))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(25)
    expect(statuses.filter((status) => status === 429)).toHaveLength(35)
    const rests = answers
      .filter(({ status }) => status === 200)
      .map((answer) => answer.headers['x-ratelimit-remaining'])
    expect(rests.map(Number).toSorted((a, b) => a - b)).toEqual(range(25))
    expect(await (sends[0] as Send)('GET', '/readyz')).toMatchObject({
      status: 200,
      text: '{"status":"ready","rate_limits":"shared through Redis"}',
    })
  })

  it('count wrong keys together too, and a right one not', async () => {
    await start({})
    await expect.poll(isShared, { timeout: 5_000 }).toBe(true)
    // What comes on many connections at once, before anybody has seen it, is no guess.
    const { headers } = await makeKey('read')
    const right = await Promise.all(range(100).map((n) => ask(n % 2, headers)))
    expect(right.map(({ status }) => status)).toEqual(Array(100).fill(200))
    const answers: number[] = []
    for (const n of range(40)) answers.push((await ask(n % 2, bearer(`wrong-${n}`))).status)
    expect(answers).toEqual([...Array(30).fill(401), ...Array(10).fill(429)])
  })

  it('go on by themselves while Redis is away, say so once, and count together again', async () => {
    await start({ ROSTER_RATE_LIMIT: '1000000/h' })
    await expect.poll(isShared, { timeout: 5_000 }).toBe(true)
    const { headers } = await makeKey('read,write')
    const used = async (node: number) =>
      1_000_000 - Number((await ask(node, headers)).headers['x-ratelimit-remaining'])
    expect([await used(0), await used(1)]).toEqual([1, 2])
    const statuses = new Set<number>()
    let stopping = false
    const load = range(8).map(async (n) => {
      while (!stopping) {
        const started = Date.now()
        statuses.add((await ask(n % 2, headers)).status)
        if (Date.now() - started > 2_000) statuses.add(0)
      }
    })
    await line.cut()
    const ready = (node: number) => (sends[node] as Send)('GET', '/readyz')
    const isAlone = async () =>
      (await Promise.all([ready(0), ready(1)])).every(({ text }) => text.includes('away'))
    await expect.poll(isAlone, { timeout: 5_000 }).toBe(true)
    expect(await ready(0)).toMatchObject({
      status: 200,
      text: '{"status":"ready","rate_limits":"Redis is away: each node counts for itself"}',
    })
    await line.mend()
    await expect.poll(isAlone, { timeout: 5_000 }).toBe(false)
    await expect.poll(isShared, { timeout: 5_000 }).toBe(true)
    stopping = true
    await Promise.all(load)
    expect([...statuses]).toEqual([200])
    const before = await used(0)
    expect(await used(1)).toBe(before + 1)
    for (const node of nodes) {
      const told = node
        .log()
        .map(parseEntry)
        .filter((entry) => String(entry?.msg).startsWith('rate limits'))
      // Once for thousands of requests; on a busy machine Redis may have been slow, and so away, once more.
      expect(told.length / 2).toBeOneOf([1, 2, 3])
      expect(told).toMatchObject(
        Array(told.length / 2)
          .fill([
            { level: 40, msg: 'rate limits: Redis is away: each node counts for itself' },
            { level: 30, msg: 'rate limits: Redis is there, nodes count together' },
          ])
          .flat(),
      )
    }
  })

  it('start without Redis, stop cleanly, and end where the port is taken', async () => {
    await line.cut()
    await start({})
    expect(await ask(0, (await makeKey('read')).headers)).toMatchObject({ status: 200 })
    expect(await Promise.all(nodes.map((node) => node.stop()))).toMatchObject([{ code: 0 }, { code: 0 }])
    await line.mend()
    const other = createServer()
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => {
        const address = other.address()
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
    cleanUps.push(() => other.close())
    const env = { DATABASE_URL: url, REDIS_URL: line.url, PORT: `${port}` }
    const ended = await run(['serve'], { folder: temporaryFolder(), env })
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('EADDRINUSE') })
  })
})
