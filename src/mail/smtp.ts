import { isIP } from 'node:net'
import { createTransport } from 'nodemailer'
import type { Deliver } from './deliver.ts'
import { toNodemailer, Unsendable } from './message.ts'

/** Milliseconds for which a mail server is waited for that is not there, or does not greet. */
const untilGreeted = 15_000
/** One that has taken a text may look at it for long: who leaves too soon sends it again (RFC 5321, section 4.5.3.2). */
const untilAnswered = 60_000
export const longestDelivery = 90_000

/**
 * Hands mails to a mail server, each over a connection of its own: one that has died in the meantime is not met.
 * @param url smtp://user:password@host:port, where TLS is used if the server offers it, and always before a
 * password is told to another machine; smtps: for TLS from the start
 */
export function deliverBySmtp(url: string): Deliver {
  const { protocol, hostname, port, username, password } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const transport = createTransport({
    host,
    ...(port !== '' && { port: Number(port) }),
    secure: protocol === 'smtps:',
    requireTLS: protocol === 'smtp:' && username !== '' && !isThisMachine(host),
    ...(username !== '' && {
      auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) },
    }),
    connectionTimeout: untilGreeted,
    greetingTimeout: untilGreeted,
    socketTimeout: untilAnswered,
    dnsTimeout: untilGreeted,
    allowInternalNetworkInterfaces: true,
  })
  return async (message, signal) => {
    const enough = AbortSignal.any([signal, AbortSignal.timeout(longestDelivery)])
    await transport.sendMail({ ...toNodemailer(message), signal: enough })
  }
}

/** Names of others can begin like an address of this machine. */
export function isThisMachine(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** What a failed delivery means, and what of it may be told: never what a server said, which quotes addresses. */
export interface Failure {
  /** `never` for this mail; `later` for this mail; `away` where no mail would have been taken. */
  readonly verdict: 'never' | 'later' | 'away'
  readonly reason: string
}

/** RFC 5321, section 4.2.1: what begins with 4 may succeed later, what begins with 5 will not. */
export function judgeFailure(error: unknown): Failure {
  if (error instanceof Unsendable) return { verdict: 'never', reason: error.message }
  const { code, originalCode, responseCode, response, command } = (error ?? {}) as Readonly<
    Record<string, unknown>
  >
  const parts = [originalCode ?? code, responseCode, command].filter((part) =>
    /^[\w ]{1,40}$/.test(String(part)),
  )
  const reason =
    parts.filter((part) => part !== undefined && part !== false).join(' ') || 'for no known reason'
  // What is said of the recipient or the text is about this mail. A sender or a password that a server does
  // not like is for the operator to put right.
  const isAboutThis = command === 'RCPT TO' || command === 'DATA'
  if (typeof responseCode !== 'number' || responseCode === 421 || !isAboutThis)
    return { verdict: 'away', reason }
  // A server that wants a password first, or does not relay (RFC 3463, section 3.8), would say so of any mail.
  const isPolicy = responseCode === 530 || /^5\d\d[ -]5\.7\.\d/.test(String(response))
  return { verdict: responseCode >= 500 && !isPolicy ? 'never' : 'later', reason }
}
