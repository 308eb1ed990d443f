import { rateLimited } from '../directory/errors.ts'
import type { Store } from '../directory/store.ts'
import { secondsOf, subjectOf } from './limits.ts'
import type { Passwords } from './passwords.ts'
import type { Count, Rate } from './windows.ts'

export interface Claimed {
  readonly ip: string
  readonly userId: number
  /** What is said to be the user's password. */
  readonly password: string
}

export interface ConfirmationOptions {
  readonly store: Pick<Store, 'credentials'>
  readonly passwords: Pick<Passwords, 'verify'>
  /** Makes what counts under a name: in memory, or shared by nodes. */
  readonly counting: (name: string, rate: Rate) => Count
}

/** How often a wrong password may be said: from an address, and of a user. */
export const confirmationFailures = {
  ofAddress: { quota: 30, seconds: 300 },
  ofUser: { quota: 10, seconds: 300 },
} as const

/** Asks whoever is let in already for a password again, before something that only its owner shall do. */
export function createConfirmation({ store, passwords, counting }: ConfirmationOptions) {
  const ofAddress = counting('password-address', confirmationFailures.ofAddress)
  const ofUser = counting('password-user', confirmationFailures.ofUser)
  const subjects = ({ ip, userId }: Omit<Claimed, 'password'>) =>
    [
      [ofAddress, subjectOf(ip), confirmationFailures.ofAddress.quota],
      [ofUser, String(userId), confirmationFailures.ofUser.quota],
    ] as const

  /** Takes back that a password was wrong, where that was no guess after all. */
  async function forgive(claimed: Omit<Claimed, 'password'>): Promise<void> {
    for (const [count, subject] of subjects(claimed)) await count(subject, -1)
  }

  return {
    /**
     * Whether this is the password; it is not where the user has none. What is wrong is counted.
     * @throws DirectoryError `rate_limited` after too many wrong ones, whatever this one is; `unavailable`
     */
    async confirm(claimed: Claimed): Promise<boolean> {
      // Counted before it is known, so that many at once are not judged on the count of one.
      for (const [count, subject, quota] of subjects(claimed)) {
        const { used, left } = await count(subject, 1)
        if (used > quota) throw rateLimited(secondsOf(left))
      }
      let isWrong = false
      try {
        const known = await store.credentials(claimed.userId)
        isWrong = !(await passwords.verify(claimed.password, known?.password ?? null))
      } finally {
        if (!isWrong) await forgive(claimed)
      }
      return !isWrong
    },

    forgive,
  }
}

export type Confirmation = ReturnType<typeof createConfirmation>
