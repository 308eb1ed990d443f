import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { parseMail, startMailServer, tokenIn, until } from '../../../test/mail.ts'
import { authorize, client, createBrowser, password, person } from '../../../test/oauth.ts'
import { recoveryLimits } from '../../access/recovery.ts'
import { DirectoryError, refusal, unavailable } from '../../directory/errors.ts'

let app: TestApp
const lines: string[] = []
beforeAll(async () => {
  const write = (line: unknown, _encoding: string, done: () => void) => {
    lines.push(String(line))
    done()
  }
  const log = pino({ level: 'debug' }, new Writable({ write }))
  app = await startApp({}, { log, pace: { poll: 10 } })
})
afterAll(() => app.close())
afterEach(() => {
  expect(lines.join('')).not.toMatch(/example\.com|token=/)
})

const next = 'a password nobody has'
const asking = '/oauth/forgot-password'

/** The mails that were written for an address, the oldest first. */
async function mailsTo(address: string) {
  const names = await readdir(join(app.folder, 'mail')).catch(() => [])
  const whole = names.filter((name) => name.endsWith('.eml')).toSorted()
  const mails = await Promise.all(whole.map((name) => readFile(join(app.folder, 'mail', name), 'utf8')))
  return mails.map((raw) => ({ raw, ...parseMail(raw) })).filter(({ headers }) => headers.to === address)
}

async function mailTo(address: string, subject: string) {
  return until(async () => (await mailsTo(address)).find(({ headers }) => headers.subject === subject))
}

/** Asks for a link as the page does. */
async function ask(address: string, url = app.url) {
  const browser = createBrowser(url)
  return browser.submit(await browser.open(asking), { email: address })
}

async function linkTo(address: string): Promise<string> {
  await ask(address)
  return `/oauth/new-password?token=${tokenIn(await mailTo(address, 'Choose a new password'))}`
}

/** Sends the form of a page where a password is chosen. */
async function choose(link: string, values: Readonly<Record<string, string>>) {
  const browser = createBrowser(app.url)
  const page = await browser.open(link)
  return browser.submit({ ...page, address: '/oauth/new-password' }, values)
}

describe('who has forgotten the password', () => {
  test('is led from the sign-in to a mail, and from the mail to another password, which ends all that was issued', async () => {
    const ann = await person(app)
    const back = 'http://127.0.0.1:9/back'
    const { id } = await client(app, { scopes: ['read'], redirect_uris: [back] })
    const asked = { client_id: id, redirect_uri: back, response_type: 'code', scope: 'read' }
    const pkce = { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256', state: 's' }
    const address = `/oauth/authorize?${new URLSearchParams({ ...asked, ...pkce })}`
    const browser = createBrowser(app.url)
    const signIn = await browser.open(address)
    const [, link = ''] = /href="([^"]*forgot-password[^"]*)"/.exec(signIn.html) ?? []
    const sent = await browser.submit(await browser.open(`${asking}?${link.split('?')[1]}`), {
      email: ann.email,
      from: signIn.address.split('/').at(-1) ?? '',
    })
    expect(sent.html).toContain('Look into your mailbox')
    expect(sent.html).toContain(
      `<a href="../sign-in/${signIn.address.split('/').at(-1)}">Back to signing in</a>`,
    )

    const mail = await mailTo(ann.email, 'Choose a new password')
    expect(mail.text).toMatch(/^Hello,\n/)
    const [url = ''] = /^http.*$/m.exec(mail.text) ?? []
    expect(url.startsWith(`${app.url}/oauth/new-password?token=`)).toBe(true)
    const page = await createBrowser(app.url).open(url)
    expect(page.status).toBe(200)
    expect(page.html).toContain(`value="${ann.email}" autocomplete="username"`)
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-frame-options': 'DENY',
      'content-security-policy': expect.stringMatching(
        /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/,
      ),
    })
    expect(page.html).not.toMatch(/<script|src=|https?:/)

    const done = await choose(url, { password: next, again: next })
    expect([done.status, done.address]).toEqual([200, '/oauth/new-password/done'])
    expect((await mailTo(ann.email, 'Your password was changed')).text).toContain(
      `${app.url}/oauth/forgot-password`,
    )
    const wrong = await browser.submit(signIn, { name: ann.name, password, action: 'sign-in' })
    expect(wrong.status).toBe(422)
    const landed = await authorize(createBrowser(app.url), address, { name: ann.name, password: next })
    expect(landed.searchParams.get('code')).toMatch(/./)

    const again = await createBrowser(app.url).open(url)
    expect([again.status, again.headers.get('referrer-policy')]).toEqual([404, 'no-referrer'])
    expect(again.html).toContain('This link is over')
  })

  test('is answered alike, whoever has the address, and nobody is written to who does not', async () => {
    const ann = await person(app)
    const known = await ask(ann.email)
    const unknown = await ask('nobody@example.com')
    const seen = ({ status, html, address, headers }: typeof known) => ({
      ...{ status, html, address },
      headers: [...headers.keys()].toSorted(),
    })
    expect(seen(unknown)).toEqual(seen(known))
    await mailTo(ann.email, 'Choose a new password')
    await until(async () => (await app.store.outbox.backlog()).count === 0)
    expect(await mailsTo('nobody@example.com')).toEqual([])
  })

  test('can not be told by what the service says of itself, also while the mail server is away', async () => {
    const away = await startMailServer()
    await away.close()
    const said: string[] = []
    const log = pino({}, new Writable({ write: (line, _encoding, done) => done(void said.push(`${line}`)) }))
    const mailFrom = { name: 'Roster', address: 'roster@sender.test' }
    // What is found to be away is left alone for a minute.
    const pace = { poll: 10, pause: 60_000 }
    const one = await startApp({ smtpUrl: away.url, mailFrom }, { log, pace })
    try {
      const ann = await person(one)
      const state = async () => {
        const metrics = await (await fetch(`${one.url}/metrics`)).text()
        return [(await one.call('GET /readyz')).body, metrics.match(/^roster_mails_.*$/gm)]
      }
      const quiet = await state()
      for (const email of ['nobody@example.com', ann.email]) await ask(email, one.url)
      const isTold = (kind: string) =>
        said.some((line) => line.includes('"mail not sent yet"') && line.includes(kind))
      await until(() => isTold('recover_password'))
      expect(await state()).toEqual(quiet)
      expect(quiet).toEqual([{ status: 'ready' }, expect.arrayContaining(['roster_mails_waiting 0'])])
      // Others are tried when they come, whatever became of the link.
      const words = { new_password: 'some other words' }
      await one.call(`PUT /v1/users/${ann.uid}/password`, words, await one.keyWith('admin'))
      await until(() => isTold('password_changed'))
      const told = await until(async () => {
        const [ready, metrics] = await state()
        return JSON.stringify(ready).includes('; 1 wait') && metrics
      })
      expect(told).toEqual(
        expect.arrayContaining(['roster_mails_waiting 1', 'roster_mails_total{outcome="postponed"} 1']),
      )
    } finally {
      await one.close()
    }
  })

  test('is told what is wrong with a password, and can choose another by the same link', async () => {
    const { email } = await person(app)
    const link = await linkTo(email)
    for (const [values, words] of [
      [{ password: 'short', again: 'short' }, 'must be at least 8 characters'],
      [{ password: 'password1', again: 'password1' }, 'must not be one of the most common passwords'],
      [{ password: next, again: `${next}!` }, 'must be the same twice'],
      [{ password: 'x'.repeat(129), again: 'x'.repeat(129) }, 'must be at most 128 characters'],
    ] as const) {
      const { status, html } = await choose(link, values)
      expect(status).toBe(422)
      expect(html).toContain(words)
      expect(html).not.toContain(values.password)
    }
    expect((await choose(link, { password: next, again: next })).address).toBe('/oauth/new-password/done')
  })

  test('finds that a link is over once the password was changed otherwise', async () => {
    const { email, uid } = await person(app)
    const link = await linkTo(email)
    const admin = await app.keyWith('admin')
    const { status } = await app.call(
      `PUT /v1/users/${uid}/password`,
      { new_password: 'some other words' },
      admin,
    )
    expect(status).toBe(204)
    await mailTo(email, 'Your password was changed')
    expect((await createBrowser(app.url).open(link)).status).toBe(404)
  })

  test.for<[what: string, headers: Record<string, string>, form: Record<string, string>, status: number]>([
    ['no address', {}, { email: 'ann' }, 422],
    ['an address and a header', {}, { email: 'ann@example.com\r\nBcc: x@example.com' }, 422],
    ['a form of another site', { 'sec-fetch-site': 'cross-site' }, { email: 'ann@example.com' }, 403],
    ['a form of another origin', { origin: 'https://evil.example' }, { email: 'ann@example.com' }, 403],
    ['markup', {}, { email: '"><script>alert(1)</script>', from: '"><script>' }, 422],
  ])('is helped along, or sent away, without a mail: %s', async ([_, headers, form, status]) => {
    const rows = await app.everything()
    const browser = createBrowser(app.url)
    const shown = await browser.submit(await browser.open(`${asking}?from=%22%3E%3Cscript%3E`), form, headers)
    expect(shown.status).toBe(status)
    expect(shown.html).not.toContain('<script')
    expect(await app.everything()).toEqual(rows)
  })

  test.for(['', 'x', '..%2F', '%00', '%ff', 'a&token=b', 'x'.repeat(5_000)])(
    'finds no page behind what is no link: %j',
    async (token) => {
      expect((await createBrowser(app.url).open(`/oauth/new-password?token=${token}`)).status).toBe(404)
    },
  )

  test('is kept from asking too often, alike whether anybody has the address', async () => {
    const one = await startApp()
    try {
      const { email } = await person(one)
      for (const address of [email, 'nobody@example.com']) {
        const statuses: number[] = []
        for (let n = 0; n <= recoveryLimits.ofEmail.quota; n++)
          statuses.push((await ask(address, one.url)).status)
        expect(statuses).toEqual([...Array(recoveryLimits.ofEmail.quota).fill(200), 429])
      }
    } finally {
      await one.close()
    }
  })

  test('gets mails that only the owner of the data can read', async () => {
    await linkTo((await person(app)).email)
    const modes = await Promise.all(
      [app.folder, ...(await readdir(join(app.folder, 'mail')))].map(async (name, n) => {
        const { mode } = await stat(n === 0 ? join(app.folder, 'mail') : join(app.folder, 'mail', name))
        return mode & 0o777
      }),
    )
    expect(new Set(modes.slice(1))).toEqual(new Set([0o600]))
    expect(modes[0]).toBe(0o700)
  })
})

test.for([
  unavailable('The store can not be read now'),
  new DirectoryError(refusal('precondition_failed', 'Others were first')),
])('what can not be done now people are told on a page: %s', async (away) => {
  const ann = await person(app)
  const link = await linkTo(ann.email)
  const browser = createBrowser(app.url)
  const page = await browser.open(link)
  for (const open of [
    () => browser.open(link),
    () => browser.submit({ ...page, address: '/oauth/new-password' }, { password: next, again: next }),
    () => browser.open(`/email/confirm?token=emc_0123456789abcdef.${'x'.repeat(32)}`),
  ]) {
    const failed = [
      vi.spyOn(app.store.documents, 'find').mockRejectedValue(away),
      vi.spyOn(app.store.emailChanges, 'get').mockRejectedValue(away),
    ]
    const told = await open()
    for (const one of failed) one.mockRestore()
    expect([told.status, told.headers.get('content-type')]).toEqual([503, 'text/html; charset=utf-8'])
    expect(told.headers.get('referrer-policy')).toBe('no-referrer')
  }
  expect((await choose(link, { password: next, again: next })).status).toBe(200)
})
