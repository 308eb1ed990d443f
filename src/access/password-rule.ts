import { lengthOf } from '../directory/field-types.ts'
import { isCommonPassword } from './common-passwords.ts'

/** What is wrong with a password that somebody shall have, in words that follow its name; undefined where nothing is. */
export function faultOfPassword(value: unknown): string | undefined {
  if (value === undefined) return 'is required'
  if (typeof value !== 'string') return 'must be a string'
  if (!value.isWellFormed()) return 'must be well-formed Unicode, without lone surrogates'
  const length = lengthOf(value)
  if (length < 8) return 'must be at least 8 characters'
  return length > 128 ? 'must be at most 128 characters' : undefined
}

/** As `faultOfPassword`, for one that somebody chooses in place of another: none of those that many have. */
export async function faultOfChosenPassword(value: unknown): Promise<string | undefined> {
  const fault = faultOfPassword(value)
  if (fault !== undefined) return fault
  return (await isCommonPassword(String(value))) ? 'must not be one of the most common passwords' : undefined
}
