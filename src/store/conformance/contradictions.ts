import { isDeepStrictEqual } from 'node:util'
import type { Change } from '../../directory/change.ts'
import type { Value } from '../../directory/field-types.ts'
import type { FieldName } from '../../directory/fields.ts'
import { noFields, type User } from '../../directory/user.ts'

/** What does not fit between users and log, in words; none where the log explains every user in full. */
export function contradictions(users: readonly User[], log: readonly Change[]): string[] {
  const wrong: string[] = []
  const byId = new Map(users.map((user) => [user.id, user]))
  const rowsOf = Map.groupBy(log, ({ userId }) => userId)
  for (const id of new Set([...byId.keys(), ...rowsOf.keys()])) {
    const values: Record<string, Value | null> = { ...noFields }
    let status = 'active'
    for (const [n, { version, kind, fields }] of (rowsOf.get(id) ?? []).entries()) {
      if (version !== n + 1) wrong.push(`user ${id}: row ${n + 1} of the log is for version ${version}`)
      for (const [name, [before, after]] of Object.entries(fields)) {
        if (name === 'status') {
          // Blanked with all else by an erasure.
          if (before !== null && before !== status)
            wrong.push(`user ${id}, version ${version}: status was ${status}`)
          continue
        }
        if (!isDeepStrictEqual(values[name], before))
          wrong.push(`user ${id}, version ${version}: ${name} was ${values[name]}, the log says ${before}`)
        values[name] = after
      }
      status = {
        created: String(fields.status?.[1] ?? 'active'),
        removed: 'deleted',
        restored: 'active',
        erased: 'erased',
        updated: String(fields.status?.[1] ?? status),
      }[kind]
    }
    const told = { ...values, status, version: rowsOf.get(id)?.length ?? 0 }
    for (const [name, value] of Object.entries(told)) {
      const kept = byId.get(id)?.[name as FieldName]
      if (!isDeepStrictEqual(kept, value)) wrong.push(`user ${id}: ${name} is ${kept}, the log says ${value}`)
    }
  }
  return wrong
}
