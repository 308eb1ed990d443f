import fc, { type Arbitrary } from 'fast-check'
import type { FastifyRequest } from 'fastify'
import { describe, expect, test } from 'vitest'
import * as adoption from '../contracts/adoption/wire.ts'
import * as records from '../contracts/records/wire.ts'
import { decodeWrite, entityTag, type Properties } from '../contracts/request.ts'
import type { Actor, Scope } from './actor.ts'
import type { Command, Replace } from './command.ts'
import { decide } from './decide.ts'
import { codes } from './errors.ts'
import { catalogue, type FieldName, fieldNames } from './fields.ts'
import type { Patch } from './patch.ts'
import type { User } from './user.ts'

const rules = { roles: ['user', 'admin', 'editor'] }
const now = Date.parse('2026-10-05T12:00:00Z')

const text = (minLength: number, maxLength: number) =>
  fc.string({ unit: 'grapheme', minLength, maxLength: Math.min(maxLength, 12) })
const coordinates = fc
  .tuple(fc.integer({ min: -90, max: 90 }), fc.integer({ min: -180, max: 180 }))
  .map((pair) => pair.join())
const media = fc.stringMatching(/^[0-9a-f]{64}$/)
const tags = fc.array(
  fc.record(
    {
      id: fc.maxSafeInteger(),
      type: text(0, 9),
      name: text(0, 9),
      description: text(0, 9),
      color: text(0, 9),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 3 },
)

/** Values as callers send them, nearly all of them valid. */
const sent: Readonly<Record<FieldName, Arbitrary<unknown>>> = {
  email: fc.tuple(fc.stringMatching(/^[a-zA-ZäßéΣ0-9]{1,9}$/), fc.domain()).map((parts) => parts.join('@')),
  // Follows from a changed address where it is true, which decide.test.ts looks at.
  email_verified: fc.constant(false),
  username: fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/),
  first_name: text(1, 255),
  last_name: text(1, 255),
  real_name: text(0, 255),
  phone: text(1, 64),
  interested_in: fc.constantFrom('cats', 'dogs', 'both'),
  role: fc.constantFrom(...rules.roles),
  bio: text(0, 5000),
  location: text(0, 100),
  location_lat_lng: coordinates,
  position_lat_lng: coordinates,
  date_of_birth: fc
    .date({ min: new Date('1900-01-01'), max: new Date(now), noInvalidDate: true })
    .map((date) => date.toISOString().slice(0, 10)),
  description: text(0, 50),
  gender: fc.constantFrom('Male', 'Female', 'Unspecified'),
  website: fc.webUrl(),
  avatar: media,
  cover: media,
  ext_id: text(1, 255),
  tags,
  community_badge: fc.boolean(),
  reg_approved: fc.boolean(),
  company_name: text(0, 255),
  company_role: text(0, 255),
}

/** What is stored: in its normal form, or broken by a rule that came later, or nothing. */
function stored(name: FieldName): Arbitrary<unknown> {
  const kept = sent[name].map((value) => {
    const parsed = catalogue[name].parse(value, { ...rules, at: now })
    return 'value' in parsed ? parsed.value : value
  })
  const outdated = fc.string({ unit: 'binary', maxLength: 150 })
  const { type } = catalogue[name].schema
  return fc.oneof({ weight: 4, arbitrary: kept }, fc.constant(null), ...(type === 'string' ? [outdated] : []))
}

const mapFields = (of: (name: FieldName) => Arbitrary<unknown>) =>
  Object.fromEntries(fieldNames.map((name) => [name, of(name)]))

const user = fc.record(
  {
    ...mapFields(stored),
    id: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    uid: fc.stringMatching(/^usr_[0-9a-z]{16}$/),
    status: fc.constantFrom('active', 'blocked'),
    email_change: fc.constantFrom(null, 'emc_000000000001'),
    version: fc.integer({ min: 1, max: 1_000_000 }),
    created_at: fc.constant(now - 2_000),
    updated_at: fc.integer({ min: now - 2_000, max: now + 2_000 }),
  },
  { noNullPrototype: true },
) as unknown as Arbitrary<User>

const anything = fc.oneof(fc.jsonValue({ noUnicodeString: false }), fc.string({ unit: 'binary' }))
const patchOf = (wild: number): Arbitrary<Patch> =>
  fc.record(
    mapFields((name) =>
      fc.oneof(
        { weight: 6, arbitrary: sent[name] },
        { weight: 2, arbitrary: fc.constant(null) },
        { weight: wild, arbitrary: anything },
      ),
    ),
    { requiredKeys: [], noNullPrototype: true },
  )

const admin: Actor = { kind: 'operator', id: null, scopes: ['read', 'write', 'admin'], contract: 'operator' }
const circumstances = { actor: admin, requestId: 'r', changeId: 'c', at: now }

const update = (current: User, patch: Patch) =>
  decide(current, { ...circumstances, kind: 'update', id: current.id, patch }, rules)

/** The record after an update: as it was, where that was refused or changed nothing. */
function updated(current: User, patch: Patch): User {
  const decision = update(current, patch)
  return decision.outcome === 'commit' ? decision.unit.user : current
}

/** What of a patch is not refused, so that few runs are wasted. */
function acceptable(current: User, patch: Patch): Patch {
  const decision = update(current, patch)
  if (decision.outcome !== 'refused') return patch
  const wrong = decision.refusal.problems.map(({ field }) => field)
  const rest = Object.entries(patch).filter(([name]) => !wrong.includes(name))
  return acceptable(current, Object.fromEntries(rest))
}

describe('an update', () => {
  test('of other fields commutes with it', () => {
    fc.assert(
      fc.property(user, patchOf(1), fc.array(fc.constantFrom(...fieldNames)), (current, patch, firsts) => {
        const part = (first: boolean): Patch =>
          Object.fromEntries(
            Object.entries(patch).filter(([name]) => firsts.includes(name as FieldName) === first),
          )
        const oneWay = updated(updated(current, part(true)), part(false))
        expect(updated(updated(current, part(false)), part(true))).toEqual(oneWay)
      }),
    )
  })

  test('in two parts is what it is in one, but for the version', () => {
    fc.assert(
      fc.property(user, patchOf(0), fc.constantFrom(...fieldNames), (current, wanted, name) => {
        const patch = acceptable(current, wanted)
        const { [name]: value, ...rest } = patch
        const parts = updated(updated(current, rest), name in patch ? { [name]: value } : {})
        expect({ ...parts, version: 0 }).toEqual({ ...updated(current, patch), version: 0 })
      }),
    )
  })

  test('done twice is done once: the second changes nothing', () => {
    fc.assert(
      fc.property(user, patchOf(1), (current, wanted) => {
        const patch = acceptable(current, wanted)
        expect(update(current, patch).outcome).not.toBe('refused')
        const changed = updated(current, patch)
        expect(update(changed, patch)).toEqual({ outcome: 'unchanged', user: changed })
      }),
    )
  })

  test('changes no field that it does not name, and explains each that it changes', () => {
    fc.assert(
      fc.property(user, patchOf(1), (current, wanted) => {
        const patch = acceptable(current, wanted)
        const decision = update(current, patch)
        if (decision.outcome !== 'commit') return
        const { unit } = decision
        for (const name of fieldNames) {
          if (!(name in patch)) expect(unit.user[name]).toEqual(current[name])
          const same = JSON.stringify(unit.user[name]) === JSON.stringify(current[name])
          expect(unit.changed.includes(name), name).toBe(!same)
          expect(unit.change.fields[name]).toEqual(same ? undefined : [current[name], unit.user[name]])
        }
        const { id, uid, status, created_at } = current
        expect(unit.user).toMatchObject({ id, uid, status, created_at, version: current.version + 1 })
        expect(unit.user.updated_at).toBeGreaterThanOrEqual(current.updated_at)
      }),
    )
  })

  test('of the whole record with itself changes nothing', () => {
    fc.assert(
      fc.property(user, (current) => {
        const patch = Object.fromEntries(fieldNames.map((name) => [name, structuredClone(current[name])]))
        expect(update(current, patch)).toEqual({ outcome: 'unchanged', user: current })
      }),
    )
  })
})

describe('whatever is sent', () => {
  const actor: Arbitrary<Actor> = fc.record(
    {
      kind: fc.constantFrom('anonymous', 'key', 'person', 'operator'),
      id: fc.constantFrom(null, '7', '8'),
      scopes: fc.subarray<Scope>(['read', 'write', 'admin']),
      contract: fc.constantFrom('adoption', 'records', 'v1', 'community', 'operator'),
    },
    { noNullPrototype: true },
  )
  const versions = fc.constantFrom<('*' | number[])[]>('*', [], [3], [4])
  const command = fc.record(
    {
      kind: fc.constantFrom('create', 'update', 'replace', 'remove', 'restore', 'erase'),
      id: fc.constant(7),
      uid: fc.constant('usr_0123456789abcdef'),
      upsert: fc.boolean(),
      patch: fc.record(
        mapFields(() => fc.oneof(anything, fc.anything())),
        { requiredKeys: [] },
      ),
      problems: fc.constantFrom([], [{ property: 'x', message: 'is not known here' }]),
      required: fc.subarray([...fieldNames]),
      maxLength: fc.constantFrom({}, { first_name: 1, phone: 0 }),
      invalidFirst: fc.boolean(),
      actor,
      requestId: fc.constant('r'),
      changeId: fc.constant('c'),
      at: fc.integer({ min: 0, max: 2 ** 48 }),
      ifMatch: versions,
      ifNoneMatch: versions,
    },
    { requiredKeys: ['kind', 'id', 'uid', 'upsert', 'patch', 'actor', 'requestId', 'changeId', 'at'] },
  ) as unknown as Arbitrary<Command>
  const current = fc.option(
    fc
      .tuple(user, fc.constantFrom('active', 'blocked', 'deleted', 'erased'))
      .map(([record, status]) => ({ ...record, id: 7, status })),
    { nil: undefined },
  )

  test('the outcome is one of three, sound, and the same when asked again', () => {
    fc.assert(
      fc.property(current, command, (record, asked) => {
        const state = asked.kind === 'create' ? undefined : record
        const decision = decide(state, asked, rules)
        switch (decision.outcome) {
          case 'commit': {
            const { unit } = decision
            expect(unit.user.version).toBe((state?.version ?? 0) + 1)
            expect(unit.change).toMatchObject({ userId: 7, version: unit.user.version, changeId: 'c' })
            for (const name of fieldNames.filter((field) => unit.changed.includes(field))) {
              const value = unit.user[name]
              if (value !== null) {
                expect(catalogue[name].parse(value, { ...rules, at: asked.at })).toEqual({ value })
              }
            }
            break
          }
          case 'unchanged':
            expect(decision.user).toBe(record)
            break
          case 'refused':
            expect(codes).toContain(decision.refusal.code)
            break
          default:
            expect.unreachable()
        }
        expect(decide(state, asked, rules)).toEqual(decision)
      }),
      { numRuns: 500 },
    )
  })
})

const contracts: readonly {
  readonly name: string
  readonly properties: Properties
  readonly encodeUser: (user: User) => object
  readonly asked: Partial<Replace>
}[] = [
  { name: 'adoption', ...adoption, asked: {} },
  {
    name: 'records',
    ...records,
    asked: { required: records.required, maxLength: records.maxLength, upsert: true },
  },
]

describe.each(contracts)('through $name', ({ name, properties, encodeUser, asked }) => {
  const actor: Actor = { kind: 'anonymous', id: null, scopes: ['read', 'write'], contract: name }

  /** What the contract's route makes of a request, without the server about it. */
  function put(current: User, body: unknown, headers = {}) {
    const request = {
      headers: { 'content-type': 'application/json', ...headers },
      body: Buffer.from(JSON.stringify(body)),
    } as unknown as FastifyRequest
    const decoded = decodeWrite(request, { properties, id: current.id })
    return decide(
      current,
      {
        ...{ ...circumstances, actor, kind: 'replace', id: current.id, uid: 'usr_new', upsert: false },
        ...asked,
        ...decoded,
      },
      rules,
    )
  }

  test('sending back what is shown is no change', () => {
    fc.assert(
      fc.property(user, (current) => {
        const unchanged = { outcome: 'unchanged', user: current }
        expect(put(current, encodeUser(current))).toEqual(unchanged)
        expect(put(current, encodeUser(current), { 'if-match': entityTag(current) })).toEqual(unchanged)
      }),
    )
  })

  // keycloak/keycloak#28220, BerriAI/litellm#38760: a replace deleted what its caller could not see.
  test('a replace never changes a field that only others have, nor does an update', () => {
    const shown = Object.values(properties)
    const bodies = fc.tuple(patchOf(1), fc.boolean()).map(([patch, whole]) =>
      Object.fromEntries(
        Object.entries(properties)
          .filter(([, field]) => whole || field in patch)
          .map(([property, field]) => [property, patch[field] ?? null]),
      ),
    )
    let committed = 0
    fc.assert(
      fc.property(user, bodies, (current, body) => {
        const decision = put(current, body)
        if (decision.outcome !== 'commit') return
        committed++
        const { unit } = decision
        for (const field of fieldNames) {
          if (!shown.includes(field)) expect(unit.user[field], field).toEqual(current[field])
        }
        // A change of the address that is pending goes with an address that is set.
        const moved = unit.changed.filter((name) => name !== 'email_change')
        expect(shown).toEqual(expect.arrayContaining(moved))
        const cancels = current.email_change !== null && moved.includes('email')
        expect(unit.changed.includes('email_change')).toBe(cancels)
        expect(put(unit.user, encodeUser(unit.user))).toEqual({ outcome: 'unchanged', user: unit.user })
      }),
      { numRuns: 500 },
    )
    expect(committed).toBeGreaterThan(20)
  })
})
