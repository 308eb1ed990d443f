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
