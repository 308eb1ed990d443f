import type { Once } from './command.ts'
import { type Refusal, refusal } from './errors.ts'
import { otherRequest } from './receipt.ts'

/**
 * The requests with idempotency keys that run in this process now. One that comes again meanwhile, from
 * a caller who lost patience, is told so at once rather than made to wait as well. Between processes
 * the store decides: there the second waits for the first and is told what came of it.
 */
export function createRunning() {
  const hashes = new Map<string, string>()
  const nameOf = ({ actor, key }: Once) => JSON.stringify([actor, key])
  return {
    /** Why a request must not run now, where another with its key does. */
    clash(once: Once): Refusal | undefined {
      const hash = hashes.get(nameOf(once))
      if (hash === undefined) return undefined
      return hash === once.hash ? stillRunning : otherRequest
    },

    async during<T>(onces: readonly Once[], work: () => Promise<T>): Promise<T> {
      for (const once of onces) hashes.set(nameOf(once), once.hash)
      try {
        return await work()
      } finally {
        for (const once of onces) hashes.delete(nameOf(once))
      }
    },
  }
}

const stillRunning = refusal('in_progress', 'The request with this idempotency key is still running')
