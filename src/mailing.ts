import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Recovery } from './access/recovery.ts'
import type { Config } from './config.ts'
import type { Directory } from './directory/directory.ts'
import type { Kinds } from './directory/mail.ts'
import type { Store } from './directory/store.ts'
import { createCompose } from './mail/compose.ts'
import { deliverToFolder } from './mail/files.ts'
import { createSender, type Pace } from './mail/sender.ts'
import { deliverBySmtp } from './mail/smtp.ts'

export interface MailingOptions {
  readonly config: Pick<Config, 'smtpUrl' | 'mailFrom' | 'folder' | 'publicUrl'>
  readonly store: Pick<Store, 'outbox' | 'get'>
  readonly recovery: Pick<Recovery, 'linkFor'>
  readonly emailChanges: Pick<Directory['emailChanges'], 'peek'>
  /** Where people find the service. */
  readonly url: () => string
  readonly log: Logger
  readonly pace?: Partial<Pace> | undefined
}

/** What sends mails, put together: through a mail server, or into files where there is none. */
export function createMailing(options: MailingOptions) {
  const { config, store, recovery, emailChanges, url, log, pace } = options
  const { smtpUrl, publicUrl, mailFrom: from = nobody } = config
  const folder = join(resolve(config.folder), 'mail')
  const isOfUse = async (token: string) => (await emailChanges.peek(token)) !== undefined
  const compose = createCompose({ userOf: store.get, linkFor: recovery.linkFor, isOfUse, from, url })
  const deliver = smtpUrl === undefined ? deliverToFolder(folder) : deliverBySmtp(smtpUrl)
  const send = (kinds: Kinds) =>
    createSender({
      ...{ outbox: store.outbox, kinds, compose, deliver, now: Date.now, log },
      ...(pace && { pace }),
    })
  // Links for forgotten passwords go their own way, down to when a mail server that is away is tried: what
  // becomes of them, and when, would tell who is here.
  const [mails, links] = [send({ without: 'recover_password' }), send({ only: 'recover_password' })]
  return {
    wake: mails.wake,
    /** There is a link to be sent to whoever has forgotten their password. */
    wakeLinks: links.wake,
    remark: mails.remark,
    metrics: mails.metrics,
    close: async () => void (await Promise.all([mails.close(), links.close()])),
    start() {
      if (smtpUrl === undefined)
        log.info({ folder }, 'mails are written into files, since SMTP_URL is not set')
      else log.info({ server: new URL(smtpUrl).host }, 'mails are sent')
      if (smtpUrl !== undefined && publicUrl === undefined)
        log.warn(
          { url: url() },
          'links in mails lead here; set ROSTER_PUBLIC_URL to where people find the service',
        )
      mails.start()
      links.start()
    },
  }
}

/** For files, which go nowhere. */
const nobody = { name: 'Roster', address: 'roster@localhost' }
