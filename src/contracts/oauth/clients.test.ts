import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { authorize, client, createBrowser, person } from '../../../test/oauth.ts'

let app: TestApp
beforeAll(async () => {
  app = await startApp()
})
afterAll(() => app.close())

const redirectUri = 'https://app.example.com/back'

/** What an access token may do to a user. */
async function update(token: string, uid: string, body: object) {
  const { status } = await app.call(`PATCH /v1/users/${uid}`, body, { authorization: `Bearer ${token}` })
  return status
}

describe('openid-client', () => {
  async function discover(of: { id: string; secret: string }) {
    const secret = of.secret === '' ? openid.None() : of.secret
    const execute = [openid.allowInsecureRequests]
    return openid.discovery(
      new URL(app.url),
      of.id,
      undefined,
      typeof secret === 'string' ? openid.ClientSecretPost(secret) : secret,
      { execute },
    )
  }

  test.for([
    ['a client with a secret', false],
    ['a public client', true],
  ] as const)(
    'completes code and PKCE, refresh, introspection and revocation for %s',
    async ([, isPublic]) => {
      const ann = await person(app)
      const eve = await person(app)
      const made = await client(app, {
        scopes: ['read', 'write'],
        redirect_uris: [redirectUri],
        public: isPublic,
      })
      const config = await discover(made)
      const verifier = openid.randomPKCECodeVerifier()
      const state = openid.randomState()
      const nonce = openid.randomNonce()
      const address = openid.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: 'openid read write',
        code_challenge: await openid.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
      })
      const back = await authorize(createBrowser(app.url), address.href, ann)
      expect(back.href).toMatch(/^https:\/\/app\.example\.com\/back\?/)
      const tokens = await openid.authorizationCodeGrant(config, back, {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
      })
      expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: 'openid read write' })

      // Their own record and nobody else's, and of that only what is theirs to change.
      expect(await update(tokens.access_token, ann.uid, { first_name: 'Ann' })).toBe(200)
      expect(await update(tokens.access_token, eve.uid, { first_name: 'Ann' })).toBe(403)
      for (const body of [{ role: 'admin' }, { first_name: 'A', role: 'admin' }])
        expect(await update(tokens.access_token, ann.uid, body)).toBe(403)
      for (const line of [
        `DELETE /v1/users/${eve.uid}`,
        `GET /v1/users/${eve.uid}`,
        'GET /v1/users',
        'GET /v1/keys',
      ])
        expect(
          (await app.call(line, undefined, { authorization: `Bearer ${tokens.access_token}` })).status,
        ).toBe(403)
      const asked = { email: `new-${ann.email}` }
      const bearer = { authorization: `Bearer ${tokens.access_token}` }
      expect(await app.call(`PATCH /v1/users/${ann.uid}`, asked, bearer)).toMatchObject({
        ...{ status: 200, headers: { 'roster-pending': 'email' }, body: { email: ann.email } },
      })
      const own = await app.call('GET /v1/user', undefined, {
        authorization: `Bearer ${tokens.access_token}`,
      })
      expect(own).toMatchObject({ status: 200, body: { id: ann.uid, first_name: 'Ann' } })

      const refreshed = await openid.refreshTokenGrant(config, String(tokens.refresh_token))
      expect(refreshed.refresh_token).not.toBe(tokens.refresh_token)
      expect(await update(refreshed.access_token, ann.uid, { last_name: 'Lee' })).toBe(200)
      const known = await openid.tokenIntrospection(config, refreshed.access_token)
      expect(known).toMatchObject({
        active: true,
        client_id: made.id,
        scope: 'openid read write',
        sub: tokens.claims()?.sub,
      })
      await openid.tokenRevocation(config, refreshed.access_token)
      expect(await openid.tokenIntrospection(config, refreshed.access_token)).toEqual({ active: false })
      await expect.poll(() => update(refreshed.access_token, ann.uid, { last_name: 'Le' })).toBe(401)
    },
  )

  test('completes client credentials, introspection and revocation', async () => {
    const ann = await person(app)
    const config = await discover(await client(app, { scopes: ['read', 'write'] }))
    const tokens = await openid.clientCredentialsGrant(config, { scope: 'read write' })
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: 'read write' })
    expect(tokens.refresh_token).toBeUndefined()
    expect(await update(tokens.access_token, ann.uid, { role: 'admin' })).toBe(200)
    expect(await openid.tokenIntrospection(config, tokens.access_token)).toMatchObject({ active: true })
    await openid.tokenRevocation(config, tokens.access_token)
    expect(await openid.tokenIntrospection(config, tokens.access_token)).toEqual({ active: false })
    await expect.poll(() => update(tokens.access_token, ann.uid, { role: 'user' })).toBe(401)
  })
})

describe('oauth4webapi', () => {
  const insecure = { [oauth.allowInsecureRequests]: true }

  async function discover(algorithm: 'oidc' | 'oauth2') {
    const issuer = new URL(app.url)
    const answer = await oauth.discoveryRequest(issuer, { algorithm, ...insecure })
    return oauth.processDiscoveryResponse(issuer, answer)
  }

  test.for(['oidc', 'oauth2'] as const)(
    'completes code and PKCE, refresh, introspection and revocation as %s',
    async (algorithm) => {
      const ann = await person(app)
      const server = await discover(algorithm)
      const made = await client(app, { scopes: ['read', 'write'], redirect_uris: [redirectUri] })
      const of = { client_id: made.id }
      const auth = oauth.ClientSecretBasic(made.secret)
      const verifier = oauth.generateRandomCodeVerifier()
      const state = oauth.generateRandomState()
      const address = new URL(String(server.authorization_endpoint))
      address.search = new URLSearchParams({
        ...{
          client_id: made.id,
          redirect_uri: redirectUri,
          response_type: 'code',
          scope: 'read write',
          state,
        },
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      }).toString()
      const back = await authorize(createBrowser(app.url), address.href, { ...ann, name: ann.email })
      const parameters = oauth.validateAuthResponse(server, of, back, state)
      const granted = await oauth.authorizationCodeGrantRequest(
        server,
        of,
        auth,
        parameters,
        redirectUri,
        verifier,
        insecure,
      )
      const tokens = await oauth.processAuthorizationCodeResponse(server, of, granted)
      expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: 'read write' })
      expect(await update(tokens.access_token, ann.uid, { first_name: 'Ann' })).toBe(200)

      const again = await oauth.refreshTokenGrantRequest(
        server,
        of,
        auth,
        String(tokens.refresh_token),
        insecure,
      )
      const refreshed = await oauth.processRefreshTokenResponse(server, of, again)
      expect(await update(refreshed.access_token, ann.uid, { first_name: 'Anne' })).toBe(200)
      const introspect = async (token: string) =>
        oauth.processIntrospectionResponse(
          server,
          of,
          await oauth.introspectionRequest(server, of, auth, token, insecure),
        )
      expect(await introspect(refreshed.access_token)).toMatchObject({ active: true, iss: app.url })
      await oauth.processRevocationResponse(
        await oauth.revocationRequest(server, of, auth, String(refreshed.refresh_token), insecure),
      )
      // The whole grant goes, on which the others stand.
      for (const token of [refreshed.access_token, String(refreshed.refresh_token), tokens.access_token])
        expect(await introspect(token)).toEqual({ active: false })
      await expect.poll(() => update(refreshed.access_token, ann.uid, { first_name: 'A' })).toBe(401)
    },
  )

  test('completes client credentials', async () => {
    const server = await discover('oauth2')
    const made = await client(app, { scopes: ['read', 'admin'] })
    const of = { client_id: made.id }
    const auth = oauth.ClientSecretBasic(made.secret)
    const asked = await oauth.clientCredentialsGrantRequest(server, of, auth, { scope: 'admin' }, insecure)
    const tokens = await oauth.processClientCredentialsResponse(server, of, asked)
    const authorization = `Bearer ${tokens.access_token}`
    expect((await app.call('GET /v1/clients', undefined, { authorization })).status).toBe(200)
  })
})
