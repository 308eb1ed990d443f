import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EmailLimits } from '../../access/email-limits.ts'
import type { Directory } from '../../directory/directory.ts'
import type { Proof } from '../../directory/email-change.ts'
import { DirectoryError } from '../../directory/errors.ts'
import { type Contract, isUnder } from '../contract.ts'
import { errorPage, formOf, type Page, sendBusy, sendPage, tooOften } from '../html.ts'
import { refuse } from './errors.ts'
import {
  blockedPage,
  confirmedPage,
  confirmPage,
  halfConfirmedPage,
  takenPage,
  undonePage,
  undoPage,
  uselessPage,
} from './pages.ts'

export interface EmailOptions {
  readonly limits: Pick<EmailLimits, 'tryToken'>
}

/**
 * The pages behind the links of mails. Looking at one changes nothing, since programs that look for evil
 * follow every link of a mail; its button does. No page loads anything, or tells anybody its address.
 */
export function email({ limits }: EmailOptions): Contract {
  return {
    name: 'email',
    knowsCredentials: false,
    givesCredentials: true,
    owns: (_method, path) => isUnder(path, '/email'),
    refuse,
    routes(app, directory) {
      for (const link of ['confirm', 'undo'] as const) {
        const { show, submit } = createPage(directory, limits, link)
        const schema = { hide: true }
        app.get(`/email/${link}`, { schema }, show)
        app.post(`/email/${link}`, { schema }, submit)
      }
    },
  }
}

interface ByToken {
  Querystring: { token?: string | string[] }
}

function createPage({ emailChanges }: Directory, limits: EmailOptions['limits'], link: 'confirm' | 'undo') {
  const isOurs = (proof: Proof) => (proof === 'undo') === (link === 'undo')
  const ask = link === 'undo' ? undoPage : confirmPage

  /** Counts tokens that are of no use: whoever brings many of them guesses. */
  async function guarded(
    request: FastifyRequest,
    reply: FastifyReply,
    work: () => Promise<readonly [status: number, page: Page]>,
  ): Promise<FastifyReply> {
    try {
      const [status, page] = await limits.tryToken(request.ip, work, ([, shown]) => shown === uselessPage)
      return send(reply, status, page)
    } catch (error) {
      if (!(error instanceof DirectoryError) || error.code !== 'rate_limited') return sendBusy(reply, error)
      const seconds = error.retryAfter ?? 60
      reply.header('retry-after', String(seconds))
      return send(reply, 429, errorPage('Too many tries', tooOften(seconds)))
    }
  }

  async function act(request: FastifyRequest, token: string): Promise<readonly [number, Page]> {
    const asked = { requestId: request.id, contract: 'email' }
    try {
      if (link === 'undo') {
        await emailChanges.revert(asked, { token })
        return [200, undonePage]
      }
      const { change } = await emailChanges.confirm(asked, { token })
      return [200, change?.state === 'confirmed' ? confirmedPage : halfConfirmedPage]
    } catch (error) {
      const page = error instanceof DirectoryError ? refusals[error.code as keyof typeof refusals] : undefined
      if (page === undefined) throw error
      return page
    }
  }

  return {
    show: (request: FastifyRequest<ByToken>, reply: FastifyReply) =>
      guarded(request, reply, async () => {
        const { token } = request.query
        const found = typeof token === 'string' ? await emailChanges.peek(token) : undefined
        if (found === undefined || !isOurs(found.proof)) return [410, uselessPage]
        return [200, ask({ token: String(token), email: found.change.newEmail })]
      }),

    submit: (request: FastifyRequest, reply: FastifyReply) =>
      guarded(request, reply, () => act(request, formOf(request)?.get('token') ?? '')),
  }
}

const refusals: Readonly<
  Record<'invalid' | 'not_found' | 'conflict' | 'forbidden', readonly [number, Page]>
> = {
  invalid: [410, uselessPage],
  not_found: [410, uselessPage],
  conflict: [409, takenPage],
  forbidden: [403, blockedPage],
}

function send(reply: FastifyReply, status: number, page: Page): FastifyReply {
  return sendPage(reply, status, page, 'no-referrer')
}
