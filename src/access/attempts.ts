import { subjectOf } from './limits.ts'
import type { Count, Rate } from './windows.ts'

export interface AttemptsOptions {
  /** Makes what counts under a name: in memory, or shared by nodes. */
  readonly counting: (name: string, rate: Rate) => Count
  /** What is counted, as in `sign-in`. */
  readonly what: string
  /** How often it may fail from an address. */
  readonly ofAddress: Rate
  /** What else it is counted for, as in `name`, and how often it may fail for one of those. */
  readonly of: string
  readonly ofEach: Rate
}

/** Counts what fails: from an address, and for whatever it is about. */
export function countAttempts({ counting, what, ofAddress, of, ofEach }: AttemptsOptions) {
  const fromAddress = [counting(`${what}-address`, ofAddress), ofAddress.quota] as const
  const forEach = [counting(`${what}-${of}`, ofEach), ofEach.quota] as const
  const counts = (ip: string, about: string) =>
    [
      [...fromAddress, subjectOf(ip)],
      [...forEach, about],
    ] as const

  return {
    /**
     * Counts an attempt before it is known what comes of it, so that many at once are not judged on the
     * count of one.
     * @returns milliseconds to wait after too many, undefined where it may be tried
     */
    async begin(ip: string, about: string): Promise<number | undefined> {
      for (const [count, quota, subject] of counts(ip, about)) {
        const { used, left } = await count(subject, 1)
        if (used > quota) return left
      }
      return undefined
    },

    /** Takes back an attempt that has not failed. */
    async forgive(ip: string, about: string): Promise<void> {
      for (const [count, , subject] of counts(ip, about)) await count(subject, -1)
    },
  }
}
