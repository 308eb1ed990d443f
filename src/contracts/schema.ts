import { catalogue } from '../directory/fields.ts'
import { maxId } from '../directory/user.ts'
import type { Properties } from './request.ts'

/**
 * JSON Schemas (2020-12) for the OpenAPI document and the serializer, made from the field catalogue.
 * They describe and do not judge: whether a value is acceptable depends on the record it meets
 * (directory/patch.ts), which no schema of a request can know.
 */
export type Schema = Readonly<Record<string, unknown>>

export const idSchema = { type: 'integer', minimum: 1, maximum: maxId } as const

/** A body of the given properties. */
export function bodySchema(
  properties: Properties,
  options: { required?: boolean; maxLength?: Readonly<Record<string, number>> } = {},
): Schema {
  const described = Object.entries(properties).map(([name, field]) => {
    const max = options.maxLength?.[field]
    const { doc, schema } = catalogue[field]
    return [name, { description: doc, ...schema, ...(max !== undefined && { maxLength: max }) }]
  })
  return {
    type: 'object',
    properties: Object.fromEntries(described),
    additionalProperties: false,
    ...(options.required && { required: Object.keys(properties) }),
  }
}

/** A user as a contract shows it: all properties always there, null without a value, the id last. */
export function userSchema(properties: Properties): Schema {
  const shown = Object.entries(properties).map(([name, field]) => {
    const { doc, schema } = catalogue[field]
    const values = Array.isArray(schema.enum) ? { enum: [...schema.enum, null] } : {}
    return [name, { description: doc, type: [schema.type, 'null'], ...values }]
  })
  return {
    type: 'object',
    properties: {
      ...Object.fromEntries(shown),
      id: { ...idSchema, description: 'The unique id of the user' },
    },
    required: [...Object.keys(properties), 'id'],
    additionalProperties: false,
  }
}

const etag = { type: 'string', description: 'The version of the user, for If-Match' } as const
const location = { type: 'string', description: 'Where the user is' } as const

/** An answer that shows a user: as it is described and with the headers that come along. */
export function answer(description: string, schema: Schema, created = false): Schema {
  return { ...schema, description, headers: { ETag: etag, ...(created && { Location: location }) } }
}

/** The headers by which a request can be made to depend on the version of the user (RFC 9110, section 13). */
export function conditions(described: Readonly<Record<string, string>>): Schema {
  const properties = Object.entries(described).map(([name, description]) => [
    name,
    { type: 'string', description },
  ])
  return { type: 'object', properties: Object.fromEntries(properties) }
}
