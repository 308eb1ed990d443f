import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PictureKind } from '../directory/picture.ts'
import type { Store } from '../directory/store.ts'
import { committed, create, lifecycle, rules, update } from '../store/conformance.ts'
import { openSqlite } from '../store/sqlite/store.ts'
import { createCollector } from './collector.ts'
import { keepOnDisk } from './disk.ts'
import { createPictures } from './pictures.ts'

const folder = mkdtempSync(join(tmpdir(), 'roster-collector-'))
const files = keepOnDisk(join(folder, 'media'))
const spool = { open: () => Promise.reject(new Error('none')), maxBytes: 0, size: () => 0 }
const renderer = { render: () => Promise.reject(new Error('none')) }
/** Later than the commands of these tests, whose clock stands in 2026. */
const now = Date.UTC(2026, 0, 2)
const day = 86_400_000
let store: Store
beforeAll(async () => {
  const onFatal = (error: Error) => {
    throw error
  }
  store = await openSqlite({ folder, rules, onFatal })
})
afterAll(async () => {
  await store.close()
  rmSync(folder, { recursive: true })
})

const pictures = () => createPictures({ store: store.pictures, files, renderer, spool, now: () => now })
const keep = (userId: number, text: string, kind: PictureKind = 'avatar') =>
  pictures().keep(userId, kind, new Map([['64.webp', Buffer.from(text)]]))
const isThere = (picture: string) => existsSync(join(folder, 'media', picture.slice(0, 2), picture))

async function collect(at: number, from = files): Promise<void> {
  const some = createCollector({ store: store.pictures, files: from })
  while ((await some(at)) > 0);
}

test('removes what has been unused for a day, and nothing that anybody is shown', async () => {
  const { id } = await committed(store, create({ username: 'ann' }))
  const [shown, replaced, cover, listed, orphan] = [
    await keep(id, 'shown'),
    await keep(id, 'replaced'),
    await keep(id, 'cover', 'cover'),
    await keep(id, 'listed'),
    await keep(id, 'orphan'),
  ]
  await committed(store, update(id, { avatar: replaced, cover }))
  await committed(store, update(id, { avatar: shown }))
  await store.pictures.addAvatar({ picture: listed, userId: id, at: now })
  await collect(now + day - 1)
  expect([shown, cover, listed, orphan].map(isThere)).toEqual([true, true, true, true])
  await collect(now + day)
  expect([shown, replaced, cover, listed, orphan].map(isThere)).toEqual([true, false, true, true, false])
  await collect(now + 100 * day)
  expect([shown, cover, listed].map(isThere)).toEqual([true, true, true])
})

test('what is wanted again while its files are being removed is kept under another name', async () => {
  const first = await keep(7, 'again')
  const givenUp = await store.pictures.giveUp(now, now + day)
  expect(givenUp).toContain(first)
  const second = await keep(7, 'again')
  expect(second).not.toBe(first)
  await collect(now + 1)
  expect([first, second].map(isThere)).toEqual([false, true])
})

test('who is erased takes all pictures along, at once', async () => {
  const { id } = await committed(store, create({ username: 'eve' }))
  const [avatar, cover, listed] = [await keep(id, 'a'), await keep(id, 'c', 'cover'), await keep(id, 'l')]
  await committed(store, update(id, { avatar, cover }))
  await store.pictures.addAvatar({ picture: listed, userId: id, at: now })
  await committed(store, lifecycle('erase', id))
  await collect(now + 1)
  expect([avatar, cover, listed].map(isThere)).toEqual([false, false, false])
})

test('one whose files can not be removed now holds up no other, and is removed later', async () => {
  const [stuck, other] = [await keep(9, 'stuck'), await keep(9, 'other')]
  const failing = {
    ...files,
    remove: async (picture: string) => {
      if (picture === stuck) throw new Error('busy')
      await files.remove(picture)
    },
  }
  await collect(now + 2 * day, failing)
  expect([stuck, other].map(isThere)).toEqual([true, false])
  await collect(now + 2 * day)
  expect(isThere(stuck)).toBe(false)
})
