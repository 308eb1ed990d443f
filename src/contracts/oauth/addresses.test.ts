import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { client } from '../../../test/oauth.ts'

/** Behind a proxy that ends TLS and takes a path away, as an operator says where that is. */

let app: TestApp
let shop: { id: string; secret: string }
beforeAll(async () => {
  app = await startApp({ publicUrl })
  shop = await client(app, { scopes: ['read'], redirect_uris: [back] })
})
afterAll(() => app.close())

const publicUrl = 'https://id.example.com/people'
const back = 'https://app.example.com/back'
const asked = () => ({
  ...{ client_id: shop.id, redirect_uri: back, response_type: 'code', scope: 'read', state: 's' },
})

describe.for(['id.example.com', 'evil.example', 'evil.example:99', 'not a host', '[::', ''])(
  'whatever Host is sent: %s',
  (host) => {
    test('the documents name addresses of the issuer', async () => {
      for (const name of ['openid-configuration', 'oauth-authorization-server']) {
        const { status, body } = await app.call(`GET /.well-known/${name}`, undefined, { host })
        const { issuer, ...told } = body as Record<string, unknown>
        expect([status, issuer]).toEqual([200, publicUrl])
        const addresses = Object.entries(told).filter(([key]) => /_endpoint$|_uri$/.test(key))
        expect(addresses.length).toBeGreaterThan(5)
        for (const [, address] of addresses)
          expect(String(address)).toMatch(/^https:\/\/id\.example\.com\/people\/oauth\//)
      }
    })

    test('a sign-in goes on there, by cookies that come through TLS only', async () => {
      const url = `/oauth/authorize?${new URLSearchParams(asked())}`
      const { statusCode, headers } = await app.app.inject({ url, headers: { host } })
      expect(statusCode).toBe(303)
      expect(headers.location).toMatch(/^\/people\/oauth\/sign-in\/[\w-]+$/)
      const cookies = [headers['set-cookie'] ?? []].flat()
      expect(cookies.length).toBeGreaterThan(0)
      for (const cookie of cookies) expect(cookie).toMatch(/; path=\/people\/oauth\/.*; secure; httponly/i)
      const { documents = [] } = await app.everything()
      const payloads = documents.map((row) => JSON.stringify((row as { payload: unknown }).payload))
      expect(payloads.filter((text) => /evil|localhost/.test(text))).toEqual([])
    })
  },
)

test('an authorization request may be sent as a form (OpenID Connect Core 1.0, section 3.1.2.1)', async () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const query = `${new URLSearchParams({ ...asked(), state: 'a&b\r\nc: d' })}`
  const { status, headers } = await app.call('POST /oauth/authorize', query, form)
  // As an address, which brings the cookies that a form of another site does not.
  expect([status, headers.location]).toEqual([303, `/people/oauth/authorize?${query}`])
})

test('an access token may be told to userinfo in a form (OpenID Connect Core 1.0, section 5.3)', async () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const { status, body } = await app.call('POST /oauth/userinfo', `access_token=${'x'.repeat(43)}`, form)
  expect(status).toBe(401)
  expect(body).toMatchObject({ error: 'invalid_token' })
})
