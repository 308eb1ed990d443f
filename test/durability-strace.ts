import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import {
  cleanUp,
  createClient,
  type Ended,
  type Roster,
  readKept,
  type Send,
  serve,
  temporaryFolder,
} from './process.ts'

/**
 * Proves from the system calls of a real server that it acknowledges nothing before it is on disk,
 * and that a failed sync ends it with nothing more acknowledged. `npm run durability`; Linux, strace.
 */

const users = 20

/** An acknowledged update: its value is unlike any other, and its answer can be told by its id. */
interface Acknowledged {
  readonly marker: string
  readonly requestId: string
}

async function main(): Promise<number> {
  const missing = whatIsMissing()
  if (missing !== undefined) {
    console.log(`durability: nothing was proved, because ${missing}`)
    return 2
  }
  const violations = [...(await proveOrder()), ...(await proveFailedSync())]
  for (const violation of violations.slice(0, 20)) console.log(`VIOLATION: ${violation}`)
  console.log(violations.length === 0 ? 'durability: proved' : `durability: ${violations.length} violations`)
  return violations.length === 0 ? 0 : 1
}

function whatIsMissing(): string | undefined {
  const { error, status, stderr } = spawnSync('strace', ['-f', '-e', 'trace=none', 'true'], {
    encoding: 'utf8',
  })
  if (error !== undefined) return 'strace is not there (on Debian: apt install strace)'
  if (status !== 0)
    return `strace may not trace here (in a container it needs the capability SYS_PTRACE): ${stderr}`
  return undefined
}

/** Every acknowledgement left after a sync of the log that began when the update was in the log. */
async function proveOrder(): Promise<string[]> {
  const { server, send, stop, readTrace } = await serveTraced()
  await addPeople(send)
  const alone = await inTurn(200, async (n) => update(send, n, 'alone'))
  const together = (
    await Promise.all(range(32).map((writer) => inTurn(20, (n) => update(send, writer * 20 + n, 'together'))))
  ).flat()
  const acknowledged = [...alone, ...together].filter((one) => one !== undefined)
  const { code } = await stop(server)
  const violations = check(readTrace(), acknowledged, 'under load')
  if (acknowledged.length !== 840)
    violations.push(`${840 - acknowledged.length} updates were not acknowledged`)
  if (code !== 0) violations.push(`a clean stop ended with ${code}`)
  return violations
}

/** One sync fails, the ones after it would succeed: whoever tries again believes what is not true. */
async function proveFailedSync(): Promise<string[]> {
  const violations: string[] = []
  for (const failing of [60, 61, 85]) {
    const when = `sync ${failing} fails`
    const { folder, server, send, stop, readTrace } = await serveTraced(failing)
    await addPeople(send)
    const acknowledged: Acknowledged[] = []
    let turnedAway = 0
    let cutOff = 0
    await Promise.all(
      range(16).map(async (writer) => {
        for (let n = 1; cutOff === 0 && n <= 250; n++) {
          try {
            const one = await update(send, writer * 10_000 + n, when)
            if (one !== undefined) acknowledged.push(one)
            else turnedAway++
          } catch (error) {
            if (!(error instanceof Error && 'code' in error)) throw error
            cutOff++
          }
        }
      }),
    )
    const { code, signal, stdout } = await (cutOff === 0 ? stop(server) : server.ended)
    const trace = readTrace()
    violations.push(...check(trace, acknowledged, when))
    const failed = injectedInto(trace)
    if (failed === undefined) violations.push(`${when}: it never did`)
    if (cutOff === 0) violations.push(`${when}: the process went on`)
    else if (code === 0 || signal !== null)
      violations.push(`${when}: the process ended with ${signal ?? code}`)
    if (!stdout.includes('the store can not go on'))
      violations.push(`${when}: the log does not say why it ended`)

    const again = await serve([], { folder })
    const written = new Set(readKept(folder).log.map(({ fields }) => fields.phone?.[1]))
    const lost = acknowledged.filter(({ marker }) => !written.has(marker))
    violations.push(...lost.map(({ marker }) => `${when}: ${marker} was acknowledged and is lost`))
    violations.push(...readKept(folder).damage.map((damage) => `${when}: ${damage}`))
    await again.stop()
    console.log(
      `${when} (${basename(failed ?? 'none')}): ${acknowledged.length - lost.length} of ${acknowledged.length} acknowledged are there after a restart, ` +
        `${turnedAway} requests answered 503, ${cutOff} cut off, exit code ${code}`,
    )
  }
  return violations
}

/** The file whose sync was made to fail. */
function injectedInto(trace: readonly Line[]): string | undefined {
  const failed = trace.findIndex(({ text }) => text.includes('(INJECTED)'))
  const calls = trace.slice(0, failed + 1).filter(({ thread }) => thread === trace[failed]?.thread)
  return calls
    .map(({ text }) => /^f(?:data)?sync\(\d+<(.*?)>/.exec(text)?.[1])
    .findLast((file) => file !== undefined)
}

async function addPeople(send: Send): Promise<void> {
  for (const n of range(users)) {
    const body = {
      first_name: 'Trace',
      last_name: 'Load',
      email: `p${n}@example.com`,
      phone: '1',
      interested_in: 'both',
    }
    const { status, text } = await send('POST', '/users', body)
    if (status !== 201) throw new Error(`POST /users: ${status} ${text}`)
  }
}

/** @returns undefined where it was turned away with 503, which is an answer too */
async function update(send: Send, n: number, kind: string): Promise<Acknowledged | undefined> {
  const marker = `durable-${kind.replaceAll(' ', '-')}-${String(n).padStart(6, '0')}`
  const { status, headers } = await send('PATCH', `/users/${(n % users) + 1}`, { phone: marker })
  if (status === 503) return undefined
  if (status !== 200) throw new Error(`PATCH answered ${status}`)
  return { marker, requestId: String(headers['x-request-id']) }
}

/** One line of a trace, in the order in which strace saw calls begin and end. */
interface Line {
  readonly thread: string
  readonly seconds: number
  readonly text: string
}

interface Traced {
  readonly folder: string
  readonly server: Roster
  readonly send: Send
  readonly stop: (server: Roster) => Promise<Ended>
  readonly readTrace: () => Line[]
}

/** Servers that would outlive a strace that is killed. */
const running = new Set<number>()

const syncs = 'fsync,fdatasync,sync_file_range,msync'
const writes = 'write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendfile'

/** @param failing the one sync of a thread that is to fail with EIO */
async function serveTraced(failing?: number): Promise<Traced> {
  const folder = temporaryFolder()
  const traces = temporaryFolder()
  const [trace, pid] = [join(traces, 'trace'), join(traces, 'pid')]
  const inject = failing === undefined ? [] : ['-e', `inject=fsync,fdatasync:error=EIO:when=${failing}`]
  const options = [
    '-f',
    '--seccomp-bpf',
    '-ttt',
    '-y',
    '-xx',
    '-s',
    '16384',
    '-o',
    trace,
    '-e',
    `trace=${writes},${syncs}`,
  ]
  // strace itself blocks the signals that would stop the server.
  const noted = ['sh', '-c', 'echo $$ > "$0"; exec "$@"', pid]
  const server = await serve([], { folder, under: ['strace', ...options, ...inject, ...noted] })
  const traced = Number(readFileSync(pid, 'utf8'))
  running.add(traced)
  server.ended.then(() => running.delete(traced))
  return {
    folder,
    server,
    send: createClient(server.url, 64),
    stop: async ({ ended }) => {
      process.kill(traced, 'SIGTERM')
      return ended
    },
    readTrace: () => readFileSync(trace, 'latin1').split('\n').flatMap(parseLine),
  }
}

function parseLine(line: string): Line[] {
  const match = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line)
  if (match === null) return []
  const [, thread = '', seconds = '', text = ''] = match
  return [{ thread, seconds: Number(seconds), text: text.replace(/(?:\\x[0-9a-f]{2})+/g, decode) }]
}

function decode(hex: string): string {
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex').toString('latin1')
}

/** When an update was in the log, and when a sync that began after that had ended well. */
interface Progress {
  inLog?: number
  synced?: number
  answered?: number
}

const markers = /durable-[a-z0-9-]+-\d{6}/g

/** @returns every acknowledgement that left too early, or of which the trace does not show enough to tell */
function check(trace: readonly Line[], acknowledged: readonly Acknowledged[], when: string): string[] {
  const progress = new Map<string, Progress>(acknowledged.map(({ marker }) => [marker, {}]))
  const markerOf = new Map(acknowledged.map(({ marker, requestId }) => [requestId, marker]))
  /** What each thread is in the middle of: the line on which the call began. */
  const begun = new Map<string, number>()
  let waiting: Progress[] = []
  let synced = 0

  trace.forEach(({ thread, text }, at) => {
    const resumed = /^<\.\.\. \w+ resumed>/.test(text)
    const start = resumed ? (begun.get(thread) ?? at) : at
    const call = resumed ? (trace[start]?.text ?? '') : text
    const over = !text.endsWith('<unfinished ...>')
    if (!over) begun.set(thread, at)
    const result = over ? Number(/ = (-?\d+)[^=]*$/.exec(text)?.[1]) : undefined

    if (!resumed && /^(write|writev|sendto|sendmsg)\(\d+<(TCP|socket)/.test(call)) {
      for (const [, id = ''] of call.matchAll(/HTTP\/1\.1 2\d\d [\s\S]*?x-request-id: (\S+)/g)) {
        const one = progress.get(markerOf.get(id) ?? '')
        if (one !== undefined) one.answered ??= at
      }
    } else if (over && /^pwrite\w*\(\d+<[^>]*-wal>/.test(call)) {
      for (const [marker] of call.matchAll(markers)) {
        const one = progress.get(marker)
        if (one === undefined || one.inLog !== undefined) continue
        one.inLog = at
        waiting.push(one)
      }
    } else if (over && result === 0 && /^f(data)?sync\(\d+<[^>]*-wal>/.test(call)) {
      const covered = waiting.filter(({ inLog }) => (inLog ?? at) < start)
      for (const one of covered) one.synced = at
      waiting = waiting.filter((one) => one.synced === undefined)
      if (covered.length > 0) synced++
    }
  })
  report(trace, [...progress.values()], synced, when)
  return [...progress].flatMap(([marker, { inLog, synced: ended, answered }]) => {
    if (answered === undefined) return [`${when}: the trace does not show the answer for ${marker}`]
    if (inLog === undefined) return [`${when}: ${marker} was acknowledged and never written to the log`]
    if (ended === undefined) return [`${when}: ${marker} was acknowledged and never synced`]
    return answered > ended ? [] : [`${when}: ${marker} was acknowledged before its sync had ended`]
  })
}

function report(trace: readonly Line[], progress: readonly Progress[], synced: number, when: string): void {
  const proved = progress.filter(({ answered = 0, synced: ended = Number.NaN }) => answered > ended)
  const seconds = (line = 0) => trace[line]?.seconds ?? Number.NaN
  const gaps = proved.map(({ answered, synced: ended }) => seconds(answered) - seconds(ended))
  const shortest = gaps.length === 0 ? 'none' : `${Math.round(Math.min(...gaps) * 1e6)} µs`
  console.log(
    `${when}: ${proved.length} of ${progress.length} acknowledgements left after their sync, ` +
      `${synced} syncs covered them, shortest time between the two: ${shortest}`,
  )
}

async function inTurn<T>(count: number, work: (n: number) => Promise<T>): Promise<T[]> {
  const done: T[] = []
  for (const n of range(count)) done.push(await work(n))
  return done
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n + 1)
}

try {
  process.exitCode = await main()
} finally {
  for (const pid of running) process.kill(pid, 'SIGKILL')
  await cleanUp()
}
