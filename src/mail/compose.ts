import type { Taken } from '../directory/mail.ts'
import type { User } from '../directory/user.ts'
import type { Message, Sender } from './message.ts'
import { write } from './words.ts'

export interface ComposeOptions {
  readonly userOf: (id: number) => Promise<User | undefined>
  /** Finds out whom a forgotten password is about, and makes them a link; undefined where it is nobody's. */
  readonly linkFor: (mail: Taken) => Promise<{ readonly user: User; readonly token: string } | undefined>
  /** Whether what a link carries is good for something now. */
  readonly isOfUse: (token: string) => Promise<boolean>
  readonly from: Sender
  /** Where people find the service. */
  readonly url: () => string
}

export interface Composed {
  readonly message: Message
  readonly userId: number | null
}

/** Makes of what is to be said what is sent; undefined where there is nobody to tell it to, or nothing to ask any more. */
export type Compose = (mail: Taken) => Promise<Composed | undefined>

export function createCompose({ userOf, linkFor, isOfUse, from, url }: ComposeOptions): Compose {
  async function complete(mail: Taken): Promise<{ mail: Taken; user: User | undefined } | undefined> {
    if (mail.kind === 'recover_password') {
      const link = await linkFor(mail)
      if (link === undefined || link.user.email === null) return undefined
      const { user, token } = link
      // To the address as it is in the record: what was asked for may be spelt otherwise.
      return { mail: { ...mail, to: link.user.email, userId: user.id, values: { token } }, user }
    }
    const user = mail.userId === null ? undefined : await userOf(mail.userId)
    if (user?.status === 'erased') return undefined
    const { token } = mail.values
    if (token === undefined || (await isOfUse(token))) return { mail, user }
    // A later step has taken its place. What has happened is told all the same.
    return mail.kind === 'email_changed' ? { mail: { ...mail, values: {} }, user } : undefined
  }

  return async (asked) => {
    const completed = await complete(asked)
    if (completed === undefined) return undefined
    const { mail, user } = completed
    const { subject, text } = write({ mail, user, url: url() })
    const { id, to, at, userId } = mail
    return { message: { id, from, to, date: new Date(at), subject, text }, userId }
  }
}
