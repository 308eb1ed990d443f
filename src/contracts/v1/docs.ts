import { counterNames } from '../../directory/counters.ts'
import { catalogue, type FieldName } from '../../directory/fields.ts'
import type { PictureKind } from '../../directory/picture.ts'
import { maxBatch } from '../../directory/store.ts'
import { mediaTypes, sizes } from '../../media/formats.ts'
import { answer, conditions, type Schema } from '../schema.ts'
import { errorSchema } from './errors.ts'
import { filterNames, maxPerPage, sortNames } from './list.ts'
import { profileProperties, properties } from './wire.ts'

/** What the OpenAPI document and the serializer are told of each route. */

export const time = { type: 'string', format: 'date-time' } as const
export const id = {
  type: 'string',
  description: 'The unique id of the user',
  examples: ['usr_123abc456def'],
} as const
const created_at = { ...time, description: 'When the user was made' }
const updated_at = { ...time, description: 'When the user was changed last' }

/** A field as it is shown: null where there is no value. */
function shown(field: FieldName): Schema {
  if (field === 'tags') return { description: catalogue.tags.doc, type: ['array', 'null'], items: tag }
  const { doc, schema } = catalogue[field]
  const values = Array.isArray(schema.enum) ? { enum: [...schema.enum, null] } : {}
  return { description: doc, type: [schema.type, 'null'], ...values }
}

const text = { type: 'string' } as const
const tag = {
  type: 'object',
  properties: { id: { type: 'integer' }, type: text, name: text, description: text, color: text },
  required: ['id', 'type', 'name', 'description', 'color'],
} as const

function shownAs(fields: Readonly<Record<string, FieldName>>) {
  const described = Object.entries(fields).map(([name, field]) => [name, shown(field)])
  return { id, ...Object.fromEntries(described), created_at, updated_at } as const
}

function sentAs(fields: Readonly<Record<string, FieldName>>): Record<string, Schema> {
  const described = Object.entries(fields).map(([name, field]) => {
    const { doc, schema } = catalogue[field]
    return [name, { description: doc, ...(field === 'tags' ? { type: 'array', items: tag } : schema) }]
  })
  return Object.fromEntries(described)
}

export function object(members: Readonly<Record<string, Schema>>, required = Object.keys(members)) {
  return { type: 'object', properties: members, required, additionalProperties: false } as const
}

const user = object(shownAs(properties))
const profile = object(shownAs(profileProperties))
const { id: _, ...attributes } = shownAs(properties)
const item = object({ id, type: { type: 'string', enum: ['user'] }, attributes: object(attributes) })
const link = { type: ['string', 'null'], format: 'uri' } as const
const list = {
  type: 'object',
  description: 'A page of the users',
  properties: {
    data: { type: 'array', items: item },
    meta: {
      type: 'object',
      properties: {
        total: { type: 'integer', description: 'How many there are on all pages; not with cursors' },
        page: { type: 'integer' },
        per_page: { type: 'integer' },
      },
    },
    links: object({ self: link, next: link, prev: link }),
  },
  required: ['data', 'meta', 'links'],
} as const

export const tags = ['v1']
export const refused = { '4xx': errorSchema, '5xx': errorSchema }
const params = object({ id })
const common = { tags }
const one = { ...common, params }
const ifNoneMatch = conditions({ 'If-None-Match': 'Only if the user is not at this ETag any more (304)' })
export const key = {
  'Idempotency-Key': 'Carries the request out once, however often it is sent within a day',
}
const guarded = conditions({ 'If-Match': 'Only if the user is still at this ETag', ...key })
export const querystring = {
  type: 'object',
  properties: {
    dry_run: { type: 'string', enum: ['true'], description: 'Only tells what would come of it' },
  },
} as const

const filters = [...filterNames.keys()].map((name) => [
  `filter[${name}]`,
  { type: 'string', description: 'Only users with exactly this value; repeated, with any of them' },
])

const password = { type: 'string', minLength: 8, maxLength: 128, format: 'password' } as const
const jsonPatch = {
  type: 'array',
  maxItems: 1_000,
  items: {
    type: 'object',
    properties: {
      op: { type: 'string', enum: ['add', 'remove', 'replace', 'move', 'copy', 'test'] },
      path: { type: 'string', description: 'A JSON Pointer like /bio' },
      from: { type: 'string' },
      value: {},
    },
    required: ['op', 'path'],
  },
  examples: [
    [
      { op: 'test', path: '/bio', value: 'Walks dogs' },
      { op: 'replace', path: '/bio', value: 'Walks cats' },
    ],
  ],
} as const

/** A body of several media types. */
function content(schemas: Readonly<Record<string, Schema>>) {
  const entries = Object.entries(schemas).map(([type, schema]) => [type, { schema }])
  return { content: Object.fromEntries(entries) }
}

const userBody = {
  ...object(sentAs(properties), []),
  examples: [{ email: 'newemail@example.com', first_name: 'Jane', last_name: 'Smith' }],
}
const profileBody = {
  ...object(sentAs(profileProperties), []),
  examples: [{ bio: 'Walks dogs', phone: null }],
}

const whole = { type: 'integer' } as const
const counters = object(Object.fromEntries(counterNames.map((name) => [name, whole])))
const counterChange = {
  oneOf: [object({ set: whole }), object({ increment: whole })],
  description: '`{"set": 10}` or `{"increment": 1}`',
}

const operation = {
  oneOf: [
    object({
      op: { type: 'string', enum: ['create'] },
      data: object({ ...sentAs(properties), password }, ['email', 'username', 'password']),
    }),
    object(
      {
        op: { type: 'string', enum: ['update'] },
        id,
        if_match: { ...text, description: 'Only if the user is still at this ETag', examples: ['"3"'] },
        data: userBody,
      },
      ['op', 'id', 'data'],
    ),
  ],
}
const batch = object(
  {
    operations: { type: 'array', items: operation, minItems: 1, maxItems: maxBatch },
    atomic: { type: 'boolean', default: false, description: 'All or nothing' },
  },
  ['operations'],
)
const result = {
  type: 'object',
  properties: {
    status: { type: 'integer', description: 'As if the operation had been sent alone' },
    etag: { type: 'string', description: 'Of the user as it is then' },
    body: { type: 'object', additionalProperties: true },
    pending: { type: 'array', items: { type: 'string', enum: ['email'] } },
    replayed: { type: 'boolean', description: 'It was carried out before, with the same idempotency key' },
  },
  required: ['status', 'body'],
} as const
const results = object({ results: { type: 'array', items: result } })
const aborted = {
  ...errorSchema,
  description: 'Nothing was done',
  properties: { ...errorSchema.properties, results: { type: 'array', items: result } },
}

const scopes = { type: 'array', items: { type: 'string', enum: ['read', 'write', 'admin'] } } as const
export const maybeTime = { type: ['string', 'null'], format: 'date-time' } as const
const keyProperties = {
  id: text,
  name: text,
  scopes,
  created_at: time,
  expires_at: maybeTime,
  revoked_at: maybeTime,
  last_used_at: maybeTime,
}
const clientProperties = {
  client_id: text,
  name: text,
  scopes,
  redirect_uris: { type: 'array', items: text },
  public: { type: 'boolean' },
  created_at: time,
  revoked_at: maybeTime,
}

/** Addresses by size in pixels. */
function pictureOf(kind: PictureKind) {
  const address = { type: 'string', format: 'uri-reference' } as const
  const members = Object.fromEntries(sizes[kind].toReversed().map((size) => [String(size), address]))
  return object({ id, [kind]: { ...object(members), type: ['object', 'null'] }, updated_at })
}

export const docs = {
  list: {
    ...common,
    summary: 'List users',
    querystring: {
      type: 'object',
      properties: {
        page: { type: 'integer', minimum: 1, default: 1 },
        per_page: { type: 'integer', minimum: 1, maximum: maxPerPage, default: 10 },
        ...Object.fromEntries(filters),
        sort: { type: 'string', enum: [...sortNames.keys()], description: 'Left out: as they were made' },
        order: { type: 'string', enum: ['asc', 'desc'], default: 'asc' },
        cursor: {
          type: 'string',
          description: 'In place of `page`: empty for the first page, then as in `links.next`',
        },
      },
    },
    response: { 200: list, ...refused },
  },
  create: {
    ...common,
    summary: 'Create a user',
    headers: conditions(key),
    querystring,
    body: object({ ...sentAs(properties), password }, ['email', 'username', 'password']),
    response: { 201: answer('The user as created', user, true), ...refused },
  },
  get: {
    ...one,
    summary: 'Get a user',
    headers: ifNoneMatch,
    response: { 200: answer('The user', user), ...refused },
  },
  update: {
    ...one,
    summary: 'Update a user; what is left out is kept',
    headers: guarded,
    querystring,
    body: content({ 'application/json': userBody, 'application/merge-patch+json': userBody }),
    response: { 200: answer('The user as updated', user), ...refused },
  },
  erase: {
    ...one,
    summary: 'Delete a user for ever',
    headers: guarded,
    querystring,
    response: { 204: { type: 'null', description: 'Deleted' }, ...refused },
  },
  changePassword: {
    ...one,
    summary: 'Change the password; tokens issued before end',
    headers: guarded,
    querystring,
    body: object(
      {
        current_password: {
          ...text,
          format: 'password',
          description: 'With the scope admin it may be left out',
        },
        new_password: password,
      },
      ['new_password'],
    ),
    response: { 204: { type: 'null', description: 'Changed' }, ...refused },
  },
  putPicture: (kind: PictureKind) => ({
    ...one,
    summary: `Set the ${kind} of a user`,
    headers: guarded,
    querystring,
    body: content(Object.fromEntries(mediaTypes.map((type) => [type, { type: 'string', format: 'binary' }]))),
    response: { 200: answer(`Where the ${kind} is, by size`, pictureOf(kind)), ...refused },
  }),
  removePicture: (kind: PictureKind) => ({
    ...one,
    summary: `Remove the ${kind} of a user`,
    headers: guarded,
    querystring,
    response: { 204: { type: 'null', description: 'Removed' }, ...refused },
  }),
  getProfile: {
    ...one,
    summary: 'Get a user with every field',
    headers: ifNoneMatch,
    response: { 200: answer('The profile', profile), ...refused },
  },
  updateProfile: {
    ...one,
    summary: 'Update any field; null clears it',
    headers: guarded,
    querystring,
    body: content({
      'application/json': profileBody,
      'application/merge-patch+json': profileBody,
      'application/json-patch+json': jsonPatch,
    }),
    response: { 200: answer('The profile as updated', profile), ...refused },
  },
  getCounters: {
    ...one,
    summary: 'Get the counters of a user',
    response: { 200: { ...counters, description: 'The counters' }, ...refused },
  },
  updateCounters: {
    ...one,
    summary: 'Set or increment counters of a user',
    headers: conditions(key),
    querystring,
    body: object(Object.fromEntries(counterNames.map((name) => [name, counterChange])), []),
    response: { 200: { ...counters, description: 'The counters as they are now' }, ...refused },
  },
  batch: {
    ...common,
    summary: 'Create and update many users',
    headers: conditions(key),
    querystring,
    body: batch,
    response: { 200: { ...results, description: 'What became of each operation' }, ...refused, 409: aborted },
  },
  listKeys: {
    ...common,
    summary: 'List API keys, for administrators',
    response: { 200: object({ data: { type: 'array', items: object(keyProperties) } }), ...refused },
  },
  createKey: {
    ...common,
    summary: 'Create an API key; its secret is shown in this answer only',
    headers: conditions(key),
    querystring,
    body: object(
      { name: { ...text, minLength: 1, maxLength: 100 }, scopes, expires_at: { type: ['string', 'null'] } },
      ['name', 'scopes'],
    ),
    response: { 201: { ...object({ ...keyProperties, secret: text }), description: 'The key' }, ...refused },
  },
  revokeKey: {
    ...common,
    params: object({ id: { ...text, description: 'The id of the key' } }),
    summary: 'Revoke an API key, within a second everywhere',
    headers: conditions(key),
    querystring,
    response: { 204: { type: 'null', description: 'Revoked' }, ...refused },
  },
  listClients: {
    ...common,
    summary: 'List OAuth clients, for administrators',
    response: { 200: object({ data: { type: 'array', items: object(clientProperties) } }), ...refused },
  },
  createClient: {
    ...common,
    summary: 'Create an OAuth client; its secret is shown in this answer only',
    headers: conditions(key),
    querystring,
    body: object(
      {
        name: { ...text, minLength: 1, maxLength: 100 },
        scopes,
        redirect_uris: { type: 'array', items: text, maxItems: 20 },
        public: { type: 'boolean', default: false },
      },
      ['name', 'scopes'],
    ),
    response: {
      201: {
        ...object({ ...clientProperties, client_secret: { type: ['string', 'null'] } }),
        description: 'The client',
      },
      ...refused,
    },
  },
  revokeClient: {
    ...common,
    params: object({ id: { ...text, description: 'The id of the client' } }),
    summary: 'Revoke an OAuth client and all that it was given, within a second everywhere',
    headers: conditions(key),
    querystring,
    response: { 204: { type: 'null', description: 'Revoked' }, ...refused },
  },
  me: {
    ...common,
    summary: 'Get one’s own user; a key has none',
    headers: ifNoneMatch,
    response: { 200: answer('The user', user), ...refused },
  },
} as const
