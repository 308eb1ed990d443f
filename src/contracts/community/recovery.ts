import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IssuedToken, PersonTokens } from '../../access/person-tokens.ts'
import type { Recovery } from '../../access/recovery.ts'
import { afterCommit, DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { conditionsOf } from '../request.ts'
import { readTexts, tellIgnored } from './decode.ts'
import { judgeNewPassword } from './password.ts'

export interface RecoveryOptions {
  readonly recovery: Pick<Recovery, 'request' | 'reset'>
  readonly tokens: Pick<PersonTokens, 'issue'>
}

/** For who has forgotten their password: a mail with a code, and another password for the code. */
export function createRecoveryRoutes({ recovery, tokens }: RecoveryOptions) {
  return {
    /** The answer is the same whether anybody has the address. */
    recover: async (request: FastifyRequest, reply: FastifyReply) => {
      const { texts, ignored, problems } = await readTexts(request, ['email'])
      const all = [...conditionsOf(request), ...problems]
      if (texts.email === undefined || all.length > 0) throw invalid(all)
      await recovery.request(texts.email, request.ip)
      tellIgnored(reply, ignored)
      return reply.code(204).send()
    },

    reset: async (request: FastifyRequest, reply: FastifyReply) => {
      const { texts, ignored, problems } = await readTexts(request, ['validation_code', 'password'])
      const { validation_code: token, password } = texts
      const all = [...conditionsOf(request), ...problems]
      if (token === undefined || password === undefined || all.length > 0) throw invalid(all)
      const asked = { token, password, fault: await judgeNewPassword(password), ip: request.ip }
      const contract = 'community'
      const user = await recovery.reset({ ...asked, requestId: request.id, contract }).catch(named)
      tellIgnored(reply, ignored)
      return sendToken(reply, await afterCommit(tokens.issue(user.id)))
    },
  }
}

export function invalid(problems: readonly Problem[]): DirectoryError {
  return new DirectoryError(refusal('invalid', 'The request is not valid', problems))
}

/** A code that is good for nothing is a value that is wrong. */
function named(error: unknown): never {
  if (!(error instanceof DirectoryError) || error.code !== 'not_found') throw error
  throw invalid([uselessCode])
}

export const uselessCode: Problem = { property: 'validation_code', message: 'is not good, or not any more' }

export function sendToken(reply: FastifyReply, { token, scopes, expiresIn }: IssuedToken) {
  reply.header('cache-control', 'no-store')
  return {
    token: {
      access_token: token,
      expires_in: expiresIn,
      token_type: 'Bearer',
      refresh_token: null,
      client_id: null,
      scope: scopes.join(' '),
    },
  }
}
