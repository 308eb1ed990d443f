import { type FieldName, fieldNames } from '../../directory/fields.ts'
import type { User } from '../../directory/user.ts'
import type { Properties } from '../request.ts'

/** What a user of the platform API consists of, besides the id and the times. The words are the directory's own. */
export const properties = {
  email: 'email',
  username: 'username',
  first_name: 'first_name',
  last_name: 'last_name',
  role: 'role',
} as const satisfies Properties

/** Pictures have addresses of their own. */
const hidden: ReadonlySet<FieldName> = new Set(['avatar', 'cover'])

export const profileNames = fieldNames.filter((name) => !hidden.has(name))

/** What a profile consists of, besides the id and the times: every field of the catalogue that has a form here. */
export const profileProperties: Properties = Object.fromEntries(profileNames.map((name) => [name, name]))

/** `2023-01-01T12:00:00Z`: UTC, to the second. */
export function encodeTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}

/** Whole seconds since 1970, where it is a time as it is shown. */
export function decodeTime(value: unknown): number | undefined {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value)) return undefined
  const at = Date.parse(value)
  return Number.isNaN(at) || encodeTime(at) !== value ? undefined : at / 1000
}

/** The page's eight properties, in its order. A value that the user does not have is null. */
export function encodeUser(user: User) {
  return {
    id: user.uid,
    email: user.email,
    username: user.username,
    first_name: user.first_name,
    last_name: user.last_name,
    role: user.role,
    created_at: encodeTime(user.created_at),
    updated_at: encodeTime(user.updated_at),
  }
}

export type ProfileDocument = Readonly<Record<string, unknown>>

export function encodeProfile(user: User): ProfileDocument {
  const profile: Record<string, unknown> = { id: user.uid }
  for (const name of profileNames) profile[name] = user[name]
  profile.created_at = encodeTime(user.created_at)
  profile.updated_at = encodeTime(user.updated_at)
  return profile
}
