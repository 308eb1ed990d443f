import type { SQLOutputValue } from 'node:sqlite'
import type { Value } from '../../directory/field-types.ts'
import { catalogue, type FieldName, fieldNames } from '../../directory/fields.ts'
import type { Outcome } from '../../directory/store.ts'
import type { User } from '../../directory/user.ts'

/** The columns of `users`, in the order in which they are read: the names are the directory's own. */
export const columns = [
  ...(['id', 'uid', 'status', 'version', 'created_at', 'updated_at', 'email_change'] as const),
  ...fieldNames,
] as const

type Row = readonly SQLOutputValue[]

const emptyUser = Object.fromEntries(columns.map((name) => [name, null])) as unknown as User

const kinds = columns.map((name) => {
  const type = name in catalogue ? catalogue[name as FieldName].schema.type : 'plain'
  return type === 'boolean' || type === 'array' ? type : 'plain'
})

/** @param row a row read as an array, with the columns above */
export function toUser(row: Row): User {
  // A copy of one object and then what has a value, rather than property by property: half the time.
  const user: Record<string, unknown> = { ...emptyUser }
  for (let i = 0; i < columns.length; i++) {
    const value = row[i]
    if (value !== null)
      user[columns[i] as string] = kinds[i] === 'plain' ? value : unpackValue(kinds[i], value)
  }
  return user as unknown as User
}

function unpackValue(kind: string | undefined, value: unknown): unknown {
  return kind === 'boolean' ? value === 1 : JSON.parse(String(value))
}

/** A field's value as SQLite keeps it. */
export function toSql(value: Value | null): string | number | null {
  if (typeof value === 'boolean') return value ? 1 : 0
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value
}

/** A user with only what has a value: a fraction of the text to send from thread to thread. */
export type Packed = Partial<User>

export function pack(user: User): Packed {
  const packed: Record<string, unknown> = {}
  for (const name of columns) if (user[name] !== null) packed[name] = user[name]
  return packed
}

export function unpack(packed: Packed): User {
  return { ...emptyUser, ...packed }
}

/** An outcome with its user packed. */
export type PackedOutcome = Exclude<Outcome, { user: User }> | Repacked<Extract<Outcome, { user: User }>>
type Repacked<O> = O extends { user: User } ? Omit<O, 'user'> & { readonly user: Packed } : never

export function packOutcome(outcome: Outcome): PackedOutcome {
  return 'user' in outcome ? { ...outcome, user: pack(outcome.user) } : outcome
}

export function unpackOutcome(outcome: PackedOutcome): Outcome {
  return 'user' in outcome ? { ...outcome, user: unpack(outcome.user) } : outcome
}
