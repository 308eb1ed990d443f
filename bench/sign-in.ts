import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setPriority } from 'node:os'
import { parseArgs, promisify } from 'node:util'
import { createBrowser } from '../test/oauth.ts'
import { comesFrom, makePeople, signInAddress, startService } from './service.ts'
import { percentile } from './stats.ts'

/**
 * What do others notice when 50 people sign in at once? The p99 of PATCH at a fixed rate, without and with,
 * from the service as it runs, on a quiet machine: `node bench/sign-in.ts`.
 *
 * Ends with 1 where the p99 doubles.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    rate: { type: 'string', default: '100' },
    /** Of the process that signs in only. */
    at: { type: 'string' },
    address: { type: 'string' },
  },
})
const seconds = Number(values.seconds)
const rate = Number(values.rate)
const wait = promisify(setTimeout)

if (values.at !== undefined) await signInForEver(values.at, values.address ?? '')

const { url, send, close } = await startService()
try {
  const people = await makePeople(send, 50)
  const isUnnoticed = await disturb(url, await signInAddress(send), (n) =>
    send('PATCH', `/v1/users/${people[n % people.length]}`, { first_name: `n${n}` }),
  )
  process.exitCode = isUnnoticed ? 0 : 1
} finally {
  await close()
}

type Browser = ReturnType<typeof createBrowser>
type Page = Awaited<ReturnType<Browser['open']>>

async function attempt(browser: Browser, page: Page, name: string, n: number): Promise<void> {
  const form = { name, password: 'wrong', action: 'sign-in' }
  const { status } = await browser.submit(page, form, comesFrom(n))
  if (status !== 422) throw new Error(`the attempt was not judged: ${status}`)
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

/**
 * 50 at once, and when all have been answered the next 50, until it is ended. They stand for browsers
 * elsewhere, which take no processor from the service: so this process stands back.
 */
async function signInForEver(url: string, address: string): Promise<never> {
  setPriority(5)
  const browser = createBrowser(url)
  const page = await browser.open(address)
  for (let round = 1; ; round++) {
    const people = Array.from({ length: 50 }, (_, n) => n)
    await Promise.all(
      people.map((n) => attempt(browser, page, `r${round}n${n}@example.com`, 100_000 + round * 50 + n)),
    )
  }
}
