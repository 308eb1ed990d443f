import { describe, expect, test } from 'vitest'
import { catalogue, type FieldName, fieldNames } from './fields.ts'
import { apply, type Patch, type Terms } from './patch.ts'
import { type FieldValues, noFields } from './user.ts'

const at = Date.parse('2026-10-05T12:00:00Z')
const rules = { roles: ['user', 'admin'] }

function applyTo(current: Partial<FieldValues>, patch: Patch, terms: Partial<Terms> = {}) {
  const usual = { writable: new Set(fieldNames), contract: 'adoption', required: [], maxLength: {}, at }
  return apply({ ...noFields, ...current }, { ...usual, ...terms, patch }, rules)
}

const nothing = { values: {}, changed: [], problems: [], forbidden: [] }

const tag = { id: 1, type: 'user', name: 'Staff', description: '', color: '#0000ff' }

/** A value for every field, none of them empty. */
const sound: FieldValues = {
  email: 'ann@example.com',
  email_verified: true,
  username: 'ann',
  first_name: 'Ann',
  last_name: 'Lee',
  real_name: 'Ann Lee',
  phone: '555-0100',
  interested_in: 'dogs',
  role: 'user',
  bio: 'Walks\ndogs',
  location: 'Bologna',
  location_lat_lng: '44.49,11.34',
  position_lat_lng: '44.49,11.34',
  date_of_birth: '1990-12-31',
  description: 'Dogs',
  gender: 'Female',
  website: 'https://ann.example/',
  avatar: 'a'.repeat(64),
  cover: 'b'.repeat(64),
  ext_id: 'A-1',
  tags: [tag],
  community_badge: false,
  reg_approved: true,
  company_name: 'Example',
  company_role: 'Engineer',
}

/** Another value for every field. */
const other: FieldValues = {
  email: 'ann.lee@example.org',
  email_verified: false,
  username: 'annlee',
  first_name: 'Anna',
  last_name: 'Li',
  real_name: 'Anna Li',
  phone: '555-0199',
  interested_in: 'both',
  role: 'admin',
  bio: '',
  location: '',
  location_lat_lng: '0,0',
  position_lat_lng: '0,0',
  date_of_birth: '1991-01-01',
  description: '',
  gender: 'Unspecified',
  website: 'http://localhost',
  avatar: 'c'.repeat(64),
  cover: 'd'.repeat(64),
  ext_id: 'A-2',
  tags: [],
  community_badge: true,
  reg_approved: false,
  company_name: '',
  company_role: '',
}

describe('what a patch does not name', () => {
  test('{} changes nothing, of a full record and of an empty one', () => {
    expect(applyTo(sound, {})).toEqual(nothing)
    expect(applyTo({}, {})).toEqual(nothing)
  })

  test('a field that is undefined is not named', () => {
    expect(applyTo(sound, { phone: undefined })).toEqual(nothing)
  })

  // keycloak/keycloak#19691, #28220: an update with one attribute erased the others.
  test.each(fieldNames)('keeps its value when %s is set', (name) => {
    const applied = applyTo({ ...sound, ext_id: null }, { [name]: other[name] })
    expect(applied).toEqual({ ...nothing, values: { [name]: other[name] }, changed: [name] })
  })

  // keycloak/keycloak#28908: an edit of one attribute was refused because another was missing.
  test('is not judged: a record without an e-mail address takes a telephone number', () => {
    const applied = applyTo({ email: null, first_name: 'a\0', website: 'ftp://old' }, { phone: '1' })
    expect(applied).toEqual({ ...nothing, values: { phone: '1' }, changed: ['phone'] })
  })
})

describe('null', () => {
  const contracts = ['adoption', 'records', 'v1', 'community', 'operator']
  const named = ['v1', 'operator']
  const clearedBy = {
    ...{ email: [], email_verified: [], username: [], role: [], ext_id: [] },
    ...{ first_name: named, last_name: named, phone: named, interested_in: named },
    ...{ real_name: contracts, bio: contracts, location: contracts, location_lat_lng: contracts },
    ...{ position_lat_lng: contracts, date_of_birth: contracts, description: contracts, gender: contracts },
    ...{ website: contracts, avatar: contracts, cover: contracts, tags: contracts },
    ...{ community_badge: contracts, reg_approved: contracts },
    ...{ company_name: contracts, company_role: contracts },
  } satisfies Record<FieldName, readonly string[]>

  describe.each(fieldNames)('for %s', (name) => {
    test('clears it only where it may be empty', () => {
      for (const contract of contracts) {
        const mayClear = (clearedBy[name] as readonly string[]).includes(contract)
        expect(applyTo(sound, { [name]: null }, { contract }), contract).toEqual(
          mayClear
            ? { ...nothing, values: { [name]: null }, changed: [name] }
            : { ...nothing, problems: [{ field: name, message: 'must not be null' }] },
        )
      }
    })

    test('is no change when it is empty anyway, through every contract and for everybody', () => {
      for (const contract of contracts) {
        expect(applyTo({}, { [name]: null }, { contract, writable: new Set() }), contract).toEqual(nothing)
      }
    })
  })

  test('and an empty text are not the same', () => {
    expect(applyTo({ bio: '' }, { bio: null })).toMatchObject({ values: { bio: null }, changed: ['bio'] })
    expect(applyTo({ bio: null }, { bio: '' })).toMatchObject({ values: { bio: '' }, changed: ['bio'] })
    expect(applyTo({ bio: '' }, { bio: '' })).toEqual(nothing)
  })
})

describe('sending back what was read', () => {
  // directus/directus#5538, #8984: an unchanged e-mail address was refused as a duplicate.
  test('changes nothing, the e-mail address included', () => {
    expect(applyTo(sound, sound)).toEqual(nothing)
    expect(applyTo(sound, { email: 'ann@example.com' })).toEqual(nothing)
  })

  test('changes nothing for those who may not write it, either', () => {
    expect(applyTo(sound, sound, { writable: new Set() })).toEqual(nothing)
  })

  test('changes nothing in another spelling of the same normal form', () => {
    expect(applyTo({ first_name: 'René' }, { first_name: 'Rene\u0301' })).toEqual(nothing)
    expect(applyTo({ first_name: 'René' }, { first_name: 'Rene\u0301' }, { writable: new Set() })).toEqual(
      nothing,
    )
    const { id, type, name, description, color } = tag
    expect(applyTo({ tags: [tag] }, { tags: [{ color, description, name, type, id }] })).toEqual(nothing)
  })

  /** Values that came in under older rules. */
  const outdated: Partial<FieldValues> = {
    email: 'no address',
    username: 'has spaces',
    first_name: 'A\u0001',
    last_name: '',
    real_name: 'R'.repeat(300),
    phone: '5'.repeat(65),
    interested_in: 'birds',
    role: 'moderator',
    bio: 'b'.repeat(5001),
    location: 'l'.repeat(101),
    location_lat_lng: '91,181',
    position_lat_lng: 'here',
    date_of_birth: '2023-02-29',
    description: 'd'.repeat(51),
    gender: 'Other',
    website: 'ftp://old.example',
    avatar: 'https://old.example/a.png',
    cover: '',
    ext_id: '',
    tags: [{ ...tag, name: 'n'.repeat(256) }],
    company_name: 'c\n',
    company_role: 'c'.repeat(256),
  }

  // keycloak/keycloak#24697: a field that a newer rule finds invalid made the whole profile uneditable.
  test.each(Object.keys(outdated) as FieldName[])('never fails for %s, whatever rules came since', (name) => {
    const current = { ...sound, ...outdated }
    expect(catalogue[name].parse(current[name], { ...rules, at })).toHaveProperty('problem')
    expect(applyTo(current, structuredClone({ [name]: current[name] }))).toEqual(nothing)
    expect(applyTo(current, { ...structuredClone(current), community_badge: true })).toEqual({
      ...nothing,
      values: { community_badge: true },
      changed: ['community_badge'],
    })
  })

  test('does not lift the rule: another value is judged by it', () => {
    expect(applyTo({ phone: '5'.repeat(65) }, { phone: '6'.repeat(65) }).problems).toEqual([
      { field: 'phone', message: 'must have 1 to 64 characters' },
    ])
  })

  test('never fails for a value that is longer than this contract allows', () => {
    const maxLength = { first_name: 100 }
    const first_name = 'a'.repeat(200)
    expect(applyTo({ first_name }, { first_name }, { maxLength })).toEqual(nothing)
    expect(
      applyTo({ first_name: 'é'.repeat(200) }, { first_name: 'e\u0301'.repeat(200) }, { maxLength }),
    ).toEqual(nothing)
  })
})

describe('everything that is wrong', () => {
  // keycloak/keycloak#28908, #28252: one problem hid the others.
  test('is told at once, each naming its field, and what is sound is told beside it', () => {
    const applied = applyTo(
      sound,
      { email: 'nobody', phone: null, gender: 'x', tags: {}, ext_id: 'B', bio: 'new', role: 7 },
      { required: ['first_name', 'email'] },
    )
    expect(applied.problems).toEqual([
      { field: 'first_name', message: 'is required' },
      { field: 'email', message: 'must be an e-mail address like name@example.com' },
      { field: 'phone', message: 'must not be null' },
      { field: 'gender', message: 'must be one of Male, Female, Unspecified' },
      { field: 'tags', message: expect.stringContaining('must be a list') },
      { field: 'ext_id', message: 'is set once and can not be changed' },
      { field: 'role', message: 'must be one of user, admin' },
    ])
    expect(applied).toMatchObject({ changed: ['bio'], forbidden: [] })
  })

  test('has one message per field', () => {
    const patch = Object.fromEntries(fieldNames.map((name) => [name, {}]))
    expect(applyTo({}, patch).problems.map(({ field }) => field)).toEqual(fieldNames)
  })
})

describe('a required field', () => {
  const required = ['email', 'phone'] as const

  test('must be named, though the record has it', () => {
    expect(applyTo(sound, { email: sound.email }, { required }).problems).toEqual([
      { field: 'phone', message: 'is required' },
    ])
    expect(applyTo(sound, { email: sound.email, phone: undefined }, { required }).problems).toHaveLength(1)
  })

  test('may be named with the value that it has, or null where it has none', () => {
    expect(applyTo({ email: 'a@b.co' }, { email: 'a@b.co', phone: null }, { required })).toEqual(nothing)
  })
})

describe('a field that is set once', () => {
  test('takes a first value', () => {
    expect(applyTo({}, { ext_id: 'A' })).toMatchObject({ values: { ext_id: 'A' }, problems: [] })
  })

  test('keeps it: its own is no change, another is refused, null is refused', () => {
    expect(applyTo({ ext_id: 'A' }, { ext_id: 'A' })).toEqual(nothing)
    expect(applyTo({ ext_id: 'A' }, { ext_id: 'a' })).toMatchObject({
      changed: [],
      problems: [{ field: 'ext_id', message: 'is set once and can not be changed' }],
    })
    expect(applyTo({ ext_id: 'A' }, { ext_id: null }).problems).toHaveLength(1)
  })
})

describe("a contract's own limit", () => {
  const maxLength = { first_name: 100, phone: 100 }
  const problem = { field: 'first_name', message: 'must have at most 100 characters' }

  test.each([
    ['100 letters', 'a'.repeat(100), []],
    ['100 characters of two UTF-16 units', '😀'.repeat(100), []],
    ['100 characters that are sent decomposed', 'e\u0301'.repeat(100), []],
    ['101 letters', 'a'.repeat(101), [problem]],
    ['101 characters of two UTF-16 units', '😀'.repeat(101), [problem]],
  ])('%s', (_what, first_name, problems) => {
    expect(applyTo(sound, { first_name }, { maxLength }).problems).toEqual(problems)
    expect(applyTo(sound, { first_name }).problems).toEqual([])
  })

  test('narrows the limit of the catalogue and never widens it', () => {
    expect(applyTo(sound, { phone: '5'.repeat(65) }, { maxLength }).problems).toHaveLength(1)
  })
})

describe('a field that is not yours to write', () => {
  const writable = new Set<FieldName>(['bio', 'phone'])

  test('is named, all of them at once, and does not change', () => {
    expect(applyTo(sound, { role: 'admin', bio: 'new', community_badge: true }, { writable })).toEqual({
      values: { bio: 'new' },
      changed: ['bio'],
      problems: [],
      forbidden: ['role', 'community_badge'],
    })
  })

  // The order of judgement is 403 before 400, and the rules of a field are its writers' business.
  test.each([
    ['a value that would not be valid', { role: 'root' }],
    ['null, where it may not be cleared', { role: null }],
    ['another value for what is set once', { ext_id: 'B' }],
    ['a value that is too long for the contract', { location: 'x'.repeat(60) }],
  ])('is named for %s', (_what, patch) => {
    const applied = applyTo(sound, patch, { writable, maxLength: { location: 50 } })
    expect(applied).toEqual({ ...nothing, forbidden: Object.keys(patch) })
  })
})
