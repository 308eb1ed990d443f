import { randomBytes } from 'node:crypto'
import { claim } from '../directory/claims.ts'
import type { EmailRules } from '../directory/email-requests.ts'
import { DirectoryError } from '../directory/errors.ts'
import { take } from './attempts.ts'
import { hashOf } from './authenticate.ts'
import { subjectOf } from './limits.ts'
import type { Count, Rate } from './windows.ts'

/** How often a mail may be asked for: in the name of a user, and to an address; and how often a token be wrong. */
export const emailLimits = {
  ofUser: { quota: 10, seconds: 3_600 },
  ofEmail: { quota: 5, seconds: 3_600 },
  ofTokens: { quota: 30, seconds: 300 },
} as const

export interface EmailLimits extends Pick<EmailRules, 'admit'> {
  /**
   * Does something with a token that somebody brings, which counts where the token is of no use: many of those
   * are guesses. Whatever else went wrong says nothing of it. Rejects with a DirectoryError `rate_limited`
   * after too many, whatever the token is.
   * @param isUseless whether what came of it says that the token is of no use; a refusal that says so counts anyway
   */
  readonly tryToken: <T>(ip: string, work: () => Promise<T>, isUseless?: (result: T) => boolean) => Promise<T>
}

/** @param counting makes what counts under a name: in memory, or shared by nodes */
export function createEmailLimits(counting: (name: string, rate: Rate) => Count): EmailLimits {
  const ofUser = counting('email-user', emailLimits.ofUser)
  const ofEmail = counting('email-address', emailLimits.ofEmail)
  const ofTokens = counting('email-token', emailLimits.ofTokens)

  return {
    admit: (userId, email) =>
      take(
        [ofUser, String(userId), emailLimits.ofUser],
        [ofEmail, hashOf(claim('email', email).key), emailLimits.ofEmail],
      ),

    // By address alone: what anybody can use up in somebody's name would keep them from their own change.
    async tryToken(ip, work, isUseless = () => false) {
      const giveBack = await take([ofTokens, subjectOf(ip), emailLimits.ofTokens])
      let isGuess = false
      try {
        const result = await work()
        isGuess = isUseless(result)
        return result
      } catch (error) {
        isGuess = isAboutToken(error)
        throw error
      } finally {
        if (!isGuess) await giveBack()
      }
    },
  }
}

/** Whether there is no such token, or not any more; or nobody whom it is about. */
function isAboutToken(error: unknown): boolean {
  if (!(error instanceof DirectoryError)) return false
  return error.code === 'not_found' || error.problems.some(({ property }) => property === 'token')
}

/** What a mail's link has to say, besides which change it is for: 192 random bits. */
export const newSecret = () => randomBytes(24).toString('base64url')
