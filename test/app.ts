import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { FastifyInstance } from 'fastify'
import { type Logger, pino } from 'pino'
import { inject, onTestFinished } from 'vitest'
import { newKey } from '../src/access/keys.ts'
import { type AppOptions, createApp } from '../src/app.ts'
import { type Config, readConfig } from '../src/config.ts'
import { addDemoPeople } from '../src/demo.ts'
import type { Scope } from '../src/directory/actor.ts'
import type { Store } from '../src/directory/store.ts'
import { openStore } from '../src/stores.ts'
import { until } from './mail.ts'
import { createDatabase, type Database, readTables } from './postgres.ts'

/** The service as it runs: the real store in a folder of its own, and the real server on a free port. */
export interface TestApp {
  readonly url: string
  /** Where it keeps its data, and writes mails. */
  readonly folder: string
  readonly app: FastifyInstance
  readonly store: Store
  readonly call: Call
  /** Makes an API key with these scopes: the header that brings it. */
  readonly keyWith: (...scopes: readonly Scope[]) => Promise<{ readonly authorization: string }>
  /** All rows of all tables but when keys were last used: what a refused request must leave as it was. */
  readonly everything: () => Promise<Record<string, unknown[]>>
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
export async function startApp(
  overrides: Partial<Config> = {},
  more: Pick<AppOptions, 'pace'> & { readonly log?: Logger } = {},
): Promise<TestApp> {
  const folder = overrides.folder ?? (await mkdtemp(join(tmpdir(), 'roster-')))
  const kept = overrides.folder !== undefined
  const { databaseUrl, everything, drop } = onPostgres
    ? await databaseOf(folder, kept)
    : { databaseUrl: undefined, everything: async () => readAll(join(folder, 'roster.db')), drop: undefined }
  const config: Config = {
    ...readConfig({}),
    openContracts: 'loopback',
    // As fast as tests are, those that are about limits excepted.
    rateLimit: undefined,
    ...overrides,
    folder,
    databaseUrl,
  }
  const fail = (problem: Error | string) => {
    throw new Error('The store is not well', { cause: problem })
  }
  const store = await openStore(config, { onFatal: fail, onWarning: fail })
  await addDemoPeople(store, config)
  const app = await createApp({ config, store, log: pino({ level: 'silent' }), ...more })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url,
    folder,
    app,
    store,
    call: (line, body, headers) => callAt(url, line, body, headers),
    keyWith: async (...scopes) => {
      const id = `key_${randomUUID()}`
      const { key, secret, hash } = newKey({
        id,
        name: 'test',
        scopes,
        createdAt: Date.now(),
        expiresAt: null,
      })
      await store.keys.add(key, hash)
      return { authorization: `Bearer ${secret}` }
    },
    everything: async () => {
      // What earlier requests have begun is no part of what the next one does.
      await until(async () => (await store.outbox.backlog()).count === 0)
      return everything()
    },
    close: async () => {
      await app.close()
      await store.close()
      await drop?.()
      if (!kept) await rm(folder, { recursive: true })
    },
  }
}

/** Which store the service is tested on: vitest.config.ts has the tests of the contracts run on each. */
const onPostgres = process.env.TEST_STORE === 'postgres'

const databases = new Map<string, Database>()

/** A database as good as a folder: found again under its name where it is to be kept, until the test has ended. */
async function databaseOf(folder: string, kept: boolean) {
  const database = databases.get(folder) ?? (await createDatabase(inject('postgresUrl')))
  if (kept && !databases.has(folder)) {
    databases.set(folder, database)
    onTestFinished(database.drop)
  }
  return {
    databaseUrl: database.url,
    everything: () => readTables(database.sql),
    drop: kept ? undefined : database.drop,
  }
}

/** An answer that is not there by then will not come. */
const deadline = 10_000

// Not fetch: it puts paths in order, keeps Host and Origin to itself, and knows no TRACE.
export async function callAt(
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
      tables.map(({ name }) => {
        const rows = db.prepare(`SELECT * FROM "${name}"`).all()
        return [String(name), rows.map(({ last_used_at: _, ...row }) => row)]
      }),
    )
  } finally {
    db.close()
  }
}
