import { isDeepStrictEqual } from 'node:util'
import type { Change, ChangeKind, FieldChange, Unit } from './change.ts'
import type { Claim } from './claims.ts'
import type { Basis, Command, Create, Lifecycle, Preconditions, Replace, Update } from './command.ts'
import { type Problem, type Refusal, refusal } from './errors.ts'
import type { Rules } from './field-types.ts'
import { catalogue, type FieldName, fieldNames } from './fields.ts'
import { type Applied, apply } from './patch.ts'
import { type Action, permit, type Relation } from './policy.ts'
import { claimsOf, isVisible, noFields, type Status, type User } from './user.ts'

export type Decision =
  | { readonly outcome: 'commit'; readonly unit: Unit }
  | { readonly outcome: 'unchanged'; readonly user: User }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }

/**
 * Decides one command against the current record: pure and synchronous, so a store may call it
 * inside its transaction, in any thread, and again when the record has moved.
 *
 * Judged in this order: may the actor (401, 403), is there a user (404), is the request sound (400),
 * does the caller know the current version (412). Claims that others hold (409) are the store's to find.
 *
 * @param current the record as stored, undefined where the id never named anybody
 * @param command for a `create`, with the id that the store allocated
 */
export function decide(current: User | undefined, command: Command, rules: Rules): Decision {
  switch (command.kind) {
    case 'create':
      return decideCreate(current, command, rules)
    case 'replace':
      return current === undefined && command.upsert
        ? decideCreate(current, command, rules)
        : decideUpdate(current, command, rules)
    case 'update':
      return decideUpdate(current, command, rules)
    default:
      return decideLifecycle(current, command)
  }
}

function decideCreate(current: User | undefined, command: Create | Replace, rules: Rules): Decision {
  const permission = permit(command.actor, 'create', undefined)
  if ('refusal' in permission) return refuse(permission.refusal)
  const { id } = command
  if (current !== undefined || id === undefined) throw new Error('a new user needs an id that is free')

  const applied = apply(noFields, { ...terms(command), writable: permission.fields }, rules)
  const problems = [...applied.problems, ...missing(command, applied)]
  const refused = judge(command, applied, problems) ?? unmet(command, undefined)
  if (refused !== undefined) return refuse(refused)

  const user: User = {
    ...noFields,
    ...applied.values,
    id,
    uid: command.uid,
    status: 'active',
    version: 1,
    created_at: command.at,
    updated_at: command.at,
  }
  return commit(undefined, user, 'created', command, fieldNames)
}

/** In a new user null is as good as nothing, where a value is required. */
function missing(command: Create | Replace, applied: Applied): Problem[] {
  return (command.required ?? [])
    .filter((field) => command.patch[field] === null && applied.values[field] === undefined)
    .map((field) => ({ field, message: 'is required' }))
}

function decideUpdate(current: User | undefined, command: Update | Replace, rules: Rules): Decision {
  const permission = permit(command.actor, 'update', command.id)
  if ('refusal' in permission) return refuse(permission.refusal)
  if (current === undefined || !isVisible(current)) {
    if (!command.invalidFirst) return refuse(userNotFound)
    const applied = apply(noFields, { ...terms(command), writable: permission.fields }, rules)
    return refuse(judge(command, applied, applied.problems) ?? userNotFound)
  }
  if (isLockedOut(current, permission.relation)) return refuse(accountBlocked)

  const applied = apply(current, { ...terms(command), writable: permission.fields }, rules)
  const problems =
    command.shown === undefined ? applied.problems : [...applied.problems, ...moved(command.shown, current)]
  const refused =
    judge(command, applied, problems) ?? unmet(command, current) ?? outdated(command.basis, current)
  if (refused !== undefined) return refuse(refused)
  if (applied.changed.length === 0) return { outcome: 'unchanged', user: current }
  const changed = [...applied.changed]
  const values = { ...applied.values }
  // A new address has not been shown to be anybody's.
  if (changed.includes('email') && current.email_verified) {
    changed.push('email_verified')
    values.email_verified = false
  }
  return commit(current, { ...current, ...values }, 'updated', command, changed)
}

/** Times are the service's to set, so only what is shown may be sent. */
function moved(shown: NonNullable<Update['shown']>, current: User): Problem[] {
  return (['created_at', 'updated_at'] as const)
    .filter((name) => shown[name] !== undefined && shown[name] !== Math.floor(current[name] / 1000))
    .map((property) => ({ property, message: 'is set by the service and can not be changed' }))
}

function outdated(basis: Basis | undefined, current: User): Refusal | undefined {
  if (basis === undefined) return undefined
  const names = Object.keys(basis) as (keyof Basis)[]
  const problems = names
    .filter((name) => !isDeepStrictEqual(basis[name], current[name]))
    .map((field) => ({ field, message: 'has changed since' }))
  return problems.length > 0
    ? refusal('precondition_failed', 'The user has changed since', problems)
    : undefined
}

const accountBlocked = refusal('forbidden', 'This account is blocked')

function isLockedOut(user: User, relation: Relation): boolean {
  return user.status === 'blocked' && relation === 'self'
}

function decideLifecycle(current: User | undefined, command: Lifecycle): Decision {
  const action: Action = command.kind
  const permission = permit(command.actor, action, command.id)
  if ('refusal' in permission) return refuse(permission.refusal)
  if (current === undefined || !startsFrom(command).includes(current.status)) return refuse(userNotFound)
  if (isLockedOut(current, permission.relation)) return refuse(accountBlocked)
  const refused = unsound(command.problems ?? []) ?? unmet(command, current)
  if (refused !== undefined) return refuse(refused)

  switch (command.kind) {
    case 'remove':
      return commit(current, { ...current, status: 'deleted' }, 'removed', command, [])
    case 'restore':
      return commit(current, { ...current, status: 'active' }, 'restored', command, [])
    case 'erase': {
      const changed = fieldNames.filter((name) => current[name] !== null)
      return commit(current, { ...current, ...noFields, status: 'erased' }, 'erased', command, changed)
    }
  }
}

function startsFrom({ kind, removedToo }: Lifecycle): readonly Status[] {
  if (kind === 'restore') return ['deleted']
  return kind === 'erase' && removedToo ? ['active', 'blocked', 'deleted'] : ['active', 'blocked']
}

export const userNotFound = refusal('not_found', 'User not found')

function terms(command: Create | Update | Replace) {
  return {
    patch: command.patch,
    contract: command.actor.contract,
    required: command.required ?? [],
    maxLength: command.maxLength ?? {},
    at: command.at,
  }
}

/** The order of judgement within a sound record: not yours (403), not valid (400). */
function judge(
  command: Create | Update | Replace,
  applied: Applied,
  ownProblems: readonly Problem[],
): Refusal | undefined {
  if (applied.forbidden.length > 0) {
    const problems = applied.forbidden.map((field) => ({ field, message: 'is not yours to change' }))
    return refusal('forbidden', 'This field is not yours to change', problems)
  }
  return unsound([...(command.problems ?? []), ...ownProblems])
}

function unsound(problems: readonly Problem[]): Refusal | undefined {
  return problems.length > 0 ? refusal('invalid', 'The request is not valid', problems) : undefined
}

/** RFC 9110, section 13.2.2: If-Match is evaluated first, then If-None-Match. */
function unmet({ ifMatch, ifNoneMatch }: Preconditions, current: User | undefined): Refusal | undefined {
  if (ifMatch !== undefined && !matches(ifMatch, current)) {
    return refusal('precondition_failed', 'The user has changed since, or does not exist (If-Match)')
  }
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, current)) {
    return refusal('precondition_failed', 'The user exists in a version that was ruled out (If-None-Match)')
  }
  return undefined
}

function matches(versions: '*' | readonly number[], current: User | undefined): boolean {
  return current !== undefined && (versions === '*' || versions.includes(current.version))
}

function commit(
  before: User | undefined,
  after: User,
  kind: ChangeKind,
  command: Command,
  changed: readonly FieldName[],
): Decision {
  const user: User =
    before === undefined
      ? after
      : { ...after, version: before.version + 1, updated_at: Math.max(command.at, before.updated_at) }
  const fields: Partial<Record<FieldName | 'status', FieldChange>> = {}
  if (kind === 'removed' || kind === 'restored') fields.status = [before?.status ?? null, user.status]
  for (const name of changed) {
    const old = before === undefined ? null : before[name]
    if (user[name] === old) continue
    // An erasure is explained, what it erased is not kept.
    fields[name] = kind === 'erased' ? [null, null] : [old, user[name]]
  }
  const change: Change = {
    changeId: command.changeId,
    userId: user.id,
    version: user.version,
    at: user.updated_at,
    actor: { kind: command.actor.kind, id: command.actor.id },
    contract: command.actor.contract,
    requestId: command.requestId,
    kind,
    fields,
  }
  const { take, release } = claimsMoved(before, user, changed, kind)
  return { outcome: 'commit', unit: { user, changed, take, release, change } }
}

function claimsMoved(
  before: User | undefined,
  after: User,
  changed: readonly FieldName[],
  kind: ChangeKind,
): { take: readonly Claim[]; release: readonly Claim[] } {
  const touched =
    kind === 'created' || kind === 'erased' || changed.some((name) => catalogue[name].claim !== undefined)
  if (!touched) return { take: [], release: [] }
  const held = before === undefined ? [] : claimsOf(before)
  const wanted = claimsOf(after)
  return { take: without(wanted, held), release: without(held, wanted) }
}

function without(claims: readonly Claim[], others: readonly Claim[]): Claim[] {
  return claims.filter(({ kind, key }) => !others.some((other) => other.kind === kind && other.key === key))
}

function refuse(refused: Refusal): Decision {
  return { outcome: 'refused', refusal: refused }
}
