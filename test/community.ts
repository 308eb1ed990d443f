import { randomUUID } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { signSharedSecretToken } from '../src/access/shared-secret.ts'
import { createApp } from '../src/app.ts'
import { type Config, readConfig } from '../src/config.ts'
import type { Patch } from '../src/directory/patch.ts'
import type { Store } from '../src/directory/store.ts'
import { type Answer, startApp, type TestApp } from './app.ts'

/** The service with people who come in as themselves, through the community's contract. */
export interface Community extends TestApp {
  /** The header with a token of a person's, good for a minute from when it was issued. */
  readonly tokenOf: (id: number, issuedAt?: number) => Promise<{ readonly authorization: string }>
  /** A request of a person's. */
  readonly as: (id: number, line: string, body?: unknown, headers?: OutgoingHttpHeaders) => Promise<Answer>
  /** Makes somebody with a whole profile. */
  readonly newPerson: (patch?: Patch) => Promise<number>
  readonly setStatus: (id: number, status: 'active' | 'blocked') => Promise<void>
  /** Another server of the same service, not listening, on a store that is watched. */
  readonly withStore: (
    store: Store,
  ) => Promise<{ readonly app: FastifyInstance; readonly close: () => Promise<void> }>
}

const jwtSecret = 'a secret that the backend of the community has too'

const profile = {
  real_name: 'Mira Sole',
  role: 'user',
  bio: 'Walks dogs.',
  location: 'Bologna',
  location_lat_lng: '44.4949,11.3426',
  position_lat_lng: '44.4983,11.3407',
  date_of_birth: '1991-03-08',
  description: 'Dogs, hills, bread',
  gender: 'Female',
  website: 'https://mira.example.org/',
}

const operator = () => {
  const actor = { kind: 'operator', id: null, scopes: ['admin'], contract: 'operator' } as const
  return { actor, requestId: 'test', changeId: randomUUID(), at: Date.now() }
}

export async function startCommunity(overrides: Partial<Config> = {}): Promise<Community> {
  const roster = await startApp({ jwtSecret, ...overrides })
  let made = 0
  // Tokens have whole seconds, and count from the moment on in which those before were ended.
  const tokenOf: Community['tokenOf'] = async (userId, issuedAt = Date.now() + 1_000) => {
    const token = await signSharedSecretToken(jwtSecret, { userId, issuedAt, expiresAt: issuedAt + 60_000 })
    return { authorization: `Bearer ${token}` }
  }
  return {
    ...roster,
    tokenOf,

    as: async (id, line, body, headers = {}) =>
      roster.call(line, body, { ...(await tokenOf(id)), ...headers }),

    async newPerson(patch = {}) {
      const own = { username: `mira-${++made}`, email: `mira-${made}@example.org` }
      const command = { ...operator(), kind: 'create', uid: `usr_${String(made).padStart(20, '0')}` } as const
      const outcome = await roster.store.change({ ...command, patch: { ...profile, ...own, ...patch } })
      if (outcome.outcome !== 'committed') throw new Error(JSON.stringify(outcome))
      return outcome.user.id
    },

    async setStatus(id, status) {
      const source = { status }
      const command = { ...operator(), kind: 'import', id, uid: '', patch: {}, source, update: true } as const
      const { outcome } = await roster.store.change(command)
      if (outcome !== 'committed') throw new Error(outcome)
    },

    async withStore(store) {
      const config = { ...readConfig({}), jwtSecret, rateLimit: undefined }
      const app = await createApp({ config, store, log: pino({ level: 'silent' }) })
      return { app, close: () => app.close() }
    },
  }
}

/** The parts of a form as browsers send them. */
export function formData(fields: Readonly<Record<string, string | Blob>>) {
  const boundary = '----formdata-roster-0123456789'
  const parts = Object.entries(fields).map(([name, value]) => {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`
    return typeof value === 'string' ? `${head}\r\n\r\n${value}\r\n` : `${head}; filename="f"\r\n\r\nx\r\n`
  })
  return {
    body: `${parts.join('')}--${boundary}--\r\n`,
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  }
}

export const urlencoded = { 'content-type': 'application/x-www-form-urlencoded' }

/** What is wrong, as `field: code`. */
export function faultsOf({ body }: Answer): string[] {
  const { errors } = body as { errors: { field: string; messages: { code: string; message: string }[] }[] }
  return errors.flatMap(({ field, messages }) => messages.map(({ code }) => `${field}: ${code}`))
}
