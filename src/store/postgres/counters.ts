import {
  type Count,
  type Counted,
  type CounterStore,
  type Counters,
  counterNames,
  noCounters,
} from '../../directory/counters.ts'
import { type CountDecision, decideCount } from '../../directory/decide-count.ts'
import type { Row, Run } from './pool.ts'
import { createReceiptReader, keep, nameOf } from './receipts.ts'
import { toUser, columns as userColumns } from './rows.ts'
import type { createTransactions } from './transaction.ts'

const columns = ['user_id', ...counterNames].join(', ')

/** @param read runs a statement that writes nothing, again where it fails for a reason that passes */
export function createCounterStore(read: Run, transact: ReturnType<typeof createTransactions>): CounterStore {
  async function get(ids: readonly number[], run: Run = read): Promise<ReadonlyMap<number, Counters>> {
    const text = `SELECT ${columns} FROM counters
      WHERE user_id IN (SELECT value::bigint FROM jsonb_array_elements_text($1::text::jsonb))`
    const rows = await run({ text, parameters: [JSON.stringify(ids)], prepare: true })
    const known = new Map(rows.map((row) => [Number(row.user_id), toCounters(row)]))
    return new Map(ids.map((id) => [id, known.get(id) ?? noCounters]))
  }

  async function decide(count: Count, run: Run, lock: string): Promise<CountDecision> {
    const { id, once } = count
    const text = `SELECT ${userColumns.join(', ')} FROM users WHERE id = $1${lock}`
    const [[row], counters, receipts] = await Promise.all([
      run({ text, parameters: [id], prepare: true }),
      get([id], run),
      createReceiptReader(run)(once === undefined ? [] : [once]),
    ])
    return decideCount(count, {
      user: row && toUser(row),
      counters: counters.get(id) ?? noCounters,
      receipt: once && receipts.get(nameOf(once)),
    })
  }

  async function change(count: Count): Promise<Counted> {
    if (count.dryRun) return (await decide(count, read, '')).outcome
    return transact({
      work: async (run) => {
        // The user's row stands for the counters, which may have none yet.
        const { outcome, write } = await decide(count, run, ' FOR NO KEY UPDATE')
        if (write !== undefined) {
          const values = counterNames.map((name) => write.counters[name])
          const statements = [
            { text: put, parameters: [count.id, ...values], prepare: true },
            ...(write.receipt === undefined ? [] : keep([write.receipt])),
          ]
          await Promise.all(statements.map(run))
        }
        return outcome
      },
      // A receipt tells that it was done; and what is set may be set again.
      repeatable: count.once !== undefined || Object.values(count.changes).every((change) => 'set' in change),
    })
  }

  return { get, change }
}

const put = `INSERT INTO counters (${columns}) VALUES ($1, ${counterNames.map((_, n) => `$${n + 2}`).join(', ')})
  ON CONFLICT (user_id) DO UPDATE SET ${counterNames.map((name) => `${name} = excluded.${name}`).join(', ')}`

function toCounters(row: Row): Counters {
  return Object.fromEntries(counterNames.map((name) => [name, Number(row[name])])) as Counters
}
