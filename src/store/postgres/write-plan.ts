import type { Plan } from '../../directory/batch.ts'
import type { Change, Unit } from '../../directory/change.ts'
import type { Claim } from '../../directory/claims.ts'
import type { User } from '../../directory/user.ts'
import { clearUndo, emailChangeRows, endChanges, keepChanges } from './email-changes.ts'
import { mailRows } from './outbox.ts'
import type { Run, Statement } from './pool.ts'
import { keep } from './receipts.ts'
import { columns } from './rows.ts'
import { erasedWithin } from './statements.ts'

/** Writes what was decided in a transaction that has locked the users: a few statements, however many units. */
export async function writePlan({ steps }: Plan, run: Run): Promise<void> {
  const units = steps.flatMap(({ unit }) => unit ?? [])
  const erasing = units.filter(({ change }) => change.kind === 'erased')
  const erased = new Set(erasing.map(({ user }) => user.id))
  // Nothing is kept of somebody who is erased later on, but that he was.
  const receipts = steps.flatMap(({ receipt }, n) => {
    const erasedLater = steps.slice(n + 1).some(({ unit }) => isErasure(unit, receipt?.userId))
    return receipt === undefined || erasedLater ? [] : [receipt]
  })
  const kept = units.filter(({ user }) => !erased.has(user.id))
  const statements = [
    ...writeUsers(units),
    ...moveClaims(units),
    ...writeLog(units),
    ...setPasswords(kept),
    ...endTokens(kept),
    ...addMails(kept),
    ...changeEmails(kept),
    ...forget(erasing.map(({ user }) => user)),
    ...(receipts.length > 0 ? keep(receipts) : []),
  ]
  // Sent together: one that fails keeps those after it from doing anything.
  await Promise.all(statements.map(run))
}

function isErasure(unit: Unit | undefined, userId: number | undefined): boolean {
  return unit?.change.kind === 'erased' && unit.change.userId === userId
}

/** A statement with a list of records as its one parameter; none for an empty list. */
function withList(text: string, list: readonly unknown[]): Statement[] {
  return list.length === 0 ? [] : [{ text, parameters: [JSON.stringify(list)], prepare: true }]
}

function writeUsers(units: readonly Unit[]): Statement[] {
  const made = new Map<number, User>()
  const updated = new Map<number, User>()
  for (const { user } of units) (user.version === 1 || made.has(user.id) ? made : updated).set(user.id, user)
  const names = columns.join(', ')
  const assignments = columns.filter((name) => name !== 'id').map((name) => `${name} = next.${name}`)
  return [
    ...withList(
      `INSERT INTO users (${names}) SELECT ${names} FROM jsonb_populate_recordset(NULL::users, $1::text::jsonb)`,
      [...made.values()],
    ),
    ...withList(
      `UPDATE users SET ${assignments.join(', ')}
       FROM jsonb_populate_recordset(NULL::users, $1::text::jsonb) AS next WHERE users.id = next.id`,
      [...updated.values()],
    ),
  ]
}

function moveClaims(units: readonly Unit[]): Statement[] {
  const released: Claim[] = []
  const taken = new Map<string, Claim & { readonly user_id: number }>()
  const nameOf = ({ kind, key }: Claim) => `${kind} ${key}`
  for (const { user, take, release } of units) {
    for (const claim of release) if (!taken.delete(nameOf(claim))) released.push(claim)
    for (const claim of take) taken.set(nameOf(claim), { ...claim, user_id: user.id })
  }
  return [
    ...withList(
      `DELETE FROM claims USING jsonb_to_recordset($1::text::jsonb) AS given (kind text, key text)
       WHERE claims.kind = given.kind AND claims.key = given.key`,
      released,
    ),
    ...withList(
      `INSERT INTO claims (kind, key, user_id) SELECT kind, key, user_id
       FROM jsonb_to_recordset($1::text::jsonb) AS wanted (kind text, key text, user_id bigint)`,
      [...taken.values()],
    ),
  ]
}

function writeLog(units: readonly Unit[]): Statement[] {
  const names = 'change_id, user_id, version, at, actor_kind, actor_id, contract, request_id, kind, fields'
  return withList(
    `INSERT INTO changes (${names}) SELECT ${names} FROM jsonb_to_recordset($1::text::jsonb) AS entry
       (place int, change_id uuid, user_id bigint, version bigint, at bigint, actor_kind text, actor_id text,
        contract text, request_id text, kind text, fields jsonb)
     ORDER BY place`,
    units.map(({ change }, place) => ({ place, ...toLogRow(change) })),
  )
}

function toLogRow({ changeId, userId, version, at, actor, contract, requestId, kind, fields }: Change) {
  const by = { actor_kind: actor.kind, actor_id: actor.id, contract, request_id: requestId }
  return { change_id: changeId, user_id: userId, version, at, ...by, kind, fields }
}

function setPasswords(units: readonly Unit[]): Statement[] {
  const last = new Map<number, string>()
  for (const { user, password } of units) if (password !== undefined) last.set(user.id, password)
  return withList(
    `INSERT INTO passwords (user_id, hash) SELECT user_id, hash
     FROM jsonb_to_recordset($1::text::jsonb) AS password (user_id bigint, hash text)
     ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash`,
    [...last].map(([user_id, hash]) => ({ user_id, hash })),
  )
}

function endTokens(units: readonly Unit[]): Statement[] {
  const latest = new Map<number, number>()
  for (const { user, tokensValidFrom } of units)
    if (tokensValidFrom !== undefined)
      latest.set(user.id, Math.max(tokensValidFrom, latest.get(user.id) ?? 0))
  return withList(
    `INSERT INTO validity (user_id, tokens_valid_from) SELECT user_id, at
     FROM jsonb_to_recordset($1::text::jsonb) AS ended (user_id bigint, at bigint)
     ON CONFLICT (user_id) DO UPDATE
       SET tokens_valid_from = greatest(validity.tokens_valid_from, excluded.tokens_valid_from)`,
    [...latest].map(([user_id, at]) => ({ user_id, at })),
  )
}

function addMails(units: readonly Unit[]): Statement[] {
  return withList(
    `INSERT INTO outbox (${mailRows.columns}) SELECT ${mailRows.values}
     FROM jsonb_to_recordset($1::text::jsonb) AS mail ${mailRows.type}`,
    units.flatMap(({ mails = [] }) => mails.map(mailRows.of)),
  )
}

function changeEmails(units: readonly Unit[]): Statement[] {
  const { kept, ended, noUndo } = emailChangeRows(units)
  return [
    ...withList(clearUndo('$1::text::jsonb'), noUndo),
    ...withList(keepChanges('$1::text::jsonb'), kept),
    ...withList(endChanges('$1::text::jsonb'), ended),
  ]
}

function forget(users: readonly User[]): Statement[] {
  const ids = users.map(({ id }) => id)
  const answerWithin = erasedWithin(users.reduce((sum, { version }) => sum + version, 0))
  const erased = 'IN (SELECT value::bigint FROM jsonb_array_elements_text($1::text::jsonb))'
  return [
    ...withList(
      `UPDATE changes SET fields = coalesce(
         (SELECT jsonb_object_agg(entry.key, '[null, null]'::jsonb) FROM jsonb_each(changes.fields) AS entry), '{}')
       WHERE user_id ${erased}`,
      ids,
    ).map((blanking) => ({ ...blanking, answerWithin })),
    ...[
      'receipts',
      'counters',
      'passwords',
      'validity',
      'documents',
      'settings',
      'email_changes',
      'outbox',
      'avatars',
    ].flatMap((table) => withList(`DELETE FROM ${table} WHERE user_id ${erased}`, ids)),
    ...withList(`UPDATE pictures SET unused_since = 0 WHERE given_up_at IS NULL AND user_id ${erased}`, ids),
  ]
}
