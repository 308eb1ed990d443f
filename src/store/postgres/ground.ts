import type { Ground, Plan } from '../../directory/batch.ts'
import type { Claim } from '../../directory/claims.ts'
import type { Command, Once } from '../../directory/command.ts'
import { wholeOf } from '../../directory/receipt.ts'
import type { User } from '../../directory/user.ts'
import type { Run } from './pool.ts'
import { createReceiptReader, nameOf } from './receipts.ts'
import { columns, toUser } from './rows.ts'

/**
 * What commands are decided on, fetched for all of them together. What can not be known before they
 * have been decided, such as which claims they move, is noted while they are, fetched, and they are
 * decided again.
 * @param lock whether the users are to stay as they are until the transaction ends
 */
export async function createGround(commands: readonly Command[], run: Run, lock: boolean) {
  const dryRun = Boolean(commands[0]?.dryRun)
  const onces = dryRun ? [] : oncesOf(commands)
  const readReceipts = createReceiptReader(run)
  const [users, first] = await Promise.all([readUsers(commands, run, lock), readReceipts(onces)])
  let receipts = first
  const holders = new Map<string, number | undefined>()
  let missing: Claim[] = []
  /** Stand for ids until the commands are decided again. */
  let placeholders = new Set<number>()

  const fetchIds = (count: number) => (dryRun ? peekIds(count, run) : takeIds(count, run))

  const ids = meetsNew(commands, users) ? await fetchIds(countNew(commands)) : []

  const ground: Ground = {
    user: (id) => users.get(id),
    receipt: (once: Once) => receipts.get(nameOf(once)),
    holder(claim) {
      const name = claimName(claim)
      if (!holders.has(name)) missing.push(claim)
      return holders.get(name)
    },
    freeId(after = 0) {
      const id = ids.find((one) => one > after)
      if (id !== undefined) return id
      const placeholder = Number.MAX_SAFE_INTEGER - placeholders.size
      placeholders.add(placeholder)
      return placeholder
    },
  }

  /** @returns whether there was anything that the plan was made without */
  async function fetchMissing({ outcomes }: Plan): Promise<boolean> {
    const claims = missing
    missing = []
    const wanted = outcomes.filter((one) => 'user' in one && placeholders.has(one.user.id)).length
    placeholders = new Set()
    if (claims.length > 0) {
      for (const claim of claims) holders.set(claimName(claim), undefined)
      // Who holds a claim may have taken it by the same request, whose receipt there was not before.
      const [held, kept] = await Promise.all([run(holdersOf(claims)), readReceipts(onces)])
      for (const { kind, key, user_id } of held)
        holders.set(claimName({ kind, key } as Claim), Number(user_id))
      receipts = kept
      return true
    }
    // What is refused or told again shall not use up an id.
    if (wanted === 0) return false
    ids.push(...(await fetchIds(wanted)))
    return true
  }

  return { ground, fetchMissing }
}

/** Each once: those of one request are parts of the same. */
function oncesOf(commands: readonly Command[]): readonly Once[] {
  const all = commands.flatMap(({ once }) => (once === undefined ? [] : [once, wholeOf(once) ?? once]))
  return [...new Map(all.map((once) => [nameOf(once), once])).values()]
}

const isNew = ({ id }: Command) => id === undefined
const countNew = (commands: readonly Command[]) => commands.filter(isNew).length

/** Whether somebody who is made by one of the commands may be whom another one is about. */
function meetsNew(commands: readonly Command[], users: ReadonlyMap<number, User>): boolean {
  return commands.some(isNew) && commands.some(({ id }) => id !== undefined && !users.has(id))
}

const claimName = ({ kind, key }: Claim) => `${kind} ${key}`

async function readUsers(
  commands: readonly Command[],
  run: Run,
  lock: boolean,
): Promise<ReadonlyMap<number, User>> {
  const ids = new Set(commands.flatMap(({ id }) => (id === undefined ? [] : [id])))
  if (ids.size === 0) return new Map()
  // In one order everywhere, so that two who want the same users do not wait for each other in a circle.
  const text = `SELECT ${columns.join(', ')} FROM users
    WHERE id IN (SELECT value::bigint FROM jsonb_array_elements_text($1::text::jsonb))
    ORDER BY id${lock ? ' FOR NO KEY UPDATE' : ''}`
  const rows = await run({ text, parameters: [JSON.stringify([...ids])], prepare: true })
  return new Map(rows.map(toUser).map((user) => [user.id, user]))
}

function holdersOf(claims: readonly Claim[]) {
  const text = `SELECT kind, key, user_id FROM claims
    JOIN jsonb_to_recordset($1::text::jsonb) AS wanted (kind text, key text) USING (kind, key)`
  return { text, parameters: [JSON.stringify(claims)], prepare: true }
}

async function takeIds(count: number, run: Run): Promise<number[]> {
  const text = "SELECT nextval('user_ids') AS id FROM generate_series(1, $1::int)"
  return (await run({ text, parameters: [count], prepare: true })).map(({ id }) => Number(id))
}

/** The next ids that the allocator would give: those between the ones that are used. */
async function peekIds(count: number, run: Run): Promise<number[]> {
  const text = `
    WITH mark AS (SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END AS next FROM user_ids)
    SELECT used.id + 1 AS first, (SELECT min(id) FROM users WHERE id > used.id) AS until
    FROM (SELECT next - 1 AS id FROM mark UNION ALL SELECT id FROM users, mark WHERE id >= next) AS used
    WHERE NOT EXISTS (SELECT FROM users WHERE users.id = used.id + 1)
    ORDER BY used.id LIMIT $1::int`
  const ids: number[] = []
  for (const { first, until } of await run({ text, parameters: [count], prepare: true }))
    for (let id = Number(first); ids.length < count && (until === null || id < Number(until)); id++)
      ids.push(id)
  return ids
}
