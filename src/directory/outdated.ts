import type { Basis } from './command.ts'
import { DirectoryError } from './errors.ts'

/** Of somebody whose record others keep changing meanwhile. */
const maxTries = 5

/**
 * Does again what was worked out from a record that is another by the time of the command.
 * @param field of its basis: other conditions that do not hold are the caller's
 * @param work reads the record anew, and says in its command what was read (`basis`)
 */
export async function whileOutdated<T>(field: keyof Basis, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries >= maxTries || !isOutdated(error, [field])) throw error
    }
  }
}

/** Whether a command was refused because one of these values of its basis is another by now. */
export function isOutdated(error: unknown, names: readonly string[]): boolean {
  if (!(error instanceof DirectoryError) || error.code !== 'precondition_failed') return false
  return error.problems.some(({ field }) => field !== undefined && names.includes(field))
}
