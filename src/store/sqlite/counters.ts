import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import {
  type Count,
  type Counted,
  type CounterStore,
  type Counters,
  counterNames,
  noCounters,
} from '../../directory/counters.ts'
import { decideCount } from '../../directory/decide-count.ts'
import type { User } from '../../directory/user.ts'
import type { Receipts } from './receipts.ts'

const columns = ['user_id', ...counterNames]

/** The writer's side: runs inside the transaction under way. */
export function createCounterWriter(
  db: DatabaseSync,
  receipts: Receipts,
  readUser: (id: number) => User | undefined,
): (count: Count) => Counted {
  const select = db.prepare(`SELECT ${columns.join(', ')} FROM counters WHERE user_id = ?`)
  const put = db.prepare(
    `INSERT OR REPLACE INTO counters (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
  )
  return (count) => {
    const row = select.get(count.id)
    const { outcome, write } = decideCount(count, {
      user: readUser(count.id),
      counters: row === undefined ? noCounters : toCounters(row),
      receipt: count.once && receipts.find(count.once),
    })
    if (write !== undefined) {
      put.run(count.id, ...counterNames.map((name) => write.counters[name]))
      if (write.receipt !== undefined) receipts.add(write.receipt)
    }
    return outcome
  }
}

/**
 * Counters for a process that may not write itself.
 * @param db a connection for reading
 * @param change hands a change to the writer
 */
export function createCounterStore(db: DatabaseSync, change: CounterStore['change']): CounterStore {
  const select = db.prepare(
    `SELECT ${columns.join(', ')} FROM counters WHERE user_id IN (SELECT value FROM json_each(?))`,
  )
  return {
    get: async (ids) => {
      const rows = select.all(JSON.stringify(ids))
      const known = new Map(rows.map((row) => [Number(row.user_id), toCounters(row)]))
      return new Map(ids.map((id) => [id, known.get(id) ?? noCounters]))
    },
    change,
  }
}

function toCounters(row: Readonly<Record<string, SQLOutputValue>>): Counters {
  return Object.fromEntries(counterNames.map((name) => [name, Number(row[name])])) as Counters
}
