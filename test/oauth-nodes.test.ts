import { afterEach, expect, inject, it } from 'vitest'
import { authorize, createBrowser } from './oauth.ts'
import { createDatabase } from './postgres.ts'
import { cleanUp, createClient, run, serve, temporaryFolder } from './process.ts'

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  await cleanUp()
  for (const one of cleanUps.splice(0).reverse()) await one()
})

const back = 'https://app.example.com/back'
const password = 'correct horse battery staple'

it('nodes share sign-ins, codes, tokens and keys, and refuse within a second what another has revoked', async () => {
  const { url: databaseUrl, drop } = await createDatabase(inject('postgresUrl'))
  cleanUps.push(drop)
  // Both are reached by one name, as behind a load balancer.
  const env = { DATABASE_URL: databaseUrl, ROSTER_PUBLIC_URL: 'http://127.0.0.1:9', ROSTER_RATE_LIMIT: 'off' }
  const [one, other] = await Promise.all([1, 2].map(() => serve([], { folder: temporaryFolder(), env })))
  if (one === undefined || other === undefined) throw new Error('two nodes are needed')
  const command = (...args: string[]) =>
    run(args, { folder: temporaryFolder(), env: { DATABASE_URL: databaseUrl } })
  const made = await command(
    ...['client', 'create', '--name', 'Shop', '--scopes', 'read'],
    '--redirect-uri',
    back,
  )
  const { client_id, client_secret } = JSON.parse(made.stdout) as Record<
    'client_id' | 'client_secret',
    string
  >
  const key = (await command('key', 'create', '--name', 'n', '--scopes', 'write')).stdout.trim()
  const person = { email: 'ann@example.com', username: 'ann', password }
  const created = await createClient(one.url)('POST', '/v1/users', person, { authorization: `Bearer ${key}` })
  expect(created.status).toBe(201)

  // The sign-in begins on one node and goes on on the other.
  const query = { client_id, redirect_uri: back, response_type: 'code', scope: 'read', state: 's' }
  const browser = createBrowser(one.url, [other.url, one.url])
  const returned = await authorize(browser, `/oauth/authorize?${new URLSearchParams(query)}`, {
    name: 'ann',
    password,
  })
  const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`
  const post = (url: string, path: string, form: Record<string, string>) =>
    fetch(`${url}${path}`, { method: 'POST', headers: { authorization }, body: new URLSearchParams(form) })
  const form = {
    grant_type: 'authorization_code',
    code: returned.searchParams.get('code') ?? '',
    redirect_uri: back,
  }

  // Of several who bring the code to different nodes at one moment, one at most gets something, and not for long.
  const answers = await Promise.all(
    [one, other, one, other].map(({ url }) => post(url, '/oauth/token', form)),
  )
  const good = answers.filter(({ status }) => status === 200)
  expect(good.length).toBeLessThanOrEqual(1)
  const again = await authorize(
    createBrowser(one.url, [one.url, other.url]),
    `/oauth/authorize?${new URLSearchParams(query)}`,
    {
      name: 'ann',
      password,
    },
  )
  const asked = await post(other.url, '/oauth/token', { ...form, code: again.searchParams.get('code') ?? '' })
  const { access_token } = (await asked.json()) as { access_token: string }
  const status = async ({ url }: { url: string }) =>
    (await fetch(`${url}/v1/user`, { headers: { authorization: `Bearer ${access_token}` } })).status
  expect([await status(one), await status(other)]).toEqual([200, 200])
  await post(other.url, '/oauth/revoke', { token: access_token })
  const within = { timeout: 1_000, interval: 25 }
  for (const node of [one, other]) await expect.poll(() => status(node), within).toBe(401)
  const jwks = await Promise.all(
    [one, other].map(async ({ url }) => (await fetch(`${url}/oauth/jwks`)).text()),
  )
  expect(jwks[0]).toBe(jwks[1])
})
