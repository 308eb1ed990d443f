import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'

export interface Received {
  readonly from: string
  readonly to: readonly string[]
  readonly raw: string
}

export interface MailServer {
  /** For SMTP_URL. */
  readonly url: string
  readonly port: number
  /** What it has taken so far. */
  readonly received: readonly Received[]
  readonly close: () => Promise<void>
}

/**
 * A mail server, which takes everything unless told otherwise.
 * @param answer is asked before a text is taken: an error is what the server says instead
 */
export async function startMailServer(
  answer: (mail: Received) => Promise<Error | undefined> | Error | undefined = () => undefined,
  options: SMTPServerOptions = {},
  port = 0,
): Promise<MailServer> {
  const received: Received[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    // A client that goes away in the middle is what some tests are about.
    closeTimeout: 100,
    async onData(stream, { envelope }, callback) {
      const raw = await text(stream)
      const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
      const mail = { from, to: envelope.rcptTo.map(({ address }) => address), raw }
      const refused = await answer(mail)
      if (refused === undefined) received.push(mail)
      callback(refused ?? null)
    },
    ...options,
  })
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const { port: taken } = server.server.address() as AddressInfo
  return {
    url: `smtp://127.0.0.1:${taken}`,
    port: taken,
    received,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

/** The authority that vouches for the certificates, as a file. */
export const authority = fileURLToPath(new URL('certificates/authority.pem', import.meta.url))

/** Has a mail server speak TLS: for this machine, for another, or until some years ago. */
export function certificate(name: 'here' | 'elsewhere' | 'expired') {
  const read = (file: string) => readFileSync(new URL(`certificates/${file}`, import.meta.url))
  return { key: read('server.key'), cert: read(`${name}.pem`) }
}

/** What a mail server says. */
export function says(responseCode: number, words = 'words that quote <ann@example.com>'): Error {
  return Object.assign(new Error(words), { responseCode })
}

/** The headers of a mail, unfolded, and its text, decoded. */
export function parseMail(raw: string): {
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
} {
  const [head = '', ...rest] = raw.replaceAll('\r\n', '\n').split('\n\n')
  const lines = head.replaceAll(/\n[ \t]+/g, ' ').split('\n')
  const headers = Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]),
  )
  const body = rest.join('\n\n')
  switch (headers['content-transfer-encoding']) {
    case 'quoted-printable': {
      const bytes = body
        .replaceAll(/=\n/g, '')
        .replaceAll(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
      return { headers, text: Buffer.from(bytes, 'latin1').toString() }
    }
    case 'base64':
      return { headers, text: Buffer.from(body, 'base64').toString() }
    default:
      return { headers, text: body }
  }
}

/** The token of the link in a mail. */
export function tokenIn(mail: Pick<Received, 'raw'>): string {
  const [, token] = /\?token=([\w%.-]+)/.exec(parseMail(mail.raw).text) ?? []
  if (token === undefined) throw new Error('there is no link')
  return decodeURIComponent(token)
}

/** Waits for something that comes about by itself. */
export async function until<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  for (let tries = 0; tries < 2_000; tries++) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('it did not come about')
}
