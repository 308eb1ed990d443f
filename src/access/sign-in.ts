import { claim } from '../directory/claims.ts'
import type { Credentials } from '../directory/credentials.ts'
import type { Store } from '../directory/store.ts'
import { countAttempts, take } from './attempts.ts'
import { hashOf } from './authenticate.ts'
import { secondsOf, subjectOf } from './limits.ts'
import type { Passwords } from './passwords.ts'
import type { Count, Rate } from './windows.ts'

export interface Attempt {
  readonly ip: string
  /** An e-mail address or a username. */
  readonly name: string
  readonly password: string
}

/** Who has shown that it is them, and when, in milliseconds since 1970, UTC. */
export interface Signed {
  readonly userId: number
  readonly at: number
}

export type SignedIn =
  | { readonly signed: Signed }
  | { readonly refused: 'wrong' }
  /** Too often: seconds after which it may be tried again. */
  | { readonly refused: 'wait'; readonly retryAfter: number }

export interface SignInOptions {
  readonly store: Pick<Store, 'find' | 'credentials'>
  readonly passwords: Pick<Passwords, 'verify'>
  /** Makes what counts under a name: in memory, or shared by nodes. */
  readonly counting: (name: string, rate: Rate) => Count
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
}

/** How often a sign-in may fail: for an address, and for a name, whether anybody has it or not. */
export const signInFailures = {
  ofAddress: { quota: 30, seconds: 300 },
  ofName: { quota: 10, seconds: 300 },
} as const

/** How many sign-ins may be begun from an address, whatever else it may ask: each is kept for two hours. */
export const signInsBegun = { quota: 600, seconds: 300 } as const

/** Rejects with a DirectoryError `rate_limited` where an address has begun too many. */
export function limitSignIns(counting: SignInOptions['counting']): (ip: string) => Promise<unknown> {
  const begun = counting('sign-in-begun', signInsBegun)
  return (ip) => take([begun, subjectOf(ip), signInsBegun])
}

/**
 * Signs people in by password. The answer is the same, and takes as long, whether there is such a person,
 * whether they have a password, and whether they are blocked: a hash is verified in every case.
 * @throws DirectoryError `unavailable`, also where too many passwords are waiting
 */
export type SignIn = (attempt: Attempt) => Promise<SignedIn>

export function createSignIn({ store, passwords, counting, now }: SignInOptions): SignIn {
  const { ofAddress, ofName: ofEach } = signInFailures
  const attempts = countAttempts({ counting, what: 'sign-in', ofAddress, of: 'name', ofEach })

  return async ({ ip, name, password }) => {
    const wanted = claim(name.includes('@') ? 'email' : 'username', name)
    const about = hashOf(wanted.key)
    const left = await attempts.begin(ip, about)
    if (left !== undefined) return { refused: 'wait', retryAfter: secondsOf(left) }
    // Before it is asked what the password is: it may be another by the time that it is known to be right.
    const at = now()
    let isWrong = false
    try {
      const user = await store.find(wanted)
      const known = await store.credentials(user?.id ?? 0)
      const isRight = await passwords.verify(password, known?.password ?? null)
      isWrong = !isRight || !mayComeIn(known)
      if (isWrong || user === undefined) return { refused: 'wrong' }
      return { signed: { userId: user.id, at } }
    } finally {
      // What could not be judged was no guess either.
      if (!isWrong) await attempts.forgive(ip, about)
    }
  }
}

function mayComeIn(known: Credentials | undefined): boolean {
  return known?.status === 'active' && known.password !== null
}
