import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { loadAtRate, type Rated, type Request } from './load.ts'
import { seedSqlite } from './seed.ts'
import { startRoster } from './targets.ts'

/** What is asked at which rate, under the name that it has in the tables. */
export interface Asked {
  readonly name: string
  readonly request: Request
  /** Requests a second. */
  readonly rate: number
}

/**
 * Latency at a fixed rate on a server of its own, without anything else and while 50 people sign in at
 * once, and when all have been answered the next 50.
 * @param seconds of each measurement
 */
export async function besideSignIns(
  { folder, users, seconds }: { readonly folder: string; readonly users: number; readonly seconds: number },
  asked: readonly Asked[],
): Promise<readonly (readonly [name: string, Rated])[]> {
  await seedSqlite(folder, users)
  const back = 'https://app.example.com/back'
  const made = execFileSync(
    process.execPath,
    ['src/main.js', 'client', 'create', '--name', 'bench', '--scopes', 'read', '--redirect-uri', back],
    { env: { ...process.env, ROSTER_DATA: folder, DATABASE_URL: '' }, encoding: 'utf8' },
  )
  const { client_id } = JSON.parse(made) as { client_id: string }
  const query = { client_id, redirect_uri: back, response_type: 'code', scope: 'read', state: 's' }
  // Each of the 50 has an address of their own, as they would; which is told as a proxy does, and so not by
  // anybody whom the open door of this machine lets in.
  const settings = { ROSTER_TRUST_PROXY: '127.0.0.1', ROSTER_OPEN_CONTRACTS: 'never' }
  const target = await startRoster({ folder }, settings)
  const measure = async (suffix: string) => {
    const found: [string, Rated][] = []
    for (const { name, request, rate } of asked)
      found.push([`${name}${suffix}`, await loadAtRate(target, request, { rate, seconds })])
    return found
  }
  try {
    await loadAtRate(target, asked[0]?.request as Request, { rate: 1_000, seconds: 2 })
    const alone = await measure(', alone')
    const script = fileURLToPath(new URL('./sign-in.ts', import.meta.url))
    const address = `/oauth/authorize?${new URLSearchParams(query)}`
    const others = spawn(process.execPath, [script, '--at', target.url, '--address', address], {
      stdio: 'inherit',
    })
    try {
      return [...alone, ...(await measure(', beside 50 sign-ins'))]
    } finally {
      others.kill()
      if (others.exitCode === null) await once(others, 'exit')
    }
  } finally {
    await target.stop()
  }
}
