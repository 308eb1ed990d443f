import type { FieldName } from '../../directory/fields.ts'
import type { User } from '../../directory/user.ts'
import type { Properties } from '../request.ts'

export const properties = {
  lastName: 'last_name',
  firstName: 'first_name',
  email: 'email',
} as const satisfies Properties

/** The whole of a record, so creating and replacing need all of it. */
export const required: readonly FieldName[] = Object.values(properties)

/** Shorter names than the directory allows, in characters. */
export const maxLength = { last_name: 100, first_name: 100 } as const

/** The page's order: id last. */
export function encodeUser(user: User) {
  return { lastName: user.last_name, firstName: user.first_name, email: user.email, id: user.id }
}
