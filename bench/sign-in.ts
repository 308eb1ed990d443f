import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, promisify } from 'node:util'
import { createBrowser } from '../test/oauth.ts'
import { percentile } from './stats.ts'

/**
 * Two questions about sign-ins, to the service as it runs, on a quiet machine: `node bench/sign-in.ts`.
 *
 * - Can it be told by the time whether there is such a person? So many tries with a wrong password for
 *   people who are here, and as many for people who are not, in turn, each from an address of its own.
 *   Told are the ranks: how often a known one took longer than an unknown one (Mann and Whitney's U), and
 *   how many standard deviations that is from a toss of a coin.
 * - What do others notice when 50 people sign in at once? The p99 of PATCH at a fixed rate, without and with.
 *
 * Ends with 1 where it is more than 3.3 deviations (one run in a thousand, by chance), or the p99 doubles.
 */
const { values } = parseArgs({
  options: {
    tries: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '20' },
    rate: { type: 'string', default: '100' },
    /** Of the process that signs in only. */
    at: { type: 'string' },
    address: { type: 'string' },
  },
})
const tries = Number(values.tries)
const seconds = Number(values.seconds)
const rate = Number(values.rate)
const back = 'https://app.example.com/back'
const password = 'correct horse battery staple'
const wait = promisify(setTimeout)

if (values.at !== undefined) await signInForEver(values.at, values.address ?? '')

const folder = mkdtempSync(join(tmpdir(), 'roster-sign-in-'))
const env = {
  ...process.env,
  ROSTER_DATA: folder,
  PORT: '0',
  ROSTER_RATE_LIMIT: 'off',
  ROSTER_TRUST_PROXY: '127.0.0.1',
}
const main = new URL('../src/main.js', import.meta.url).pathname
const server = spawn(process.execPath, [main, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
try {
  const url = await ready()
  const key = (await command('key', 'create', '--name', 'bench', '--scopes', 'admin')).trim()
  const send = (method: string, path: string, body: object) =>
    fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const made = await send('POST', '/v1/clients', { name: 'bench', scopes: ['read'], redirect_uris: [back] })
  const { client_id } = (await made.json()) as { client_id: string }
  const people: string[] = []
  for (let n = 0; n < Math.max(tries, 50); n++) {
    const person = { email: `known${n}@example.com`, username: `known${n}`, password }
    const { id } = (await (await send('POST', '/v1/users', person)).json()) as { id: string }
    people.push(id)
  }
  const browser = createBrowser(url)
  const query = { client_id, redirect_uri: back, response_type: 'code', scope: 'read', state: 's' }
  const address = `/oauth/authorize?${new URLSearchParams(query)}`
  const page = await browser.open(address)

  const isAlike = await compareTimes(browser, page)
  const isUnnoticed = await disturb(url, address, (n) =>
    send('PATCH', `/v1/users/${people[n % people.length]}`, { first_name: `n${n}` }),
  )
  process.exitCode = isAlike && isUnnoticed ? 0 : 1
} finally {
  server.kill('SIGTERM')
  await once(server, 'exit')
  rmSync(folder, { recursive: true })
}

type Browser = ReturnType<typeof createBrowser>
type Page = Awaited<ReturnType<Browser['open']>>

async function attempt(browser: Browser, page: Page, name: string, n: number): Promise<number> {
  const from = { 'x-forwarded-for': `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` }
  const start = performance.now()
  const { status } = await browser.submit(page, { name, password: 'wrong', action: 'sign-in' }, from)
  if (status !== 422) throw new Error(`the attempt was not judged: ${status}`)
  return performance.now() - start
}

async function compareTimes(browser: Browser, page: Page): Promise<boolean> {
  const known: number[] = []
  const unknown: number[] = []
  for (let n = 0; n < 20; n++) await attempt(browser, page, `warm${n}@example.com`, n)
  for (let n = 0; n < tries; n++) {
    const both: [name: string, times: number[]][] = [
      [`known${n}@example.com`, known],
      [`other${n}@example.com`, unknown],
    ]
    // Which comes first alternates too.
    for (const [name, times] of n % 2 === 0 ? both : both.reverse())
      times.push(await attempt(browser, page, name, 1_000 + 2 * n + times.length))
  }
  const z = deviation(known, unknown)
  for (const [name, times] of Object.entries({ known, unknown })) {
    const sorted = times.toSorted((one, other) => one - other)
    const [p50, p95] = [percentile(sorted, 0.5), percentile(sorted, 0.95)]
    console.log(`${name}: ${tries} tries, median ${p50.toFixed(2)} ms, p95 ${p95.toFixed(2)} ms`)
  }
  console.log(`known against unknown: ${z.toFixed(2)} standard deviations from a toss of a coin`)
  return Math.abs(z) < 3.3
}

/** Mann and Whitney's U of two samples, as a deviation of the normal distribution. */
function deviation(ones: readonly number[], others: readonly number[]): number {
  let u = 0
  for (const one of ones) for (const other of others) u += one > other ? 1 : one === other ? 0.5 : 0
  const [n, m] = [ones.length, others.length]
  return (u - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12)
}

/** The sign-ins come from a process of their own, so that what they cost a client does not count as the service's. */
async function disturb(
  url: string,
  address: string,
  patch: (n: number) => Promise<Response>,
): Promise<boolean> {
  let sent = 0
  const during = async () => {
    const times: number[] = []
    const start = performance.now()
    const underWay: Promise<void>[] = []
    for (let due = start; due < start + seconds * 1000; due += 1000 / rate) {
      await wait(Math.max(due - performance.now(), 0))
      underWay.push(
        patch(sent++).then(async (answer) => {
          await answer.arrayBuffer()
          if (answer.status !== 200) throw new Error(`PATCH was answered ${answer.status}`)
          times.push(performance.now() - due)
        }),
      )
    }
    await Promise.all(underWay)
    const sorted = times.toSorted((one, other) => one - other)
    return percentile(sorted, 0.99)
  }
  await during()
  const quiet = await during()
  const self = new URL(import.meta.url).pathname
  const others = spawn(process.execPath, [self, '--at', url, '--address', address], { stdio: 'inherit' })
  await wait(500)
  const busy = await during()
  others.kill()
  await once(others, 'exit')
  const told = `p99 of PATCH at ${rate}/s: ${quiet.toFixed(2)} ms, and ${busy.toFixed(2)} ms while 50 sign in at once, again and again`
  console.log(`${told}: ${(busy / quiet).toFixed(2)} ×`)
  return busy < 2 * quiet
}

/** 50 at once, and when all have been answered the next 50, until it is ended. */
async function signInForEver(url: string, address: string): Promise<never> {
  const browser = createBrowser(url)
  const page = await browser.open(address)
  for (let round = 1; ; round++) {
    const people = Array.from({ length: 50 }, (_, n) => n)
    await Promise.all(
      people.map((n) => attempt(browser, page, `r${round}n${n}@example.com`, 100_000 + round * 50 + n)),
    )
  }
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
