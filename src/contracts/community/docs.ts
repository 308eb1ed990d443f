import { noCounters } from '../../directory/counters.ts'
import { catalogue, type FieldName } from '../../directory/fields.ts'
import { type PictureKind, pictureKinds } from '../../directory/picture.ts'
import { settingNames, settingValues } from '../../directory/settings.ts'
import { noFields, type User } from '../../directory/user.ts'
import { formatNames } from '../../media/formats.ts'
import { answer, bodySchema, conditions, idSchema, type Schema } from '../schema.ts'
import { bodyTypes } from './decode.ts'
import { errorSchema } from './errors.ts'
import {
  encodeAccount,
  encodeCounters,
  encodeItem,
  encodeMe,
  encodeUser,
  properties,
  shownToo,
} from './wire.ts'

/** What the OpenAPI document and the serializer are told of each route. */

/** Somebody about whom there is nothing to say: what is shown of him are the properties, in their order. */
const somebody: User = {
  ...{ ...noFields, id: 1, uid: '', status: 'deleted', version: 1, created_at: 0, updated_at: 0 },
}
const pictures = { avatar: () => '', cover: () => null }
const shown = { user: somebody, counters: noCounters, seesAll: true, pictures }

const text = { type: ['string', 'null'] } as const
const whole = { type: 'integer' } as const
const flag = { type: ['boolean', 'null'] } as const
const time = { type: 'string', format: 'date-time' } as const
const picture = { type: 'string', format: 'uri-reference' } as const
const tag = {
  type: 'object',
  properties: { id: whole, type: text, name: text, description: text, color: text },
} as const

const described = Object.entries({ ...properties, ...shownToo }).map(([name, field]) => {
  const { doc, schema } = catalogue[field]
  return [name, { description: doc, type: [schema.type, 'null'] }]
})

const types: Readonly<Record<string, Schema>> = {
  ...Object.fromEntries(described),
  id: { ...idSchema, description: 'The unique id of the user' },
  avatar: { ...picture, description: 'Always a picture: a generated one for who has chosen none' },
  cover: { ...picture, type: ['string', 'null'], description: catalogue.cover.doc },
  ext_id: { type: ['integer', 'string', 'null'], description: catalogue.ext_id.doc },
  gender: { type: 'string', enum: catalogue.gender.schema.enum, description: catalogue.gender.doc },
  tags: { type: 'array', items: tag, description: catalogue.tags.doc },
  connection_status: { ...text, description: 'What the user is to the caller; always null' },
  date_joined: { ...time, description: 'When the user was made' },
  deleted: { type: 'boolean', description: 'Whether the user was removed' },
  deleted_at: { ...time, description: 'When that was; only where it is so' },
  can_send_pm_to: { type: 'boolean', description: 'Always false: there are no messages here' },
  email: { ...text, description: catalogue.email.doc },
  email_isvalid: { ...flag, description: catalogue.email_verified.doc },
  role: { ...text, description: catalogue.role.doc },
  permission: { type: 'null', description: 'Always null' },
  status: { type: 'string', enum: ['a', 'b', 'd', 'u'], description: 'Active, blocked, deleted or erased' },
}

function shapeOf(sample: object, description: string) {
  const names = Object.keys(sample)
  const all = names.map((name) => [name, types[name] ?? whole])
  return {
    type: 'object',
    description,
    properties: Object.fromEntries(all),
    required: names.filter((name) => name !== 'deleted_at'),
    additionalProperties: false,
  } as const
}

const user = shapeOf(encodeUser(shown), 'A user')
const me = shapeOf(encodeMe(shown), 'The caller')
const item = shapeOf(encodeItem(shown), 'A user, in short')
const one = shapeOf({ ...encodeUser(shown), can_send_pm_to: false }, 'A user')
const signedIn = {
  type: 'object',
  description: 'The caller, in short',
  properties: {
    id: types.id,
    ext_id: types.ext_id,
    username: text,
    role: text,
    tags: { type: 'array', items: whole, description: 'The ids of the tags' },
  },
} as const

function pageOf(items: Schema): Schema {
  const link = { type: ['string', 'null'], format: 'uri-reference' } as const
  return {
    type: 'object',
    description: 'A page of a list',
    properties: { count: whole, next: link, previous: link, results: { type: 'array', items } },
    required: ['count', 'next', 'previous', 'results'],
  }
}

const tags = ['community']
const refused = { '4xx': errorSchema, '5xx': errorSchema }
const params = { type: 'object', properties: { id: idSchema }, required: ['id'] } as const
const ifMatch = conditions({ 'If-Match': 'Only if the user is still at this ETag' })

const fields = bodySchema(properties)
const emptied = { type: 'string', description: 'Empty to remove the picture' } as const
/** In a form in parts a picture is a file. */
const file = {
  type: 'string',
  format: 'binary',
  description: `${formatNames}; empty to remove the picture`,
} as const
const asText = {
  type: 'string',
  description: 'A picture, as `image/png;base64,…`; empty to remove it',
  examples: ['image/png;base64,iVBORw0KGgo…'],
} as const

/** A body of any of the types that are read, with pictures of these kinds. */
function withPictures(schema: Schema, kinds: readonly PictureKind[]) {
  const { additionalProperties: _, ...open } = schema
  const bodyOf = (type: string) => {
    const picture = type === 'multipart/form-data' ? file : emptied
    const pictures = kinds.flatMap((kind) => [
      [kind, picture],
      [`${kind}_base64`, asText],
    ])
    const properties = { ...(schema.properties as object), ...Object.fromEntries(pictures) }
    return [type, { schema: { ...open, properties } }]
  }
  return { content: Object.fromEntries(bodyTypes.split(', ').map(bodyOf)) }
}

const body = withPictures(fields, pictureKinds)

/** A body of any of the types that are read. */
function contentOf(schema: Schema) {
  return { content: Object.fromEntries(bodyTypes.split(', ').map((type) => [type, { schema }])) }
}

function fieldsIn(names: readonly FieldName[]): Record<string, Schema> {
  return Object.fromEntries(
    names.map((name) => [name, { description: catalogue[name].doc, ...catalogue[name].schema }]),
  )
}

const password = { type: 'string', minLength: 8, maxLength: 128, format: 'password' } as const

const ignored = { type: 'string', description: 'What of the body was left alone: read-only or not known' }
const changed = answer('The user as updated', user)
const edited = {
  tags,
  params,
  headers: ifMatch,
  body,
  response: {
    200: { ...changed, headers: { ...(changed.headers as object), 'Roster-Ignored': ignored } },
    ...refused,
  },
}

const issued = {
  type: 'object',
  description: 'What signs the caller in',
  properties: {
    token: {
      type: 'object',
      properties: {
        access_token: { type: 'string' },
        expires_in: { ...whole, description: 'Seconds' },
        token_type: { type: 'string', description: 'Always `Bearer`' },
        refresh_token: {
          type: 'null',
          description: 'Always null: whoever wants to stay signs in at a client',
        },
        client_id: { type: 'null', description: 'Always null' },
        scope: { type: 'string' },
      },
    },
  },
} as const

const code = contentOf({
  type: 'object',
  properties: { validation_code: { type: 'string' } },
  required: ['validation_code'],
})

const settings = {
  type: 'object',
  description: 'The settings',
  properties: Object.fromEntries(
    settingNames.map((name) => [name, { type: 'integer', enum: settingValues[name] }]),
  ),
  required: settingNames,
} as const

const parameter = (description: string, type = 'string') => ({ type, description })
const paging = {
  limit: { ...parameter('How many, at most 100', 'integer'), default: 20 },
  offset: { ...parameter('How many are left out from the start', 'integer'), default: 0 },
}
const about = {
  username: parameter('In the username'),
  real_name: parameter('In the name'),
  location: parameter('In the location'),
  description: parameter('In the description'),
  gender: { type: 'string', enum: ['Male', 'Female', 'Unspecified'] },
}
const listed = {
  type: 'object',
  properties: {
    ...paging,
    search: parameter('In the username or the name, whatever the case and the accents'),
    ...about,
    ordering: parameter('`username`, `real_name` or `location`; with `-` in front the other way round'),
  },
}

const avatar = {
  type: 'object',
  description: 'A picture of the list',
  properties: {
    id: whole,
    primary: { type: 'boolean', description: 'Whether the profile shows it' },
    avatar: picture,
    date_uploaded: { type: 'string', format: 'date-time' },
    user: whole,
  },
  required: ['id', 'primary', 'avatar', 'date_uploaded', 'user'],
} as const
const avatarId = { avatar_id: { ...whole, description: 'The id of the avatar' } }
/** In the query or in the body, whichever a client likes better. */
const oneAvatar = {
  tags,
  headers: ifMatch,
  querystring: { type: 'object', properties: avatarId },
  body: contentOf({ type: 'object', properties: avatarId }),
  response: { 204: { type: 'null', description: 'Done' }, ...refused },
} as const

export const docs = {
  list: {
    summary: 'List users, for who is signed in',
    tags,
    querystring: listed,
    response: { 200: pageOf(user), ...refused },
  },
  search: {
    summary: 'Search users',
    tags,
    querystring: {
      type: 'object',
      properties: {
        ...paging,
        user: parameter('In the username or the name; overrides both'),
        ...about,
        age: parameter('`-30`, `30-45` or `45+`'),
        lat_lng: parameter('Coordinates to measure distances from, like `44.49,11.34`'),
        user_position: parameter('Measure them from the caller, for `1`'),
        is_staff: parameter('Whether the role is another than `user`'),
        tag: parameter('The id of a tag', 'integer'),
        category: parameter('There are none, so this finds nobody', 'integer'),
        ordering: parameter('As in the list, or `distance`'),
      },
    },
    response: { 200: pageOf(user), ...refused },
  },
  autocomplete: {
    summary: 'Suggest users',
    tags,
    querystring: listed,
    response: { 200: pageOf(item), ...refused },
  },
  match: {
    summary: 'Find the users who have some usernames',
    tags,
    body: { type: 'array', items: { type: 'string' }, maxItems: 100 },
    response: { 200: { type: 'array', items: item, description: 'Those who were found' }, ...refused },
  },
  me: { summary: 'Get one’s own user', tags, response: { 200: answer('The caller', me), ...refused } },
  myAvatar: {
    summary: 'Get the address of one’s own picture',
    tags,
    response: {
      200: { type: 'object', description: 'Where the picture is', properties: { avatar: picture } },
      ...refused,
    },
  },
  get: { summary: 'Get a user', tags, params, response: { 200: answer('The user', one), ...refused } },
  avatars: {
    summary: 'List one’s own avatars: those that were added, and the one that the profile shows',
    tags,
    querystring: { type: 'object', properties: paging },
    response: { 200: pageOf(avatar), ...refused },
  },
  addAvatar: {
    summary: 'Add an avatar to the list; the profile stays as it is',
    tags,
    body: withPictures({ type: 'object' }, ['avatar']),
    response: { 201: avatar, ...refused },
  },
  chooseAvatar: { summary: 'Have the profile show an avatar of the list', ...oneAvatar },
  removeAvatar: { summary: 'Remove an avatar, from the profile too', ...oneAvatar },
  update: { summary: 'Patch a specific user: one’s own', ...edited },
  replace: { summary: 'Update a specific user: one’s own; `username` is needed', ...edited },
  remove: {
    summary: 'Delete a user: one’s own, or with a key of an administrator any',
    tags,
    params,
    headers: ifMatch,
    querystring: {
      type: 'object',
      properties: { hard: parameter('`1` erases; otherwise the user is hidden and the names stay reserved') },
    },
    response: { 204: { type: 'null', description: 'Deleted' }, ...refused },
  },
  counters: {
    summary: 'Get the counters of a user',
    tags,
    params,
    response: { 200: shapeOf(encodeCounters(noCounters), 'The counters'), ...refused },
  },
  settings: {
    summary: 'Get one’s own settings',
    tags,
    params,
    response: { 200: settings, ...refused },
  },
  updateSettings: {
    summary: 'Set some of one’s own settings',
    tags,
    params,
    body: contentOf({ type: 'object', properties: settings.properties }),
    response: { 200: settings, ...refused },
  },
  changePassword: {
    summary: 'Change one’s own password; what was issued before counts no more',
    tags,
    params,
    headers: ifMatch,
    body: contentOf({
      type: 'object',
      properties: {
        password: { ...password, description: 'The current one' },
        new_password: { ...password, description: 'Of three of the four kinds of characters' },
      },
      required: ['password', 'new_password'],
    }),
    response: { 204: { type: 'null', description: 'Changed' }, ...refused },
  },
  changeEmail: {
    summary: 'Ask for another address of one’s own; it is confirmed first',
    tags,
    params,
    body: contentOf({
      type: 'object',
      properties: {
        new_email: { type: 'string', format: 'idn-email' },
        confirm: { type: 'boolean', description: 'Answer with the code: for the community’s own backend' },
        send_email: { type: 'boolean', description: 'Mail the code as well, where the answer has it' },
      },
      required: ['new_email'],
    }),
    response: {
      200: {
        type: 'object',
        description: 'The code, for whom the community’s own backend speaks',
        properties: { validation_code: { type: 'string' } },
        required: ['validation_code'],
      },
      204: { type: 'null', description: 'A mail is on its way' },
      ...refused,
    },
  },
  confirmEmail: {
    summary: 'Confirm a new address by the code; no credentials are needed',
    tags,
    params,
    body: contentOf({
      type: 'object',
      properties: {
        new_email: { type: 'string', format: 'idn-email' },
        validation_code: { type: 'string', description: 'Good once, for a day, for this user and address' },
      },
      required: ['new_email', 'validation_code'],
    }),
    response: { 204: { type: 'null', description: 'Confirmed' }, ...refused },
  },
  checkEmailToken: {
    summary: 'Whether a code would confirm a new address of this user now',
    tags,
    params,
    querystring: {
      type: 'object',
      properties: {
        token: { type: 'string' },
        email_token: { type: 'string', description: 'Another name of `token`' },
      },
    },
    response: {
      200: {
        type: 'object',
        description: 'Whether it would',
        properties: { is_valid: { type: 'boolean' } },
        required: ['is_valid'],
      },
      ...refused,
    },
  },
  createAccount: {
    summary: 'Make an account, for administrators',
    tags,
    body: contentOf({
      type: 'object',
      properties: {
        ...fieldsIn(['username', 'email', 'real_name', 'ext_id', 'role', 'company_name', 'company_role']),
        password: { ...password, description: 'Of three of the four kinds of characters' },
      },
      required: ['username', 'email', 'password'],
    }),
    response: { 201: answer('The user as created', user, true), ...refused },
  },
  searchAccount: {
    summary: 'Find an account by one of its names, also one that was soft-deleted, for administrators',
    tags,
    querystring: {
      type: 'object',
      properties: {
        username: parameter('The username'),
        email: parameter('The e-mail address'),
        ext_id: parameter('The id in another system, with `provider`'),
        provider: parameter('`external`'),
      },
    },
    response: { 200: shapeOf(encodeAccount(shown), 'The account'), ...refused },
  },
  verify: {
    summary: 'Confirm the address of a new account, by a code that was mailed',
    tags,
    body: code,
    response: { 200: issued, ...refused },
  },
  checkCode: {
    summary: 'Tell whether such a code is good, which it stays',
    tags,
    body: code,
    response: {
      200: {
        type: 'object',
        description: 'Whether it is',
        properties: { is_valid: { type: 'boolean' } },
        required: ['is_valid'],
      },
      ...refused,
    },
  },
  recover: {
    summary:
      'Have a code mailed with which a forgotten password is replaced; the same whether anybody has the address',
    tags,
    body: contentOf({
      type: 'object',
      properties: fieldsIn(['email']),
      required: ['email'],
    }),
    response: { 204: { type: 'null', description: 'Taken' }, ...refused },
  },
  reset: {
    summary: 'Replace a forgotten password, by a code that was mailed; what was issued before counts no more',
    tags,
    body: contentOf({
      type: 'object',
      properties: {
        validation_code: { type: 'string' },
        password: { ...password, description: 'Of three of the four kinds of characters' },
      },
      required: ['validation_code', 'password'],
    }),
    response: { 200: issued, ...refused },
  },
  verifyToken: {
    summary: 'Tell whether a token that a backend has signed is good',
    tags,
    body: contentOf({
      type: 'object',
      properties: { token: { type: 'string' } },
      required: ['token'],
    }),
    response: { 200: { type: 'object', description: 'It is', additionalProperties: false }, ...refused },
  },
  signIn: {
    summary: 'Sign in with a token that one has',
    tags,
    response: { 200: signedIn, ...refused },
  },
} as const
