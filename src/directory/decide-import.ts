import type { Import } from './command.ts'
import { cancelled, commit } from './commit.ts'
import { type Decision, judge, refuse, terms, withDoubt } from './decision.ts'
import { type Problem, refusal } from './errors.ts'
import type { Rules } from './field-types.ts'
import { fieldNames } from './fields.ts'
import { type Applied, apply } from './patch.ts'
import { permit } from './policy.ts'
import { unmet } from './preconditions.ts'
import { noFields, type User } from './user.ts'

/** Puts somebody from another directory in place, with what their source says of them. */
export function decideImport(current: User | undefined, command: Import, rules: Rules): Decision {
  const permission = permit(command.actor, 'import', undefined)
  if ('refusal' in permission) return refuse(permission.refusal)
  const isNew = current === undefined || isVacated(current, command)
  if (!isNew && current.status === 'erased')
    return command.source.status === 'erased' && isSameUid(current, command)
      ? { outcome: 'unchanged', user: current }
      : refuse(inUse({ property: 'id', message: 'named somebody who was erased, and is not given again' }))
  const applied = apply(isNew ? noFields : current, { ...terms(command), writable: permission.fields }, rules)
  const refused = judge(command, applied, [...applied.problems, ...unfit(command)]) ?? unmet(command, current)
  if (refused !== undefined) return refuse(refused)
  return isNew
    ? importNew(current?.version ?? 0, command, applied.values)
    : importOver(current, command, applied)
}

/** A sample person who was never changed before making room: nobody's history is lost. */
function isVacated(current: User, { vacated }: Import): boolean {
  return current.status === 'erased' && current.version === 2 && current.uid === vacated
}

function isSameUid(current: User, { source }: Import): boolean {
  return source.uid === undefined || source.uid === current.uid
}

const inUse = (...problems: readonly Problem[]) => refusal('conflict', 'The id is in use', problems)

function importNew(version: number, command: Import, values: Applied['values']): Decision {
  const { id, at, source } = command
  if (id === undefined) throw new Error('a new user needs an id that is free')
  const { uid = command.uid, status = 'active', created_at = at, updated_at = created_at } = source
  const times = { created_at, updated_at }
  const user: User = { ...noFields, ...values, id, uid, status, version: version + 1, ...times }
  const { unit } = commit(undefined, user, 'created', command, fieldNames)
  return { outcome: 'commit', unit: { ...unit, changed: [...fieldNames, 'uid', 'created_at'] } }
}

function importOver(current: User, command: Import, applied: Applied): Decision {
  const { status = current.status } = command.source
  if (!isSameUid(current, command))
    return refuse(inUse({ property: 'uid', message: 'is not the uid of who has this id here' }))
  if (current.status === 'deleted' && command.source.status === undefined)
    return refuse(inUse({ property: 'id', message: 'names somebody who was removed here' }))
  const changed = [...applied.changed, ...(status === current.status ? [] : (['status'] as const))]
  if (changed.length === 0) return { outcome: 'unchanged', user: current }
  if (status === 'erased') return refuse(inUse({ property: 'status', message: 'is not erased here' }))
  if (!command.update)
    return refuse(inUse(...changed.map((field) => ({ field, message: 'is another here' }))))
  const isTold = typeof command.patch.email_verified === 'boolean'
  const doubted = isTold ? applied : withDoubt(current, applied)
  const isMoved = doubted.changed.includes('email')
  const email_change = isMoved || status === 'deleted' ? null : current.email_change
  const next = { ...current, ...doubted.values, status, email_change }
  const ended = cancelled(current, next, command.at)
  const step = isMoved ? { told: ended?.told, writes: { ...ended?.writes, noUndoSince: 0 } } : ended
  return commit(current, next, 'updated', command, doubted.changed, step)
}

/** What a source can not rightly know of a record. */
function unfit({ patch, source }: Import): Problem[] {
  const { uid, status, created_at, updated_at } = source
  const problems: Problem[] = []
  if (uid !== undefined && !/^usr_[0-9a-z]{12,60}$/.test(uid))
    problems.push({ property: 'uid', message: 'must be usr_ and at least 12 of a-z and 0-9' })
  for (const [property, time] of Object.entries({ created_at, updated_at }))
    if (time !== undefined && !(Number.isSafeInteger(time) && time >= 0 && time <= lastTime))
      problems.push({ property, message: 'must be a time from 1970 to 9999' })
  if (created_at !== undefined && updated_at !== undefined && updated_at < created_at)
    problems.push({ property: 'updated_at', message: 'must not be before created_at' })
  if (status === 'erased' && Object.values(patch).some((value) => value !== null && value !== undefined))
    problems.push({ property: 'status', message: 'can not be erased where there are values' })
  return problems
}

const lastTime = Date.UTC(9999, 11, 31)
