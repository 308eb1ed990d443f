import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { authorize, createBrowser } from './oauth.ts'
import { cleanUp, createClient, run, serve, temporaryFolder } from './process.ts'
import { like, root } from './readme.ts'

afterEach(cleanUp)

/** What docs/oauth.md shows, from the top to the bottom: each block for the shell, and the answer below it. */
const blocks = [
  ...readFileSync(new URL('docs/oauth.md', root), 'utf8').matchAll(/^ *```(\w+)\n(.*?)^ *```$/gms),
].map(([, language, text = '']) => ({ language, text: text.replaceAll(/^ {3}/gm, '').trim() }))
const needed = ['sh', 'curl', 'openssl'].filter(
  (program) => spawnSync(program, ['version']).error !== undefined,
)
const password = 'correct horse battery staple'

test('its lines work as they are printed', async ({ skip }) => {
  skip(needed.length > 0, `there is no ${needed.join(', ')} on this machine`)
  const folder = temporaryFolder()
  const env = { ROSTER_RATE_LIMIT: 'off' }
  const { url } = await serve([], { folder, env })
  const key = await run(['key', 'create', '--name', 'n', '--scopes', 'write'], { folder })
  const authorization = `Bearer ${key.stdout.trim()}`
  const ann = { email: 'ann@example.com', username: 'ann', password }
  expect((await createClient(url)('POST', '/v1/users', ann, { authorization })).status).toBe(201)

  /** What the lines get to know, one after the other. */
  const known: Record<string, string> = { REDIRECT_URI: 'https://shop.example.com/back' }
  async function shell(text: string): Promise<string> {
    const { PATH = '', HOME = '' } = process.env
    const own = { PATH, HOME, no_proxy: '*', ROSTER_DATA: folder, ...known }
    const here = text.replaceAll('http://127.0.0.1:3000', url)
    const cwd = fileURLToPath(root)
    return (await promisify(execFile)('sh', ['-ec', here], { env: own, cwd })).stdout.trim()
  }
  const learn = ({ client_id, client_secret, access_token, refresh_token }: Told) =>
    Object.assign(known, {
      ...(client_secret && { CLIENT_ID: client_id, CLIENT_SECRET: client_secret }),
      ...(access_token && { ACCESS_TOKEN: access_token }),
      ...(refresh_token && { REFRESH_TOKEN: refresh_token }),
    })
  /** The person signs in and allows it, as in a browser. */
  async function signIn(challenge: string) {
    const asked = { response_type: 'code', scope: 'read write', state: 's', code_challenge_method: 'S256' }
    const of = { client_id: String(known.CLIENT_ID), redirect_uri: String(known.REDIRECT_URI) }
    const query = new URLSearchParams({ ...asked, ...of, code_challenge: challenge })
    const back = await authorize(createBrowser(url), `/oauth/authorize?${query}`, { name: 'ann', password })
    known.CODE = back.searchParams.get('code') ?? ''
  }

  let clients: readonly Told[] = []
  const told: unknown[] = []
  for (const [at, { language, text }] of blocks.entries()) {
    if (language !== 'sh') continue
    if (text.includes('client create')) {
      clients = (await shell(text)).split('\n').map((line) => JSON.parse(line) as Told)
      learn(clients[0] ?? {})
      continue
    }
    if (text.startsWith('VERIFIER=')) {
      const [verifier = '', challenge = ''] = (await shell(`${text}\necho "$VERIFIER $CHALLENGE"`)).split(' ')
      learn(clients[1] ?? {})
      known.VERIFIER = verifier
      await signIn(challenge)
      continue
    }
    const printed = await shell(text)
    const answer = blocks[at + 1]
    if (answer?.language === 'json') expect(printed).toMatch(like(answer.text))
    const body = printed === '' ? undefined : (JSON.parse(printed) as Told)
    learn(body ?? {})
    told.push(body)
  }
  expect(clients.map(({ client_secret }) => client_secret !== undefined)).toEqual([true, true, false])
  const tokens = { access_token: expect.any(String), expires_in: 3_600 }
  const two = { ...tokens, refresh_token: expect.any(String) }
  const active = { active: true, client_id: clients[1]?.client_id }
  const expected = [tokens, two, two, { username: 'ann' }, active]
  expect(told.slice(0, -1)).toMatchObject(expected)
  expect(told.at(-1)).toBeUndefined()
  const headers = { authorization: `Bearer ${known.ACCESS_TOKEN}` }
  const status = async () => (await fetch(`${url}/v1/user`, { headers })).status
  await expect.poll(status).toBe(401)
})

type Told = Partial<Record<'client_id' | 'client_secret' | 'access_token' | 'refresh_token', string>>
