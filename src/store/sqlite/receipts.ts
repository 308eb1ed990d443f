import type { DatabaseSync } from 'node:sqlite'
import type { Once } from '../../directory/command.ts'
import { type Receipt, receiptLife, type Told } from '../../directory/receipt.ts'
import type { User } from '../../directory/user.ts'
import { type Packed, pack, unpack } from './rows.ts'

/** What the writer can be asked to do with them: to remove some that have expired. */
export interface ExpireTask {
  readonly kind: 'expire'
  readonly at: number
}

/** To keep a receipt that belongs to nothing else that is written. */
export interface BeginTask {
  readonly kind: 'begin'
  readonly receipt: Receipt
}

/** The one that is kept under its key. */
export interface Begun {
  readonly outcome: 'begun'
  readonly receipt: Receipt
}

export interface Expired {
  readonly outcome: 'expired'
  readonly count: number
}

/** Receipts that go at once, at most: what everybody else waits for meanwhile is some milliseconds. */
const perTask = 200

/** The writer's side: what it does happens inside the transaction under way. */
export function createReceipts(db: DatabaseSync) {
  const insert = db.prepare(
    `INSERT OR REPLACE INTO receipts (actor, key, hash, at, user_id, told) VALUES (?, ?, ?, ?, ?, ?)`,
  )
  // The oldest have the lowest numbers, so none but those that go are looked at.
  const expire = db.prepare(
    `DELETE FROM receipts WHERE at <= ? AND seq IN (SELECT seq FROM receipts ORDER BY seq LIMIT ${perTask})`,
  )
  const find = createReceiptReader(db)

  function add({ once, at, userId, told }: Receipt): void {
    insert.run(once.actor, once.key, once.hash, at, userId, JSON.stringify(packTold(told)))
  }

  return {
    find,
    add,
    begin({ receipt }: BeginTask): Begun {
      const found = find(receipt.once)
      const isGood = found !== undefined && receipt.at - found.at < receiptLife
      if (!isGood) add(receipt)
      return { outcome: 'begun', receipt: isGood ? found : receipt }
    },
    expire: ({ at }: ExpireTask): Expired => ({
      outcome: 'expired',
      count: Number(expire.run(at - receiptLife).changes),
    }),
  }
}

export type Receipts = ReturnType<typeof createReceipts>

export function createReceiptReader(db: DatabaseSync): (once: Once) => Receipt | undefined {
  const select = db.prepare('SELECT hash, at, user_id, told FROM receipts WHERE actor = ? AND key = ?')
  return ({ actor, key }) => {
    const row = select.get(actor, key)
    if (row === undefined) return undefined
    const told = unpackTold(JSON.parse(String(row.told)) as PackedTold)
    return {
      once: { actor, key, hash: String(row.hash) },
      at: Number(row.at),
      userId: Number(row.user_id),
      told,
    }
  }
}

type OfNoUser = Exclude<Told, { readonly user: User }>
type PackedTold = OfNoUser | { readonly outcome: 'committed' | 'unchanged'; readonly user: Packed }

function packTold(told: Told): PackedTold {
  return 'user' in told ? { ...told, user: pack(told.user) } : told
}

function unpackTold(told: PackedTold): Told {
  return 'user' in told ? { ...told, user: unpack(told.user) } : told
}
