import { existsSync, mkdirSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { tokenIn, until } from '../../../test/mail.ts'
import { client, person } from '../../../test/oauth.ts'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
/** A folder for pictures of the pages, to be looked at. */
const pictures = process.env.PICTURES

describe.skipIf(!existsSync(executablePath))(
  `the pages in a browser (needs Chromium at ${executablePath})`,
  () => {
    let app: TestApp
    let browser: Browser
    let address: string
    beforeAll(async () => {
      app = await startApp()
      const back = `${app.url}/healthz`
      const { id } = await client(app, {
        name: 'The <b>Shop</b> & Co',
        scopes: ['read', 'write'],
        redirect_uris: [back],
      })
      const asked = { client_id: id, redirect_uri: back, response_type: 'code', scope: 'openid read write' }
      const pkce = { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256', state: 's' }
      address = `${app.url}/oauth/authorize?${new URLSearchParams({ ...asked, ...pkce })}`
      browser = await chromium.launch({
        executablePath,
        args: [
          ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
          ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
        ],
      })
    })
    afterAll(async () => {
      await browser?.close()
      await app?.close()
    })

    const windows = [
      ['light', { width: 1024, height: 768 }],
      ['dark', { width: 320, height: 640 }],
    ] as const

    async function openWindow([colorScheme, viewport]: (typeof windows)[number]) {
      const context = await browser.newContext({ colorScheme, viewport, bypassCSP: false })
      const page = await context.newPage()
      const said: string[] = []
      page.on('console', (message) => said.push(message.text()))
      const look = async (name: string) => {
        const { violations } = await new AxeBuilder({ page }).analyze()
        expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([])
        const overflows = await page.evaluate('document.documentElement.scrollWidth > innerWidth')
        expect(overflows).toBe(false)
        if (pictures === undefined) return
        mkdirSync(pictures, { recursive: true })
        await page.screenshot({ path: `${pictures}/${name}-${colorScheme}.png`, fullPage: true })
      }
      return { context, page, said, look }
    }

    test.for(windows)(
      'lead through without a script, and have nothing that axe objects to: %s',
      { timeout: 60_000 },
      async (window) => {
        const ann = await person(app)
        const { context, page, said, look } = await openWindow(window)
        await page.goto(address)
        expect(await page.title()).toBe('Sign in')
        await look('sign-in')
        // By keyboard alone, as a person would who sees nothing.
        await page.getByLabel('E-mail address or username').fill(ann.email)
        await page.keyboard.press('Tab')
        await page.keyboard.type('wrong')
        await page.keyboard.press('Enter')
        await page.getByRole('alert').waitFor()
        expect(await page.title()).toBe('Error: Sign in')
        expect(await page.getByLabel('E-mail address or username').inputValue()).toBe(ann.email)
        await look('wrong')
        await page.getByLabel('Password').fill(ann.password)
        await page.getByRole('button', { name: 'Sign in' }).click()
        await page.getByRole('heading', { name: 'Allow access?' }).waitFor()
        expect(await page.textContent('main')).toContain('The <b>Shop</b> & Co')
        await look('allow')
        await page.getByRole('button', { name: 'Allow', exact: true }).click()
        await page.waitForURL(/\/healthz\?code=/)
        expect(said.filter((text) => /Content Security Policy|refused/i.test(text))).toEqual([])

        await page.goto(address.replace('client_id=', 'client_id=x'))
        await look('error')
        await context.close()
      },
    )

    test.for(windows)(
      'lead whoever has forgotten the password to another one, and have nothing that axe objects to: %s',
      { timeout: 60_000 },
      async (window) => {
        const ann = await person(app)
        const { context, page, said, look } = await openWindow(window)
        await page.goto(address)
        const signIn = page.url()
        await page.getByRole('link', { name: 'Forgot your password?' }).click()
        expect(await page.title()).toBe('Forgotten password')
        await look('forgot')
        await page.keyboard.type('ann@')
        await page.keyboard.press('Enter')
        await page.getByRole('alert').waitFor()
        await look('forgot-wrong')
        await page.getByLabel('E-mail address').fill(ann.email)
        await page.getByRole('button', { name: 'Send the mail' }).click()
        await page.getByRole('heading', { name: 'Look into your mailbox' }).waitFor()
        await look('forgot-sent')
        await page.getByRole('link', { name: 'Back to signing in' }).click()
        expect(page.url()).toBe(signIn)

        const link = await linkFor(ann.email)
        const asked: (string | undefined)[] = []
        page.on('request', (request) => asked.push(request.headers().referer))
        await page.goto(link)
        await look('choose')
        await page.getByLabel('New password', { exact: true }).fill('password')
        await page.getByLabel('New password, once more').fill('password')
        await page.keyboard.press('Enter')
        await page.getByRole('alert').waitFor()
        expect(page.url()).not.toContain('token')
        await look('choose-wrong')
        await page.getByLabel('New password', { exact: true }).fill('a password nobody has')
        await page.getByLabel('New password, once more').fill('a password nobody has')
        await page.getByRole('button', { name: 'Change the password' }).click()
        await page.getByRole('heading', { name: 'Your password was changed' }).waitFor()
        await look('chosen')
        expect(asked.filter((referer) => referer?.includes('token'))).toEqual([])
        await page.goto(link)
        await look('link-over')
        await page.getByRole('link', { name: 'Have another one sent' }).click()
        expect(await page.title()).toBe('Forgotten password')
        expect(said.filter((text) => /Content Security Policy|refused/i.test(text))).toEqual([])

        await page.goto(signIn)
        await page.getByLabel('E-mail address or username').fill(ann.email)
        await page.getByLabel('Password').fill('a password nobody has')
        await page.getByRole('button', { name: 'Sign in' }).click()
        await page.getByRole('heading', { name: 'Allow access?' }).waitFor()
        await context.close()
      },
    )

    async function linkFor(email: string): Promise<string> {
      const mail = await until(async () => {
        const names = await readdir(join(app.folder, 'mail')).catch(() => [])
        const whole = names.filter((name) => name.endsWith('.eml'))
        const mails = await Promise.all(whole.map((name) => readFile(join(app.folder, 'mail', name), 'utf8')))
        return mails.find((raw) => raw.includes(`To: ${email}`))
      })
      return `${app.url}/oauth/new-password?token=${encodeURIComponent(tokenIn({ raw: mail }))}`
    }
  },
)
