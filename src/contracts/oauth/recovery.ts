import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { faultOfChosenPassword } from '../../access/password-rule.ts'
import type { Recovery } from '../../access/recovery.ts'
import { type Code, DirectoryError } from '../../directory/errors.ts'
import { foreignPage, formOf, isOwnForm, type Page, sendBusy, sendPage, tooOften } from '../html.ts'
import { baseOf } from './exchange.ts'
import { askedPage, askPage, choosePage, chosenPage, endedLinkPage } from './recovery-pages.ts'

export interface RecoveryOptions {
  readonly recovery: Recovery
  /** Where callers find the service; undefined where nobody said. */
  readonly publicUrl: string | undefined
}

interface ByQuery {
  Querystring: Readonly<Record<string, unknown>>
}

/** Where people who have forgotten their password ask for a link, and where the link leads. */
export function recoveryRoutes(app: FastifyInstance, { recovery, publicUrl }: RecoveryOptions): void {
  const schema = { hide: true }
  const [asking, asked] = ['/oauth/forgot-password', '/oauth/forgot-password/sent']
  const [choosing, chosen] = ['/oauth/new-password', '/oauth/new-password/done']
  const leadTo = (request: FastifyRequest, reply: FastifyReply, path: string) => {
    const location = `${baseOf(request, publicUrl).pathname.replace(/\/$/, '')}${path}`
    return reply.code(303).headers({ location, 'cache-control': 'no-store' }).send()
  }

  app.get(asking, { schema }, async (request: FastifyRequest<ByQuery>, reply) =>
    sendPage(reply, 200, askPage({ from: signInOf(request.query.from) })),
  )

  app.post(asking, { schema }, async (request, reply) => {
    const form = formOf(request)
    if (form === undefined || !isOwnForm(request, baseOf(request, publicUrl).origin))
      return sendPage(reply, 403, foreignPage)
    const address = (form.get('email') ?? '').trim()
    const from = signInOf(form.get('from'))
    try {
      await recovery.request(address, request.ip)
    } catch (error) {
      const alert = alertFor(error, { invalid: noAddress })
      return sendAlert(reply, error, askPage({ address: address.slice(0, 254), from, alert }), 'same-origin')
    }
    // Loading it again asks for nothing again.
    return leadTo(request, reply, from === '' ? asked : `${asked}?from=${from}`)
  })

  app.get(asked, { schema }, async (request: FastifyRequest<ByQuery>, reply) =>
    sendPage(reply, 200, askedPage(signInOf(request.query.from))),
  )

  app.get(choosing, { schema }, async (request: FastifyRequest<ByQuery>, reply) => {
    const token = String(request.query.token ?? '')
    try {
      const address = await recovery.addressOf(token)
      if (address === undefined) return sendPage(reply, 404, endedLinkPage, secret)
      return sendPage(reply, 200, choosePage({ token, address }), secret)
    } catch (error) {
      return sendBusy(reply, error)
    }
  })

  app.post(choosing, { schema }, async (request, reply) => {
    const form = formOf(request)
    if (form === undefined) return sendPage(reply, 403, foreignPage)
    const [token, password] = [form.get('token') ?? '', form.get('password') ?? '']
    const isTwice = form.get('again') === password
    const fault = (await faultOfChosenPassword(password)) ?? (isTwice ? undefined : 'must be the same twice')
    try {
      await recovery.reset({
        token,
        password,
        fault,
        ip: request.ip,
        requestId: request.id,
        contract: 'oauth',
      })
    } catch (error) {
      // The store may be away, which is then what the form tells.
      const address = await recovery.addressOf(token).catch(() => undefined)
      if (address === undefined && codeOf(error) === 'not_found')
        return sendPage(reply, 404, endedLinkPage, secret)
      const alert = alertFor(error, { invalid: `The new password ${fault}.` })
      return sendAlert(reply, error, choosePage({ token, address: address ?? '', alert }))
    }
    return leadTo(request, reply, chosen)
  })

  app.get(chosen, { schema }, async (_request, reply) => sendPage(reply, 200, chosenPage))
}

/** The address of a page can have a token in it, which is told to nobody. */
const secret = 'no-referrer'
const noAddress = 'This is no e-mail address. It is written like name@example.com.'

/** A sign-in under way, as its address names it; empty for none. */
function signInOf(from: unknown): string {
  return typeof from === 'string' && /^[\w-]{1,64}$/.test(from) ? from : ''
}

function codeOf(error: unknown): Code | undefined {
  return error instanceof DirectoryError ? error.code : undefined
}

/** @throws the error, where it is nothing that whoever fills in the form can do about */
function alertFor(error: unknown, words: { readonly invalid: string }): string {
  if (error instanceof DirectoryError) {
    if (error.code === 'invalid') return words.invalid
    if (error.code === 'rate_limited') return tooOften(error.retryAfter ?? 1)
    if (error.code === 'unavailable')
      return 'This can not be done at the moment. Wait a little, and try again.'
    if (error.code === 'outcome_unknown' || error.code === 'precondition_failed')
      return 'It is not certain that this was done. Wait a little, and try again.'
  }
  throw error
}

function sendAlert(
  reply: FastifyReply,
  error: unknown,
  page: Page,
  referrer: 'same-origin' | 'no-referrer' = secret,
): FastifyReply {
  const { code, retryAfter } = error as DirectoryError
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
  return sendPage(reply, code === 'invalid' ? 422 : code === 'rate_limited' ? 429 : 503, page, referrer)
}
