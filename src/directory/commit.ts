import type { Change, ChangeKind, Unit } from './change.ts'
import type { Claim } from './claims.ts'
import type { Command } from './command.ts'
import type { EmailChangeStep } from './email-change.ts'
import { catalogue, type FieldName } from './fields.ts'
import { claimsOf, isVisible, type User } from './user.ts'

export interface Committed {
  readonly outcome: 'commit'
  readonly unit: Unit
}

/** What a command did to an e-mail change: its states in the log, and what is to be written of it. */
export interface EmailStep {
  readonly told: readonly [before: EmailChangeStep | null, after: EmailChangeStep] | undefined
  readonly writes: NonNullable<Unit['emailChanges']>
}

/**
 * The unit that makes one record of another: with its version, its row of the log and the claims that move.
 * An e-mail change that is pending before and not after is cancelled, if the command says nothing else of it.
 *
 * @param before undefined for a new user
 * @param changed the fields of which the values differ
 */
export function commit(
  before: User | undefined,
  after: User,
  kind: ChangeKind,
  command: Command,
  changed: readonly FieldName[],
  step: EmailStep | undefined = cancelled(before, after, command.at),
): Committed {
  const user: User =
    before === undefined
      ? after
      : { ...after, version: before.version + 1, updated_at: Math.max(command.at, before.updated_at) }
  const fields: { -readonly [N in keyof Change['fields']]: Change['fields'][N] } = {}
  // Whoever counts from the log has to know who was not there to be counted, before or after.
  const isAside = before !== undefined && !isVisible(before)
  if (kind !== 'erased' && (isAside || user.status !== (before?.status ?? 'active')))
    fields.status = [before?.status ?? null, user.status]
  for (const name of changed) {
    const old = before === undefined ? null : before[name]
    if (user[name] === old) continue
    // An erasure is explained, what it erased is not kept.
    fields[name] = kind === 'erased' ? [null, null] : [old, user[name]]
  }
  if (step?.told !== undefined) fields.email_change = kind === 'erased' ? [null, null] : step.told
  const change: Change = {
    changeId: command.changeId,
    userId: user.id,
    version: user.version,
    // What a source says of a time is a value; the import itself happens now.
    at: command.kind === 'import' ? command.at : user.updated_at,
    actor: { kind: command.actor.kind, id: command.actor.id },
    contract: command.actor.contract,
    requestId: command.requestId,
    kind,
    fields,
  }
  const { take, release } = claimsMoved(before, user, changed, kind)
  const isMoved = before !== undefined && before.email_change !== user.email_change
  const unit: Unit = {
    user,
    changed: isMoved ? [...changed, 'email_change'] : changed,
    take,
    release,
    change,
    ...(step !== undefined && kind !== 'erased' && { emailChanges: step.writes }),
  }
  return {
    outcome: 'commit',
    unit: endsTokens(before, user) ? { ...unit, tokensValidFrom: command.at } : unit,
  }
}

/** The end of a change that is pending before and not after. */
export function cancelled(before: User | undefined, after: User, at: number): EmailStep | undefined {
  const id = before?.email_change ?? null
  if (id === null || after.email_change !== null) return undefined
  return { told: ['pending', 'cancelled'], writes: { ended: { id, state: 'cancelled', at } } }
}

/** Who comes back after having been blocked or removed signs in again. */
function endsTokens(before: User | undefined, { status }: User): boolean {
  return before !== undefined && before.status !== status && (status === 'blocked' || status === 'deleted')
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
