import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { type Community, startCommunity } from './community.ts'
import { type MailServer, startMailServer, tokenIn, until } from './mail.ts'

/** What every account is made with. */
export const password = 'Correct-horse-1'

/**
 * The community and a server for its mails, from before the first test of a file until after the last;
 * and for each test an account, whose owner comes from an address that nobody else comes from.
 * @param name what they are called, with a number
 */
export function useAccounts(name: string) {
  let mail: MailServer
  let roster: Community
  let admin: { readonly authorization: string }
  beforeAll(async () => {
    mail = await startMailServer()
    const mailFrom = { name: 'Roster', address: 'roster@example.org' }
    roster = await startCommunity({ smtpUrl: mail.url, mailFrom, trustProxy: ['127.0.0.1'] })
    admin = await roster.keyWith('admin')
  })
  afterAll(async () => {
    await roster.close()
    await mail.close()
  })

  let made = 0
  let account: {
    readonly id: number
    readonly email: string
    readonly from: { readonly 'x-forwarded-for': string }
  }
  beforeEach(async () => {
    const username = `${name}-${++made}`
    const email = `${username}@example.org`
    const answer = await roster.call('POST /api/v2/account/create/', { username, email, password }, admin)
    expect(answer).toMatchObject({ status: 201, headers: { etag: '"1"' } })
    const { id } = answer.body as { id: number }
    account = { id, email, from: { 'x-forwarded-for': `192.0.2.${made}` } }
  })

  return {
    /** As they are once tests run. */
    get roster() {
      return roster
    },
    get mail() {
      return mail
    },
    get account() {
      return account
    },

    /** A request of the owner's to `/api/v2/account/…/`. */
    post: (what: string, body: unknown, headers: object = {}) =>
      roster.call(`POST /api/v2/account/${what}/`, body, { ...account.from, ...headers }),

    /**
     * The code in the last mail that went to an address.
     * @param page where the mail leads to
     */
    codeFor: async (address: string, page = '') =>
      tokenIn(
        await until(() =>
          mail.received.findLast(({ to, raw }) => to.includes(address) && raw.includes(page)),
        ),
      ),
  }
}
