import { existsSync } from 'node:fs'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { person } from '../../../test/oauth.ts'
import { type Postbox, startPostbox } from '../../../test/postbox.ts'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

describe.skipIf(!existsSync(executablePath))(
  `the pages behind mails in a browser (needs Chromium at ${executablePath})`,
  () => {
    let postbox: Postbox
    let app: TestApp
    let browser: Browser
    beforeAll(async () => {
      postbox = await startPostbox()
      app = await startApp(postbox.settings)
      browser = await chromium.launch({
        executablePath,
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
      })
    })
    afterAll(async () => {
      await browser?.close()
      await app?.close()
      await postbox?.close()
    })

    test.for([
      ['light', { width: 1024, height: 768 }],
      ['dark', { width: 320, height: 640 }],
    ] as const)(
      'confirm and undo by a button, and have nothing that axe objects to: %s',
      { timeout: 120_000 },
      async ([colorScheme, viewport]) => {
        const key = await app.keyWith('read', 'write')
        const ann = await person(app)
        const context = await browser.newContext({ colorScheme, viewport })
        const page = await context.newPage()
        const said: string[] = []
        page.on('console', (message) => said.push(message.text()))
        const look = async (title: string) => {
          expect(await page.title()).toBe(title)
          const { violations } = await new AxeBuilder({ page }).analyze()
          expect(violations.map(({ id }) => id)).toEqual([])
          expect(await page.evaluate('document.documentElement.scrollWidth > innerWidth')).toBe(false)
        }
        const move = async (email: string) => {
          await app.call(`POST /v1/users/${ann.uid}/email-changes`, { email }, key)
          await page.goto(`${app.url}/email/confirm?token=${await postbox.token(email)}`)
        }
        const [first, nonsense] = [`first-${colorScheme}@mail.example`, `<i>&"'${colorScheme}`]
        await move(first)
        await look('Confirm the new address')
        expect(await page.textContent('main')).toContain(first)
        await page.getByRole('button', { name: 'Confirm' }).press('Enter')
        await page.getByRole('heading', { name: 'The address is confirmed' }).waitFor()
        await look('The address is confirmed')
        await page.goBack()
        await page.reload()
        await look('This link is of no use any more')

        await move(`second-${colorScheme}-${'long'.repeat(12)}@mail.example`)
        await look('Confirm the new address')
        await page.getByRole('button', { name: 'Confirm' }).click()
        await page.getByRole('heading', { name: 'The address is confirmed' }).waitFor()
        await postbox.next(first)
        await page.goto(`${app.url}/email/undo?token=${await postbox.token(first)}`)
        await look('Undo the change of address')
        await page.getByRole('button', { name: 'Undo the change' }).click()
        await page.getByRole('heading', { name: 'The old address is back' }).waitFor()
        await look('The old address is back')
        expect((await app.call(`GET /v1/users/${ann.uid}`, undefined, key)).body).toMatchObject({
          email: first,
        })
        await page.goto(`${app.url}/email/confirm?token=${encodeURIComponent(nonsense)}`)
        await look('This link is of no use any more')
        // A page that is of no use is 410, which browsers say something about; a policy that is broken they would too.
        expect(said.filter((text) => !text.includes('410'))).toEqual([])
        await context.close()
      },
    )
  },
)
