import { rateLimited } from '../directory/errors.ts'
import { secondsOf, subjectOf } from './limits.ts'
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

/** What is counted, for whom, and how often it may be. */
export type Charge = readonly [Count, subject: string, Rate]

/**
 * Counts one of each, before it is known what comes of it, so that many at once are not judged on the count
 * of one. What is refused uses nothing up.
 * @returns milliseconds to wait after too many, undefined where there were not
 */
async function charge(charges: readonly Charge[]): Promise<number | undefined> {
  for (const [n, [count, subject, { quota }]] of charges.entries()) {
    const { used, left } = await count(subject, 1)
    if (used <= quota) continue
    await giveBack(charges.slice(0, n + 1))
    return left
  }
  return undefined
}

async function giveBack(charges: readonly Charge[]): Promise<void> {
  for (const [count, subject] of charges) await count(subject, -1)
}

/**
 * As `charge`, for what rejects with a DirectoryError `rate_limited` after too many.
 * @returns takes back what was counted
 */
export async function take(...charges: readonly Charge[]): Promise<() => Promise<void>> {
  const left = await charge(charges)
  if (left !== undefined) throw rateLimited(secondsOf(left))
  return () => giveBack(charges)
}

/** Counts what fails: from an address, and for whatever it is about. */
export function countAttempts({ counting, what, ofAddress, of, ofEach }: AttemptsOptions) {
  const fromAddress = counting(`${what}-address`, ofAddress)
  const forEach = counting(`${what}-${of}`, ofEach)
  const charges = (ip: string, about: string): readonly Charge[] => [
    [fromAddress, subjectOf(ip), ofAddress],
    [forEach, about, ofEach],
  ]

  return {
    /** @returns milliseconds to wait after too many, undefined where it may be tried */
    begin: (ip: string, about: string) => charge(charges(ip, about)),

    /** Takes back an attempt that has not failed. */
    forgive: (ip: string, about: string) => giveBack(charges(ip, about)),
  }
}
