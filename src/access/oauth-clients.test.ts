import { afterEach, expect, onTestFinished, test } from 'vitest'
import { cleanUp, temporaryFolder } from '../../test/process.ts'
import type { Actor } from '../directory/actor.ts'
import { rules, times } from '../store/conformance.ts'
import { openSqlite } from '../store/sqlite/store.ts'
import { createClients, isSecret } from './oauth-clients.ts'

afterEach(cleanUp)

const admin: Actor = { kind: 'key', id: 'key_a', scopes: ['admin'], contract: 'v1' }

test('of several who make one client at the same moment one is told a secret, and it counts', async () => {
  const store = await openSqlite({ folder: temporaryFolder(), rules, onFatal: () => {} })
  onTestFinished(store.close)
  const clients = createClients({ documents: store.documents, now: Date.now })
  const asked = { name: 'Shop', scopes: ['read'] }
  const answers = await Promise.allSettled(
    times(5, () => clients.create(admin, asked, { id: 'client_of_a_request' })),
  )
  const [made, ...more] = answers.filter((answer) => answer.status === 'fulfilled')
  expect(more).toEqual([])
  const refused = answers.filter((answer) => answer.status === 'rejected')
  expect(refused.map(({ reason }) => reason.code)).toEqual(times(4, () => 'conflict'))
  const kept = await clients.find('client_of_a_request')
  expect(isSecret(String(made?.value.secret), String(kept?.secretHash))).toBe(true)
})

const own = 'com.example.app:/back'

test.each([
  [['https://localhost:3000/back'], 'web'],
  [[own, 'https://app.example.com/back', 'http://127.0.0.1:7000/back', 'http://[::1]/back'], 'native'],
  [[own, 'https://localhost/back'], 'refused'],
  [[own, 'http://127.0.0.2/back'], 'refused'],
])('a client to be sent back to %j is %s', async (redirectUris, expected) => {
  const store = await openSqlite({ folder: temporaryFolder(), rules, onFatal: () => {} })
  onTestFinished(store.close)
  const clients = createClients({ documents: store.documents, now: Date.now })
  const made = clients.create(admin, { name: 'App', scopes: ['read'], redirect_uris: redirectUris })
  const problems = [{ property: 'redirect_uris', message: expect.stringContaining('own scheme') }]
  if (expected === 'refused') await expect(made).rejects.toMatchObject({ code: 'invalid', problems })
  else expect((await made).client.redirectUris).toEqual(redirectUris)
})
