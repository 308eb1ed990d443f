import type { Value } from '../../directory/field-types.ts'
import { catalogue, fieldNames } from '../../directory/fields.ts'
import type { User } from '../../directory/user.ts'

/** The columns of `users`, in the order in which they are read: the names are the directory's own. */
export const columns = [
  ...(['id', 'uid', 'status', 'version', 'created_at', 'updated_at', 'email_change'] as const),
  ...fieldNames,
] as const

const ownTypes: Readonly<Record<string, string>> = {
  ...{
    id: 'bigint',
    uid: 'text',
    status: 'text',
    version: 'bigint',
    created_at: 'bigint',
    updated_at: 'bigint',
    email_change: 'text',
  },
}

const types: Readonly<Record<string, string>> = { string: 'text', boolean: 'boolean', integer: 'bigint' }

/** The type that a column has: the one that suits the schema of the field. */
export function columnType(name: (typeof columns)[number]): string {
  return ownTypes[name] ?? types[String(catalogue[name as keyof typeof catalogue].schema.type)] ?? 'jsonb'
}
/** @param row a row read as an object: the driver has given every value its type */
export function toUser(row: Readonly<Record<string, unknown>>): User {
  return row as unknown as User
}

/** A field's value as a parameter: lists are JSON text, for a jsonb column. */
export function toSql(value: Value | null): string | number | boolean | null {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value
}
