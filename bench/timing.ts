import { parseArgs } from 'node:util'
import { signSharedSecretToken } from '../src/access/shared-secret.ts'
import { createBrowser } from '../test/oauth.ts'
import { comesFrom, jwtSecret, makePeople, signInAddress, startService } from './service.ts'
import { percentile } from './stats.ts'

/**
 * Can it be told by the time of an answer, or by anything else in it, whether somebody is here? So many tries
 * for people who are, and as many for people who are not, in turn, each from an address of its own, to the
 * service as it runs, on a quiet machine: `node bench/timing.ts`.
 *
 * Told are two tests of the two samples' being of one distribution: of the ranks (Mann and Whitney's U), and
 * of the greatest distance of the two (Kolmogorov and Smirnov). p is how often chance alone does as much.
 *
 * Ends with 1 where a p is less than 0.001, or answers differ.
 */
const { values } = parseArgs({ options: { tries: { type: 'string', default: '500' } } })
const tries = Number(values.tries)

const { url, send, close } = await startService()
try {
  await makePeople(send, tries)
  // Each asks for the address of somebody who is here and for one of nobody's: there is a limit to what one asks.
  const tokens = await Promise.all(Array.from({ length: tries }, (_, n) => tokenOf(n + 1)))
  const browser = createBrowser(url)
  const signIn = await browser.open(await signInAddress(send))
  const recover = await browser.open('/oauth/forgot-password')
  const areAlike = [
    await compare('sign-in with a wrong password', (name, n) =>
      browser.submit(signIn, { name, password: 'wrong', action: 'sign-in' }, comesFrom(n)),
    ),
    await compare('forgotten password', (email, n) =>
      browser.go(recover.address, { email }, comesFrom(100_000 + n)),
    ),
    await compare('another address', async (email, n) => {
      const id = ((n >> 1) % tries) + 1
      const answer = await fetch(`${url}/api/v2/user/${id}/change_email/`, {
        method: 'PATCH',
        headers: { authorization: `Bearer ${tokens[id - 1]}`, 'content-type': 'application/json' },
        // Nobody is told what their own address is.
        body: JSON.stringify({ new_email: email === `known${id - 1}@example.com` ? `x${email}` : email }),
      })
      const { status, headers } = answer
      if (status !== 204) throw new Error(`another address: ${status}`)
      return { status, html: await answer.text(), location: null, headers }
    }),
  ]
  process.exitCode = areAlike.every(Boolean) ? 0 : 1
} finally {
  await close()
}

function tokenOf(userId: number): Promise<string> {
  const issuedAt = Date.now()
  return signSharedSecretToken(jwtSecret, { userId, issuedAt, expiresAt: issuedAt + 3_600_000 })
}

interface Answered {
  readonly status: number
  readonly html: string
  readonly location: string | null
  readonly headers: Headers
}

async function compare(
  what: string,
  attempt: (email: string, n: number) => Promise<Answered>,
): Promise<boolean> {
  const times = { known: [] as number[], unknown: [] as number[] }
  const answers = { known: new Set<string>(), unknown: new Set<string>() }
  let count = 0
  const ask = async (email: string) => {
    const start = performance.now()
    const answer = await attempt(email, count++)
    return { ms: performance.now() - start, answer }
  }
  for (let n = 0; n < 20; n++) await ask(`warm${n}@example.com`)
  for (let n = 0; n < tries; n++) {
    // Which comes first alternates too.
    for (const kind of n % 2 === 0 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const)) {
      const email = `${kind}${n}@example.com`
      const { ms, answer } = await ask(email)
      times[kind].push(ms)
      answers[kind].add(shown(answer, email))
    }
  }
  for (const [kind, sample] of Object.entries(times)) {
    const sorted = sample.toSorted((one, other) => one - other)
    const told = [0.05, 0.25, 0.5, 0.75, 0.95].map((part) => percentile(sorted, part).toFixed(2))
    console.log(`${what}, ${kind}: ${tries} tries; p5, p25, p50, p75, p95: ${told.join(', ')} ms`)
  }
  const [ranks, distance] = [rankSum(times.known, times.unknown), smirnov(times.known, times.unknown)]
  const isSame = answers.known.symmetricDifference(answers.unknown).size === 0
  console.log(`${what}: rank sum p = ${ranks.toFixed(3)}, Kolmogorov-Smirnov p = ${distance.toFixed(3)}`)
  console.log(`${what}: ${isSame ? 'the answers are the same' : 'the answers differ'}`)
  return ranks >= 0.001 && distance >= 0.001 && isSame
}

/** All that an answer shows but what was sent in, and what is new each time. */
function shown({ status, html, location, headers }: Answered, email: string): string {
  const names = [...headers.keys()].toSorted()
  return JSON.stringify([status, location, names, html.replaceAll(email, 'EMAIL')])
}

/** Mann and Whitney's U, by the normal distribution. */
function rankSum(ones: readonly number[], others: readonly number[]): number {
  let u = 0
  for (const one of ones) for (const other of others) u += one > other ? 1 : one === other ? 0.5 : 0
  const [n, m] = [ones.length, others.length]
  const z = (u - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12)
  return complementaryError(Math.abs(z) / Math.SQRT2)
}

/** Kolmogorov and Smirnov's distance of two samples, by its limiting distribution. */
function smirnov(ones: readonly number[], others: readonly number[]): number {
  const [a, b] = [ones.toSorted((x, y) => x - y), others.toSorted((x, y) => x - y)]
  let [distance, i, j] = [0, 0, 0]
  while (i < a.length && j < b.length) {
    const at = Math.min(a[i] ?? 0, b[j] ?? 0)
    while (i < a.length && (a[i] ?? 0) <= at) i++
    while (j < b.length && (b[j] ?? 0) <= at) j++
    distance = Math.max(distance, Math.abs(i / a.length - j / b.length))
  }
  const size = Math.sqrt((a.length * b.length) / (a.length + b.length))
  const lambda = (size + 0.12 + 0.11 / size) * distance
  if (lambda < 0.2) return 1
  let p = 0
  for (let k = 1; k <= 100; k++) p += 2 * (-1) ** (k - 1) * Math.exp(-2 * k * k * lambda * lambda)
  return Math.min(Math.max(p, 0), 1)
}

/** Abramowitz and Stegun, 7.1.26: to 1.5e-7. */
function complementaryError(x: number): number {
  const t = 1 / (1 + 0.3275911 * x)
  const factors = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592]
  return factors.reduce((sum, factor) => (sum + factor) * t, 0) * Math.exp(-x * x)
}
