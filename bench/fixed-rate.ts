import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { loadTest } from 'loadtest'
import type { Rated, Request } from './load.ts'
import { percentile } from './stats.ts'

/**
 * A process of its own that sends at a fixed rate, as `loadtest --rps` does. loadtest sets the pace; the
 * requests go out on plain sockets, because Node.js's client costs as much as the server and they
 * share a machine, and the times are taken here, because loadtest knows whole milliseconds only and
 * counts from when it got round to sending. Here a request's time starts when it was due, so neither
 * a server nor a generator that stood still for a while can hide it.
 */
export interface Task extends Request {
  readonly url: string
  readonly rate: number
  readonly seconds: number
  readonly run: string
}

const { url, method, path, users, rate, seconds, run, key } = JSON.parse(process.argv[2] ?? '') as Task
/** Seconds that open the connections and warm this process up, and are not counted. */
const warmUp = 1
const latencies: number[] = []
const lags: number[] = []
let sent = 0
let failed = 0
let answered = 0
let waiting = 0
let start: number | undefined

interface Connection {
  readonly socket: Socket
  /** Told the status of the answer to the request that is under way. */
  answered: ((status: number) => void) | undefined
}

const { host, port } = new URL(url)
const credentials = key === undefined ? '' : `Authorization: Bearer ${key}\r\n`
/** Connections without a request under way; another is opened when there is none. */
const idle: Connection[] = []

function open(): Connection {
  const connection: Connection = { socket: connect(Number(port), '127.0.0.1'), answered: undefined }
  let text = ''
  const settle = (status: number) => {
    const { answered } = connection
    connection.answered = undefined
    answered?.(status)
  }
  connection.socket.setNoDelay().setEncoding('latin1')
  connection.socket.on('data', (chunk: string) => {
    text += chunk
    const head = text.indexOf('\r\n\r\n')
    if (head < 0 || text.length < head + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1])) return
    const status = Number(text.slice(9, 12))
    text = ''
    idle.push(connection)
    settle(status)
  })
  connection.socket.on('error', () => settle(0))
  connection.socket.on('close', () => settle(0))
  return connection
}

function send(settle: (status: number) => void): void {
  const connection = idle.pop() ?? open()
  connection.answered = settle
  const line = `${method} ${path.replace('%d', `${Math.ceil(Math.random() * users)}`)} HTTP/1.1\r\nHost: ${host}\r\n${credentials}`
  const body = JSON.stringify({ phone: `${run}-${sent}` })
  const type = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`
  connection.socket.write(method === 'GET' ? `${line}\r\n` : `${line}${type}\r\n${body}`)
}

interface Answer {
  readonly statusCode: number
  readonly on: (event: string, listener: () => void) => void
}

/** Stands in for `http.request`: loadtest hears of the answer, and that it has ended. */
function generate(_options: unknown, _params: unknown, _request: unknown, tell: (answer: Answer) => void) {
  const now = performance.now()
  start ??= now
  const scheduled = start + (sent++ * 1000) / rate
  // loadtest's clock knows milliseconds, so a request may also leave a little early.
  const due = Math.min(scheduled, now)
  const counts = scheduled - start >= warmUp * 1000
  if (counts) lags.push(now - due)
  waiting++
  send((status) => {
    waiting--
    if (status === 200) answered++
    else failed++
    if (counts) latencies.push(performance.now() - due)
    let ended = () => {}
    tell({
      statusCode: status,
      on: (event, listener) => {
        if (event === 'end') ended = listener
      },
    })
    ended()
  })
  const ignored = () => {}
  return { on: ignored, write: ignored, end: ignored }
}

const options = {
  url,
  requestsPerSecond: rate,
  maxSeconds: warmUp + seconds,
  agentKeepAlive: true,
  quiet: true,
}
// Its types know the form with a callback only.
const runLoad = loadTest as unknown as (options: object) => Promise<unknown>
await runLoad({ ...options, requestGenerator: generate })
for (let waited = 0; waiting > 0 && waited < 10_000; waited += 10) await pause(10)

latencies.sort((a, b) => a - b)
lags.sort((a, b) => a - b)
const at = (part: number) => percentile(latencies, part)
const rated: Rated = {
  rate,
  answered,
  failed: failed + waiting,
  reached: lags.length / seconds,
  ...{ p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) },
  lag: percentile(lags, 0.99),
}
process.stdout.write(JSON.stringify(rated), () => process.exit(0))
