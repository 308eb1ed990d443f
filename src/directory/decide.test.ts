import { describe, expect, test } from 'vitest'
import type { Actor } from './actor.ts'
import type { Command, Preconditions, Replace, Update } from './command.ts'
import { decide } from './decide.ts'
import type { Decision } from './decision.ts'
import type { Code, Problem } from './errors.ts'
import { fieldNames } from './fields.ts'
import type { Patch } from './patch.ts'
import { noFields, type Status, type User } from './user.ts'

const rules = { roles: ['user', 'admin'] }

const actors = {
  anonymous: { kind: 'anonymous', id: null, scopes: [], contract: 'v1' },
  reader: { kind: 'key', id: 'reader', scopes: ['read'], contract: 'v1' },
  writer: { kind: 'key', id: 'writer', scopes: ['read', 'write'], contract: 'v1' },
  admin: { kind: 'key', id: 'admin', scopes: ['read', 'write', 'admin'], contract: 'v1' },
  self: { kind: 'person', id: '7', scopes: ['read', 'write'], contract: 'v1' },
  peer: { kind: 'person', id: '8', scopes: ['read', 'write'], contract: 'v1' },
} as const satisfies Record<string, Actor>
type ActorName = keyof typeof actors

const ann: User = {
  ...noFields,
  id: 7,
  uid: 'usr_ann123456789',
  status: 'active',
  version: 3,
  created_at: 1_000,
  updated_at: 2_000,
  email: 'Ann@Example.com',
  username: 'ann',
  first_name: 'Ann',
  bio: '',
  community_badge: false,
}

/** The record in every state that it can be in. */
const states = {
  nobody: undefined,
  active: ann,
  blocked: { ...ann, status: 'blocked' },
  deleted: { ...ann, status: 'deleted' },
  erased: { ...ann, ...noFields, status: 'erased' },
} as const satisfies Record<'nobody' | Status, User | undefined>
type State = keyof typeof states

const circumstances = { actor: actors.writer, requestId: 'req-1', changeId: 'change-1', at: 5_000 } as const
const newcomer = { uid: 'usr_new123456789' } as const
const phone: Patch = { phone: '555-0100' }

const update = (more: Partial<Update> = {}): Update => ({
  ...circumstances,
  kind: 'update',
  id: 7,
  patch: phone,
  ...more,
})
const replace = (more: Partial<Replace> = {}): Replace => ({
  ...update(),
  ...newcomer,
  kind: 'replace',
  upsert: true,
  ...more,
})

const commands = {
  create: { ...circumstances, ...newcomer, kind: 'create', id: 7, patch: phone },
  update: update(),
  upsert: replace(),
  replace: replace({ upsert: false }),
  remove: { ...circumstances, kind: 'remove', id: 7 },
  restore: { ...circumstances, kind: 'restore', id: 7 },
  erase: { ...circumstances, kind: 'erase', id: 7 },
} as const satisfies Record<string, Command>
type CommandName = keyof typeof commands

const judged = (current: User | undefined, command: Command) => decide(current, command, rules)

function outcome(decision: Decision): string {
  return decision.outcome === 'refused' ? decision.refusal.code : decision.outcome
}

function unitOf(decision: Decision) {
  if (decision.outcome !== 'commit') throw new Error(`nothing to commit: ${outcome(decision)}`)
  return decision.unit
}

function refusalOf(decision: Decision): { code: Code; problems: readonly Problem[] } {
  if (decision.outcome !== 'refused') throw new Error(`not refused: ${outcome(decision)}`)
  return decision.refusal
}

/**
 * Every command on a record in every state, by those for whom the state matters; `impossible` is the
 * caller's mistake: a new user needs an id that names nobody.
 */
const table = `
  command actor     | nobody          active          blocked         deleted         erased
  create  writer    | commit          impossible      impossible      impossible      impossible
  create  admin     | commit          impossible      impossible      impossible      impossible
  create  self      | forbidden       forbidden       forbidden       forbidden       forbidden
  update  writer    | not_found       commit          commit          not_found       not_found
  update  admin     | not_found       commit          commit          not_found       not_found
  update  self      | not_found       commit          forbidden       not_found       not_found
  upsert  writer    | commit          commit          commit          not_found       not_found
  upsert  admin     | commit          commit          commit          not_found       not_found
  upsert  self      | forbidden       commit          forbidden       not_found       not_found
  replace writer    | not_found       commit          commit          not_found       not_found
  replace admin     | not_found       commit          commit          not_found       not_found
  replace self      | not_found       commit          forbidden       not_found       not_found
  remove  writer    | not_found       commit          commit          not_found       not_found
  remove  admin     | not_found       commit          commit          not_found       not_found
  remove  self      | not_found       commit          forbidden       not_found       not_found
  restore writer    | forbidden       forbidden       forbidden       forbidden       forbidden
  restore admin     | not_found       not_found       not_found       commit          not_found
  restore self      | forbidden       forbidden       forbidden       forbidden       forbidden
  erase   writer    | not_found       commit          commit          not_found       not_found
  erase   admin     | not_found       commit          commit          not_found       not_found
  erase   self      | not_found       commit          forbidden       not_found       not_found
`
const [[, , , ...columns] = [], ...rows] = table
  .trim()
  .split('\n')
  .map((line) => line.trim().split(/\s+/))

/** 401 and 403 come before 404, so these learn nothing of anybody. */
const outsiders = { anonymous: 'unauthenticated', reader: 'forbidden', peer: 'forbidden' } as const
for (const command of Object.keys(commands)) {
  for (const [actor, code] of Object.entries(outsiders))
    rows.push([command, actor, '|', ...columns.map(() => code)])
}

describe('command by actor on a record', () => {
  test('the table has every cell', () => {
    const cells = Object.keys(commands).flatMap((command) =>
      Object.keys(actors).map((actor) => [command, actor]),
    )
    expect(columns).toEqual(Object.keys(states))
    expect(rows.map(([command, actor]) => [command, actor]).sort()).toEqual(cells.sort())
  })

  test.each(rows)('%s by %s', (commandName, actorName, _bar, ...expected) => {
    const command = { ...commands[commandName as CommandName], actor: actors[actorName as ActorName] }
    const outcomes = columns.map((state) => {
      try {
        return outcome(judged(states[state as State], command))
      } catch (error) {
        return String(error).includes('an id that is free') ? 'impossible' : String(error)
      }
    })
    expect(outcomes).toEqual(expected)
  })
})

describe('the order of judgement', () => {
  const unsound: Patch = { phone: '', email: 'nobody' }
  const stale: Preconditions = { ifMatch: [2] }
  const found: readonly Problem[] = [{ property: 'shoe_size', message: 'is not known here' }]
  const all = { patch: { ...unsound, email_verified: true }, problems: found, ...stale }

  test.each([
    ['401', 'unauthenticated', undefined, { ...all, actor: actors.anonymous }],
    ['403 for the actor', 'forbidden', undefined, { ...all, actor: actors.reader }],
    ['404', 'not_found', undefined, all],
    ['403 for a field', 'forbidden', ann, all],
    ['400', 'invalid', ann, { ...all, patch: unsound }],
    ['400 for what the contract found', 'invalid', ann, { ...all, patch: phone }],
    ['412', 'precondition_failed', ann, stale],
    ['412 for what would change nothing', 'precondition_failed', ann, { ...stale, patch: {} }],
  ] as const)('%s', (_status, code, current, more) => {
    for (const command of [update(more), replace({ ...more, upsert: false })]) {
      expect(refusalOf(judged(current, command)).code).toBe(code)
    }
  })

  test('400 tells what the contract found and what the record found, together', () => {
    expect(refusalOf(judged(ann, update({ patch: unsound, problems: found }))).problems).toEqual([
      { property: 'shoe_size', message: 'is not known here' },
      { field: 'phone', message: 'must have 1 to 64 characters' },
      { field: 'email', message: 'must be an e-mail address like name@example.com' },
    ])
  })

  test('403 names every field that is not the actor’s to change', () => {
    const patch = { role: 'admin', phone: '1', email: 'b@c.de', first_name: 'Ann' }
    expect(refusalOf(judged(ann, update({ patch, actor: actors.self })))).toMatchObject({
      code: 'forbidden',
      problems: [
        { field: 'role', message: 'is not yours to change' },
        { field: 'email', message: 'is not yours to change' },
      ],
    })
  })

  test('403 comes before 400 within one field', () => {
    const command = update({ patch: { role: 'root', phone: '' }, actor: actors.self })
    expect(refusalOf(judged(ann, command))).toMatchObject({
      code: 'forbidden',
      problems: [{ field: 'role' }],
    })
  })

  describe('where a contract answers 400 before 404', () => {
    const invalidFirst = true
    test.each(['nobody', 'deleted', 'erased'] as const)('%s', (state) => {
      const codeOf = (more: Partial<Update>) =>
        outcome(judged(states[state], update({ ...more, invalidFirst })))
      expect(codeOf({ patch: unsound })).toBe('invalid')
      expect(codeOf({ problems: found })).toBe('invalid')
      expect(codeOf({ required: ['email'] })).toBe('invalid')
      expect(codeOf({ maxLength: { phone: 7 } })).toBe('invalid')
      expect(codeOf({ patch: { email_verified: true } })).toBe('forbidden')
      expect(codeOf({})).toBe('not_found')
      expect(codeOf(stale)).toBe('not_found')
      expect(codeOf({ patch: unsound, actor: actors.anonymous })).toBe('unauthenticated')
      expect(codeOf({ patch: unsound, actor: actors.peer })).toBe('forbidden')
    })

    test('nothing of who was there is told', () => {
      const command = update({ invalidFirst, patch: { ext_id: 'B', email: ann.email, username: null } })
      expect(judged({ ...states.deleted, ext_id: 'A' }, command)).toEqual(judged(undefined, command))
    })
  })

  test('a new user: 403, 400, 412', () => {
    const codeOf = (more: object) => outcome(judged(undefined, { ...commands.create, ...more }))
    expect(codeOf({ ...all, actor: actors.anonymous })).toBe('unauthenticated')
    expect(codeOf(all)).toBe('forbidden')
    expect(codeOf({ ...all, patch: unsound })).toBe('invalid')
    expect(codeOf({ ...stale })).toBe('precondition_failed')
    expect(codeOf({})).toBe('commit')
  })

  test('removing, restoring, erasing: 404, 400, 412', () => {
    for (const [kind, from] of [
      ['remove', ann],
      ['restore', states.deleted],
      ['erase', ann],
    ] as const) {
      const codeOf = (current: User | undefined, more: object) =>
        outcome(judged(current, { ...commands[kind], actor: actors.admin, ...more }))
      expect(codeOf(undefined, { ...stale, problems: found }), kind).toBe('not_found')
      expect(codeOf(from, { ...stale, problems: found }), kind).toBe('invalid')
      expect(codeOf(from, stale), kind).toBe('precondition_failed')
      expect(codeOf(from, { ifMatch: [3] }), kind).toBe('commit')
    }
  })
})

describe('preconditions', () => {
  const cases: readonly [Preconditions, exists: boolean, missing: boolean][] = [
    [{}, true, true],
    [{ ifMatch: '*' }, true, false],
    [{ ifMatch: [3] }, true, false],
    [{ ifMatch: [1, 3] }, true, false],
    [{ ifMatch: [2, 4] }, false, false],
    [{ ifMatch: [] }, false, false],
    [{ ifNoneMatch: '*' }, false, true],
    [{ ifNoneMatch: [3] }, false, true],
    [{ ifNoneMatch: [1, 3] }, false, true],
    [{ ifNoneMatch: [2, 4] }, true, true],
    [{ ifNoneMatch: [] }, true, true],
    [{ ifMatch: '*', ifNoneMatch: '*' }, false, false],
    [{ ifMatch: [3], ifNoneMatch: [2] }, true, false],
    [{ ifMatch: [2], ifNoneMatch: [2] }, false, false],
    [{ ifMatch: [3], ifNoneMatch: [3] }, false, false],
  ]

  test.each(cases)('%j: version 3 %j, nobody %j', (preconditions, exists, missing) => {
    const met = (current: User | undefined) => outcome(judged(current, replace(preconditions)))
    expect(met(ann)).toBe(exists ? 'commit' : 'precondition_failed')
    expect(met(undefined)).toBe(missing ? 'commit' : 'precondition_failed')
  })

  test('the answer names the header that failed', () => {
    const message = (preconditions: Preconditions) => refusalOf(judged(ann, update(preconditions)))
    expect(message({ ifMatch: [2], ifNoneMatch: '*' })).toHaveProperty(
      'message',
      expect.stringContaining('If-Match'),
    )
    expect(message({ ifNoneMatch: '*' })).toHaveProperty('message', expect.stringContaining('If-None-Match'))
  })
})

describe('a patch that changes nothing commits nothing', () => {
  test.each([
    ['{}', {}],
    [
      'the values there are',
      { email: 'Ann@Example.com', first_name: 'Ann', bio: '', community_badge: false },
    ],
    ['null for what is empty', { phone: null, ext_id: null, tags: null }],
  ])('%s', (_what, patch) => {
    for (const current of [states.active, states.blocked]) {
      expect(judged(current, update({ patch }))).toEqual({ outcome: 'unchanged', user: current })
      expect(judged(current, replace({ patch }))).toEqual({ outcome: 'unchanged', user: current })
    }
  })

  test('one that changes something commits that and no more', () => {
    const { user, changed } = unitOf(
      judged(ann, update({ patch: { email: ann.email, phone: '1', bio: '' } })),
    )
    expect(changed).toEqual(['phone'])
    expect(user).toEqual({ ...ann, phone: '1', version: 4, updated_at: 5_000 })
  })
})

describe('what is written', () => {
  // better-auth/better-auth#3742, supabase/auth#2600: an address that nobody has shown to own
  test('of a changed address: that it is not verified', () => {
    const known: User = { ...ann, email_verified: true }
    const { user, changed, change } = unitOf(judged(known, update({ patch: { email: 'b@example.com' } })))
    expect(user.email_verified).toBe(false)
    expect(changed).toEqual(['email', 'email_verified'])
    expect(change.fields).toEqual({ email: [ann.email, 'b@example.com'], email_verified: [true, false] })
    expect(unitOf(judged(known, update({ patch: { phone: '2' } }))).changed).toEqual(['phone'])
  })

  test('of a new user: every field, version 1, all claims, the values it starts with', () => {
    const patch = { email: 'New@Example.com', first_name: 'Ne\u0301', bio: null, tags: [] }
    for (const command of [{ ...commands.create, patch }, replace({ patch })]) {
      const { user, changed, take, release, change } = unitOf(judged(undefined, command))
      expect(user).toEqual({
        ...noFields,
        ...{ id: 7, uid: newcomer.uid, status: 'active', version: 1, created_at: 5_000, updated_at: 5_000 },
        ...{ email: 'New@Example.com', first_name: 'Né', tags: [] },
      })
      expect(changed).toEqual(fieldNames)
      expect(release).toEqual([])
      expect(take).toEqual([
        { kind: 'uid', key: newcomer.uid },
        { kind: 'email', key: 'new@example.com' },
      ])
      expect(change).toEqual({
        ...{ changeId: 'change-1', userId: 7, version: 1, at: 5_000, kind: 'created' },
        ...{ actor: { kind: 'key', id: 'writer' }, contract: 'v1', requestId: 'req-1' },
        fields: { email: [null, 'New@Example.com'], first_name: [null, 'Né'], tags: [null, []] },
      })
    }
  })

  test('of a new user nothing, where what is required is missing or null', () => {
    const command = {
      ...commands.create,
      patch: { email: null, phone: '1' },
      required: ['email', 'last_name'],
    }
    expect(refusalOf(judged(undefined, command as Command)).problems).toEqual([
      { field: 'last_name', message: 'is required' },
      { field: 'email', message: 'is required' },
    ])
  })

  test('of an update: the next version, and the old and new value of what changed', () => {
    const patch = { first_name: null, phone: '1', email: ann.email, community_badge: true }
    const { user, changed, take, release, change } = unitOf(judged(ann, update({ patch })))
    const values = { first_name: null, phone: '1', community_badge: true }
    expect(user).toEqual({ ...ann, ...values, version: 4, updated_at: 5_000 })
    expect(changed).toEqual(['first_name', 'phone', 'community_badge'])
    expect([take, release]).toEqual([[], []])
    expect(change).toEqual({
      ...{ changeId: 'change-1', userId: 7, version: 4, at: 5_000, kind: 'updated' },
      ...{ actor: { kind: 'key', id: 'writer' }, contract: 'v1', requestId: 'req-1' },
      fields: { first_name: ['Ann', null], phone: [null, '1'], community_badge: [false, true] },
    })
  })

  test.each([
    ['remove', ann, 'deleted', 'removed'],
    ['remove', states.blocked, 'deleted', 'removed'],
    ['restore', states.deleted, 'active', 'restored'],
  ] as const)('of %s: the status, and no field and no claim', (kind, from, status, told) => {
    const unit = unitOf(judged(from, { ...commands[kind], actor: actors.admin }))
    expect(unit.user).toEqual({ ...from, status, version: 4, updated_at: 5_000 })
    expect(unit).toMatchObject({ changed: [], take: [], release: [], change: { kind: told, fields: {} } })
  })

  test('of an erasure: nothing of the person, only which fields had a value', () => {
    const unit = unitOf(judged(ann, commands.erase))
    expect(unit.user).toEqual({ ...ann, ...noFields, status: 'erased', version: 4, updated_at: 5_000 })
    const had = ['email', 'username', 'first_name', 'bio', 'community_badge']
    expect(unit.changed).toEqual(had)
    expect(unit.change.kind).toBe('erased')
    expect(unit.change.fields).toEqual(Object.fromEntries(had.map((name) => [name, [null, null]])))
    expect(JSON.stringify(unit.change)).not.toMatch(/ann/i)
  })

  test('updated_at never goes back, though the clock may', () => {
    const unit = unitOf(judged(ann, update({ at: 1_500 })))
    expect([unit.user.updated_at, unit.change.at, unit.user.created_at]).toEqual([2_000, 2_000, 1_000])
    expect(unitOf(judged(ann, { ...commands.erase, at: 0 })).user.updated_at).toBe(2_000)
  })
})

describe('where the version has to be said', () => {
  const strict = { ...rules, requireIfMatch: true }
  const operator: Actor = { kind: 'operator', id: null, scopes: ['admin'], contract: 'operator' }

  test.each(Object.values(commands).filter(({ kind }) => kind !== 'create'))(
    '$kind asks for it',
    (command) => {
      const end = (more: Partial<Command>) => {
        const decision = decide(ann, { ...command, ...more } as Command, strict)
        return decision.outcome === 'refused' ? decision.refusal.code : decision.outcome
      }
      const isThere = !['not_found', 'forbidden'].includes(end({ ifMatch: [3] }))
      if (isThere) expect(end({})).toBe('precondition_required')
      expect(end({ actor: operator })).not.toBe('precondition_required')
    },
  )
})

describe('claims', () => {
  const email = (key: string) => ({ kind: 'email', key })
  const username = (key: string) => ({ kind: 'username', key })

  test.each([
    ['another address', { email: 'b@c.de' }, [email('b@c.de')], [email('ann@example.com')]],
    ['another case of the same address', { email: 'aNN@eXAMPLE.com' }, [], []],
    ['another case of the same username', { username: 'ANN' }, [], []],
    ['another username', { username: 'Ann2' }, [username('ann2')], [username('ann')]],
    ['a first ext_id', { ext_id: 'A' }, [{ kind: 'ext_id', key: 'A' }], []],
    ['what is no claim', { phone: '1', first_name: 'ann2' }, [], []],
    [
      'one claim in another case, one other',
      { email: 'ANN@example.com', username: 'b' },
      [username('b')],
      [username('ann')],
    ],
  ])('%s', (_what, patch, take, release) => {
    const unit = unitOf(judged(ann, update({ patch })))
    expect(unit.user).toMatchObject(patch)
    expect([unit.take, unit.release]).toEqual([take, release])
  })

  test('of one kind are not those of another', () => {
    const { take, release } = unitOf(judged({ ...ann, ext_id: 'b' }, update({ patch: { username: 'b' } })))
    expect([take, release]).toEqual([[username('b')], [username('ann')]])
  })

  test('erasing gives up every one of them', () => {
    const bare = { ...ann, email: null, username: null }
    expect(unitOf(judged(bare, commands.erase)).release).toEqual([{ kind: 'uid', key: ann.uid }])
    const { take, release } = unitOf(judged({ ...ann, ext_id: 'A' }, commands.erase))
    const ext_id = { kind: 'ext_id', key: 'A' }
    expect([take, release]).toEqual([
      [],
      [{ kind: 'uid', key: ann.uid }, email('ann@example.com'), username('ann'), ext_id],
    ])
  })
})

test('whoever has the id and another uid than was said is not found', () => {
  const others: readonly Command[] = [
    update({ called: 'usr_bob123456789' }),
    { ...circumstances, kind: 'erase', id: 7, called: 'usr_bob123456789' },
  ]
  for (const command of others) {
    expect(judged(ann, command)).toMatchObject({ refusal: { code: 'not_found' } })
    expect(judged(ann, { ...command, called: ann.uid }).outcome).toBe('commit')
  }
})

describe('what a patch was worked out from', () => {
  test.each([
    ['as it still is', { phone: null, first_name: 'Ann', version: 3 }, []],
    ['nothing', {}, []],
    ['another value', { first_name: 'Anne' }, ['first_name']],
    ['a value where there is none', { phone: '1', email: 'Ann@Example.com' }, ['phone']],
    ['none where there is a value', { email: null, first_name: null }, ['email', 'first_name']],
    ['another version', { version: 2 }, ['version']],
  ])('%s', (_what, basis, names) => {
    const decision = judged(ann, update({ basis }))
    if (names.length === 0) return expect(unitOf(decision).user).toMatchObject(phone)
    const problems = names.map((field) => ({ field, message: 'has changed since' }))
    expect(decision).toMatchObject({ refusal: { code: 'precondition_failed', problems } })
  })

  test('lists are compared by what is in them', () => {
    const tag = { id: 1, type: 'user', name: 'a', description: '', color: '#fff' }
    const current = { ...ann, tags: [tag] }
    expect(judged(current, update({ basis: { tags: [{ ...tag }] } })).outcome).toBe('commit')
    expect(judged(current, update({ basis: { tags: [] } })).outcome).toBe('refused')
  })

  test('is asked after the request is sound and the caller’s own precondition holds', () => {
    const basis = { version: 9 }
    expect(judged(ann, update({ basis, patch: { phone: 4 } }))).toMatchObject({
      refusal: { code: 'invalid' },
    })
    const stale = judged(ann, update({ basis, ifMatch: [2] }))
    expect(stale).toMatchObject({ refusal: { code: 'precondition_failed', problems: [] } })
  })
})

describe('times that are sent back', () => {
  test.each([
    ['as shown, in whole seconds', { created_at: 1, updated_at: 2 }, []],
    ['of another second', { created_at: 2, updated_at: 1 }, ['created_at', 'updated_at']],
    ['one of them wrong', { created_at: 1, updated_at: 3 }, ['updated_at']],
  ])('%s', (_what, shown, names) => {
    const decision = judged({ ...ann, created_at: 1_999 }, update({ shown }))
    if (names.length === 0) return expect(decision.outcome).toBe('commit')
    const problems = names.map((property) => ({
      property,
      message: 'is set by the service and can not be changed',
    }))
    expect(decision).toMatchObject({ refusal: { code: 'invalid', problems } })
  })
})

test('deciding leaves the record and the command as they are', () => {
  const current = structuredClone(ann)
  const command = update({ patch: { tags: [], phone: '1' } })
  const before = structuredClone(command)
  judged(current, command)
  expect([current, command]).toEqual([ann, before])
})
