import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EmailLimits } from '../../access/email-limits.ts'
import type { PersonTokens } from '../../access/person-tokens.ts'
import { uselessToken } from '../../directory/decide-email.ts'
import type { Directory } from '../../directory/directory.ts'
import { afterCommit, DirectoryError } from '../../directory/errors.ts'
import { conditionsOf } from '../request.ts'
import { readTexts, tellIgnored } from './decode.ts'
import { invalid, sendToken, uselessCode } from './recovery.ts'

export interface VerificationOptions {
  readonly directory: Pick<Directory, 'emailChanges'>
  readonly limits: Pick<EmailLimits, 'tryToken'>
  readonly tokens: Pick<PersonTokens, 'issue'>
}

/** For who was mailed a code when their account was made. It is for them and that address, and good once. */
export function createVerification({ directory: { emailChanges }, limits, tokens }: VerificationOptions) {
  /**
   * Codes of other mails confirm an address that is to be somebody's; who reads that is perhaps a stranger,
   * and must not be let in as them.
   */
  async function isGood(code: string): Promise<boolean> {
    const found = await emailChanges.peek(code)
    return found?.proof === 'new' && found.isOwn
  }

  async function readCode(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const { texts, ignored, problems } = await readTexts(request, ['validation_code'])
    const all = [...conditionsOf(request), ...problems]
    if (texts.validation_code === undefined || all.length > 0) throw invalid(all)
    tellIgnored(reply, ignored)
    return texts.validation_code
  }

  return {
    verify: async (request: FastifyRequest, reply: FastifyReply) => {
      const token = await readCode(request, reply)
      const asked = { requestId: request.id, contract: 'community' }
      const confirm = async () => {
        if (!(await isGood(token))) throw new DirectoryError(uselessToken)
        return emailChanges.confirm(asked, { token })
      }
      const { user } = await limits.tryToken(request.ip, confirm).catch(named)
      return sendToken(reply, await afterCommit(tokens.issue(user.id)))
    },

    /** Whether a code is good now; it stays so. */
    check: async (request: FastifyRequest, reply: FastifyReply) => {
      const code = await readCode(request, reply)
      return {
        is_valid: await limits.tryToken(
          request.ip,
          () => isGood(code),
          (is) => !is,
        ),
      }
    },
  }
}

/** Somebody else has used it first. */
function named(error: unknown): never {
  const isUseless =
    error instanceof DirectoryError && error.problems.some(({ property }) => property === 'token')
  throw isUseless ? invalid([uselessCode]) : error
}
