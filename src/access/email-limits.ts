import { randomBytes } from 'node:crypto'
import { claim } from '../directory/claims.ts'
import type { EmailRules } from '../directory/email-requests.ts'
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
   * Counts a token that somebody brings, until it is known to be right: many wrong ones are guesses.
   * Rejects with a DirectoryError `rate_limited`, whatever the token is.
   * @returns takes it back
   */
  readonly tryToken: (ip: string) => Promise<() => Promise<void>>
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
    tryToken: (ip) => take([ofTokens, subjectOf(ip), emailLimits.ofTokens]),
  }
}

/** What a mail's link has to say, besides which change it is for: 192 random bits. */
export const newSecret = () => randomBytes(24).toString('base64url')
