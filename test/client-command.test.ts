import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { emptyDirectory, runHere } from './command.ts'
import { authorize, createBrowser } from './oauth.ts'
import { cleanUp, run, serve, temporaryFolder } from './process.ts'

afterEach(cleanUp)

const back = 'https://app.example.com/back'

async function tokens(url: string, client: { id: string; secret: string }, form: Record<string, string>) {
  const authorization = `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`
  const answer = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    headers: { authorization },
    body: new URLSearchParams(form),
  })
  return (await answer.json()) as { access_token: string; refresh_token: string; error?: string }
}

it('roster client makes a client that the sample person signs in at, with nothing of it in the log', async () => {
  const folder = temporaryFolder()
  const server = await serve(['--demo'], { folder, env: { LOG_LEVEL: 'debug' } })
  const command = (...args: string[]) => run(['client', ...args], { folder, env: {} })
  const made = await command(
    ...['create', '--name', 'Shop', '--scopes', 'read,write', '--redirect-uri', back],
  )
  expect(made).toMatchObject({ code: 0, stderr: 'The secret is not shown again:\n' })
  const { client_id, client_secret } = JSON.parse(made.stdout) as Record<
    'client_id' | 'client_secret',
    string
  >
  const client = { id: client_id, secret: client_secret }

  const credentials = JSON.parse(readFileSync(join(folder, 'demo-credentials.json'), 'utf8'))
  const person = { name: 'mira.sole@example.org', password: String(credentials.community_password) }
  const asked = {
    client_id,
    redirect_uri: back,
    response_type: 'code',
    scope: 'read write',
    state: 'a-state',
  }
  const query = new URLSearchParams(asked)
  const returned = await authorize(createBrowser(server.url), `/oauth/authorize?${query}`, person)
  const code = returned.searchParams.get('code') ?? ''
  const form = { grant_type: 'authorization_code', code, redirect_uri: back }
  const { access_token, refresh_token } = await tokens(server.url, client, form)
  const own = await fetch(`${server.url}/v1/user`, { headers: { authorization: `Bearer ${access_token}` } })
  expect(await own.json()).toMatchObject({ username: 'mira_sole' })

  expect(JSON.parse((await command('list')).stdout)).toEqual({
    ...{ client_id, name: 'Shop', scopes: ['read', 'write'], redirect_uris: [back], public: false },
    ...{ created_at: expect.stringMatching(/^20.*Z$/), revoked_at: null },
  })
  expect(await command('revoke', client_id)).toMatchObject({ code: 0, stderr: `${client_id} is revoked\n` })
  const status = async () =>
    (await fetch(`${server.url}/v1/user`, { headers: { authorization: `Bearer ${access_token}` } })).status
  await expect.poll(status, { timeout: 1_000, interval: 25 }).toBe(401)
  expect(await tokens(server.url, client, { grant_type: 'refresh_token', refresh_token })).toMatchObject({
    error: 'invalid_client',
  })
  expect(await command('rotate-keys')).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('signs from in two minutes on'),
  })

  await server.stop()
  const log = server.log().join('\n')
  expect(log).toContain('/oauth/sign-in/:uid')
  const secrets = [client_secret, person.name, person.password, code, access_token, refresh_token, 'a-state']
  for (const secret of secrets) expect(log).not.toContain(secret)
})

const wrong = [
  [['create', '--name', 'x', '--scopes', 'root'], 1, '--scopes must be a list of read, write, admin'],
  [['create', '--name', 'x', '--scopes', 'admin', '--redirect-uri', back], 1, 'people never get it'],
  [
    ['create', '--name', 'x', '--scopes', 'read', '--public'],
    1,
    '--redirect-uri is needed by a public client',
  ],
  [
    ['create', '--name', 'x', '--scopes', 'read', '--redirect-uri', 'http://a.example/'],
    1,
    'must be https addresses',
  ],
  [['revoke', 'client_nobody'], 1, 'Client not found'],
  [['create', '--name', 'x'], 2, '--name and --scopes are needed'],
  [['list', 'more'], 2, 'This is no command of roster client'],
] as const

it('roster client says what is wrong, on standard error, and makes nothing', async () => {
  const folder = await emptyDirectory()
  for (const [args, code, message] of wrong) {
    const { code: ended, stdout, stderr } = await runHere(['client', ...args], { folder })
    expect([ended, stdout]).toEqual([code, ''])
    expect(stderr).toContain(message)
  }
  expect((await runHere(['client', 'list'], { folder })).stdout).toBe('')
})
