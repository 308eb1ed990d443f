import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { Store } from '../src/directory/store.ts'
import { committed, contradictions, create, range, update } from '../src/store/conformance.ts'
import { type connectTo, readKept } from './postgres.ts'

/** What callers of a store were told while they sent one update after the other. */
export interface Load {
  readonly acknowledged: { readonly id: number; readonly version: number; readonly changeId: string }[]
  /** Those of which nothing may be left, since that is what their callers were told. */
  readonly refused: string[]
  readonly unknown: string[]
  /** How long the slowest of them took to hear, in milliseconds. */
  slowest: number
  /** Lets nobody begin another one. */
  readonly halt: () => void
  /** Resolves once all have heard. */
  readonly stop: () => Promise<void>
  /** Resolves once so many more have been acknowledged. */
  readonly more: (count: number) => Promise<void>
}

/**
 * Many who change a few users, and some who make new ones.
 * @param text makes what they put into long fields
 */
export function startLoad(
  store: Store,
  users: number,
  writers: number,
  text: () => string = randomUUID,
): Load {
  let stopping = false
  const load = { acknowledged: [], refused: [], unknown: [], slowest: 0 } as unknown as Load
  const write = async (writer: number) => {
    while (!stopping) {
      const username = `u-${randomUUID()}`
      const patch = writer % 3 === 0 ? { username } : { bio: text() }
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
  const halt = () => {
    stopping = true
  }
  return Object.assign(load, {
    more: async (count: number) => {
      const until = load.acknowledged.length + count
      await expect.poll(() => load.acknowledged.length, { timeout: 15_000 }).toBeGreaterThan(until)
    },
    halt,
    stop: async () => {
      halt()
      await done
    },
  })
}

/** What a database holds that it should not, or lacks, after all that callers were told. */
export async function broken(
  sql: ReturnType<typeof connectTo>,
  { acknowledged, refused }: Pick<Load, 'acknowledged' | 'refused'>,
): Promise<string[]> {
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
