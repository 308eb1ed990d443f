import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
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
    let id: string
    beforeAll(async () => {
      app = await startApp()
      const back = `${app.url}/healthz`
      ;({ id } = await client(app, {
        name: 'The <b>Shop</b> & Co',
        scopes: ['read', 'write'],
        redirect_uris: [back],
      }))
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
      { timeout: 120_000 },
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
        await page.goto(`${app.url}/oauth/sign-in/over`)
        await look('over')

        await page.goto(`${app.url}/oauth/sign-out?client_id=${id}`)
        await page.getByRole('heading', { name: 'Sign out?' }).waitFor()
        await look('sign-out')
        await page.getByRole('button', { name: 'Stay signed in' }).click()
        await page.getByRole('heading', { name: 'You are still signed in' }).waitFor()
        await look('still-signed-in')
        await page.goto(`${app.url}/oauth/sign-out`)
        await page.getByRole('button', { name: 'Sign out' }).click()
        await page.getByRole('heading', { name: 'You are signed out' }).waitFor()
        await look('signed-out')
        // Whoever is not signed in need not be asked.
        await page.goto(`${app.url}/oauth/sign-out`)
        await page.getByRole('heading', { name: 'You are signed out' }).waitFor()
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

    /** A page of a client: what is sent there is told on it, or leads on to elsewhere. */
    async function startClient(answer: (request: IncomingMessage, response: ServerResponse) => void) {
      const server = createServer(answer).listen(0, '127.0.0.1')
      await once(server, 'listening')
      onTestFinished(() => void server.close())
      return server.address() as AddressInfo
    }

    async function signIn(query: Readonly<Record<string, string>>) {
      const ann = await person(app)
      const page = await (await browser.newContext()).newPage()
      onTestFinished(() => page.context().close())
      const asked = { response_type: 'code', scope: 'read', state: 'a"b', ...query }
      await page.goto(`${app.url}/oauth/authorize?${new URLSearchParams(asked)}`)
      await page.getByLabel('E-mail address or username').fill(ann.email)
      await page.getByLabel('Password').fill(ann.password)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('button', { name: 'Allow', exact: true }).click()
      return page
    }

    test('a client may lead on from where people come back to', async () => {
      const { port } = await startClient((request, response) => {
        if (request.url?.startsWith('/back'))
          response.writeHead(302, { location: `http://localhost:${port}/on` })
        response.end('here')
      })
      const back = `http://127.0.0.1:${port}/back`
      const made = await client(app, { scopes: ['read'], redirect_uris: [back] })
      const page = await signIn({ client_id: made.id, redirect_uri: back })
      await page.waitForURL(`http://localhost:${port}/on`)
    })

    test('an answer can be sent to a client in a form (OAuth 2.0 Form Post Response Mode)', async () => {
      const { port } = await startClient(async (request, response) => {
        let body = ''
        for await (const chunk of request) body += chunk
        response.end(`${request.method} ${body}`)
      })
      const back = `http://127.0.0.1:${port}/back`
      const made = await client(app, { scopes: ['read'], redirect_uris: [back] })
      const page = await signIn({ client_id: made.id, redirect_uri: back, response_mode: 'form_post' })
      await page.waitForURL(back)
      const [method, body] = String(await page.textContent('body')).split(' ')
      const sent = new URLSearchParams(body)
      expect([method, sent.get('state'), sent.get('code')]).toEqual(['POST', 'a"b', expect.any(String)])
    })
  },
)
