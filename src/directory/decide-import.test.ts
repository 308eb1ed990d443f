import { describe, expect, test } from 'vitest'
import type { Actor } from './actor.ts'
import type { Import } from './command.ts'
import { decide } from './decide.ts'
import type { Decision } from './decision.ts'
import type { Problem } from './errors.ts'
import { fieldNames } from './fields.ts'
import { noFields, type User } from './user.ts'

const rules = { roles: ['user', 'admin'] }
const actor: Actor = { kind: 'operator', id: 'import', scopes: ['admin'], contract: 'operator' }
const uid = 'usr_ann123456789'

const ann: User = {
  ...noFields,
  ...{ id: 7, uid, status: 'active', version: 3, created_at: 1_000, updated_at: 2_000 },
  ...{ email: 'Ann@Example.com', email_verified: true, first_name: 'Ann' },
}
const deleted: User = { ...ann, status: 'deleted' }
const erased: User = { ...ann, ...noFields, status: 'erased' }
const vacated: User = { ...erased, version: 2 }

const command = (more: Partial<Import> = {}): Import => ({
  ...{ kind: 'import', actor, requestId: 'import', changeId: 'change-1', at: 5_000, id: 7 },
  ...{ uid: 'usr_new123456789', patch: { first_name: 'Ann' }, source: {}, update: false },
  ...more,
})

function judged(current: User | undefined, more: Partial<Import> = {}): Decision {
  return decide(current, command(more), rules)
}

function problemsOf(decision: Decision): readonly Problem[] {
  return decision.outcome === 'refused' ? decision.refusal.problems : []
}

function userOf(decision: Decision): User | undefined {
  return decision.outcome === 'commit' ? decision.unit.user : undefined
}

describe('who is not here yet', () => {
  test('comes with all that the source knows, and the log says when they came', () => {
    const source = { uid, status: 'blocked', created_at: 10, updated_at: 20 } as const
    const decision = judged(undefined, { source, patch: { email: ann.email, email_verified: true } })
    expect(userOf(decision)).toEqual({
      ...{ ...noFields, id: 7, version: 1, ...source, email: ann.email, email_verified: true },
    })
    expect(decision).toMatchObject({
      unit: { change: { kind: 'created', at: 5_000, fields: { status: [null, 'blocked'] } }, release: [] },
    })
  })

  test('is active and new as of now where the source does not say', () => {
    expect(userOf(judged(undefined))).toMatchObject({
      ...{ uid: 'usr_new123456789', status: 'active', created_at: 5_000, updated_at: 5_000 },
    })
    expect(userOf(judged(undefined, { source: { created_at: 3 } }))).toMatchObject({ updated_at: 3 })
  })

  test('is judged by the catalogue, and by what a source can rightly know', () => {
    const source = { uid: 'x', status: 'erased', created_at: 3, updated_at: 2 } as const
    const decision = judged(undefined, { patch: { email: 'x', phone: 5 }, source })
    expect(problemsOf(decision).map(({ field, property }) => field ?? property)).toEqual([
      ...['email', 'phone', 'uid', 'updated_at', 'status'],
    ])
    for (const time of [-1, 0.5, Number.NaN, 1e15])
      expect(problemsOf(judged(undefined, { source: { created_at: time } }))).toHaveLength(1)
  })

  test('can be somebody who was erased: the id stays used', () => {
    const decision = judged(undefined, { source: { status: 'erased', uid }, patch: { email: null } })
    expect(decision).toMatchObject({ unit: { user: { status: 'erased', uid }, take: [] } })
  })
})

describe('who is here', () => {
  const same = { first_name: 'Ann', email: 'Ann@Example.com' }
  test.each([
    ['with the same values', ann, { patch: same }],
    ['with nothing said', ann, { patch: {} }],
    ['with null for what is empty', ann, { patch: { ...same, phone: null } }],
    [
      'with the same status and uid, whatever the times',
      ann,
      { source: { uid, status: 'active', created_at: 3 } },
    ],
    ['removed there too', deleted, { source: { status: 'deleted' } }],
    ['erased there too', erased, { source: { status: 'erased' }, patch: {} }],
  ] as const)('is left alone, %s', (_what, current, more) => {
    for (const update of [false, true])
      expect(judged(current, { ...more, update })).toEqual({ outcome: 'unchanged', user: current })
  })

  test.each([
    ['other values', ann, { patch: { first_name: 'Anna', phone: '1' } }, ['first_name', 'phone'], true],
    ['another status', ann, { source: { status: 'blocked' } }, ['status'], true],
    ['another uid', ann, { source: { uid: 'usr_bob123456789' } }, ['uid'], false],
    ['removed here, which the source does not know', deleted, {}, ['id'], false],
    ['removed here and active there', deleted, { source: { status: 'active' } }, ['status'], true],
    ['erased here', erased, {}, ['id'], false],
    [
      'erased here, another person there',
      erased,
      { source: { status: 'erased', uid: 'usr_x12345678901' } },
      ['id'],
      false,
    ],
    ['erased there', ann, { source: { status: 'erased' }, patch: {} }, ['status'], false],
    ['not valid', ann, { patch: { phone: 5 } }, ['phone'], false],
  ] as const)('is refused: %s', (_what, current, more, names, unlessUpdated) => {
    const decision = judged(current, more)
    expect(problemsOf(decision).map(({ field, property }) => field ?? property)).toEqual(names)
    expect(judged(current, { ...more, update: true }).outcome).toBe(unlessUpdated ? 'commit' : 'refused')
  })

  test('is changed where that is asked: what is left out stays, times move on, the log tells', () => {
    const decision = judged(ann, {
      ...{ update: true, patch: { phone: '1', email: 'anna@example.com' } },
      source: { status: 'blocked', created_at: 3, updated_at: 4 },
    })
    expect(userOf(decision)).toEqual({
      ...{ ...ann, phone: '1', email: 'anna@example.com', email_verified: false },
      ...{ status: 'blocked', version: 4, updated_at: 5_000 },
    })
    expect(decision).toMatchObject({
      unit: {
        change: { kind: 'updated', fields: { status: ['active', 'blocked'], phone: [null, '1'] } },
        take: [{ key: 'anna@example.com' }],
        release: [{ key: 'ann@example.com' }],
      },
    })
    const verified = judged(ann, { update: true, patch: { email: 'a@b.example', email_verified: true } })
    expect(userOf(verified)).toMatchObject({ email_verified: true })
  })
})

test('that somebody who is changed was removed and stays so is told in the log', () => {
  const source = { status: 'deleted' } as const
  expect(judged(deleted, { source, update: true, patch: { phone: '1' } })).toMatchObject({
    unit: { change: { kind: 'updated', fields: { phone: [null, '1'], status: ['deleted', 'deleted'] } } },
  })
})

describe('a sample person who made room', () => {
  test('is followed by somebody new, who takes the place whole', () => {
    const decision = judged(vacated, { vacated: uid })
    expect(userOf(decision)).toMatchObject({ id: 7, uid: 'usr_new123456789', version: 3, created_at: 5_000 })
    expect(decision).toMatchObject({
      unit: {
        changed: [...fieldNames, 'uid', 'created_at'],
        release: [],
        change: { kind: 'created', version: 3 },
      },
    })
  })

  test.each([
    ['who was changed before', erased, uid],
    ['who is another', vacated, 'usr_bob123456789'],
    ['that nobody spoke of', vacated, undefined],
  ])('is not somebody %s', (_what, current, by) => {
    expect(judged(current, { ...(by && { vacated: by }) }).outcome).toBe('refused')
  })
})
