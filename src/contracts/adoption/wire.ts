import type { FieldName } from '../../directory/fields.ts'
import type { User } from '../../directory/user.ts'
import type { Properties } from '../request.ts'

/** The words of the adoption contract are the directory's own. */
export const properties = {
  first_name: 'first_name',
  last_name: 'last_name',
  email: 'email',
  phone: 'phone',
  interested_in: 'interested_in',
} as const satisfies Properties

/** All of them are needed to enroll somebody. */
export const required: readonly FieldName[] = Object.values(properties)

/** The page's order: id last. A value that the person does not have is null. */
export function encodeUser(user: User) {
  return {
    first_name: user.first_name,
    last_name: user.last_name,
    email: user.email,
    phone: user.phone,
    interested_in: user.interested_in,
    id: user.id,
  }
}
