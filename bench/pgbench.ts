import { deepEqual, equal } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { decide } from '../src/directory/decide.ts'
import { noFields, type User } from '../src/directory/user.ts'
import type { Pool, Statement } from '../src/store/postgres/pool.ts'
import { createUnits } from '../src/store/postgres/units.ts'
import type { Sample } from './load.ts'
import { person, rules } from './seed.ts'

/** What PostgreSQL does without us: pgbench sends the adapter's own statements, on a directory of its own. */
const run = promisify(execFile)
const at = Date.now()
const changeId = '00000000-0000-4000-8000-000000000000'

/** The texts that the adapter sends for an update, taken from its own mouth. */
async function statements(): Promise<{
  readonly read: string
  readonly write: string
  readonly log: string
}> {
  const sent: Statement[] = []
  const query: Pool['query'] = async (statement) => {
    sent.push(statement)
    return []
  }
  const units = createUnits({ query })
  const fields = { ...noFields, ...person(1) } as typeof noFields
  const user: User = {
    ...fields,
    id: 1,
    uid: 'usr_1',
    status: 'active',
    version: 1,
    created_at: at,
    updated_at: at,
  }
  const actor = { kind: 'anonymous', id: null, scopes: ['read', 'write'], contract: 'adoption' } as const
  const origin = { actor, changeId, at, requestId: 'req-00000000-0000-4000-8000-000000000000' }
  const decision = decide(user, { ...origin, kind: 'update', id: 1, patch: { phone: '<new>' } }, rules)
  if (decision.outcome !== 'commit') throw new Error('the update was refused')
  await units.get(1)
  await units.write([decision.unit])
  const [read, write] = sent
  const log = String(write?.parameters?.at(-1))
  deepEqual(write?.parameters, [1, 1, 'active', 2, at, '<new>', log])
  return { read: read?.text ?? '', write: write?.text ?? '', log }
}

export interface PgBench {
  readonly load: (seconds: number, clients: number, readsFirst: boolean) => Promise<Sample>
}

/** @param users how many the database was seeded with */
export async function preparePgbench(url: string, users: number, folder: string): Promise<PgBench> {
  const { read, write, log } = await statements()
  // pgbench can not put text together, so the server fills in what differs from row to row: some 1 µs.
  const template = log
    .replace(changeId, '%1$s')
    .replace('"version":2', '"version":%2$s')
    .replace('"user_id":1,', '"user_id":%4$s,')
    .replace('<new>', '%3$s')
  const row = 'format(:template::text, gen_random_uuid(), :version::bigint, :phone::text, :id::bigint)'
  const parameters = [':id', ':was', ':status', ':version', ':at', ':phone::text', row]
  const bind = (text: string) => text.replace(/\$(\d)/g, (_, n: string) => parameters[Number(n) - 1] ?? '')
  // Each client has users of its own, so that it knows the version that it will find.
  const script = (texts: readonly string[]) => `
\\set n :n + 1
\\set id :client_id * :share + :n % :share + 1
\\set was :base + :n / :share
\\set version :was + 1
\\set phone :base * 1000000 + :n
${texts.map((text) => `${bind(text)};`).join('\n')}
`
  const files = { write: join(folder, 'write.sql'), both: join(folder, 'read-write.sql') }
  writeFileSync(files.write, script([write]))
  writeFileSync(files.both, script([read, write]))

  /** Brings all users to one version. @returns it, and how many rows the log has */
  async function level(): Promise<{ readonly base: number; readonly rows: number }> {
    const sql = postgres(url, { max: 1 })
    const [found] =
      await sql`SELECT max(version)::int AS base, (SELECT count(*)::int FROM changes) AS rows FROM users`
    await sql`UPDATE users SET version = ${found?.base} WHERE version <> ${found?.base}`
    await sql`VACUUM users`
    await sql.end()
    return { base: Number(found?.base), rows: Number(found?.rows) }
  }

  return {
    async load(seconds, clients, readsFirst) {
      const { base, rows } = await level()
      const variables = { n: -1, share: Math.floor(users / clients), base, status: 'active', at, template }
      const defined = Object.entries(variables).map(([name, value]) => `--define=${name}=${value}`)
      const file = readsFirst ? files.both : files.write
      const options = ['-n', '-M', 'prepared', '-j', '1', '-c', `${clients}`, '-T', `${seconds}`, '-f', file]
      const { stdout } = await run('pgbench', [...options, ...defined, url])
      const requests = Number(/actually processed: (\d+)/.exec(stdout)?.[1])
      const perSecond = Number(/tps = ([\d.]+)/.exec(stdout)?.[1])
      // An update that found another version would count as a transaction and write nothing.
      equal((await level()).rows - rows, requests, 'transactions of pgbench without a row in the log')
      const latency = Number(/latency average = ([\d.]+)/.exec(stdout)?.[1])
      const unknown = { bytes: 0, p99: Number.NaN, max: Number.NaN, failed: 0, cpu: undefined }
      return { ...unknown, requests, seconds: requests / perSecond, p50: latency }
    },
  }
}
