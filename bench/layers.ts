import { pino } from 'pino'
import { createDoor } from '../src/access/door.ts'
import { createApp } from '../src/app.ts'
import { readConfig } from '../src/config.ts'
import { encodeUser, properties } from '../src/contracts/adoption/wire.ts'
import { entityTag } from '../src/contracts/request.ts'
import { answer, idSchema, userSchema } from '../src/contracts/schema.ts'
import { noCounters } from '../src/directory/counters.ts'
import { decide } from '../src/directory/decide.ts'
import type { Store } from '../src/directory/store.ts'
import { noFields, type User } from '../src/directory/user.ts'
import { person } from './seed.ts'

/**
 * The service without its store, for what each layer costs: the real app, on a store in memory.
 *
 * - `framework` adds a route of its own: Fastify with every hook, the serializer and JSON, no more.
 * - `contract` is the real route, which reads and checks the request and makes the command; its
 *   store answers with the user as they are.
 * - `rules` decides as well: policy, the rules of each field, the change to be logged.
 */
const layer = process.argv[2]
const users = new Map<number, User>()
for (let id = 1; id <= 1000; id++) {
  const uid = `usr_${id.toString(36).padStart(16, '0')}`
  const times = { version: 1, created_at: Date.now(), updated_at: Date.now() }
  users.set(id, { ...noFields, ...person(id), ...times, id, uid, status: 'active' } as User)
}
const config = { ...readConfig({ PORT: process.env.PORT }), openContracts: 'loopback' } as const
const store: Store = {
  change: async (command) => {
    const current = users.get(command.id ?? 0)
    if (layer === 'contract' && current !== undefined) return { outcome: 'unchanged', user: current }
    const decision = decide(current, command, config)
    if (decision.outcome !== 'commit') return decision
    const { user } = decision.unit
    users.set(user.id, user)
    return { outcome: 'committed', user }
  },
  get: async (id) => users.get(id),
  find: async () => undefined,
  page: async () => ({ users: [], next: undefined }),
  changeAll: (commands) => Promise.all(commands.map(store.change)),
  receipt: async () => undefined,
  begin: async (receipt) => receipt,
  credentials: async () => undefined,
  emailChanges: {
    get: async () => undefined,
    list: async () => [],
    lastConfirmed: async () => undefined,
    due: async () => [],
  },
  settings: { get: async () => ({}), set: async () => {} },
  outbox: {
    add: async () => {},
    take: async () => [],
    remove: async () => {},
    postpone: async () => {},
    backlog: async () => ({ count: 0, oldest: null }),
  },
  pictures: {
    note: async () => true,
    renew: async () => true,
    giveUp: async () => [],
    removed: async () => {},
    postpone: async () => {},
    avatars: async () => [],
    addAvatar: async () => undefined,
    removeAvatar: async () => {},
  },
  documents: {
    put: async () => {},
    find: async () => undefined,
    findByAlias: async () => undefined,
    list: async () => [],
    use: async () => false,
    remove: async () => {},
    removeGroup: async () => {},
  },
  expire: async () => 0,
  counters: {
    get: async () => new Map(),
    change: async () => ({ outcome: 'counted', counters: noCounters }),
  },
  keys: {
    add: async () => {},
    list: async () => [],
    find: async () => undefined,
    revoke: async () => undefined,
    used: async () => {},
  },
  list: async () => ({ users: [], total: 0 }),
  listIds: async () => new Float64Array(),
  search: async () => ({ users: [], total: 0 }),
  prepareSearch: () => {},
  ready: async () => {},
  close: async () => {},
}

const app = await createApp({ config, store, log: pino({ level: config.logLevel }) })
const door = createDoor({ open: config.openContracts, origins: config.corsOrigins })
const schema = {
  params: { type: 'object', properties: { id: idSchema }, required: ['id'] },
  response: { 200: answer('The user', userSchema(properties)) },
}
await app.register(async (scope) => {
  scope.addHook('onRequest', (request, _reply, done) => {
    request.actor = door(request.raw, 'adoption')
    done()
  })
  scope.patch<{ Params: { id: string } }>('/framework/:id', { schema }, async (request, reply) => {
    const sent: object = JSON.parse(String(request.body))
    const user = users.get(Number(request.params.id)) as User
    reply.header('etag', entityTag(user))
    return { ...encodeUser(user), ...sent }
  })
})
await app.listen({ host: '127.0.0.1', port: config.port })
