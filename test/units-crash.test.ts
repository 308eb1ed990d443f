import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, inject, it } from 'vitest'
import type { Change } from '../src/directory/change.ts'
import type { Store } from '../src/directory/store.ts'
import type { User } from '../src/directory/user.ts'
import { type Aside, committed, contradictions, create, range, rules } from '../src/store/conformance.ts'
import { openPostgres } from '../src/store/postgres/store.ts'
import { openSqlite } from '../src/store/sqlite/store.ts'
import * as postgres from './postgres.ts'
import * as sqlite from './process.ts'

const writer = fileURLToPath(new URL('./units-writer.ts', import.meta.url))
const cleanUps: (() => unknown)[] = [sqlite.cleanUp]
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(1).reverse()) await cleanUp()
  await sqlite.cleanUp()
})

interface Place {
  /** What the writer is told. */
  readonly args: readonly string[]
  readonly open: () => Promise<Store>
  /** Resolves when nothing that a killed process has begun is under way any more. */
  readonly settled: () => Promise<void>
  readonly read: () => Promise<{
    users: readonly User[]
    log: readonly Change[]
    damage: readonly string[]
    aside: Aside
  }>
}

const places: Readonly<Record<string, () => Promise<Place>>> = {
  SQLite: async () => {
    const folder = sqlite.temporaryFolder()
    return {
      args: ['sqlite', folder],
      open: () => openSqlite({ folder, rules, onFatal: () => {} }),
      settled: async () => {},
      read: async () => ({ ...sqlite.readKept(folder), aside: sqlite.readAside(folder) }),
    }
  },
  PostgreSQL: async () => {
    const { url, sql, drop } = await postgres.createDatabase(inject('postgresUrl'))
    cleanUps.push(drop)
    return {
      args: ['postgres', url],
      open: () => openPostgres({ url, rules, onWarning: () => {} }),
      settled: async () => {
        for (let others = 1; others > 0; ) {
          const [row] = await sql`SELECT count(*)::int AS others FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'roster'`
          others = row?.others
        }
      },
      read: async () => ({ ...(await postgres.readKept(sql)), aside: await postgres.readAside(sql) }),
    }
  },
}

describe.each(Object.keys(places))('a writer on %s that is killed', (name) => {
  it('leaves all that it acknowledged, and of the rest a whole or nothing', {
    timeout: 120_000,
  }, async () => {
    const { args, open, settled, read } = await (places[name] as () => Promise<Place>)()
    const first = await open()
    for (const _ of range(5)) await committed(first, create({}))
    await first.close()

    let next = 1
    for (const rounds of [7, 1, 33]) {
      const acknowledged = await writeUntil(args, next, next + rounds)
      await settled()
      const store = await open()
      const { users, log, damage, aside } = await read()
      expect([damage, contradictions(users, log)]).toEqual([[], []])
      const batches = [...Map.groupBy(log, ({ requestId }) => requestId)].filter(([id]) =>
        id.startsWith('batch '),
      )
      expect(batches.filter(([, rows]) => rows.length !== 6)).toEqual([])
      const keys = new Set(aside.receipts.map(({ key }) => key))
      const of = (kind: string) => [...keys].filter((key) => key.startsWith(kind))
      expect(new Set(of('made ').map((key) => key.replace('made', 'batch')))).toEqual(
        new Set(batches.map(([id]) => id)),
      )
      const keyed = log.filter(({ requestId }) => requestId.startsWith('keyed '))
      expect(new Set(of('keyed '))).toEqual(new Set(keyed.map(({ requestId }) => requestId)))
      expect((await store.counters.get([2])).get(2)?.posts_counter).toBe(of('counted ').length)
      expect(aside.passwords).toHaveLength(batches.length)
      for (const kind of ['made', 'keyed', 'counted'])
        expect(acknowledged.filter((n) => !keys.has(`${kind} ${n}`))).toEqual([])
      await store.close()
      next = Math.max(...[...keys].map((key) => Number(key.split(' ')[1]))) + 1
    }
  })
})

/** Runs the writer until it has acknowledged a round, and then kills it in the middle of what comes next. */
async function writeUntil(args: readonly string[], from: number, until: number): Promise<number[]> {
  const child = spawn(process.execPath, [writer, ...args, String(from)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  cleanUps.push(() => child.kill('SIGKILL'))
  const acknowledged: number[] = []
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    acknowledged.push(Number(line))
    if (Number(line) >= until) child.kill('SIGKILL')
  })
  await once(child, 'close')
  expect(acknowledged.at(-1)).toBeGreaterThanOrEqual(until)
  return acknowledged
}
