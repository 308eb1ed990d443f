import { isDeepStrictEqual } from 'node:util'
import type { Problem } from './errors.ts'
import { lengthOf, type Rules } from './field-types.ts'
import { catalogue, type FieldName } from './fields.ts'
import type { FieldValues, User } from './user.ts'

/**
 * What a caller wants changed: every content type of every contract compiles to this. A field that
 * is absent keeps its value, null clears it, anything else sets it. Values are as sent: whether one
 * is acceptable depends on the record, so that is judged in `apply`.
 */
export type Patch = { readonly [F in FieldName]?: unknown }

export interface Terms {
  readonly patch: Patch
  /** The fields that the actor may write. */
  readonly writable: ReadonlySet<FieldName>
  readonly contract: string
  /** Fields that must be named. */
  readonly required: readonly FieldName[]
  /** Limits of the contract that are narrower than the catalogue's, in characters. */
  readonly maxLength: Readonly<Partial<Record<FieldName, number>>>
  readonly at: number
}

export interface Applied {
  /** The new values of the fields that really change. */
  readonly values: { readonly [F in FieldName]?: FieldValues[F] }
  readonly changed: readonly FieldName[]
  /** Everything that is wrong, at once. */
  readonly problems: readonly Problem[]
  /** Fields that would change but are not the actor's to write. */
  readonly forbidden: readonly FieldName[]
}

/**
 * Applies a patch to a record. Only what would change is judged: sending back a value as it is
 * never fails, whatever rules came since, and null for an empty field is no change.
 */
export function apply(current: User | FieldValues, terms: Terms, rules: Rules): Applied {
  const values: Partial<Record<FieldName, unknown>> = {}
  const changed: FieldName[] = []
  const problems: Problem[] = []
  const forbidden: FieldName[] = []

  for (const name of terms.required) {
    if (terms.patch[name] === undefined) problems.push({ field: name, message: 'is required' })
  }

  for (const name of Object.keys(terms.patch) as FieldName[]) {
    const sent = terms.patch[name]
    const old = current[name]
    if (sent === undefined || same(sent, old)) continue
    const judged = judge(name, sent, old, terms, rules)
    if ('value' in judged && same(judged.value, old)) continue
    if (!terms.writable.has(name)) {
      forbidden.push(name)
      continue
    }
    if ('problem' in judged) {
      problems.push({ field: name, message: judged.problem })
      continue
    }
    values[name] = judged.value
    changed.push(name)
  }
  return { values: values as Applied['values'], changed, problems, forbidden }
}

function judge(
  name: FieldName,
  sent: unknown,
  old: unknown,
  terms: Terms,
  rules: Rules,
): { readonly value: unknown } | { readonly problem: string } {
  const field = catalogue[name]
  if (sent === null) {
    const mayClear =
      field.clear === 'always' || (field.clear !== 'never' && field.clear.includes(terms.contract))
    return mayClear ? { value: null } : { problem: 'must not be null' }
  }
  const max = terms.maxLength[name]
  const parsed = field.parse(sent, { roles: rules.roles, at: terms.at, maxLength: max })
  if ('problem' in parsed || same(parsed.value, old)) return parsed
  if (max !== undefined && typeof parsed.value === 'string' && lengthOf(parsed.value) > max) {
    return { problem: `must have at most ${max} characters` }
  }
  if (field.once && old !== null) return { problem: 'is set once and can not be changed' }
  return parsed
}

function same(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && a !== null && isDeepStrictEqual(a, b))
}
