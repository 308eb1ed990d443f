import type { Value } from '../../directory/field-types.ts'
import { fieldNames } from '../../directory/fields.ts'
import type { User } from '../../directory/user.ts'

/** The columns of `users`, in the order in which they are read: the names are the directory's own. */
export const columns = ['id', 'uid', 'status', 'version', 'created_at', 'updated_at', ...fieldNames] as const

/** @param row a row read as an object: the driver has given every value its type */
export function toUser(row: Readonly<Record<string, unknown>>): User {
  return row as unknown as User
}

/** A field's value as a parameter: lists are JSON text, for a jsonb column. */
export function toSql(value: Value | null): string | number | boolean | null {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value
}
