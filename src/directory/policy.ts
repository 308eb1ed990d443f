import type { Actor, Scope } from './actor.ts'
import { type Refusal, refusal } from './errors.ts'
import { catalogue, type FieldName, fieldNames } from './fields.ts'

/** What an actor is to a user. */
export type Relation = 'self' | 'peer' | 'service' | 'admin'
export type Action =
  | 'read'
  | 'view'
  | 'create'
  | 'update'
  | 'count'
  | 'change_email'
  | 'password'
  | 'remove'
  | 'restore'
  | 'erase'
  | 'import'

export const masks = {
  none: new Set<FieldName>(),
  every: new Set(fieldNames),
  public: new Set<FieldName>([
    ...(['username', 'first_name', 'last_name', 'real_name', 'avatar', 'cover', 'ext_id', 'bio'] as const),
    ...(['location', 'description', 'gender', 'website', 'tags', 'community_badge'] as const),
    ...(['reg_approved', 'company_name', 'company_role'] as const),
  ]),
  address: new Set<FieldName>(['email']),
  own: writableBy('self'),
  service: writableBy('service'),
  admin: writableBy('admin'),
} as const satisfies Record<string, ReadonlySet<FieldName>>

type MaskName = keyof typeof masks

/**
 * Who may do what: action × relation → the fields it may touch; `none` forbids the action. `read` is for
 * whole records, `view` for what a contract shows to everybody: who lacks its scope is a peer there.
 */
export const policy = {
  read: { scope: 'read', self: 'every', peer: 'none', service: 'every', admin: 'every' },
  view: { scope: 'read', self: 'every', peer: 'public', service: 'every', admin: 'every' },
  create: { scope: 'write', self: 'none', peer: 'none', service: 'service', admin: 'admin' },
  update: { scope: 'write', self: 'own', peer: 'none', service: 'service', admin: 'admin' },
  count: { scope: 'write', self: 'none', peer: 'none', service: 'every', admin: 'every' },
  change_email: { scope: 'write', self: 'address', peer: 'none', service: 'address', admin: 'address' },
  password: { scope: 'write', self: 'every', peer: 'none', service: 'every', admin: 'every' },
  remove: { scope: 'write', self: 'every', peer: 'none', service: 'every', admin: 'every' },
  restore: { scope: 'write', self: 'none', peer: 'none', service: 'none', admin: 'every' },
  erase: { scope: 'write', self: 'every', peer: 'none', service: 'every', admin: 'every' },
  import: { scope: 'write', self: 'none', peer: 'none', service: 'none', admin: 'every' },
} as const satisfies Record<Action, Record<Relation, MaskName> & { scope: Scope }>

export type Permission =
  | { readonly relation: Relation; readonly fields: ReadonlySet<FieldName> }
  | { readonly refusal: Refusal }

/**
 * Whether an actor may do something to a user, and to which fields.
 * @param userId the user it is done to; undefined for one that is yet to be made
 */
export function permit(actor: Actor, action: Action, userId: number | undefined): Permission {
  const rule = policy[action]
  const refused = lackOfScope(actor, rule.scope)
  const isStranger = action === 'view' && refused?.code === 'forbidden'
  if (refused !== undefined && !isStranger) return { refusal: refused }
  const relation = isStranger ? 'peer' : relationOf(actor, userId)
  if (rule[relation] === 'none') return { refusal: refusal('forbidden', 'This is not permitted to you') }
  return { relation, fields: masks[rule[relation]] }
}

/**
 * Whether an actor has a scope, or `admin`, which stands for every other; but `write` does not for `read`.
 * @returns the refusal of one who has not
 */
export function lackOfScope({ kind, scopes }: Actor, scope: Scope): Refusal | undefined {
  if (kind === 'anonymous' && scopes.length === 0) {
    return refusal('unauthenticated', 'Credentials are needed for this')
  }
  if (scopes.includes(scope) || scopes.includes('admin')) return undefined
  const lack = { error: 'insufficient_scope', scope } as const
  return { ...refusal('forbidden', `The scope ${scope} is needed for this`), lack }
}

function relationOf(actor: Actor, userId: number | undefined): Relation {
  if (actor.scopes.includes('admin')) return 'admin'
  if (actor.kind === 'person') return userId !== undefined && actor.id === String(userId) ? 'self' : 'peer'
  // Whoever comes through a door that the operator has opened may write too.
  return actor.kind === 'anonymous' && !actor.scopes.includes('write') ? 'peer' : 'service'
}

function writableBy(writer: 'self' | 'service' | 'admin'): ReadonlySet<FieldName> {
  return new Set(fieldNames.filter((name) => catalogue[name].write.includes(writer)))
}
