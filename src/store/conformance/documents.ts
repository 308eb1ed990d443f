import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { type Document, documentRest } from '../../directory/document.ts'
import { committed, create, type Given, lifecycle, times } from './commands.ts'

const at = Date.UTC(2026, 0, 1)

function document(over: Partial<Document> = {}): Document {
  const none = { expiresAt: null, usedAt: null, group: null, alias: null, userId: null }
  return { kind: 'Token', id: randomUUID(), payload: { scope: 'read' }, createdAt: at, ...none, ...over }
}

/** What every store must do with what the authorization server keeps. */
export function keepingDocuments(given: Given): void {
  it('keeps a document as it was given, also when opened again', async () => {
    const { store, reopen } = given()
    const payload = { text: 'a "b" \u{1f642}', list: [1, null, { x: true }], nothing: null }
    const plain = document()
    const full = document({
      ...{ payload, expiresAt: at + 5, usedAt: at + 1, group: 'g', alias: 'a', userId: 2 ** 52 },
    })
    await store.documents.put(plain)
    await store.documents.put(full)
    for (const open of [() => store, reopen]) {
      const { documents } = await open()
      expect(await documents.find('Token', plain.id)).toEqual(plain)
      expect(await documents.find('Token', full.id)).toEqual(full)
      expect(await documents.findByAlias('Token', 'a')).toEqual(full)
      expect(await documents.list('Token')).toEqual([plain])
      for (const id of ['', 'x', full.id.toUpperCase(), 'a\0b', '\ud800'])
        expect(await documents.find('Token', id)).toBeUndefined()
      expect(await documents.find('Code', plain.id)).toBeUndefined()
      expect(await documents.findByAlias('Code', 'a')).toBeUndefined()
    }
  })

  it.for(['a\0b', '\ud800', '\\u0000'])(
    'keeps a text or refuses it, as every other store does: %j',
    async (text) => {
      const { store } = given()
      const one = document({ payload: { list: [{ text }] } })
      const isKept = text === '\\u0000'
      const kept = store.documents.put(one)
      await (isKept ? kept : expect(kept).rejects.toThrow('NUL'))
      expect(await store.documents.find('Token', one.id)).toEqual(isKept ? one : undefined)
    },
  )

  it('puts a document in place of another, whose making and use stay known', async () => {
    const { store } = given()
    const first = document({ expiresAt: at + 5, group: 'g', alias: 'a' })
    await store.documents.put(first)
    await store.documents.use('Token', first.id, at + 1)
    const second = { ...first, payload: { n: 2 }, createdAt: at + 9, expiresAt: at + 20, alias: null }
    await store.documents.put(second)
    const kept = { ...second, createdAt: at, usedAt: at + 1 }
    expect(await store.documents.find('Token', first.id)).toEqual(kept)
    await store.documents.put({ ...second, payload: { n: 3 } }, true)
    expect(await store.documents.find('Token', first.id)).toEqual(kept)
    const another = document({ id: 'new' })
    await store.documents.put(another, true)
    expect(await store.documents.find('Token', 'new')).toEqual(another)
  })

  it('lets one of all who try at once use a document', async () => {
    const { store } = given()
    const one = document()
    await store.documents.put(one)
    const tries = await Promise.all(times(20, (n) => store.documents.use('Token', one.id, at + n)))
    expect(tries.filter(Boolean)).toHaveLength(1)
    expect(await store.documents.use('Token', one.id, at)).toBe(false)
    expect(await store.documents.use('Token', 'none', at)).toBe(false)
    expect(await store.documents.find('Token', one.id)).toMatchObject({ usedAt: expect.any(Number) })
  })

  it('removes one, or all of a group', async () => {
    const { store } = given()
    const [one, two, three] = [document({ group: 'g' }), document({ group: 'g' }), document({ group: 'h' })]
    const code = document({ kind: 'Code', group: 'g' })
    for (const each of [one, two, three, code]) await store.documents.put(each)
    await store.documents.remove('Token', one.id)
    await store.documents.remove('Token', 'a\0b')
    expect(await store.documents.list('Token')).toHaveLength(2)
    await store.documents.removeGroup('g')
    expect(await store.documents.list('Token')).toEqual([three])
    expect(await store.documents.list('Code')).toEqual([])
  })

  it('forgets what is about a user who is erased, and nothing else', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    const [own, others] = [document({ userId: 1 }), document({ userId: 2 })]
    for (const each of [own, others]) await store.documents.put(each)
    await committed(store, lifecycle('remove', 1))
    expect(await store.documents.list('Token')).toHaveLength(2)
    await committed(store, { ...lifecycle('erase', 1), removedToo: true })
    expect(await store.documents.list('Token')).toEqual([others])
  })

  it('removes those that have long expired, a few at a time, and no others', async () => {
    const { store } = given()
    const expired = times(1_500, (n) => document({ expiresAt: at + n }))
    const others = [document({ expiresAt: at + 1_501 }), document()]
    await Promise.all([...expired, ...others].map((one) => store.documents.put(one)))
    expect(await store.expire(at + documentRest)).toBe(0)
    const portions: number[] = []
    for (let count = 1; count > 0; portions.push(count)) count = await store.expire(at + documentRest + 1_500)
    expect(portions.reduce((sum, count) => sum + count)).toBe(1_500)
    expect(Math.max(...portions)).toBeLessThanOrEqual(1_000)
    const found = (all: readonly Document[]) =>
      Promise.all(all.map(({ id }) => store.documents.find('Token', id)))
    expect(await found(others)).toEqual(others)
    expect((await found(expired)).filter(Boolean)).toEqual([])
  })
}
