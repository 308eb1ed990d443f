import { noCounters } from '../../directory/counters.ts'
import { catalogue, type FieldName } from '../../directory/fields.ts'
import { type PictureKind, pictureKinds } from '../../directory/picture.ts'
import { settingNames, settingValues } from '../../directory/settings.ts'
import { noFields, type User } from '../../directory/user.ts'
import { formatNames } from '../../media/formats.ts'
import { bodySchema, idSchema, type Schema } from '../schema.ts'
import { bodyTypes } from './decode.ts'
import {
  encodeAccount,
  encodeCounters,
  encodeItem,
  encodeMe,
  encodeUser,
  properties,
  shownToo,
} from './wire.ts'

/** What is sent and answered, as schemas. */

/** Somebody about whom there is nothing to say: what is shown of him are the properties, in their order. */
const somebody: User = {
  ...{ ...noFields, id: 1, uid: '', status: 'deleted', version: 1, created_at: 0, updated_at: 0 },
}
const pictures = { avatar: () => '', cover: () => null }
const shown = { user: somebody, counters: noCounters, seesAll: true, pictures }

const text = { type: ['string', 'null'] } as const
export const whole = { type: 'integer' } as const
const flag = { type: ['boolean', 'null'] } as const
const time = { type: 'string', format: 'date-time' } as const
export const picture = { type: 'string', format: 'uri-reference' } as const
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

export const user = shapeOf(encodeUser(shown), 'A user')
export const me = shapeOf(encodeMe(shown), 'The caller')
export const item = shapeOf(encodeItem(shown), 'A user, in short')
export const account = shapeOf(encodeAccount(shown), 'The account')
export const counters = shapeOf(encodeCounters(noCounters), 'The counters')
export const one = shapeOf({ ...encodeUser(shown), can_send_pm_to: false }, 'A user')
export const signedIn = {
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

export function pageOf(items: Schema): Schema {
  const link = { type: ['string', 'null'], format: 'uri-reference' } as const
  return {
    type: 'object',
    description: 'A page of a list',
    properties: { count: whole, next: link, previous: link, results: { type: 'array', items } },
    required: ['count', 'next', 'previous', 'results'],
  }
}

export const avatar = {
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

export const settings = {
  type: 'object',
  description: 'The settings',
  properties: Object.fromEntries(
    settingNames.map((name) => [name, { type: 'integer', enum: settingValues[name] }]),
  ),
  required: settingNames,
} as const

export const issued = {
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
export function withPictures(schema: Schema, kinds: readonly PictureKind[]) {
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

/** What of a profile can be edited. */
export const profile = withPictures(bodySchema(properties), pictureKinds)

/** A body of any of the types that are read. */
export function contentOf(schema: Schema) {
  return { content: Object.fromEntries(bodyTypes.split(', ').map((type) => [type, { schema }])) }
}

export function fieldsIn(names: readonly FieldName[]): Record<string, Schema> {
  return Object.fromEntries(
    names.map((name) => [name, { description: catalogue[name].doc, ...catalogue[name].schema }]),
  )
}

export const password = { type: 'string', minLength: 8, maxLength: 128, format: 'password' } as const

export const code = contentOf({
  type: 'object',
  properties: { validation_code: { type: 'string' } },
  required: ['validation_code'],
})
