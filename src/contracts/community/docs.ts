import { answer, conditions, idSchema } from '../schema.ts'
import { errorSchema } from './errors.ts'
import {
  account,
  avatar,
  code,
  contentOf,
  counters,
  fieldsIn,
  issued,
  item,
  me,
  one,
  pageOf,
  password,
  picture,
  profile,
  settings,
  signedIn,
  user,
  whole,
  withPictures,
} from './schemas.ts'

/** What the OpenAPI document and the serializer are told of each route. */

const tags = ['community']
const refused = { '4xx': errorSchema, '5xx': errorSchema }
const params = { type: 'object', properties: { id: idSchema }, required: ['id'] } as const
const ifMatch = conditions({ 'If-Match': 'Only if the user is still at this ETag' })

const ignored = { type: 'string', description: 'What of the body was left alone: read-only or not known' }
const changed = answer('The user as updated', user)
const edited = {
  tags,
  params,
  headers: ifMatch,
  body: profile,
  response: {
    200: { ...changed, headers: { ...(changed.headers as object), 'Roster-Ignored': ignored } },
    ...refused,
  },
}

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
    response: { 200: counters, ...refused },
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
    headers: ifMatch,
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
    response: { 200: account, ...refused },
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
