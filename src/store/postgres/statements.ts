import type { Change, Unit } from '../../directory/change.ts'
import type { Claim } from '../../directory/claims.ts'
import type { User } from '../../directory/user.ts'
import { clearUndo, emailChangeRows, endChanges, keepChanges } from './email-changes.ts'
import { mailRows } from './outbox.ts'
import { type LaneName, type Parameter, patience, type Statement } from './pool.ts'
import { columns, columnType, toSql } from './rows.ts'

/**
 * The statements that write. Each is a transaction of its own, and of one form: `written` are the users
 * whose rows were at the version that was decided on and are set; what else belongs to a unit is written
 * for those users alone; and so is the log, which tells whose units were written.
 */

/** What a unit may bring besides its row and its log: a statement about the users in `written`. */
interface Part {
  readonly name: string
  readonly isIn: (unit: Unit) => boolean
  /**
   * Whether it may fail for reasons that lie with others, or make others wait. Then the unit is written by a
   * statement of its own, in which nobody else is, and no other unit of the same user. New users, who have such
   * parts as a rule, are written together all the same (`newTogether`).
   */
  readonly alone: boolean
  /** The rows that it needs, each with the `user_id` that it is for; none where `written` is all that it needs. */
  readonly rows?: (units: readonly Unit[]) => readonly object[]
  /** @param given the rows, as a parameter of type jsonb */
  readonly sql: (given: string) => string
  /** Done once the user's row is locked, so that it finds what others have written until then. */
  readonly returning?: string
}

/** To give units something more to write, add it here; it is written whole with the rest, or not at all. */
const parts: readonly Part[] = [
  {
    name: 'released',
    isIn: ({ release }) => release.length > 0,
    alone: true,
    rows: (units) => claimRows(units, ({ release }) => release),
    sql: (given) => `DELETE FROM claims
      USING written, jsonb_to_recordset(${given}) AS given (user_id bigint, kind text, key text)
      WHERE given.user_id = written.id
        AND claims.kind = given.kind AND claims.key = given.key AND claims.user_id = written.id`,
  },
  {
    name: 'taken',
    isIn: ({ take }) => take.length > 0,
    alone: true,
    rows: (units) => claimRows(units, ({ take }) => take),
    sql: (given) => `INSERT INTO claims (kind, key, user_id)
      SELECT wanted.kind, wanted.key, written.id
      FROM written JOIN jsonb_to_recordset(${given}) AS wanted (user_id bigint, kind text, key text)
        ON wanted.user_id = written.id
      ORDER BY wanted.kind, wanted.key`,
  },
  {
    name: 'blanked',
    isIn: ({ change }) => change.kind === 'erased',
    alone: true,
    sql: () => `UPDATE changes SET fields = coalesce(
        (SELECT jsonb_object_agg(entry.key, '[null, null]'::jsonb) FROM jsonb_each(changes.fields) AS entry), '{}')
      FROM written WHERE changes.user_id = written.id`,
    returning:
      'forget(id), forget_settings(id), forget_email_changes(id), forget_outbox(id), forget_pictures(id)',
  },
  {
    name: 'password',
    isIn: ({ password }) => password !== undefined,
    alone: true,
    rows: (units) => units.map(({ user, password }) => ({ user_id: user.id, hash: password })),
    sql: (given) => `INSERT INTO passwords (user_id, hash)
      SELECT written.id, given.hash
      FROM written JOIN jsonb_to_recordset(${given}) AS given (user_id bigint, hash text)
        ON given.user_id = written.id
      ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash`,
  },
  {
    name: 'ended',
    isIn: ({ tokensValidFrom }) => tokensValidFrom !== undefined,
    alone: true,
    rows: (units) => units.map(({ user, tokensValidFrom }) => ({ user_id: user.id, at: tokensValidFrom })),
    sql: (given) => `INSERT INTO validity (user_id, tokens_valid_from)
      SELECT written.id, given.at
      FROM written JOIN jsonb_to_recordset(${given}) AS given (user_id bigint, at bigint)
        ON given.user_id = written.id
      ON CONFLICT (user_id) DO UPDATE
        SET tokens_valid_from = greatest(validity.tokens_valid_from, excluded.tokens_valid_from)`,
  },
  {
    name: 'mailed',
    isIn: ({ mails }) => mails !== undefined && mails.length > 0,
    alone: true,
    rows: (units) => units.flatMap(({ mails = [] }) => mails.map(mailRows.of)),
    sql: (given) => `INSERT INTO outbox (${mailRows.columns}) SELECT ${mailRows.values}
      FROM written JOIN jsonb_to_recordset(${given}) AS mail ${mailRows.type} ON mail.user_id = written.id`,
  },
  {
    name: 'email_changed',
    isIn: ({ emailChanges }) => emailChanges?.put !== undefined,
    alone: true,
    rows: (units) => emailChangeRows(units).kept,
    sql: (given) => keepChanges(given, 'written'),
  },
  {
    name: 'email_ended',
    isIn: ({ emailChanges }) => emailChanges?.ended !== undefined,
    alone: true,
    rows: (units) => emailChangeRows(units).ended,
    sql: (given) => endChanges(given, 'written'),
  },
  {
    name: 'undo_cleared',
    isIn: ({ emailChanges }) => emailChanges?.noUndoSince !== undefined,
    alone: true,
    rows: (units) => emailChangeRows(units).noUndo,
    sql: (given) => clearUndo(given, 'written'),
  },
]

/** Whether a unit is written by a statement in which no other unit of the same user is. */
export function standsAlone(unit: Unit): boolean {
  return isNew(unit) || parts.some((part) => part.alone && part.isIn(unit))
}

/** Whether units can be written together with those of other users: new ones are, and what does not stand alone. */
export function goesTogether(units: Writing): boolean {
  return isNew(firstOf(units)) || !units.some(standsAlone)
}

function isNew(unit: Unit): boolean {
  return unit.change.version === 1
}

/** Units of one user, each decided on what the one before it leaves, the first on what is stored. */
export type Writing = readonly Unit[]

/** Makes the statements, and remembers their texts. */
export function createStatements() {
  /** By shape; past a bound, new ones are not kept: servers keep them per connection. */
  const texts = new Map<string, string>()

  function statement(
    lane: LaneName,
    shape: string,
    text: () => string,
    parameters: readonly Parameter[],
  ): Statement {
    const known = texts.get(shape)
    if (known !== undefined) return { text: known, parameters, prepare: true, lane }
    const made = text()
    const prepare = texts.size < maxShapes
    if (prepare) texts.set(shape, made)
    return { text: made, parameters, prepare, lane }
  }

  return {
    /** For one user; where somebody holds the row it waits for it. The row of the log names the user. */
    single(units: Writing): Statement {
      const { user } = lastOf(units)
      const creates = isNew(firstOf(units))
      const changed: readonly (typeof columns)[number][] = creates ? columns : changedIn(units)
      const row = changed.map((name) => toSql(user[name]))
      const seen = firstOf(units).change.version - 1
      const head = creates ? row : [user.id, seen, user.status, user.version, user.updated_at, ...row]
      const present = parts.filter((part) => units.some(part.isIn))
      const shape = `${creates ? 'new' : changed.join()} ${present.map(({ name }) => name).join()}`
      const text = () =>
        `WITH written AS (${creates ? insertOne : updateOne(changedIn(units))}${returning(present)})${tail(head.length, present)}`
      const made = statement('write', shape, text, [...head, ...tailParameters(units, present)])
      const isErasure = lastOf(units).change.kind === 'erased'
      return isErasure ? { ...made, answerWithin: erasedWithin(user.version) } : made
    },

    /**
     * For several users of one shape. Rows that somebody holds are passed over, as those at another version
     * are, so it waits for none, in no order.
     */
    together(writings: readonly Writing[]): Statement {
      const units = writings.flat()
      if (isNew(firstOf(units))) return newTogether(units)
      const changed = changedIn(firstOf(writings))
      const present = parts.filter((part) => units.some(part.isIn))
      const shape = `several ${changed.join()} ${present.map(({ name }) => name).join()}`
      const text = () => `WITH ${updateSeveral(changed)}${tail(1, present)}`
      return statement('pass', shape, text, [
        JSON.stringify(writings.map(toRow)),
        ...tailParameters(units, present),
      ])
    },
  }

  /**
   * Those whose id is used or whose claims somebody holds are passed over. A claim that somebody is about to
   * have can not be seen, only be waited for: briefly, then the statement fails.
   */
  function newTogether(units: readonly Unit[]): Statement {
    const present = parts.filter((part) => units.some(part.isIn))
    const shape = `several new ${present.map(({ name }) => name).join()}`
    const users = JSON.stringify(units.map(({ user }) => user))
    const claims = JSON.stringify(claimRows(units, ({ take }) => take))
    const text = () => `WITH ${insertSeveral}${tail(2, present)}`
    return statement('pass', shape, text, [users, claims, ...tailParameters(units, present)])
  }

  function toRow(units: Writing) {
    const { user } = lastOf(units)
    const { id, status, version, updated_at } = user
    const row: Record<string, unknown> = { id, status, version, updated_at }
    row.seen = firstOf(units).change.version - 1
    for (const name of changedIn(units)) row[name] = user[name]
    return row
  }
}

/** Writings of one shape can be written together. */
export function shapeOf(units: Writing): string {
  return isNew(firstOf(units)) ? 'new' : changedIn(units).join()
}

function changedIn(units: Writing): Unit['changed'] {
  const [first, ...rest] = units as [Unit, ...Unit[]]
  const all = rest.length === 0 ? first.changed : new Set(units.flatMap(({ changed }) => changed))
  return [...all].sort()
}

function firstOf<T>(list: readonly T[]): T {
  return list[0] as T
}

function lastOf(units: Writing): Unit {
  return units.at(-1) as Unit
}

/**
 * Milliseconds that an erasure may take, which blanks a row of the log for each version: some 35 µs on a quiet
 * machine.
 */
export function erasedWithin(versions: number): number {
  return Math.min(patience + versions / 5, 60_000)
}

const maxShapes = 200

const insertOne = `INSERT INTO users (${columns.join(', ')})
  VALUES (${columns.map((name, i) => `$${i + 1}${castOf(name)}`).join(', ')}) RETURNING id`

/** Milliseconds for which new users may wait for a claim that somebody is about to have. */
const briefly = 50

const insertSeveral = `brief AS MATERIALIZED (
    SELECT set_config('lock_timeout', '${briefly}', true)
  ), held AS MATERIALIZED (
    SELECT wanted.user_id FROM jsonb_to_recordset($2::text::jsonb) AS wanted (user_id bigint, kind text, key text)
    JOIN claims USING (kind, key)
  ), written AS (
    INSERT INTO users (${columns.join(', ')})
    SELECT ${columns.join(', ')} FROM jsonb_populate_recordset(NULL::users, $1::text::jsonb)
    WHERE (SELECT count(*) FROM brief) = 1 AND id NOT IN (SELECT user_id FROM held) ORDER BY id
    ON CONFLICT (id) DO NOTHING RETURNING id
  )`

function updateOne(changed: Unit['changed']): string {
  const assignments = changed.map((name, i) => `, ${name} = $${i + 6}${castOf(name)}`).join('')
  return `UPDATE users SET status = $3, version = $4, updated_at = $5${assignments}
    WHERE id = $1 AND version = $2 RETURNING id`
}

function castOf(name: keyof User): string {
  return columnType(name) === 'jsonb' ? '::text::jsonb' : ''
}

function updateSeveral(changed: Unit['changed']): string {
  const names = ['status', 'version', 'updated_at', ...changed] as const
  const typed = ['id', ...names].map((name) => `${name} ${columnType(name as keyof User)}`).join(', ')
  return `wanted AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS wanted (seen bigint, ${typed})
  ), free AS MATERIALIZED (
    SELECT users.id FROM users JOIN wanted USING (id) WHERE users.version = wanted.seen
    FOR NO KEY UPDATE OF users SKIP LOCKED
  ), written AS (
    UPDATE users SET ${names.map((name) => `${name} = wanted.${name}`).join(', ')}
    FROM free JOIN wanted USING (id) WHERE users.id = free.id AND users.version = wanted.seen
    RETURNING users.id
  )`
}

function returning(present: readonly Part[]): string {
  return present.flatMap((part) => (part.returning === undefined ? [] : `, ${part.returning}`)).join('')
}

/** What follows `written`: the log, and the parts that are in it. */
function tail(before: number, present: readonly Part[]): string {
  let parameter = before + 1
  const log = logInsert(`$${parameter}::text::jsonb`)
  const others = present.map(({ name, rows, sql }) => {
    if (rows !== undefined) parameter++
    return `, ${name} AS (${sql(`$${parameter}::text::jsonb`)})`
  })
  return `${others.join('')} ${log}`
}

function tailParameters(units: Writing, present: readonly Part[]): string[] {
  const lists = present.flatMap(({ rows }) => (rows === undefined ? [] : [JSON.stringify(rows(units))]))
  return [JSON.stringify(units.map(({ change }) => logRow(change))), ...lists]
}

/** Log rows come as one JSON parameter, so that one statement serves any number of them. */
function logInsert(given: string): string {
  const names = 'change_id, user_id, version, at, actor_kind, actor_id, contract, request_id, kind, fields'
  return `INSERT INTO changes (${names})
    SELECT ${names} FROM written JOIN jsonb_to_recordset(${given}) AS entry
      (change_id uuid, user_id bigint, version bigint, at bigint, actor_kind text, actor_id text, contract text,
       request_id text, kind text, fields jsonb) ON entry.user_id = written.id
    ORDER BY user_id, version
    RETURNING user_id`
}

function logRow({ changeId, userId, version, at, actor, contract, requestId, kind, fields }: Change) {
  return {
    change_id: changeId,
    user_id: userId,
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

function claimRows(units: Writing, claimsOf: (unit: Unit) => readonly Claim[]): object[] {
  return units.flatMap((unit) =>
    claimsOf(unit).map(({ kind, key }) => ({ user_id: unit.user.id, kind, key })),
  )
}
