import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findRedis, type Line, lineTo, newPrefix, type TestRedis } from '../../test/redis.ts'
import { countTogether, type Shared } from './redis.ts'

const found = await findRedis()
const skipped = typeof found === 'string' ? ` (left out: ${found})` : ''
const there = found as TestRedis
afterAll(() => typeof found === 'string' || found.close())

const rate = { quota: 5, seconds: 60 }

describe.skipIf(skipped !== '')(`counting in Redis${skipped}`, () => {
  let prefix: string
  let line: Line
  let client: Redis
  let nodes: Shared[]
  let told: string[]
  beforeEach(async () => {
    prefix = newPrefix()
    line = await lineTo(there, prefix)
    client = new Redis(there.port, there.host)
    nodes = []
    told = []
  })
  afterEach(async () => {
    for (const node of nodes) node.close()
    await line.close()
    const keys = await client.keys(`${prefix}*`)
    if (keys.length > 0) await client.del(keys)
    client.disconnect()
  })

  const open = (url = line.url) => {
    const node = countTogether({
      url,
      now: () => 0,
      onAway: (reason) => told.push(reason),
      onBack: () => told.push('back'),
    })
    nodes.push(node)
    return node
  }
  const isThere = (node: Shared) => expect.poll(() => node.isAway(), { timeout: 5_000 }).toBe(false)

  test('is one count for all nodes, each subject and each name apart', async () => {
    const [one, other] = [open(), open()]
    await Promise.all([isThere(one), isThere(other)])
    const counts = [one, other].map((node) => node.counting('key', rate))
    const asked = Array.from({ length: 40 }, (_, n) => counts[n % 2]?.('a', 1))
    const used = (await Promise.all(asked)).map((standing) => standing?.used ?? 0)
    expect(used.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, n) => n + 1))
    expect(await counts[1]?.('b', 1)).toMatchObject({ used: 1 })
    expect(await one.counting('address', rate)('a', 1)).toMatchObject({ used: 1 })
    expect(await counts[0]?.('a', 0)).toMatchObject({ used: 40 })
    expect(await counts[0]?.('a', -1)).toMatchObject({ used: 39 })
    expect(told).toEqual([])
  })

  test('ends a window by itself, and one that lost its end too', async () => {
    const node = open()
    await isThere(node)
    const count = node.counting('key', rate)
    const { left } = await count('a', 3)
    expect(left).toBe(60_000)
    const [key = ''] = await client.keys(`${prefix}*`)
    expect(key).toBe(`${prefix}roster:key:5/60:a`)
    expect(await client.pttl(key)).toBeGreaterThan(50_000)
    await client.persist(key)
    expect(await count('a', 1)).toEqual({ used: 4, left: 60_000 })
    expect(await client.pttl(key)).toBeGreaterThan(50_000)
    await client.pexpire(key, 1)
    await expect.poll(async () => (await count('a', 0)).used).toBe(0)
    expect((await count('a', -3)).used).toBe(0)
    expect((await count('a', 1)).used).toBe(1)
  })

  test('that is not there at the start is done alone, at once, told once, and together when it comes', async () => {
    await line.cut()
    const [one, other] = [open(), open()]
    const count = one.counting('key', rate)
    for (const used of [1, 2, 3]) expect(count('a', 1)).toEqual({ used, left: 60_000 })
    expect(one.isAway()).toBe(true)
    await expect.poll(() => told).toEqual(['ECONNREFUSED', 'ECONNREFUSED'])
    await line.mend()
    await Promise.all([isThere(one), isThere(other)])
    expect(await count('a', 1)).toMatchObject({ used: 1 })
    expect(await other.counting('key', rate)('a', 1)).toMatchObject({ used: 2 })
    expect(told.slice(2)).toEqual(['back', 'back'])
  })

  test('that breaks in the middle refuses nobody, is told once, and goes on', async () => {
    const node = open()
    await isThere(node)
    const count = node.counting('key', rate)
    const asked = Array.from({ length: 200 }, () => count('a', 1))
    await line.cut()
    const standings = await Promise.all([...asked, count('a', 1)])
    expect(standings).toHaveLength(201)
    await expect.poll(() => told).toHaveLength(1)
    expect(told[0]).toMatch(/broke|ECONN/)
    expect(count('a', 0)).not.toBeInstanceOf(Promise)
    await line.mend()
    await isThere(node)
    expect(await count('b', 1)).toMatchObject({ used: 1 })
    expect(told.slice(1)).toEqual(['back'])
  })

  test('that hangs keeps those waiting who asked then, for a moment, and nobody after them', async () => {
    const node = open()
    await isThere(node)
    const count = node.counting('key', rate)
    await count('a', 1)
    line.freeze()
    const started = performance.now()
    await Promise.all(Array.from({ length: 50 }, () => count('a', 1)))
    expect(performance.now() - started).toBeLessThan(1_000)
    for (let n = 0; n < 50; n++) expect(count('a', 1)).not.toBeInstanceOf(Promise)
    expect(told).toEqual(['it does not answer'])
    expect(node.isAway()).toBe(true)
    line.thaw()
    await isThere(node)
    await expect.poll(async () => (await count('c', 1)).used).toBeGreaterThan(0)
    expect(told).toEqual(['it does not answer', 'back'])
  })

  test('that refuses is told once, and nobody is refused for it', async () => {
    // Nobody by this name is known there.
    const node = open(line.url.replace('redis://', 'redis://nobody:s3cret@'))
    const count = node.counting('key', rate)
    await expect.poll(() => told.length).toBeGreaterThan(0)
    for (let n = 1; n <= 20; n++) expect((await count('a', 1)).used).toBeGreaterThan(0)
    expect(told).toHaveLength(1)
    expect(told.join()).not.toContain('s3cret')
    expect(node.isAway()).toBe(true)
  })
})
