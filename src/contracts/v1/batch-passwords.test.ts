import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'
import { createPasswords } from '../../access/passwords.ts'
import { createDirectory } from '../../directory/directory.ts'
import { newUid } from '../../uid.ts'
import { createBatch, hashedAtOnce } from './batch.ts'
import { createIds } from './ids.ts'

/** How the passwords of a batch are hashed: with the real pool, which is watched. */

let roster: TestApp
const app = Fastify()
const pool = createPasswords({ threads: 2 })
let running = 0
let most = 0
let hashed = 0
beforeAll(async () => {
  roster = await startApp()
  const directory = createDirectory({
    ...{ store: roster.store, rules: { roles: ['user', 'admin'] } },
    ...{ now: Date.now, newChangeId: randomUUID, newUid },
  })
  const passwords = {
    fingerprint: pool.fingerprint,
    hash: async (password: string) => {
      hashed++
      most = Math.max(most, ++running)
      return pool.hash(password).finally(() => running--)
    },
  }
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request) => {
    request.actor = { kind: 'key', id: 'key_1', scopes: ['write'], contract: 'v1' }
  })
  const options = { directory, passwords, ids: createIds(directory), charge: async () => {} }
  app.post('/', createBatch(options))
})
afterAll(async () => {
  await app.close()
  await pool.close()
  await roster.close()
})
beforeEach(() => {
  ;[running, most, hashed] = [0, 0, 0]
})

let made = 0
const creation = (more: object = {}) => {
  const name = `somebody-${++made}`
  const data = { email: `${name}@example.org`, username: name, password: 'correct horse', ...more }
  return { op: 'create', data }
}

const batch = async (operations: readonly unknown[], more: object = {}, headers: object = {}) => {
  const all = { 'content-type': 'application/json', ...headers }
  const answer = await app.inject({
    method: 'POST',
    url: '/',
    headers: all,
    payload: JSON.stringify({ operations, ...more }),
  })
  return (answer.json() as { results: { status: number }[] }).results.map(({ status }) => status)
}

test.for([false, true])(
  'several are hashed at a time, and no more than that (atomic: %s)',
  async (atomic) => {
    const operations = Array.from({ length: 3 * hashedAtOnce }, () => creation())
    expect(new Set(await batch(operations, { atomic }))).toEqual(new Set([201]))
    expect([most, hashed]).toEqual([hashedAtOnce, operations.length])
  },
)

test('none of somebody who is not made', async () => {
  const [known, twice] = [creation(), creation()]
  await batch([known])
  const refused = [
    creation({ password: 'short' }),
    creation({ email: 'no' }),
    creation({ role: 'king' }),
    known,
  ]
  expect(await batch([...refused, twice, twice])).toEqual([400, 400, 400, 409, 201, 409])
  // One more than there are: that the last one comes too late is known when the one before is made.
  expect(hashed).toBe(3)
})

test('where a name becomes free before, whoever takes it is hashed in his turn', async () => {
  const known = creation()
  await batch([known])
  const { username } = known.data
  const holder = await roster.store.find({ kind: 'username', key: username })
  const moved = { op: 'update', id: holder?.uid, data: { username: `${username}-old` } }
  expect(await batch([moved, creation({ username })])).toEqual([200, 201])
})

test.for([false, true])('none again where the batch is repeated (atomic: %s)', async (atomic) => {
  const operations = [creation(), creation()]
  const own = { 'idempotency-key': `again-${atomic}` }
  expect(await batch(operations, { atomic }, own)).toEqual([201, 201])
  expect(await batch(operations, { atomic }, own)).toEqual([201, 201])
  expect(hashed).toBe(2)
})
