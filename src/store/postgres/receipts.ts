import type { Once } from '../../directory/command.ts'
import { isText } from '../../directory/query.ts'
import { type Receipt, receiptLife, type Told } from '../../directory/receipt.ts'
import type { Row, Run, Statement } from './pool.ts'

/** Names an actor's key, in a map. */
export const nameOf = ({ actor, key }: Once) => JSON.stringify([actor, key])

/** Reads what is kept under keys, expired or not. */
export function createReceiptReader(run: Run) {
  return async (onces: readonly Once[]): Promise<ReadonlyMap<string, Receipt>> => {
    const askable = onces.filter(({ actor, key }) => isText(actor) && isText(key))
    if (askable.length === 0) return new Map()
    const text = `SELECT receipts.* FROM receipts
      JOIN jsonb_to_recordset($1::text::jsonb) AS wanted (actor text, key text) USING (actor, key)`
    const rows = await run({ text, parameters: [JSON.stringify(askable)], prepare: true })
    return new Map(rows.map(toReceipt).map((receipt) => [nameOf(receipt.once), receipt]))
  }
}

/**
 * Keeps a receipt that belongs to nothing else that is written, unless one that has not expired has its key.
 * @param run runs a statement, again where it fails for a reason that passes: each does the same however often it is done
 */
export function createBeginning(run: Run) {
  const read = createReceiptReader(run)
  return async (receipt: Receipt): Promise<Receipt> => {
    for (const statement of keep([receipt], 'ON CONFLICT DO NOTHING'))
      await run({ ...statement, lane: 'write' })
    // Whoever has its key by now has been kept first, or is a repetition of the same.
    return (await read([receipt.once])).get(nameOf(receipt.once)) ?? receipt
  }
}

function toReceipt({ actor, key, hash, at, user_id, told }: Row): Receipt {
  const once = { actor: String(actor), key: String(key), hash: String(hash) }
  return { once, at: Number(at), userId: Number(user_id), told: told as Told }
}

/**
 * The statements that keep receipts, in place of expired ones that have their keys.
 * @param otherwise what becomes of one whose key is taken
 */
export function keep(receipts: readonly Receipt[], otherwise = ''): Statement[] {
  const rows = receipts.map(({ once, at, userId, told }) => ({ ...once, at, user_id: userId, told }))
  const list = JSON.stringify(rows)
  const record = '(actor text, key text, hash text, at bigint, user_id bigint, told jsonb)'
  return [
    {
      text: `DELETE FROM receipts USING jsonb_to_recordset($1::text::jsonb) AS kept ${record}
        WHERE receipts.actor = kept.actor AND receipts.key = kept.key AND receipts.at <= kept.at - $2::bigint`,
      parameters: [list, receiptLife],
      prepare: true,
    },
    {
      text: `INSERT INTO receipts (actor, key, hash, at, user_id, told)
        SELECT actor, key, hash, at, user_id, told FROM jsonb_to_recordset($1::text::jsonb) AS kept ${record} ${otherwise}`,
      parameters: [list],
      prepare: true,
    },
  ]
}

/** Receipts that go at once, at most. */
const perStatement = 1_000

/** The statement that removes some of those that had expired at that time. The oldest have the lowest numbers, so no others are looked at. */
export function expiredReceipts(at: number): Statement {
  const text = `DELETE FROM receipts USING (
      SELECT seq FROM receipts ORDER BY seq LIMIT ${perStatement} FOR UPDATE SKIP LOCKED
    ) AS oldest WHERE receipts.seq = oldest.seq AND receipts.at <= $1 RETURNING receipts.seq`
  return { text, parameters: [at - receiptLife], prepare: true, lane: 'write' }
}
