import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { createApp } from '../src/app.ts'
import { type Config, readConfig } from '../src/config.ts'
import { addDemoPeople } from '../src/demo.ts'
import type { Store } from '../src/directory/store.ts'
import { openSqlite } from '../src/store/sqlite/store.ts'

/** The service as it runs: the real store in a folder of its own, and the real server on a free port. */
export interface TestApp {
  readonly url: string
  readonly app: FastifyInstance
  readonly store: Store
  readonly call: Call
  /** All rows of all tables: what a refused request must leave as it was. */
  readonly everything: () => Record<string, unknown[]>
  readonly close: () => Promise<void>
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** What the text says as JSON; undefined where it is empty. */
  readonly body: unknown
}

/**
 * @param line method and path as they go over the wire, like `PATCH /users/4`
 * @param body text and bytes are sent as they are, anything else as JSON
 * @param headers undefined leaves one out that would be sent otherwise
 */
export type Call = (line: string, body?: unknown, headers?: OutgoingHttpHeaders) => Promise<Answer>

/** Starts with the demo's people, open to this machine; a folder that is given is used and kept. */
export async function startApp(overrides: Partial<Config> = {}): Promise<TestApp> {
  const folder = overrides.folder ?? (await mkdtemp(join(tmpdir(), 'roster-')))
  const config: Config = { ...readConfig({}), openContracts: 'loopback', ...overrides, folder }
  const onFatal = (error: Error) => {
    throw error
  }
  const store = await openSqlite({ folder, rules: config, onFatal })
  await addDemoPeople(store, config)
  const app = await createApp({ config, store, log: pino({ level: 'silent' }) })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url,
    app,
    store,
    call: (line, body, headers) => call(url, line, body, headers),
    everything: () => readAll(join(folder, 'roster.db')),
    close: async () => {
      await app.close()
      await store.close()
      if (overrides.folder === undefined) await rm(folder, { recursive: true })
    },
  }
}

/** An answer that is not there by then will not come. */
const deadline = 10_000

// Not fetch: it puts paths in order, keeps Host and Origin to itself, and knows no TRACE.
async function call(
  url: string,
  line: string,
  body?: unknown,
  headers: OutgoingHttpHeaders = {},
): Promise<Answer> {
  const [method = '', path = ''] = line.split(' ')
  const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const all = {
    ...(bytes !== undefined && {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(bytes),
    }),
    ...headers,
  }
  const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const options = { hostname, port, method, path, headers: sent, agent: false }
    const asked = request({ ...options, signal: AbortSignal.timeout(deadline) }, async (answer) => {
      try {
        const chunks: Buffer[] = []
        for await (const chunk of answer) chunks.push(chunk)
        const text = Buffer.concat(chunks).toString()
        const { statusCode: status = 0, headers } = answer
        resolve({ status, headers, text, body: text === '' ? undefined : JSON.parse(text) })
      } catch (error) {
        reject(error)
      }
    })
    asked.on('error', reject)
    asked.end(bytes)
  })
}

/**
 * Sends bytes that no client library would, and takes what comes back until the server hangs up as one answer.
 * @param halfClose whether the client says that nothing more will come
 */
export function sendBytes(url: string, bytes: string | Uint8Array, halfClose = false): Promise<Answer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    let text = ''
    socket.setEncoding('latin1')
    socket.setTimeout(deadline, () => socket.destroy(new Error(`still open after: ${text}`)))
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('end', () => {
      socket.destroy()
      resolve(parse(text))
    })
    socket.write(bytes)
    if (halfClose) socket.end()
  })
}

function parse(text: string): Answer {
  const [head = '', body = ''] = text.split('\r\n\r\n')
  const [first = '', ...lines] = head.split('\r\n')
  const headers = lines
    .map((line) => line.split(': '))
    .map(([name = '', value]) => [name.toLowerCase(), value])
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(headers),
    text: body,
    // An answer in chunks has no length, and is none of ours.
    body: /content-length/i.test(head) && body !== '' ? JSON.parse(body) : undefined,
  }
}

function readAll(path: string): Record<string, unknown[]> {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const tables = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).all()
    return Object.fromEntries(
      tables.map(({ name }) => [String(name), db.prepare(`SELECT * FROM "${name}"`).all()]),
    )
  } finally {
    db.close()
  }
}
