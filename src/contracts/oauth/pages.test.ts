import { existsSync, mkdirSync } from 'node:fs'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
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

    test.for([
      ['light', { width: 1024, height: 768 }],
      ['dark', { width: 320, height: 640 }],
    ] as const)(
      'lead through without a script, and have nothing that axe objects to: %s',
      async ([colorScheme, viewport]) => {
        const ann = await person(app)
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
  },
)
