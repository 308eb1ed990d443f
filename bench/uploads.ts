import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { signSharedSecretToken } from '../src/access/shared-secret.ts'
import { cleanUp, createClient, serve } from '../test/process.ts'

/**
 * What others notice of 50 uploads at once: latencies of GET and PATCH with and without them, and the
 * memory of the server before and after. Needs a quiet machine, and /proc.
 *
 *   node bench/uploads.ts [seconds]
 */

const seconds = Number(process.argv[2] ?? 10)
const uploads = 50
const secret = 'a secret of at least thirty-two bytes'
const folder = mkdtempSync(join(tmpdir(), 'roster-uploads-'))
const server = await serve([], { folder, env: { ROSTER_JWT_SECRET: secret, ROSTER_RATE_LIMIT: 'off' } })
const send = createClient(server.url, 8)

async function tokenOf(userId: number): Promise<string> {
  const issuedAt = Date.now()
  const times = { issuedAt, expiresAt: issuedAt + 3_600_000 }
  return `Bearer ${await signSharedSecretToken(secret, { userId, ...times })}`
}

/** As a telephone takes it: 12 megapixels, some megabytes. */
async function photo(): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const
  const create = { width: 4000, height: 3000, channels: 3, background: '#888', noise } as const
  return sharp({ create }).blur(1.5).jpeg({ quality: 85 }).toBuffer()
}

const memory = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) / 1024

function percentile(values: number[], part: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length * part)] ?? Number.NaN
}

/** GET and PATCH at a steady pace, each latency counted from when it was due, until told to end. */
async function measure(isOver: () => boolean) {
  const latencies = { GET: [] as number[], PATCH: [] as number[] }
  const pending: Promise<unknown>[] = []
  for (let n = 0; !isOver(); n++) {
    const method = n % 2 === 0 ? 'GET' : 'PATCH'
    const due = performance.now()
    const body = method === 'PATCH' ? { phone: `${n}` } : undefined
    pending.push(
      send(method, `/users/${1 + (n % uploads)}`, body).then(() =>
        latencies[method].push(performance.now() - due),
      ),
    )
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await Promise.all(pending)
  return latencies
}

function tell(what: string, { GET, PATCH }: Awaited<ReturnType<typeof measure>>): void {
  const p = (values: number[]) =>
    `p50 ${percentile(values, 0.5).toFixed(1)} ms, p99 ${percentile(values, 0.99).toFixed(1)} ms`
  console.log(`${what}: GET ${p(GET)}; PATCH ${p(PATCH)} (${GET.length + PATCH.length} requests)`)
}

for (let id = 1; id <= uploads; id++) {
  const own = { email: `p${id}@example.org`, first_name: `p${id}`, last_name: 'x' }
  await send('POST', '/users', { ...own, phone: '1', interested_in: 'cats' })
}
const picture = await photo()
const file = join(folder, 'photo.jpg')
writeFileSync(file, picture)
const tokens = await Promise.all(Array.from({ length: uploads }, (_, at) => tokenOf(at + 1)))

/**
 * All at once, by a process of their own (curl): so what sending costs holds up none of the requests that
 * are measured.
 * @returns the statuses
 */
async function upload(): Promise<readonly string[]> {
  const transfers = tokens.map((token, at) => [
    `url = "${server.url}/api/v2/user/${at + 1}/"`,
    'request = PATCH',
    `header = "Authorization: ${token}"`,
    `form = "avatar=@${file}"`,
    `form = "cover=@${file}"`,
    'output = /dev/null',
    'write-out = "%{http_code} "',
  ])
  const config = join(folder, 'uploads.curl')
  writeFileSync(config, transfers.map((lines) => lines.join('\n')).join('\nnext\n'))
  const options = ['--silent', '--parallel', '--parallel-immediate', '--parallel-max', `${uploads}`]
  const { stdout } = await promisify(execFile)('curl', [...options, '--config', config])
  return stdout.trim().split(' ')
}

const until = performance.now() + seconds * 1_000
tell('quiet', await measure(() => performance.now() > until))
const before = memory()
let over = false
const began = performance.now()
const measured = measure(() => over)
const statuses = await upload()
const took = performance.now() - began
over = true
tell(`${uploads} uploads at once`, await measured)
const counts = Object.entries(Object.groupBy(statuses, String)).map(
  ([status, all]) => `${all?.length} × ${status}`,
)
console.log(
  `of ${(picture.length / 1e6).toFixed(1)} MB twice: ${counts.join(', ')}, in ${(took / 1_000).toFixed(1)} s`,
)
const during = memory()
await new Promise((resolve) => setTimeout(resolve, 15_000))
console.log(
  `memory of the server: ${before.toFixed(0)} MB before, ${during.toFixed(0)} at the end, ${memory().toFixed(0)} MB 15 s later`,
)
await server.stop()
await cleanUp()
rmSync(folder, { recursive: true })
