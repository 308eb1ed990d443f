import type { Mail } from '../directory/mail.ts'
import type { User } from '../directory/user.ts'

export interface Written {
  readonly subject: string
  readonly text: string
}

export interface Circumstances {
  readonly mail: Pick<Mail, 'kind' | 'at' | 'to' | 'expiresAt' | 'values'>
  /** Whom it is about, as far as that is known. */
  readonly user: User | undefined
  /** Where people find the service. */
  readonly url: string
}

/** What each mail says, as plain text. */
export function write(circumstances: Circumstances): Written {
  const { subject, paragraphs } = words[circumstances.mail.kind](circumstances)
  return { subject, text: `${[greetingOf(circumstances), ...paragraphs].join('\n\n')}\n` }
}

interface Words {
  readonly subject: string
  readonly paragraphs: readonly string[]
}

const words: Readonly<Record<Mail['kind'], (circumstances: Circumstances) => Words>> = {
  recover_password: ({ mail, url }) => ({
    subject: 'Choose a new password',
    paragraphs: [
      `Somebody, most likely you, has said at ${siteOf(url)} that the password of your account is forgotten.`,
      `To choose a new one, open this page within an hour:\n${link(url, '/oauth/new-password', mail)}`,
      'The link is good once. If it was not you, leave this mail alone: nothing has been changed.',
    ],
  }),

  password_changed: ({ mail, url }) => ({
    subject: 'Your password was changed',
    paragraphs: [
      `The password of your account at ${siteOf(url)} was changed on ${timeOf(mail.at)}. Wherever you were signed in, you have to sign in again.`,
      `If it was you, there is nothing to do. If it was not, take your account back by choosing another password now:\n${url}/oauth/forgot-password`,
    ],
  }),

  confirm_email: ({ mail, url }) => {
    const { email = mail.to, mailbox } = mail.values
    const asked =
      mailbox === 'old'
        ? `Somebody, most likely you, wants the address of your account at ${siteOf(url)} to be ${email} in place of this one.`
        : `Somebody, most likely you, wants this to be the address of an account at ${siteOf(url)}.`
    return {
      subject: mailbox === 'old' ? 'Confirm your new address' : 'Confirm this address',
      paragraphs: [
        asked,
        `To confirm that, open this page before ${timeOf(mail.expiresAt)}:\n${link(url, '/email/confirm', mail)}`,
        'If it was not you, leave this mail alone: without your word nothing is changed.',
      ],
    }
  },

  email_change_notice: ({ url }) => ({
    subject: 'Your address is about to be changed',
    paragraphs: [
      `Somebody, most likely you, has asked that another address take the place of this one in your account at ${siteOf(url)}. It will, once it is confirmed from there.`,
      `If it was not you, choose another password now; that stops it, too:\n${url}/oauth/forgot-password`,
    ],
  }),

  email_changed: ({ mail, url }) => ({
    subject: 'Your address was changed',
    paragraphs: [
      `On ${timeOf(mail.at)} another address took the place of this one in your account at ${siteOf(url)}. What is written to you goes there from now on.`,
      ...(mail.values.token === undefined
        ? []
        : [
            `If it was not you, undo it before ${timeOf(mail.expiresAt)}:\n${link(url, '/email/undo', mail)}`,
          ]),
    ],
  }),

  verify_account: ({ mail, url }) => ({
    subject: 'Confirm your address',
    paragraphs: [
      `An account at ${siteOf(url)} was made with this address.`,
      `If it is yours, confirm that on this page before ${timeOf(mail.expiresAt)}:\n${link(url, '/email/confirm', mail)}`,
      'If you know nothing of it, leave this mail alone.',
    ],
  }),
}

function link(url: string, path: string, { values }: Pick<Mail, 'values'>): string {
  return `${url}${path}?token=${encodeURIComponent(values.token ?? '')}`
}

function siteOf(url: string): string {
  return new URL(url).host
}

function timeOf(milliseconds: number): string {
  const date = new Date(milliseconds)
  const day = date.toLocaleDateString('en-GB', { dateStyle: 'long', timeZone: 'UTC' })
  return `${day}, ${date.toISOString().slice(11, 16)} UTC`
}

/**
 * By name, where that is nothing but one, and in a mailbox that is known to be theirs: people choose what they
 * are called and type what address they like, and others are not to be sent what somebody has put there to be
 * read, or an address that their program makes a link of.
 */
function greetingOf({ mail, user }: Pick<Circumstances, 'mail' | 'user'>): string {
  const isTheirs = user?.email_verified === true && user.email === mail.to
  const name = (isTheirs && (user.first_name ?? user.real_name ?? user.username)) || ''
  const isName =
    name.length <= 60 && /^\p{L}[\p{L}\p{M}\p{N}_'’-]*(\.? [\p{L}\p{N}][\p{L}\p{M}\p{N}'’-]*)*$/u.test(name)
  return isName ? `Hello ${name},` : 'Hello,'
}
