import { type Claim, claim } from './claims.ts'
import { catalogue, type FieldName, fieldNames, type fields } from './fields.ts'

export type Status = 'active' | 'blocked' | 'deleted' | 'erased'

type ValueOf<F> = F extends { parse: (...args: never[]) => infer P }
  ? P extends { value: infer V }
    ? V
    : never
  : never

/** The values of a user's fields; one that has no value is null. */
export type FieldValues = { readonly [F in FieldName]: ValueOf<(typeof fields)[F]> | null }

/** One record. Times are milliseconds since 1970, UTC. */
export interface User extends FieldValues {
  /** 1 … 2^53-1; an id that once named a person never names another. */
  readonly id: number
  readonly uid: string
  readonly status: Status
  /** Counts the committed changes of this user, from 1. */
  readonly version: number
  readonly created_at: number
  readonly updated_at: number
  /** The e-mail change that is pending, by its id (email-change.ts); null where none is. */
  readonly email_change: string | null
}

export const maxId = Number.MAX_SAFE_INTEGER

/** Half of what there is: an import, which moves the allocator, must not use up the ids. */
export const maxImportedId = 2 ** 52

/** An id in its one spelling: decimal, no sign, no leading zero, 1 … 2^53-1. */
export function parseId(text: string): number | undefined {
  if (!/^[1-9]\d{0,15}$/.test(text)) return undefined
  const id = Number(text)
  return id <= maxId ? id : undefined
}

/** A record with nothing in it. */
export const noFields: FieldValues & Pick<User, 'email_change'> = {
  ...(Object.fromEntries(fieldNames.map((name) => [name, null])) as unknown as FieldValues),
  email_change: null,
}

/** What is shown in place of values that were never set, by contracts that do so. */
export function derivedValues({ first_name, last_name }: User): Pick<FieldValues, 'real_name' | 'gender'> {
  const names = [first_name, last_name].filter((name) => name !== null)
  return { real_name: names.length > 0 ? names.join(' ') : null, gender: 'Unspecified' }
}

/** Deleted users are hidden until they are restored, erased ones for ever. */
export function isVisible(user: User): boolean {
  return user.status === 'active' || user.status === 'blocked'
}

const claimFields = fieldNames.filter((name) => catalogue[name].claim !== undefined)

/** The claims that come with a user's values, erased users hold none. */
export function claimsOf(user: User): Claim[] {
  if (user.status === 'erased') return []
  const claims: Claim[] = [claim('uid', user.uid)]
  for (const name of claimFields) {
    const kind = catalogue[name].claim
    const value = user[name]
    if (kind !== undefined && typeof value === 'string') claims.push(claim(kind, value))
  }
  return claims
}
