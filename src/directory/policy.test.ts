import { describe, expect, test } from 'vitest'
import type { Actor, Scope } from './actor.ts'
import { type FieldName, fieldNames } from './fields.ts'
import { type Action, permit, policy, type Relation } from './policy.ts'

const userId = 7

const key = (...scopes: Scope[]): Actor => ({ kind: 'key', id: 'shop', scopes, contract: 'v1' })
const person = (id: number | string, ...scopes: Scope[]): Actor => ({
  kind: 'person',
  id: String(id),
  scopes,
  contract: 'v1',
})

/** One actor of every relation to the user, with every scope that it can have. */
const actors: Readonly<Record<Relation, Actor>> = {
  self: person(userId, 'read', 'write'),
  peer: person(8, 'read', 'write'),
  service: key('read', 'write'),
  admin: key('read', 'write', 'admin'),
}

const everyField = [...fieldNames]

/** Who may write what, apart from the system, which no request speaks for. */
const writers = {
  email: ['service', 'admin'],
  email_verified: [],
  username: ['self', 'service', 'admin'],
  first_name: ['self', 'service', 'admin'],
  last_name: ['self', 'service', 'admin'],
  real_name: ['self', 'service', 'admin'],
  phone: ['self', 'service', 'admin'],
  interested_in: ['self', 'service', 'admin'],
  role: ['service', 'admin'],
  bio: ['self', 'service', 'admin'],
  location: ['self', 'service', 'admin'],
  location_lat_lng: ['self', 'service', 'admin'],
  position_lat_lng: ['self', 'service', 'admin'],
  date_of_birth: ['self', 'service', 'admin'],
  description: ['self', 'service', 'admin'],
  gender: ['self', 'service', 'admin'],
  website: ['self', 'service', 'admin'],
  avatar: ['self', 'service', 'admin'],
  cover: ['self', 'service', 'admin'],
  ext_id: ['service', 'admin'],
  tags: ['service', 'admin'],
  community_badge: ['service', 'admin'],
  reg_approved: ['service', 'admin'],
  company_name: ['service', 'admin'],
  company_role: ['service', 'admin'],
} satisfies Record<FieldName, readonly Relation[]>

const writtenBy = (relation: Relation): FieldName[] =>
  everyField.filter((name) => (writers[name] as readonly Relation[]).includes(relation))

/** What anybody may see of anybody. */
const public_ = everyField.filter(
  (name) =>
    !(
      [
        ...(['email', 'email_verified', 'phone', 'interested_in', 'role'] as const),
        ...(['location_lat_lng', 'position_lat_lng', 'date_of_birth'] as const),
      ] as readonly FieldName[]
    ).includes(name),
)

/** Every cell: the fields that the actor may touch, or `no`. */
const cells: Readonly<Record<Action, Readonly<Record<Relation, readonly FieldName[] | 'no'>>>> = {
  read: { self: everyField, peer: 'no', service: everyField, admin: everyField },
  view: { self: everyField, peer: public_, service: everyField, admin: everyField },
  create: { self: 'no', peer: 'no', service: writtenBy('service'), admin: writtenBy('admin') },
  update: {
    self: writtenBy('self'),
    peer: 'no',
    service: writtenBy('service'),
    admin: writtenBy('admin'),
  },
  count: { self: 'no', peer: 'no', service: everyField, admin: everyField },
  change_email: { self: ['email'], peer: 'no', service: ['email'], admin: ['email'] },
  password: { self: everyField, peer: 'no', service: everyField, admin: everyField },
  remove: { self: everyField, peer: 'no', service: everyField, admin: everyField },
  restore: { self: 'no', peer: 'no', service: 'no', admin: everyField },
  erase: { self: everyField, peer: 'no', service: everyField, admin: everyField },
  import: { self: 'no', peer: 'no', service: 'no', admin: everyField },
}

const actions = Object.keys(policy) as Action[]
const relations = Object.keys(actors) as Relation[]

describe('the policy', () => {
  test('has no action, no relation and no field that is missing here', () => {
    expect(actions).toEqual(Object.keys(cells))
    for (const action of actions) {
      const { scope: _, ...row } = policy[action]
      expect(Object.keys(row), action).toEqual(relations)
      expect(Object.keys(cells[action]), action).toEqual(relations)
    }
    expect(Object.keys(writers).sort()).toEqual([...fieldNames].sort())
  })

  describe.each(actions)('%s', (action) => {
    test.each(relations)('by %s', (relation) => {
      const permission = permit(actors[relation], action, userId)
      const cell = cells[action][relation]
      if (cell === 'no') {
        expect(permission).toEqual({
          refusal: { code: 'forbidden', message: 'This is not permitted to you', problems: [] },
        })
      } else {
        if (!('fields' in permission)) throw new Error(`${relation} may not ${action}`)
        expect(permission.relation).toBe(relation)
        expect([...permission.fields].sort()).toEqual([...cell].sort())
      }
    })
  })

  test('a person never writes what makes them more than they are', () => {
    const own = writtenBy('self')
    for (const name of ['email', 'email_verified', 'role', 'ext_id', 'tags', 'reg_approved'] as const) {
      expect(own, name).not.toContain(name)
    }
  })
})

describe('scopes', () => {
  const needed: Readonly<Record<Action, Scope>> = {
    read: 'read',
    view: 'read',
    create: 'write',
    update: 'write',
    count: 'write',
    change_email: 'write',
    password: 'write',
    remove: 'write',
    restore: 'write',
    erase: 'write',
    import: 'write',
  }

  const outcome = (actor: Actor, action: Action) => {
    const permission = permit(actor, action, userId)
    return 'refusal' in permission ? permission.refusal.code : permission.relation
  }

  test('view needs none from who has credentials, but without read only for what everybody sees', () => {
    for (const actor of [key('write'), key(), person(userId, 'write')])
      expect(permit(actor, 'view', userId)).toEqual({ relation: 'peer', fields: new Set(public_) })
    expect(outcome(key('admin'), 'view')).toBe('admin')
  })

  test.each(actions.filter((action) => action !== 'view'))(
    '%s needs its own scope, or admin, which holds every other',
    (action) => {
      const wanting = needed[action] === 'read' ? 'write' : 'read'
      expect(permit(key(wanting), action, userId)).toEqual({
        refusal: {
          code: 'forbidden',
          message: `The scope ${needed[action]} is needed for this`,
          problems: [],
          lack: { error: 'insufficient_scope', scope: needed[action] },
        },
      })
      expect(outcome(person(userId, wanting), action)).toBe('forbidden')
      expect(outcome(key(), action)).toBe('forbidden')
      expect(outcome(key('admin'), action)).toBe('admin')
    },
  )

  test.each(actions)('%s: who shows no credentials is asked for them', (action) => {
    const nobody: Actor = { kind: 'anonymous', id: null, scopes: [], contract: 'adoption' }
    expect(outcome(nobody, action)).toBe('unauthenticated')
    expect(permit(nobody, action, undefined)).toHaveProperty('refusal.code', 'unauthenticated')
  })

  test('where a contract is open, whoever comes in is a service, and no admin', () => {
    const guest: Actor = { kind: 'anonymous', id: null, scopes: ['read', 'write'], contract: 'adoption' }
    expect(actions.map((action) => [action, outcome(guest, action)])).toEqual([
      ['read', 'service'],
      ['view', 'service'],
      ['create', 'service'],
      ['update', 'service'],
      ['count', 'service'],
      ['change_email', 'service'],
      ['password', 'service'],
      ['remove', 'service'],
      ['restore', 'forbidden'],
      ['erase', 'service'],
      ['import', 'forbidden'],
    ])
  })

  test('the operator at the machine is an admin by scope, not by kind', () => {
    const operator = (...scopes: Scope[]): Actor => ({
      kind: 'operator',
      id: null,
      scopes,
      contract: 'operator',
    })
    expect(outcome(operator('read', 'write', 'admin'), 'restore')).toBe('admin')
    expect(outcome(operator('read', 'write'), 'restore')).toBe('forbidden')
  })
})

describe('a person', () => {
  const relation = (actor: Actor, id: number | undefined) => {
    const permission = permit(actor, 'read', id)
    return 'relation' in permission ? permission.relation : 'peer'
  }

  test('is self to the user whose id is theirs to the last digit', () => {
    expect(relation(person(7, 'read'), 7)).toBe('self')
    for (const id of ['07', '7.0', ' 7', '+7', '70', 'usr_7', '']) {
      expect(relation(person(id, 'read'), 7), id).toBe('peer')
    }
  })

  test.each(['undefined', 'null', 'NaN', ''])('called %j is self to nobody who is not there', (id) => {
    expect(relation(person(id, 'read'), undefined)).toBe('peer')
  })

  test('and a key of the same name are not the same', () => {
    expect(relation({ ...key('read'), id: '7' }, 7)).toBe('service')
  })
})
