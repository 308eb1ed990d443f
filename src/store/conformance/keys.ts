import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { ApiKey } from '../../directory/key.ts'
import type { Store } from '../../directory/store.ts'

interface Given {
  readonly store: Store
  readonly reopen: () => Promise<Store>
}

const hash = () => randomBytes(32).toString('hex')

function key(n: number, over: Partial<ApiKey> = {}): ApiKey {
  const times = { createdAt: 1_000 + n, expiresAt: null, revokedAt: null, lastUsedAt: null }
  return { id: `key_${n}`, name: `Key “${n}” ✓`, scopes: ['read', 'write'], ...times, ...over }
}

/** What every store must do with API keys. */
export function keepingKeys(given: () => Given): void {
  it('keeps a key under its hash, as it was given, also when opened again', async () => {
    const { store, reopen } = given()
    const [plain, full] = [key(1), key(2, { scopes: ['admin'], expiresAt: 2 ** 52, lastUsedAt: 5 })]
    const [one, other] = [hash(), hash()]
    await store.keys.add(full, other)
    await store.keys.add(plain, one)
    for (const open of [() => store, reopen]) {
      const opened = await open()
      expect(await opened.keys.find(one)).toEqual(plain)
      expect(await opened.keys.find(other)).toEqual(full)
      expect(await opened.keys.find(hash())).toBeUndefined()
      expect(await opened.keys.find(one.toUpperCase())).toBeUndefined()
      expect(await opened.keys.list()).toEqual([plain, full])
    }
  })

  it('puts a key in place of the one that has its id', async () => {
    const { store } = given()
    const [old, fresh] = [hash(), hash()]
    await store.keys.add(key(1), old)
    await store.keys.revoke('key_1', 7)
    await store.keys.add(key(1, { name: 'next' }), fresh)
    expect(await store.keys.find(old)).toBeUndefined()
    expect(await store.keys.find(fresh)).toEqual(key(1, { name: 'next' }))
    expect(await store.keys.list()).toHaveLength(1)
    const later = hash()
    await store.keys.add(key(1, { name: 'later' }), later, true)
    expect(await store.keys.find(later)).toBeUndefined()
    expect(await store.keys.find(fresh)).toEqual(key(1, { name: 'next' }))
    await store.keys.add(key(2), later, true)
    expect(await store.keys.find(later)).toEqual(key(2))
  })

  it('revokes a key once, at the time of the first', async () => {
    const { store } = given()
    const one = hash()
    await store.keys.add(key(1), one)
    await store.keys.add(key(2), hash())
    expect(await store.keys.revoke('key_1', 50)).toEqual(key(1, { revokedAt: 50 }))
    expect(await store.keys.revoke('key_1', 90)).toEqual(key(1, { revokedAt: 50 }))
    for (const id of ['key_3', '', 'key_1 ', 'KEY_1', 'a\0b', '\ud800'])
      expect(await store.keys.revoke(id, 50)).toBeUndefined()
    expect(await store.keys.find(one)).toEqual(key(1, { revokedAt: 50 }))
    expect(await store.keys.list()).toEqual([key(1, { revokedAt: 50 }), key(2)])
  })

  it('notes the latest use of each key, in whatever order nodes tell of it', async () => {
    const { store } = given()
    for (const n of [1, 2, 3]) await store.keys.add(key(n), hash())
    const told: [id: string, at: number][][] = [
      [
        ['key_1', 100],
        ['key_2', 300],
      ],
      [
        ['key_2', 200],
        ['key_1', 150],
      ],
      [['key_none', 1]],
      [],
    ]
    await Promise.all(told.map((times) => store.keys.used(new Map(times))))
    const uses = (await store.keys.list()).map(({ lastUsedAt }) => lastUsedAt)
    expect(uses).toEqual([150, 300, null])
  })
}
