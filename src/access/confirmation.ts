import { rateLimited } from '../directory/errors.ts'
import type { Store } from '../directory/store.ts'
import { countAttempts } from './attempts.ts'
import { secondsOf } from './limits.ts'
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
  const { ofAddress, ofUser: ofEach } = confirmationFailures
  const attempts = countAttempts({ counting, what: 'password', ofAddress, of: 'user', ofEach })

  /** Takes back that a password was wrong, where that was no guess after all. */
  const forgive = ({ ip, userId }: Omit<Claimed, 'password'>) => attempts.forgive(ip, String(userId))

  return {
    /**
     * Whether this is the password; it is not where the user has none. What is wrong is counted.
     * @throws DirectoryError `rate_limited` after too many wrong ones, whatever this one is; `unavailable`
     */
    async confirm(claimed: Claimed): Promise<boolean> {
      const left = await attempts.begin(claimed.ip, String(claimed.userId))
      if (left !== undefined) throw rateLimited(secondsOf(left))
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
