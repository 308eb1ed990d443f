import type { Claim } from '../../directory/claims.ts'
import { unavailable } from '../../directory/errors.ts'
import { isText } from '../../directory/query.ts'
import type { Page, PageQuery } from '../../directory/store.ts'
import type { User } from '../../directory/user.ts'
import { toReadError } from './connection.ts'
import { createGathering } from './gathering.ts'
import { createListReader, lists, numbered } from './list.ts'
import { type Pool, patience } from './pool.ts'
import { createRead } from './read.ts'
import { columns, toUser } from './rows.ts'
import { createStatements, type Writing } from './statements.ts'

export type Units = ReturnType<typeof createUnits>

/** Runs the statements: those that read, with all else that is tried again by itself, and those that write. */
export function createUnits({ query }: Pick<Pool, 'query'>) {
  const statements = createStatements()
  const gather = createGathering({ send: readUsers, most: mostTogether })

  const read = createRead(query)

  const nextIds = createTurns(async (count) => {
    const text = "SELECT nextval('user_ids') AS id FROM generate_series(1, $1::int)"
    const statement = { text, parameters: [count], prepare: true, lane: 'write' } as const
    return (await read(statement, patience, toReadError)).map(({ id }) => Number(id))
  })

  const passed = createPassing(async (id) => {
    await read({ text: pass, parameters: [allocatorLock, id], prepare: true, lane: 'write' })
  })

  /** One statement for all who ask, however many ask for the same user. */
  async function readUsers(asked: readonly Reading[]): Promise<void> {
    const ids = [...new Set(asked.map(({ id }) => id))]
    try {
      const statement =
        ids.length === 1
          ? { text: `${select} = $1`, parameters: ids, prepare: true }
          : { text: `${select} = ANY ($1::text::bigint[])`, parameters: [toArray(ids)], prepare: true }
      const users = new Map((await read(statement)).map(toUser).map((user) => [user.id, user]))
      for (const { id, resolve } of asked) resolve(users.get(id))
    } catch (error) {
      for (const { reject } of asked) reject(error)
    }
  }

  return {
    read,

    /** As it is after this call: those who ask while others are being read are read by the next statement. */
    get(id: number): Promise<User | undefined> {
      return new Promise((resolve, reject) => {
        if (!gather({ id, resolve, reject })) reject(unavailable('Too much is waiting for the database'))
      })
    },

    async find({ kind, key }: Claim): Promise<User | undefined> {
      if (!isText(key)) return undefined
      const text = `SELECT ${columns.join(', ')} FROM users
        WHERE id = (SELECT user_id FROM claims WHERE kind = $1 AND key = $2)`
      const [row] = await read({ text, parameters: [kind, key], prepare: true })
      return row === undefined ? undefined : toUser(row)
    },

    async page({ after, everybody, ...conditions }: PageQuery): Promise<Page> {
      const [end] = await read({ text: endOfPage, parameters: [after], prepare: true })
      if (end === undefined || end.last === null) return { users: [], next: undefined }
      const { sql, values } = everybody ? lists.everybody : lists.where(conditions)
      const text = `SELECT ${columns.join(', ')} FROM users WHERE id > ? AND id <= ? AND ${sql} ORDER BY id`
      const parameters = { values: [after, Number(end.last), ...values] }
      const rows = await read({ ...numbered(text, parameters), prepare: values.length === 0 })
      return {
        users: rows.map(toUser),
        next: Number(end.rows) < rowsPerPage ? undefined : Number(end.last),
      }
    },

    ...createListReader(read),

    /** Those of the claims that somebody else than the user holds. */
    async taken(claims: readonly Claim[], userId: number): Promise<Claim[]> {
      const text = `SELECT kind, key FROM claims
        JOIN jsonb_to_recordset($1::text::jsonb) AS wanted (kind text, key text) USING (kind, key)
        WHERE user_id <> $2`
      const held = await read({ text, parameters: [JSON.stringify(claims), userId], prepare: true })
      return claims.filter(({ kind, key }) => held.some((one) => one.kind === kind && one.key === key))
    },

    /**
     * Those of the changes that the log has. Telling so writes too, since a server that came back alone shows
     * what its standbys may not have: the answer leaves when they have all that was written before it.
     */
    async committedOf(changeIds: readonly string[], ms: number): Promise<ReadonlySet<string>> {
      const text = `SELECT change_id, pg_logical_emit_message(true, 'roster', '')::text FROM changes
        WHERE change_id = ANY ($1::text::uuid[])`
      const parameters = [toArray(changeIds)]
      const rows = await read({ text, parameters, prepare: true, lane: 'write' }, ms)
      return new Set(rows.map((row) => String(row.change_id)))
    },

    /** The next id of the allocator's, in the order of the calls. It may be in use already, by a caller's own choice. */
    nextId: (): Promise<number> => nextIds(),

    /** Moves the allocator past a run of used ids in one query; never back, whoever else is at it. */
    async skipUsedIds(from: number): Promise<void> {
      const parameters = [allocatorLock, from]
      await read({ text: skip, parameters, prepare: true, lane: 'write' }, patience, toReadError)
    },

    /** Moves the allocator past an id that came from outside; never back. */
    passed,

    /** @returns false when the row is not at the version that the first unit was decided on */
    async write(units: Writing): Promise<boolean> {
      return (await query(statements.single(units))).length > 0
    },

    /** @returns the users whose rows were at the version that was decided on, and which nobody held */
    async writeTogether(writings: readonly Writing[]): Promise<ReadonlySet<number>> {
      return new Set((await query(statements.together(writings))).map((row) => Number(row.user_id)))
    },
  }
}

/** Gives out what is fetched in one go for all who ask in the meantime, in the order in which they ask. */
function createTurns<T>(fetch: (count: number) => Promise<readonly T[]>): () => Promise<T> {
  let asking: PromiseWithResolvers<T>[] = []
  let fetching = false
  async function work(): Promise<void> {
    fetching = true
    while (asking.length > 0) {
      const served = asking
      asking = []
      try {
        const given = await fetch(served.length)
        for (const [i, { resolve }] of served.entries()) resolve(given[i] as T)
      } catch (error) {
        for (const { reject } of [...served, ...asking.splice(0)]) reject(error)
      }
    }
    fetching = false
  }
  return () => {
    const turn = Promise.withResolvers<T>()
    asking.push(turn)
    if (!fetching) void work()
    return turn.promise
  }
}

/** Passes the largest of the numbers that have come up meanwhile, in one go for all of them. */
function createPassing(pass: (to: number) => Promise<void>): (to: number) => Promise<void> {
  let [passed, largest] = [0, 0]
  let last = Promise.resolve()
  return (to) => {
    largest = Math.max(largest, to)
    last = last
      .catch(() => {})
      .then(async () => {
        if (passed >= to) return
        const upTo = largest
        await pass(upTo)
        passed = upTo
      })
    return last
  }
}

/** Users who are read by one statement, at most. */
const mostTogether = 200

const select = `SELECT ${columns.join(', ')} FROM users WHERE id`

interface Reading {
  readonly id: number
  readonly resolve: (user: User | undefined) => void
  readonly reject: (error: unknown) => void
}

/** Of numbers or UUIDs, which need no quotes. */
function toArray(values: readonly (number | string)[]): string {
  return `{${values.join()}}`
}

/** Rows that a page looks at, whether they match or not. */
const rowsPerPage = 1_000

const endOfPage = `SELECT max(id) AS last, count(*) AS rows
  FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT ${rowsPerPage}) AS page`

/** The key of the advisory lock under which the allocator is moved. */
const allocatorLock = 7_265_737_465

/** Where nobody has the id after all, and so nothing is to be skipped, no row comes of it. */
const skip = `
  SELECT setval('user_ids', greatest(run.last, (SELECT last_value FROM user_ids)))
  FROM (SELECT pg_advisory_xact_lock($1) OFFSET 0) AS locked, LATERAL (
    SELECT used.id AS last FROM users AS used LEFT JOIN users AS next ON next.id = used.id + 1
    WHERE used.id >= $2 AND next.id IS NULL AND EXISTS (SELECT FROM users WHERE id = $2)
    ORDER BY used.id LIMIT 1
  ) AS run`

const pass = `
  SELECT setval('user_ids', $2) FROM (SELECT pg_advisory_xact_lock($1) OFFSET 0) AS locked, user_ids
  WHERE last_value < $2`
