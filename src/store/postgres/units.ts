import type { Change, Unit } from '../../directory/change.ts'
import type { Claim } from '../../directory/claims.ts'
import type { Listing, ListQuery } from '../../directory/query.ts'
import type { Page, PageQuery } from '../../directory/store.ts'
import type { User } from '../../directory/user.ts'
import { failureOf, pause, toReadError } from './connection.ts'
import { list, lists, numbered } from './list.ts'
import { type Pool, patience, type Row, type Statement } from './pool.ts'
import { columns, toSql, toUser } from './rows.ts'

/**
 * The statements. A unit, or several of one user in a row, is written by one statement, which is a
 * transaction of its own: compare the version and set the row, move the claims, write the log.
 */
export function createUnits({ query }: Pool) {
  const select = `SELECT ${columns.join(', ')} FROM users WHERE id = $1`
  const insertSql = insertStatement()
  /** The shapes that changes have had; past a bound, new ones are not kept: servers keep them per connection. */
  const updates = new Map<string, string>()

  /** Tries again what failed for reasons that pass: it writes nothing, or the same however often it is done. */
  async function read(statement: Statement, ms = patience, toError = toReadError): Promise<readonly Row[]> {
    for (let tries = 1, until = 0; ; tries++) {
      try {
        return await query(statement, until === 0 ? ms : until - Date.now())
      } catch (error) {
        until ||= Date.now() + ms
        await pause(tries)
        if (!['again', 'lost'].includes(failureOf(error)) || Date.now() >= until) throw toError(error)
      }
    }
  }

  const nextIds = createTurns(async (count) => {
    const text = "SELECT nextval('user_ids') AS id FROM generate_series(1, $1::int)"
    return (await read({ text, parameters: [count], prepare: true })).map(({ id }) => Number(id))
  })

  const passed = createPassing(async (id) => {
    await read({ text: pass, parameters: [allocatorLock, id], prepare: true })
  })

  return {
    read,

    async get(id: number): Promise<User | undefined> {
      const [row] = await read({ text: select, parameters: [id], prepare: true })
      return row === undefined ? undefined : toUser(row)
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

    list: (query: ListQuery): Promise<Listing> => list(read, query),

    /** Those of the claims that somebody else than the user holds. */
    async taken(claims: readonly Claim[], userId: number): Promise<Claim[]> {
      const text = `SELECT kind, key FROM claims
        JOIN jsonb_to_recordset($1::text::jsonb) AS wanted (kind text, key text) USING (kind, key)
        WHERE user_id <> $2`
      const held = await read({ text, parameters: [...claimLists(claims), userId], prepare: true })
      return claims.filter(({ kind, key }) => held.some((one) => one.kind === kind && one.key === key))
    },

    /**
     * Whether the log has the change. Telling so writes too, since a server that came back alone shows
     * what its standbys may not have: the answer leaves when they have all that was written before it.
     */
    async wasCommitted(changeId: string, ms: number): Promise<boolean> {
      const text = `SELECT pg_logical_emit_message(true, 'roster', '')::text FROM changes WHERE change_id = $1`
      return (await read({ text, parameters: [changeId], prepare: true }, ms)).length > 0
    },

    /** The next id of the allocator's, in the order of the calls. It may be in use already, by a caller's own choice. */
    nextId: (): Promise<number> => nextIds(),

    /** Moves the allocator past a run of used ids in one query; never back, whoever else is at it. */
    async skipUsedIds(from: number): Promise<void> {
      await read({ text: skip, parameters: [allocatorLock, from], prepare: true })
    },

    /** Moves the allocator past an id that came from outside; never back. */
    passed,

    /** @returns false when the row is not at the version that the first unit was decided on */
    async write(units: readonly Unit[]): Promise<boolean> {
      return (await query(statementOf(units))).length > 0
    },
  }

  function statementOf(units: readonly Unit[]): Statement {
    const first = units[0] as Unit
    const { user } = units.at(-1) as Unit
    if (first.change.version === 1) {
      const values = columns.map((name) => toSql(user[name]))
      const parameters = [...values, ...claimLists(first.take), logRows(units)]
      return { text: insertSql, parameters, prepare: true }
    }
    const changed = [...new Set(units.flatMap((unit) => unit.changed))].sort()
    const claims = units.some(({ take, release }) => take.length + release.length > 0)
    const erases = units.some(({ change }) => change.kind === 'erased')
    const parameters = [
      user.id,
      first.change.version - 1,
      user.status,
      user.version,
      user.updated_at,
      ...changed.map((name) => toSql(user[name])),
      logRows(units),
      ...(claims ? [...claimLists(first.release), ...claimLists(first.take)] : []),
    ]
    const shape = `${changed.join()} ${claims} ${erases}`
    const text = updates.get(shape) ?? updateStatement(changed, claims, erases)
    const prepare = updates.has(shape) || updates.size < maxShapes
    if (prepare) updates.set(shape, text)
    return { text, parameters, prepare }
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

const maxShapes = 200

/** Rows that a page looks at, whether they match or not. */
const rowsPerPage = 1_000

const endOfPage = `SELECT max(id) AS last, count(*) AS rows
  FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT ${rowsPerPage}) AS page`

/** Whether it can be a value at all: PostgreSQL refuses a statement with any other. */
function isText(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0')
}

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

const logColumns = 'change_id, user_id, version, at, actor_kind, actor_id, contract, request_id, kind, fields'

/** Log rows come as one JSON parameter, so that one statement serves any number of them. */
function logSelect(parameter: number, source: string): string {
  return `INSERT INTO changes (${logColumns})
    SELECT entry.change_id, ${source}.id, entry.version, entry.at, entry.actor_kind, entry.actor_id,
           entry.contract, entry.request_id, entry.kind, entry.fields
    FROM ${source}, jsonb_to_recordset($${parameter}::text::jsonb) AS entry
      (change_id uuid, version bigint, at bigint, actor_kind text, actor_id text, contract text,
       request_id text, kind text, fields jsonb)
    ORDER BY entry.version
    RETURNING seq`
}

function insertStatement(): string {
  const at = columns.length
  return `WITH created AS (
    INSERT INTO users (${columns.join(', ')}) VALUES (${columns.map((name, i) => `$${i + 1}${castOf(name)}`).join(', ')}) RETURNING id
  ), taken AS (
    INSERT INTO claims (kind, key, user_id)
    SELECT wanted.kind, wanted.key, created.id
    FROM created, jsonb_to_recordset($${at + 1}::text::jsonb) AS wanted (kind text, key text)
  ) ${logSelect(at + 2, 'created')}`
}

function updateStatement(changed: Unit['changed'], claims: boolean, erases: boolean): string {
  const assignments = changed.map((name, i) => `, ${name} = $${i + 6}${castOf(name)}`).join('')
  const log = changed.length + 6
  const moved = `, released AS (
    DELETE FROM claims USING updated, jsonb_to_recordset($${log + 1}::text::jsonb) AS given (kind text, key text)
    WHERE claims.kind = given.kind AND claims.key = given.key AND claims.user_id = updated.id
  ), taken AS (
    INSERT INTO claims (kind, key, user_id)
    SELECT wanted.kind, wanted.key, updated.id
    FROM updated, jsonb_to_recordset($${log + 2}::text::jsonb) AS wanted (kind text, key text)
  )`
  const blanked = `, blanked AS (
    UPDATE changes SET fields = coalesce(
      (SELECT jsonb_object_agg(entry.key, '[null, null]'::jsonb) FROM jsonb_each(changes.fields) AS entry), '{}')
    FROM updated WHERE changes.user_id = updated.id
  )`
  return `WITH updated AS (
    UPDATE users SET status = $3, version = $4, updated_at = $5${assignments}
    WHERE id = $1 AND version = $2 RETURNING id
  )${claims ? moved : ''}${erases ? blanked : ''} ${logSelect(log, 'updated')}`
}

function castOf(name: string): string {
  return name === 'tags' ? '::text::jsonb' : ''
}

function claimLists(claims: readonly Claim[]): [string] {
  return [JSON.stringify(claims)]
}

function logRows(units: readonly Unit[]): string {
  return JSON.stringify(units.map(({ change }) => logRow(change)))
}

function logRow({ changeId, version, at, actor, contract, requestId, kind, fields }: Change) {
  return {
    change_id: changeId,
    version,
    at,
    actor_kind: actor.kind,
    actor_id: actor.id,
    contract,
    request_id: requestId,
    kind,
    fields,
  }
}
