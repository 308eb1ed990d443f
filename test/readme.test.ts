import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { type Service, startService } from '../src/service.ts'
import { byFetch, like, type Run, readme, root, takeApart } from './readme.ts'

/** What the README shows is run: every curl line against the service that `npm start` would start. */

const { blocks, examples } = readme.main

/** As curl -i prints it, by the real curl in a real shell, which reads no configuration of the user's. */
const byCurl: Run = async (command) => {
  const env = { PATH: process.env.PATH, HOME: folder, no_proxy: '*' }
  return (await promisify(execFile)('sh', ['-c', command], { env })).stdout
}

const hasCurl = spawnSync('curl', ['--version']).status === 0
const folder = mkdtempSync(join(tmpdir(), 'roster-readme-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe.each([
  { client: 'curl', run: byCurl, isThere: hasCurl },
  { client: 'fetch', run: byFetch, isThere: true },
])('the README by $client', ({ client, run, isThere }) => {
  let service: Service
  /** Whoever was made last through the platform API. */
  let made: string | undefined

  beforeAll(async () => {
    const config = readConfig({ PORT: '0', ROSTER_DATA: join(folder, client) }, true)
    const onFatal = (error: Error) => {
      throw error
    }
    service = await startService({ config, demo: true, log: pino({ level: 'silent' }), onFatal })
  })
  afterAll(() => service.close())

  test.for(examples)('$title', async ({ command, head, body }, { skip }) => {
    skip(!isThere, `there is no ${client} on this machine`)
    const { port } = new URL(service.url)
    const credentials = readFileSync(join(folder, client, 'demo-credentials.json'), 'utf8')
    const { api_key: key, community_token: token } = JSON.parse(credentials) as Record<string, string>
    const here = command.replaceAll('http://localhost:3000', `http://localhost:${port}`)
    const known = { YOUR_API_KEY: key, YOUR_TOKEN: token, USER_ID: made }
    const whole = here.replace(
      /YOUR_API_KEY|YOUR_TOKEN|USER_ID/g,
      (name) => `${known[name as keyof typeof known]}`,
    )
    const answer = takeApart(await run(whole))
    made = /"id":"(usr_\w+)"/.exec(head[0]?.includes(' 201 ') ? answer.body : '')?.[1] ?? made
    expect(answer.head[0]).toBe(head[0])
    expect(answer.head.map((line) => line.toLowerCase())).toEqual(expect.arrayContaining(head.slice(1)))
    expect(answer.body).toMatch(like(body))
  })
})

test('the two commands come first', () => {
  expect(blocks.slice(0, 2).map(({ text }) => text)).toEqual(['npm ci && npm start', 'npm ci && npm test'])
})

test('every curl line can be pasted into zsh: what a shell could read otherwise is in quotes', () => {
  expect(examples.length).toBeGreaterThan(5)
  expect(readme.main.text.match(/^\s*\$?\s*curl /gm)).toHaveLength(examples.length)
  for (const { command } of [...examples, ...readme.fromJsonServer.examples]) {
    const unquoted = command.replaceAll(/'[^']*'/g, '').replaceAll('\\\n', '')
    expect(unquoted).toMatch(/^[\w\s:/.-]+$/)
  }
})

test('the command line is printed as it is', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['src/main.js', 'help'], { cwd: root })
  expect(blocks.map(({ text }) => text)).toContain(stdout.trimEnd())
})
