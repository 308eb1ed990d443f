import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Mail, MailKind } from '../directory/mail.ts'
import { noFields, type User } from '../directory/user.ts'
import { createCompose } from './compose.ts'
import { toNodemailer, Unsendable } from './message.ts'
import { write } from './words.ts'

const at = Date.UTC(2026, 10, 25, 17, 56)
const url = 'https://api.example.org/people'

const reached = { email: 'ann@example.com', email_verified: true }

function user(over: Partial<User> = {}): User {
  const own = {
    uid: 'usr_0000000000000001',
    status: 'active',
    version: 1,
    created_at: at,
    updated_at: at,
  } as const
  return { ...noFields, id: 1, ...own, ...reached, email_change: null, ...over }
}

function mail(kind: MailKind, values: Mail['values'] = {}): Mail {
  return { id: 'm', kind, to: 'ann@example.com', userId: 1, at, expiresAt: at + 3_600_000, values }
}

const token = 'a-b_c'

describe('the words of a mail', () => {
  test.for<[kind: MailKind, values: Mail['values'], subject: string, said: readonly string[]]>([
    [
      'recover_password',
      { token },
      'Choose a new password',
      [`${url}/oauth/new-password?token=${token}`, 'within an hour'],
    ],
    [
      'password_changed',
      {},
      'Your password was changed',
      ['25 November 2026, 17:56 UTC', `${url}/oauth/forgot-password`],
    ],
    [
      'confirm_email',
      { token, mailbox: 'new', email: 'new@example.com' },
      'Confirm this address',
      [`${url}/email/confirm?token=${token}`, '25 November 2026, 18:56 UTC'],
    ],
    [
      'confirm_email',
      { token, mailbox: 'old', email: 'new@example.com' },
      'Confirm your new address',
      [`${url}/email/confirm?token=${token}`, 'new@example.com'],
    ],
    ['email_change_notice', {}, 'Your address is about to be changed', [`${url}/oauth/forgot-password`]],
    [
      'email_changed',
      { token },
      'Your address was changed',
      [`${url}/email/undo?token=${token}`, '18:56 UTC'],
    ],
    ['verify_account', { token }, 'Confirm your address', [`${url}/email/confirm?token=${token}`]],
  ])('say what has happened and what to do: %s %j', ([kind, values, subject, said]) => {
    const written = write({ mail: mail(kind, values), user: user({ first_name: 'Ann' }), url })
    expect(written.subject).toBe(subject)
    for (const part of ['Hello Ann,\n\n', 'api.example.org', ...said]) expect(written.text).toContain(part)
    expect(written.text).not.toMatch(/undefined|null|\[object/)
  })

  test('offer no way back where there is none', () => {
    expect(write({ mail: mail('email_changed'), user: user(), url }).text).not.toContain('token')
  })

  test.for<[names: Partial<User>, greeting: string]>([
    [{ first_name: 'Zoë-Marie', last_name: 'x' }, 'Hello Zoë-Marie,'],
    [{ real_name: 'Dr. Ann O’Hara' }, 'Hello Dr. Ann O’Hara,'],
    [{ username: 'ann_7' }, 'Hello ann_7,'],
    [{ first_name: '安' }, 'Hello 安,'],
    [{}, 'Hello,'],
    [{ first_name: 'Win at https://evil.example' }, 'Hello,'],
    [{ first_name: 'evil.example' }, 'Hello,'],
    [{ real_name: 'Ann, your account was closed: call 0900 1234' }, 'Hello,'],
    [{ first_name: 'A'.repeat(61) }, 'Hello,'],
  ])('greet by what is a name, and by nothing else: %j', ([names, greeting]) => {
    expect(write({ mail: mail('password_changed'), user: user(names), url }).text.split('\n')[0]).toBe(
      greeting,
    )
  })

  test.for<[to: string, is: Partial<User>]>([
    ['eve@example.com', {}],
    ['ann@example.com', { email_verified: false }],
    ['ann@example.com', { email_verified: null }],
    ['ann@example.com', { email: null }],
  ])('greet nobody by name in a mailbox that may not be theirs: %s %j', ([to, is]) => {
    const bait = { first_name: 'Your account is closed call 0900 123456 now' }
    for (const kind of ['confirm_email', 'verify_account', 'recover_password'] as const) {
      const { text } = write({ mail: { ...mail(kind), to }, user: user({ ...bait, ...is }), url })
      expect(text).toMatch(/^Hello,\n/)
    }
  })

  test('never let what people call themselves be a line or a link of its own', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (first_name) => {
        const [first = '', second] = write({
          mail: mail('password_changed'),
          user: user({ first_name }),
          url,
        }).text.split('\n')
        expect(second).toBe('')
        expect(first).not.toMatch(/[:/@<>]|\.\p{L}/u)
      }),
    )
  })
})

describe('a message', () => {
  const from = { name: 'Roster', address: 'roster@sender.test' }

  test('is made for nobody who was erased, and by no link for nobody', async () => {
    const people = new Map([[1, user({ ...noFields, status: 'erased' })]])
    const compose = createCompose({
      ...{ from, url: () => url },
      userOf: async (id) => people.get(id),
      linkFor: async () => undefined,
      isOfUse: async () => true,
    })
    for (const kind of ['password_changed', 'recover_password'] as const)
      expect(await compose({ ...mail(kind), tries: 1 })).toBeUndefined()
    expect(await compose({ ...mail('password_changed'), userId: 2, tries: 1 })).toMatchObject({
      message: { to: 'ann@example.com', subject: 'Your password was changed' },
    })
  })

  test('asks nothing by a link that is of no use any more, and tells what has happened without it', async () => {
    const compose = createCompose({
      ...{ from, url: () => url },
      userOf: async () => user(),
      linkFor: async () => undefined,
      isOfUse: async (of) => of === token,
    })
    const textOf = async (kind: MailKind, values: Mail['values']) =>
      (await compose({ ...mail(kind, values), tries: 1 }))?.message.text
    for (const kind of ['confirm_email', 'verify_account', 'email_changed'] as const)
      expect(await textOf(kind, { token })).toContain(`token=${token}`)
    for (const kind of ['confirm_email', 'verify_account'] as const)
      expect(await textOf(kind, { token: 'old' })).toBeUndefined()
    const told = await textOf('email_changed', { token: 'old' })
    expect(told).toContain('another address took the place of this one')
    expect(told).not.toContain('token')
  })

  test('goes to the one address that it is for, or nowhere', () => {
    const date = new Date(at)
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.constantFrom('', '\r\n', '\n', '>', ',', ' ', ';'),
        (text, cut) => {
          const to = `ann@example.com${cut}${text}`
          try {
            const { envelope } = toNodemailer({ id: 'm', from, to, date, subject: 'x', text: 'x' })
            expect(envelope.to).toHaveLength(1)
            expect(envelope.to[0]).toMatch(/^[^\s<>,;]+@[a-z0-9.-]+$/)
          } catch (error) {
            expect(error).toBeInstanceOf(Unsendable)
          }
        },
      ),
    )
  })
})
