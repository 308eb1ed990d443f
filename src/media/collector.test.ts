import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { PictureKind } from '../directory/picture.ts'
import type { Store } from '../directory/store.ts'
import { committed, create, lifecycle, rules, update } from '../store/conformance.ts'
import { openSqlite } from '../store/sqlite/store.ts'
import { createCollector } from './collector.ts'
import { keepOnDisk } from './disk.ts'
import type { Files } from './formats.ts'
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
const noteOnly = async (picture: string) => {
  await store.pictures.note({ picture, userId: 9, at: now })
  return picture
}
const isFile = (name: string | Buffer) => String(name).endsWith('.webp')
const isThere = (picture: string) => existsSync(join(folder, 'media', picture.slice(0, 2), picture))

let told: [failed: number, error: unknown][] = []
beforeEach(() => {
  told = []
})

async function collect(at: number, from = files): Promise<void> {
  const some = createCollector({ store: store.pictures, files: from, onFailure: (...of) => told.push(of) })
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
  const givenUp = await store.pictures.giveUp(now, now + 1)
  expect(givenUp).toContain(first)
  const second = await keep(7, 'again')
  expect(second).not.toBe(first)
  await collect(now + day - 1)
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

test('those whose files can not be removed now hold up no others, are told, and are removed later', async () => {
  const many = 1_001
  const stuck = new Set(await Promise.all(Array.from({ length: many }, (_, n) => noteOnly(`stuck ${n}`))))
  const later = now + 3 * day
  let running = 0
  let most = 0
  const failing = {
    ...files,
    remove: async (picture: string) => {
      most = Math.max(most, ++running)
      await setImmediate()
      running--
      if (stuck.has(picture)) throw new Error('busy')
      await files.remove(picture)
    },
  }
  await collect(later, failing)
  expect(told.reduce((sum, [failed]) => sum + failed, 0)).toBe(many)
  expect(told[0]?.[1]).toEqual(new Error('busy'))
  expect(most).toBe(8)
  const other = await keep(9, 'other')
  await collect(later + 1, failing)
  expect(isThere(other)).toBe(false)
  const gone = new Set<string>()
  await collect(later + 3_600_000, { ...files, remove: async (picture) => void gone.add(picture) })
  expect(gone).toEqual(stuck)
})

test('who is erased while a picture is being stored leaves no file of it', async () => {
  const { id } = await committed(store, create({ username: 'kim' }))
  const before = readdirSync(join(folder, 'media'), { recursive: true }).filter((name) => isFile(name))
  let erased = false
  const slow = {
    ...files,
    put: async (picture: string, made: Files) => {
      if (!erased) {
        erased = true
        await committed(store, lifecycle('erase', id))
        await collect(now + 1)
      }
      await files.put(picture, made)
    },
  }
  const storing = createPictures({ store: store.pictures, files: slow, renderer, spool, now: () => now })
  await storing.keep(id, 'avatar', new Map([['64.webp', Buffer.from('late')]]))
  await collect(now + 5 * day)
  expect(readdirSync(join(folder, 'media'), { recursive: true }).filter((name) => isFile(name))).toEqual(
    before,
  )
})
