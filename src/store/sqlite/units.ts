import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Change, Unit } from '../../directory/change.ts'
import type { Claim } from '../../directory/claims.ts'
import { maxId, type User } from '../../directory/user.ts'
import { createEmailChangeWriter } from './email-changes.ts'
import { createMailWriter } from './outbox.ts'
import { columns, toSql, toUser } from './rows.ts'

/** The statements: inside a transaction that is somebody else's affair. */
export function createUnits(db: DatabaseSync) {
  const select = db.prepare(`SELECT ${columns.join(', ')} FROM users WHERE id = ?`)
  select.setReturnArrays(true)
  const insert = db.prepare(
    `INSERT INTO users (last_change, ${columns.join(', ')}) VALUES (?, ${columns.map(() => '?').join(', ')})`,
  )
  const updates = new Map<string, StatementSync>()
  const holder = db.prepare('SELECT user_id FROM claims WHERE kind = ? AND key = ?')
  const take = db.prepare('INSERT INTO claims (kind, key, user_id) VALUES (?, ?, ?)')
  const give = db.prepare('DELETE FROM claims WHERE kind = ? AND key = ?')
  const log = db.prepare(
    `INSERT INTO changes
       (previous, change_id, user_id, version, at, actor_kind, actor_id, contract, request_id, kind, fields)
     VALUES ((SELECT last_change FROM users WHERE id = ?1), ?2, ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`,
  )
  const blank = db.prepare(
    `WITH RECURSIVE chain (seq) AS (
       SELECT last_change FROM users WHERE id = ?
       UNION ALL
       SELECT previous FROM chain JOIN changes USING (seq) WHERE previous IS NOT NULL
     )
     UPDATE changes SET fields =
       (SELECT json_group_object(key, json_array(NULL, NULL)) FROM json_each(changes.fields))
     WHERE seq IN (SELECT seq FROM chain)`,
  )
  const forget = [
    'passwords',
    'validity',
    'counters',
    'receipts',
    'documents',
    'settings',
    'email_changes',
    'outbox',
    'avatars',
  ].map((table) => db.prepare(`DELETE FROM ${table} WHERE user_id = ?`))
  // Time 0 has their files removed next.
  const forgetPictures = db.prepare(
    'UPDATE pictures SET unused_since = 0 WHERE user_id = ? AND given_up_at IS NULL',
  )
  const addMail = createMailWriter(db)
  const setPassword = db.prepare(
    `INSERT INTO passwords (user_id, hash) VALUES (?, ?)
     ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash`,
  )
  const endTokens = db.prepare(
    `INSERT INTO validity (user_id, tokens_valid_from) VALUES (?, ?)
     ON CONFLICT (user_id) DO UPDATE SET tokens_valid_from = max(tokens_valid_from, excluded.tokens_valid_from)`,
  )
  const writeEmailChanges = createEmailChangeWriter(db)
  const nextId = db.prepare('SELECT next_id FROM allocator')
  const setNextId = db.prepare('UPDATE allocator SET next_id = ?')
  const raiseNextId = db.prepare('UPDATE allocator SET next_id = ?1 WHERE next_id < ?1')
  const endOfRun = db.prepare(
    `SELECT used.id + 1 AS free FROM users AS used LEFT JOIN users AS next ON next.id = used.id + 1
     WHERE used.id >= ? AND next.id IS NULL ORDER BY used.id LIMIT 1`,
  )

  function read(id: number): User | undefined {
    const row = select.get(id) as unknown as SQLInputRow | undefined
    return row === undefined ? undefined : toUser(row)
  }

  /** Statements that write only what changed; the few sets of fields that callers change are kept. */
  function updateOf(changed: Unit['changed'], status: boolean): StatementSync {
    const key = `${status} ${changed.join()}`
    let statement = updates.get(key)
    if (statement === undefined) {
      // Naming the status would have SQLite write every index that speaks of it.
      const columns = ['last_change', 'version', 'updated_at', ...(status ? ['status'] : []), ...changed]
      const assignments = columns.map((name) => `${name} = ?`)
      statement = db.prepare(`UPDATE users SET ${assignments.join(', ')} WHERE id = ?`)
      if (updates.size >= 500) updates.clear()
      updates.set(key, statement)
    }
    return statement
  }

  /** @returns the sequence number of the new row */
  function writeLog(change: Change): number | bigint {
    const { changeId, userId, version, at, actor, contract, requestId, kind } = change
    if (kind === 'erased') for (const statement of [blank, ...forget, forgetPictures]) statement.run(userId)
    const fields = JSON.stringify(change.fields)
    return log.run(userId, changeId, version, at, actor.kind, actor.id, contract, requestId, kind, fields)
      .lastInsertRowid
  }

  return {
    read,

    /** Those of the claims that somebody holds. */
    taken: (claims: readonly Claim[]): Claim[] =>
      claims.filter(({ kind, key }) => holder.get(kind, key) !== undefined),

    holder({ kind, key }: Claim): number | undefined {
      const row = holder.get(kind, key)
      return row === undefined ? undefined : Number(row.user_id)
    },

    write({
      user,
      changed,
      take: taken,
      release,
      change,
      password,
      tokensValidFrom,
      emailChanges,
      mails = [],
    }: Unit): void {
      const seq = writeLog(change)
      if (user.version === 1) {
        insert.run(seq, ...columns.map((name) => toSql(user[name])))
      } else {
        const values: SQLInputValue[] = changed.map((name) => toSql(user[name]))
        const isStatusKept = change.kind === 'updated' && change.fields.status === undefined
        const status = isStatusKept ? [] : [user.status]
        const statement = updateOf(changed, !isStatusKept)
        statement.run(seq, user.version, user.updated_at, ...status, ...values, user.id)
      }
      for (const { kind, key } of release) give.run(kind, key)
      for (const { kind, key } of taken) take.run(kind, key, user.id)
      if (password !== undefined) setPassword.run(user.id, password)
      if (tokensValidFrom !== undefined) endTokens.run(user.id, tokensValidFrom)
      mails.forEach(addMail)
      if (emailChanges !== undefined) writeEmailChanges(user.id, emailChanges)
    },

    /**
     * The first id from the allocator's mark on that names nobody; a run of used ones costs one query.
     * @param after an id that it gave in this transaction already
     */
    allocate(after?: number): number {
      const mark = after === undefined ? Number(nextId.get()?.next_id) : after + 1
      const id = read(mark) === undefined ? mark : Number(endOfRun.get(mark)?.free)
      if (id > maxId) throw new Error('There is no id left to give')
      return id
    },

    allocated(id: number): void {
      setNextId.run(id + 1)
    },

    /** The allocator gives no id below one that came from outside. */
    passed(id: number): void {
      raiseNextId.run(id + 1)
    },
  }
}

type SQLInputRow = Parameters<typeof toUser>[0]
