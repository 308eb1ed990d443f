import { afterEach, expect, it } from 'vitest'
import { cleanUp, readAside, temporaryFolder } from '../test/process.ts'
import { receiptLife } from './directory/receipt.ts'
import { all, create, once, rules, times } from './store/conformance.ts'
import { openSqlite } from './store/sqlite/store.ts'
import { keepTidy } from './tidy.ts'

afterEach(cleanUp)

it('removes all that has expired, also where nothing new comes', async () => {
  const folder = temporaryFolder()
  const store = await openSqlite({ folder, rules, onFatal: () => {} })
  const at = Date.UTC(2026, 0, 1)
  await all(
    store,
    times(700, (n) => create({}, { at, once: once(`old ${n}`) })),
  )
  await all(store, [create({}, { at: at + 1, once: once('new') })])
  const none = { usedAt: null, group: null, alias: null, userId: null }
  for (const [id, expiresAt] of [
    ['old', at],
    ['lasting', null],
  ] as const)
    await store.documents.put({ kind: 'Token', id, payload: {}, createdAt: at, expiresAt, ...none })
  const end = keepTidy(store, () => at + receiptLife)
  while (readAside(folder).receipts.length > 1) await new Promise(setImmediate)
  expect(readAside(folder).receipts).toMatchObject([{ key: 'new' }])
  while ((await store.documents.find('Token', 'old')) !== undefined) await new Promise(setImmediate)
  expect(await store.documents.find('Token', 'lasting')).toBeDefined()
  end()
  await store.close()
})

it('is no matter to a store that can not do it', async () => {
  const store = await openSqlite({ folder: temporaryFolder(), rules, onFatal: () => {} })
  await store.close()
  await expect(store.expire(0)).rejects.toMatchObject({ code: 'unavailable' })
  keepTidy(store, Date.now)()
})
