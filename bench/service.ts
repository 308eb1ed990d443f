import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** The service as it runs, with an empty directory, for benches that ask what people notice. */
export async function startService() {
  const folder = mkdtempSync(join(tmpdir(), 'roster-bench-'))
  const env = {
    ...process.env,
    ROSTER_DATA: folder,
    PORT: '0',
    ROSTER_RATE_LIMIT: 'off',
    ROSTER_TRUST_PROXY: '127.0.0.1',
    ROSTER_JWT_SECRET: jwtSecret,
  }
  const main = new URL('../src/main.js', import.meta.url).pathname
  const server = spawn(process.execPath, [main, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] })

  async function close(): Promise<void> {
    server.kill('SIGTERM')
    if (server.exitCode === null) await once(server, 'exit')
    rmSync(folder, { recursive: true })
  }

  async function ready(): Promise<string> {
    for await (const line of createInterface({ input: server.stdout })) {
      const { msg, url } = JSON.parse(line) as { msg: string; url?: string }
      if (msg === 'ready' && url !== undefined) {
        server.stdout.resume()
        return url
      }
    }
    throw new Error('the service did not start')
  }

  async function command(...args: string[]): Promise<string> {
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    for await (const chunk of child.stdout.setEncoding('utf8')) text += chunk
    return text
  }

  try {
    const url = await ready()
    const key = (await command('key', 'create', '--name', 'bench', '--scopes', 'admin')).trim()
    const send = (method: string, path: string, body: object) =>
      fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    return { url, send, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** What the backend of a community signs tokens with. */
export const jwtSecret = 'a secret of the benchmark, and of nobody else'

type Send = Awaited<ReturnType<typeof startService>>['send']

export const password = 'correct horse battery staple'

/** `known0@example.com` and so on. @returns their ids */
export async function makePeople(send: Send, count: number): Promise<string[]> {
  const people: string[] = []
  for (let n = 0; n < count; n++) {
    const person = { email: `known${n}@example.com`, username: `known${n}`, password }
    const { id } = (await (await send('POST', '/v1/users', person)).json()) as { id: string }
    people.push(id)
  }
  return people
}

/** The address where people sign in, for a client made for it. */
export async function signInAddress(send: Send): Promise<string> {
  const back = 'https://app.example.com/back'
  const made = await send('POST', '/v1/clients', { name: 'bench', scopes: ['read'], redirect_uris: [back] })
  const { client_id } = (await made.json()) as { client_id: string }
  const query = { client_id, redirect_uri: back, response_type: 'code', scope: 'read', state: 's' }
  return `/oauth/authorize?${new URLSearchParams(query)}`
}

/** As a proxy would tell it, so that each try has an address of its own. */
export function comesFrom(n: number) {
  return { 'x-forwarded-for': `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` }
}
