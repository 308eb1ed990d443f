import type { Config } from '../src/config.ts'
import { type MailServer, parseMail, type Received, startMailServer, until } from './mail.ts'

/** Mailboxes of everybody, on a mail server of their own. */
export interface Postbox {
  /** Settings with which the service sends there. */
  readonly settings: Pick<Config, 'smtpUrl' | 'mailFrom'>
  /** The next mail that comes to an address, and was not read before. */
  readonly next: (address: string) => Promise<Received>
  /** The token in the link of the next mail. */
  readonly token: (address: string) => Promise<string>
  /** Subjects of what has come to an address and was not read, as things stand. */
  readonly unread: (address: string) => readonly string[]
  readonly close: MailServer['close']
}

export async function startPostbox(): Promise<Postbox> {
  const server = await startMailServer()
  const read = new Set<Received>()
  const waiting = (address: string) =>
    server.received.filter(
      (mail) => !read.has(mail) && mail.to.some((to) => to.toLowerCase() === address.toLowerCase()),
    )
  const next = async (address: string) => {
    const mail = await until(() => waiting(address)[0])
    read.add(mail)
    return mail
  }
  return {
    settings: { smtpUrl: server.url, mailFrom: { name: 'Roster', address: 'roster@example.com' } },
    next,
    token: async (address) => {
      const [, token] = /\?token=([\w%.-]+)/.exec(parseMail((await next(address)).raw).text) ?? []
      if (token === undefined) throw new Error('the mail has no link')
      return decodeURIComponent(token)
    },
    unread: (address) => waiting(address).map(({ raw }) => String(parseMail(raw).headers.subject)),
    close: server.close,
  }
}
