import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { type Service, startService } from '../src/service.ts'

/** What the README shows is run: every curl line against the service that `npm start` would start. */

const root = new URL('../', import.meta.url)
const readme = readFileSync(new URL('README.md', root), 'utf8')
const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text = '']) => ({
  language,
  text: text.trimEnd(),
}))

interface Example {
  readonly title: string
  readonly command: string
  /** As printed: the status line, and the headers that matter. */
  readonly head: readonly string[]
  readonly body: string
}

const examples: readonly Example[] = blocks.flatMap(({ text: command }, at) => {
  if (!/^curl /m.test(command)) return []
  const answer = blocks[at + 1]
  if (answer?.language !== 'http') throw new Error(`nothing says what this answers: ${command}`)
  const [head = '', body = ''] = answer.text.split('\n\n')
  const [, method = 'GET'] = /-X (\w+)/.exec(command) ?? []
  const [, path] = /localhost:3000([^\s']*)/.exec(command) ?? []
  return [{ title: `${method} ${path}, ${head.slice(9, 12)}`, command, head: head.split('\n'), body }]
})

type Run = (command: string) => Promise<string>

/** As curl -i prints it, by the real curl in a real shell, which reads no configuration of the user's. */
const byCurl: Run = async (command) => {
  const env = { PATH: process.env.PATH, HOME: folder, no_proxy: '*' }
  return (await promisify(execFile)('sh', ['-c', command], { env })).stdout
}

/** The same for machines without curl: understands just what the README uses. */
const byFetch: Run = async (command) => {
  const words = [...command.replaceAll('\\\n', ' ').matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? '',
  )
  const after = (option: string) => words.filter((_, at) => words[at - 1] === option)
  const unknown = words.filter((word) => word.startsWith('-') && !['-i', '-X', '-H', '-d'].includes(word))
  if (unknown.length > 0) throw new Error(`the README uses ${unknown}, which is not understood here`)

  const [method = 'GET'] = after('-X')
  const [body = null] = after('-d')
  const headers = after('-H').map((header) => header.split(': ') as [name: string, value: string])
  const url = words.find((word) => word.startsWith('http://')) ?? ''
  const answer = await fetch(url, { method, body, headers })
  const shown = [...answer.headers].map(([name, value]) => `${name}: ${value}`)
  const head = [`HTTP/1.1 ${answer.status} ${answer.statusText}`, ...shown]
  return `${head.join('\r\n')}\r\n\r\n${await answer.text()}`
}

const hasCurl = spawnSync('curl', ['--version']).status === 0
const folder = mkdtempSync(join(tmpdir(), 'roster-readme-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe.each([
  { client: 'curl', run: byCurl, isThere: hasCurl },
  { client: 'fetch', run: byFetch, isThere: true },
])('the README by $client', ({ client, run, isThere }) => {
  let service: Service

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
    const printed = await run(command.replaceAll('http://localhost:3000', `http://localhost:${port}`))
    const end = printed.indexOf('\r\n\r\n')
    const lines = printed.slice(0, end).split('\r\n')
    expect(lines[0]).toBe(head[0])
    expect(lines.map((line) => line.toLowerCase())).toEqual(expect.arrayContaining(head.slice(1)))
    expect(printed.slice(end + 4)).toMatch(like(body))
  })
})

/** As it stands there, where … is whatever differs each time. */
function like(text: string): RegExp {
  return new RegExp(`^${text.split('…').map(RegExp.escape).join('[^"]+')}$`)
}

test('the two commands come first', () => {
  expect(blocks.slice(0, 2).map(({ text }) => text)).toEqual(['npm ci && npm start', 'npm ci && npm test'])
})

test('every curl line can be pasted into zsh: what a shell could read otherwise is in quotes', () => {
  expect(examples.length).toBeGreaterThan(5)
  expect(readme.match(/^\s*\$?\s*curl /gm)).toHaveLength(examples.length)
  for (const { command } of examples) {
    const unquoted = command.replaceAll(/'[^']*'/g, '').replaceAll('\\\n', '')
    expect(unquoted).toMatch(/^[\w\s:/.-]+$/)
  }
})

test('the command line is printed as it is', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['src/main.ts', 'help'], { cwd: root })
  expect(blocks.map(({ text }) => text)).toContain(stdout.trimEnd())
})
