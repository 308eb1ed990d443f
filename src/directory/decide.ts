import type { Change } from './change.ts'
import { claim } from './claims.ts'
import type {
  ChangeEmail,
  Command,
  Create,
  Lifecycle,
  Replace,
  Request,
  SetPassword,
  Update,
} from './command.ts'
import { commit, type EmailStep } from './commit.ts'
import { decideStep, setAtOnce } from './decide-email.ts'
import { decideImport } from './decide-import.ts'
import { type Decision, judge, refuse, terms, unsound, userNotFound, withDoubt } from './decision.ts'
import { type Confirm, isOwnWord, openChange } from './email-change.ts'
import { askingMails, welcomeMail } from './email-mails.ts'
import { type Problem, refusal } from './errors.ts'
import type { Rules } from './field-types.ts'
import { type FieldName, fieldNames } from './fields.ts'
import { type Mail, noticeLife } from './mail.ts'
import { type Applied, apply, type Patch } from './patch.ts'
import { type Action, masks, type Permission, permit, type Relation } from './policy.ts'
import { outdated, unguarded, unmet } from './preconditions.ts'
import { claimsTaken } from './store.ts'
import { derivedValues, isVisible, noFields, type Status, type User } from './user.ts'

/** A command under the id that an allocator chose for it, where it was left to choose. */
export function named(command: Command, id: number): Command {
  return command.kind === 'create' || command.kind === 'import' ? { ...command, id } : command
}

/**
 * Decides one command against the current record: pure and synchronous, so a store may call it
 * inside its transaction, in any thread, and again when the record has moved.
 *
 * Judged in this order: may the actor (401, 403), is there a user (404), is the request sound (400),
 * does the caller know the current version (412; 428 where it is not said and has to be). Claims that others hold (409) are the store's to find.
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
    case 'import':
      return decideImport(current, command, rules)
    case 'password':
      return decidePassword(current, command)
    case 'email_change':
      return decideEmailChange(current, command, rules)
    default:
      return decideLifecycle(current, command, rules)
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
  const { unit } = command.kind === 'create' ? unconfirmed(user, command) : made(user, command)
  const password = command.kind === 'create' ? command.password : undefined
  return { outcome: 'commit', unit: password === undefined ? unit : { ...unit, password } }
}

const made = (user: User, command: Create | Replace) =>
  commit(undefined, user, 'created', command, fieldNames)

/** Where an address has to be confirmed, somebody new has it, and is asked by mail whether it is theirs. */
function unconfirmed(user: User, command: Create) {
  const { confirm, at } = command
  const { email } = user
  if (confirm === undefined || email === null) return made(user, command)
  // It replaces none: nobody is to be told of it but whoever reads it.
  const change = openChange({ ...user, email: null }, email, confirm, at)
  const step: EmailStep = { told: [null, 'pending'], writes: { put: [change] } }
  const pending = { ...user, email_change: change.id }
  const { outcome, unit } = commit(undefined, pending, 'created', command, fieldNames, step)
  return { outcome, unit: { ...unit, mails: [welcomeMail(change, confirm.secrets, command)] } }
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
  if (current === undefined || !isVisible(current) || !isCalled(current, command)) {
    if (!command.invalidFirst) return refuse(userNotFound)
    const applied = apply(noFields, { ...terms(command), writable: permission.fields }, rules)
    return refuse(judge(command, applied, applied.problems) ?? userNotFound)
  }
  if (isLockedOut(current, permission.relation)) return refuse(accountBlocked)

  const asked = { ...terms(command), writable: writableIn(command, permission) }
  const patch = command.showsDerived ? withoutDerived(command.patch, current) : command.patch
  const applied = apply(current, { ...asked, patch }, rules)
  const { confirm } = command
  const problems = [...applied.problems]
  if (command.shown !== undefined) problems.push(...moved(command.shown, current))
  const isSound = problems.length === 0 && !command.problems?.length
  if (confirm?.isAll && isSound && applied.changed.length === 0) problems.push(isTheirs)
  const refused =
    judge(command, applied, problems) ??
    unmet(command, current) ??
    // An address has a request of its own, which is about nothing else.
    (confirm?.isAll ? undefined : unguarded(command, rules)) ??
    outdated(command.basis, current)
  if (refused !== undefined) return refuse(refused)
  if (confirm !== undefined && applied.changed.includes('email'))
    return confirmFirst(current, command, applied, confirm)
  if (applied.changed.length === 0) return { outcome: 'unchanged', user: current }
  const { values, changed } = withDoubt(current, applied)
  if (!changed.includes('email'))
    return commit(current, { ...current, ...values }, 'updated', command, changed)
  const after = { ...current, ...values, email_change: null }
  return setAtOnce(current, after, command, { changed, relation: permission.relation })
}

/** Who may set an address of their own may do so as a field too; it is confirmed, or set at once, as `confirm` says. */
function writableIn(
  { patch, actor, id, confirm }: Update | Replace,
  { relation, fields }: Extract<Permission, { relation: Relation }>,
): ReadonlySet<FieldName> {
  if (relation !== 'self' || patch.email === undefined) return fields
  if (confirm === undefined && isOwnWord(actor)) return fields
  const permission = permit(actor, 'change_email', id)
  return 'refusal' in permission ? fields : new Set([...fields, ...permission.fields])
}

/** Everything but the address changes now, and the address when it is confirmed. */
function confirmFirst(
  current: User,
  command: Update | Replace,
  applied: Applied,
  confirm: Confirm,
): Decision {
  const { email, ...values } = applied.values
  if (confirm.isTaken) return refuse(claimsTaken([claim('email', String(email))]))
  const changed = applied.changed.filter((name) => name !== 'email')
  const pending = current.email_change
  if (pending !== null && pending === confirm.known) {
    return changed.length === 0
      ? { outcome: 'unchanged', user: current }
      : commit(current, { ...current, ...values }, 'updated', command, changed)
  }
  const change = openChange(current, String(email), confirm, command.at)
  const ended =
    pending === null ? {} : { ended: { id: pending, state: 'cancelled', at: command.at } as const }
  const { outcome, unit } = commit(
    current,
    { ...current, ...values, email_change: change.id },
    'updated',
    command,
    changed,
    {
      told: pending === null ? [null, 'pending'] : ['pending', 'replaced'],
      writes: { ...ended, put: [change] },
    },
  )
  const mails = askingMails(change, confirm.secrets, command, { isHandedOut: confirm.isHandedOut ?? false })
  return { outcome, unit: mails.length > 0 ? { ...unit, mails } : unit }
}

/** Without what was sent back as it is shown in place of a value that was never set. */
function withoutDerived(patch: Patch, current: User): Patch {
  const own: { [F in FieldName]?: unknown } = { ...patch }
  for (const [name, value] of Object.entries(derivedValues(current)) as [FieldName, unknown][])
    if (current[name] === null && value !== null && own[name] === value) own[name] = null
  return own
}

/** An id can pass to somebody else with another uid: a sample person makes room for whoever is imported. */
function isCalled(user: User, { called }: Request): boolean {
  return called === undefined || called === user.uid
}

/** Times are the service's to set, so only what is shown may be sent. */
function moved(shown: NonNullable<Update['shown']>, current: User): Problem[] {
  return (['created_at', 'updated_at'] as const)
    .filter((name) => shown[name] !== undefined && shown[name] !== Math.floor(current[name] / 1000))
    .map((property) => ({ property, message: 'is set by the service and can not be changed' }))
}

const accountBlocked = refusal('forbidden', 'This account is blocked')

function isLockedOut(user: User, relation: Relation): boolean {
  return user.status === 'blocked' && relation === 'self'
}

function decideLifecycle(current: User | undefined, command: Lifecycle, rules: Rules): Decision {
  const action: Action = command.kind
  const permission = permit(command.actor, action, command.id)
  if ('refusal' in permission) return refuse(permission.refusal)
  const isThere = current !== undefined && isCalled(current, command)
  if (!isThere || !startsFrom(command).includes(current.status)) return refuse(userNotFound)
  if (isLockedOut(current, permission.relation)) return refuse(accountBlocked)
  const refused = unsound(command.problems ?? []) ?? unmet(command, current) ?? unguarded(command, rules)
  if (refused !== undefined) return refuse(refused)

  switch (command.kind) {
    case 'remove':
      return commit(current, { ...current, status: 'deleted', email_change: null }, 'removed', command, [])
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

function decidePassword(current: User | undefined, command: SetPassword): Decision {
  const permission = permit(command.actor, 'password', command.id)
  if ('refusal' in permission) return refuse(permission.refusal)
  if (current === undefined || !isVisible(current) || !isCalled(current, command)) return refuse(userNotFound)
  if (isLockedOut(current, permission.relation)) return refuse(accountBlocked)
  const refused =
    unsound(command.problems ?? []) ?? unmet(command, current) ?? outdated(command.basis, current)
  if (refused !== undefined) return refuse(refused)
  const isProved = command.provesEmail === true && current.email !== null && current.email_verified !== true
  const after = { ...current, email_change: null, ...(isProved && { email_verified: true }) }
  const { unit } = commit(current, after, 'updated', command, isProved ? ['email_verified'] : [])
  const change: Change = { ...unit.change, fields: { ...unit.change.fields, password: [null, null] } }
  const { password, at } = command
  const mails = noticeOf(current, command)
  return { outcome: 'commit', unit: { ...unit, change, password, tokensValidFrom: at, mails } }
}

/** Whoever has a password is told when it is another one: it may not have been them. */
function noticeOf({ id: userId, email: to }: User, { changeId: id, at }: SetPassword): Mail[] {
  if (to === null) return []
  return [{ id, kind: 'password_changed', to, userId, at, expiresAt: at + noticeLife, values: {} }]
}

function decideEmailChange(current: User | undefined, command: ChangeEmail, rules: Rules): Decision {
  const { step } = command
  // Whoever has a token has been sent it, and time needs no permission.
  const isOpen = step.do === 'confirm' || step.do === 'revert' || step.do === 'expire'
  const permission = isOpen ? undefined : permit(command.actor, 'change_email', command.id)
  if (permission !== undefined && 'refusal' in permission) return refuse(permission.refusal)
  if (current === undefined || current.status === 'erased' || !isCalled(current, command))
    return refuse(userNotFound)
  if (step.do !== 'expire') {
    if (!isVisible(current)) return refuse(userNotFound)
    if (isLockedOut(current, permission?.relation ?? 'self')) return refuse(accountBlocked)
  }
  const patch = step.do === 'correct' ? { email: step.email } : {}
  const required = step.do === 'correct' && !command.problems?.length ? (['email'] as const) : []
  const applied = apply(
    current,
    { ...terms({ ...command, patch, required }), writable: masks.address },
    rules,
  )
  const isSame = step.do === 'correct' && applied.changed.length === 0
  const problems = [...(command.problems ?? []), ...applied.problems]
  if (isSame && problems.length === 0) problems.push(isTheirs)
  const refused = unsound(problems) ?? unmet(command, current) ?? outdated(command.basis, current)
  if (refused !== undefined) return refuse(refused)
  if (step.do !== 'correct') return toDecision(decideStep(current, command))
  const email = String(applied.values.email)
  if (step.isTaken) return refuse(claimsTaken([claim('email', email)]))
  return toDecision(decideStep(current, { ...command, step: { ...step, email } }))
}

function toDecision(decided: ReturnType<typeof decideStep>): Decision {
  return 'outcome' in decided ? decided : refuse(decided)
}

const isTheirs: Problem = { field: 'email', message: 'is the address as it is' }
