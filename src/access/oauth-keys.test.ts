import { expect, test } from 'vitest'
import type { Document, DocumentStore } from '../directory/document.ts'
import { createSigningKeys, published } from './oauth-keys.ts'

/** One document, as all stores keep it (store/conformance/documents.ts). */
function keep() {
  let kept: Document | undefined
  const documents = {
    find: async () => kept,
    put: async (document: Document, onlyIfNew = false) => {
      if (!onlyIfNew || kept === undefined) kept = document
    },
  }
  return documents as unknown as DocumentStore
}

const start = Date.UTC(2026, 0, 1)
const day = 86_400_000

test('nodes that start at once sign with one key', async () => {
  const documents = keep()
  const nodes = [1, 2, 3].map(() => createSigningKeys({ documents, now: () => start }))
  const all = await Promise.all(nodes.map((node) => node.get()))
  expect(new Set(all.map(({ keys }) => keys[0]?.jwk.kid)).size).toBe(1)
  expect(new Set(all.map(({ cookieSecret }) => cookieSecret)).size).toBe(1)
})

test('a new key is published before it signs, and the one before for a day after', async () => {
  const documents = keep()
  let now = start
  const keys = createSigningKeys({ documents, now: () => now })
  const kids = async () => published(await keys.get(), now).map(({ kid }) => kid)
  const [first] = await kids()
  now += 10 * day
  const second = await keys.rotate()
  expect(await kids()).toEqual([first, second])
  now += 120_000
  expect(await kids()).toEqual([second, first])
  // Nobody has to rotate again for it.
  now += day - 1
  expect(await kids()).toEqual([second, first])
  now += 1
  expect(await kids()).toEqual([second])
  const third = await keys.rotate()
  now += 120_000
  expect(await kids()).toEqual([third, second])
})
