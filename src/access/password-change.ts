import type { Once, SetPassword } from '../directory/command.ts'
import type { Context, Directory, Result } from '../directory/directory.ts'
import { DirectoryError, type Problem } from '../directory/errors.ts'
import { whileOutdated } from '../directory/outdated.ts'
import type { Confirmation } from './confirmation.ts'
import type { Passwords } from './passwords.ts'

export interface PasswordChangeOptions {
  readonly directory: Pick<Directory, 'setPassword'>
  readonly passwords: Pick<Passwords, 'hash'>
  readonly confirmation: Confirmation
}

type Circumstances = 'kind' | 'actor' | 'requestId' | 'changeId' | 'at'

export interface WantedPassword {
  /** What is known to be wrong with the new password is among its problems. */
  readonly asked: Omit<SetPassword, Circumstances | 'password' | 'basis' | 'once'>
  /** Where it is asked from. */
  readonly ip: string
  /** What is said to be the current password, and what it is called; undefined where it need not be said. */
  readonly current: { readonly password: string; readonly property: string } | undefined
  readonly next: string
  /** For a request that may come again: works out by what it is known then, which is dear. */
  readonly once?: (() => Promise<Once | undefined>) | undefined
}

/**
 * Changes passwords of people whose current one is known to who asks, or need not be. What is refused
 * anyway is so before anything is hashed.
 * @returns rejects with a DirectoryError as `setPassword` does, and `rate_limited` after too many wrong passwords
 */
export function createPasswordChange({ directory, passwords, confirmation }: PasswordChangeOptions) {
  /**
   * What would come of it. Without the conditions where it may be a repetition, which has changed what they are about.
   * @returns nothing where that is still to be seen: what is kept under the key comes before what is not valid
   */
  async function attempt(of: Context, { asked, once }: WantedPassword): Promise<Result | undefined> {
    const conditions = once === undefined ? {} : { ifMatch: undefined, ifNoneMatch: undefined }
    try {
      return await directory.setPassword(of, { ...asked, ...conditions, password: '', dryRun: true })
    } catch (error) {
      if (once !== undefined && error instanceof DirectoryError && error.code === 'invalid') return undefined
      throw error
    }
  }

  async function change(of: Context, wanted: WantedPassword, basis: SetPassword['basis']): Promise<Result> {
    const { current, next, ip } = wanted
    const who = { ip, userId: wanted.asked.id }
    const isRight =
      current === undefined || (await confirmation.confirm({ ...who, password: current.password }))
    const wrong = isRight ? [] : [wrongPassword(current.property)]
    const asked = { ...wanted.asked, basis, problems: [...(wanted.asked.problems ?? []), ...wrong] }
    if (asked.dryRun) return directory.setPassword(of, { ...asked, password: '' })
    const once = await wanted.once?.()
    const password = isRight ? await passwords.hash(next) : ''
    const result = await directory.setPassword(of, { ...asked, once, password })
    // The current password was another when the request came first.
    if (!isRight) await confirmation.forgive(who)
    return result
  }

  return (of: Context, wanted: WantedPassword): Promise<Result> =>
    whileOutdated('version', async () => {
      const tried = await attempt(of, wanted)
      // What is not valid changes nothing: it is told why, or that the key was used for another request.
      if (tried === undefined)
        return directory.setPassword(of, { ...wanted.asked, once: await wanted.once?.(), password: '' })
      // The password that is confirmed must still be the current one when it is changed.
      const basis = wanted.current === undefined ? undefined : { version: tried.user.version - 1 }
      return change(of, wanted, basis)
    })
}

export type PasswordChange = ReturnType<typeof createPasswordChange>

const wrongPassword = (property: string): Problem => ({ property, message: 'is not the current password' })
