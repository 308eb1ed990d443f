import {
  choice,
  coordinates,
  everyone,
  type Field,
  flag,
  isEmail,
  isPastDate,
  isWebsite,
  media,
  parseTags,
  type Tag,
  text,
  type Writer,
} from './field-types.ts'

/**
 * The field catalogue: what a person's record can hold, each field once. Validation, claims,
 * policy, the stores' columns and the documentation of every contract are derived from it.
 */

const services: readonly Writer[] = ['service', 'admin']
const throughV1: readonly string[] = ['v1', 'operator']

export const fields = {
  email: text('E-mail address', {
    min: 3,
    max: 254,
    write: services, // a person changes it by routes of its own, which confirm it
    clear: 'never',
    claim: 'email',
    schema: { format: 'idn-email' },
    syntax: (value) => (isEmail(value) ? undefined : 'must be an e-mail address like name@example.com'),
  }),
  email_verified: flag('Whether the person has shown that the address is theirs', [], 'never'),
  username: text('Name that the person goes by, unique', {
    min: 1,
    max: 255,
    write: everyone,
    clear: 'never',
    claim: 'username',
    schema: { pattern: '^[A-Za-z0-9_-]+$' },
    syntax: (value) => (/^[A-Za-z0-9_-]+$/.test(value) ? undefined : 'may have only a-z, A-Z, 0-9, _ and -'),
  }),
  first_name: text('Given name', { min: 1, max: 255, write: everyone, clear: throughV1 }),
  last_name: text('Family name', { min: 1, max: 255, write: everyone, clear: throughV1 }),
  real_name: text('Name in full', { min: 0, max: 255, write: everyone, clear: 'always' }),
  phone: text('Telephone number', { min: 1, max: 64, write: everyone, clear: throughV1 }),
  interested_in: choice('The type of pet the person is interested in adopting', ['cats', 'dogs', 'both'], {
    clear: throughV1,
  }),
  role: {
    doc: 'What the person is to the outside; grants nothing in Roster',
    schema: { type: 'string' },
    write: services,
    clear: 'never',
    parse: (value, { roles }) =>
      typeof value === 'string' && roles.includes(value)
        ? { value }
        : { problem: `must be one of ${roles.join(', ')}` },
  } satisfies Field<string>,
  bio: text('About the person, in lines', { min: 0, max: 5000, lines: true }),
  location: text('Where the person says they are', { min: 0, max: 100 }),
  location_lat_lng: coordinates('Coordinates of the location'),
  position_lat_lng: coordinates('Coordinates of the person'),
  date_of_birth: text('Date of birth', {
    min: 10,
    max: 10,
    schema: { format: 'date' },
    syntax: (value, { at }) => (isPastDate(value, at) ? undefined : 'must be a past date like 1990-12-31'),
  }),
  description: text('A line about the person', { min: 0, max: 50 }),
  gender: choice('Gender', ['Male', 'Female', 'Unspecified'], { clear: 'always' }),
  website: text('Address of a website', {
    min: 1,
    max: 200,
    schema: { format: 'uri' },
    syntax: (value) => (isWebsite(value) ? undefined : 'must be an http or https address'),
  }),
  avatar: media('Picture of the person'),
  cover: media('Picture behind the profile'),
  ext_id: text('The id of the person in another system, set once', {
    min: 1,
    max: 255,
    write: services,
    clear: 'never',
    claim: 'ext_id',
    once: true,
  }),
  tags: {
    doc: 'Labels that administrators give',
    schema: { type: 'array', items: { type: 'object' } },
    write: services,
    clear: 'always',
    parse: parseTags,
  } satisfies Field<readonly Tag[]>,
  community_badge: flag('Whether the person bears the badge of the community', services),
  reg_approved: flag('Whether the registration was approved', services),
  company_name: text('Name of the company', { min: 0, max: 255, write: services }),
  company_role: text('What the person does there', { min: 0, max: 255, write: services }),
} as const satisfies Readonly<Record<string, Field>>

export type FieldName = keyof typeof fields

export const fieldNames = Object.keys(fields) as readonly FieldName[]

/** The catalogue as a plain map, for code that treats all fields alike. */
export const catalogue: Readonly<Record<FieldName, Field>> = fields
