import { rateLimited } from '../directory/errors.ts'
import { secondsOf, subjectOf } from './limits.ts'
import { countInMemory } from './windows.ts'

/** How often an address may ask for pictures that are not there: each time costs a look, or a request to a bucket. */
export const misses = { quota: 100, seconds: 60 } as const

/** @param now milliseconds since 1970, UTC */
export function createMisses(now: () => number) {
  const count = countInMemory(misses, now)
  return {
    /** @throws DirectoryError `rate_limited` for an address that has missed too often */
    admit(ip: string): void {
      const { used, left } = count(subjectOf(ip), 0)
      if (used >= misses.quota) throw rateLimited(secondsOf(left))
    },
    count: (ip: string) => void count(subjectOf(ip), 1),
  }
}
