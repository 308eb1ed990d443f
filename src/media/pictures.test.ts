import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import type { NotedPicture } from '../directory/picture.ts'
import type { Files } from './formats.ts'
import { createFinder, createPictures } from './pictures.ts'

const picture = createHash('sha256').update('picture').digest('hex')
const now = () => Date.UTC(2026, 0, 1)
const store = { note: async () => true }
const renderer = { render: () => Promise.reject(new Error('none')) }
const spool = { open: () => Promise.reject(new Error('none')), maxBytes: 0, size: () => 0 }

/** Files in memory. */
function keepHere() {
  const kept = new Map<string, Files>()
  return {
    kept,
    put: async (picture: string, files: Files) => void kept.set(picture, files),
    get: async (picture: string, file: string) => kept.get(picture)?.get(file),
    remove: async (picture: string) => void kept.delete(picture),
  }
}

test('so many files are read at a time; more wait, are refused, or leave with who asked', async () => {
  const running: PromiseWithResolvers<Uint8Array>[] = []
  const get = () => {
    const one = Promise.withResolvers<Uint8Array>()
    running.push(one)
    return one.promise
  }
  const pictures = createPictures({ store, files: { ...keepHere(), get }, renderer, spool, now })
  const gone = new AbortController()
  const read = (signal?: AbortSignal) => pictures.read(picture, '64.webp', signal)
  const asked = Array.from({ length: 1_031 }, () => read())
  const dropped = read(gone.signal)
  await setImmediate()
  expect(running).toHaveLength(32)
  await expect(read()).rejects.toMatchObject({ code: 'unavailable' })
  gone.abort()
  await expect(dropped).rejects.toMatchObject({ code: 'unavailable' })
  for (const one of running) {
    one.resolve(new Uint8Array([1]))
    await setImmediate()
  }
  expect((await Promise.all(asked)).length).toBe(running.length)
})

test('who waits behind reads that hang is refused after ten seconds', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const get = () => new Promise<never>(() => {})
    const pictures = createPictures({ store, files: { ...keepHere(), get }, renderer, spool, now })
    const refused: unknown[] = []
    for (let n = 0; n < 40; n++)
      pictures.read(picture, '64.webp').catch((error: unknown) => refused.push(error))
    await vi.advanceTimersByTimeAsync(9_999)
    expect(refused).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(refused).toMatchObject(Array(8).fill({ code: 'unavailable' }))
  } finally {
    vi.useRealTimers()
  }
})

test('a read that fails makes room for the next', async () => {
  const get = () => Promise.reject(new Error('the disk'))
  const pictures = createPictures({ store, files: { ...keepHere(), get }, renderer, spool, now })
  for (let n = 0; n < 100; n++) await expect(pictures.read(picture, '64.webp')).rejects.toThrow('the disk')
})

test('no name that a picture can not have is looked for', async () => {
  const get = () => Promise.reject(new Error('looked for'))
  const pictures = createPictures({ store, files: { ...keepHere(), get }, renderer, spool, now })
  for (const [of, file] of [
    ['..', '64.webp'],
    [picture.toUpperCase(), '64.webp'],
    [`${picture}\n`, '64.webp'],
    [picture, '../64.webp'],
    [picture, '65.webp'],
    [picture, 'constructor'],
  ] as const)
    expect(await pictures.read(of, file)).toBeUndefined()
})

test('a picture that a record from elsewhere refers to is found where all of it is here, and it is theirs', async () => {
  const files = keepHere()
  const noted: NotedPicture[] = []
  const renewed: string[] = []
  const noting = {
    note: async (one: NotedPicture) => {
      noted.push(one)
      return true
    },
    renew: async (picture: string) => {
      renewed.push(picture)
      return true
    },
  }
  const { keep } = createPictures({ store, files, renderer, spool, now })
  const made = (text: string) =>
    new Map(['512', '256', '128', '64'].map((size) => [`${size}.webp`, Buffer.from(`${text} ${size}`)]))
  const covers = new Map(['1500', '640'].map((size) => [`${size}.webp`, Buffer.from(size)]))
  const [own, cut, changed] = [
    await keep(7, 'avatar', made('own')),
    await keep(7, 'avatar', made('cut')),
    await keep(7, 'avatar', made('changed')),
  ]
  const cover = await keep(7, 'cover', covers)
  files.kept.set(cut, new Map([...made('cut')].slice(0, 3)))
  files.kept.set(changed, made('changed otherwise'))
  const { find, adopt } = createFinder({ store: noting, files, now })
  expect([await find(7, 'avatar', own), await find(7, 'cover', cover)]).toEqual([true, true])
  expect(renewed).toEqual([own, cover])
  for (const [userId, kind, of] of [
    [8, 'avatar', own],
    [7, 'cover', own],
    [7, 'avatar', cover],
    [7, 'avatar', cut],
    [7, 'avatar', changed],
    [7, 'avatar', picture],
    [7, 'avatar', '../own'],
    [7, 'avatar', ''],
  ] as const)
    expect([userId, kind, of, await find(userId, kind, of)]).toEqual([userId, kind, of, false])
  expect(renewed).toHaveLength(2)
  // What is noted goes when nothing refers to it.
  expect(noted).toEqual([])
  await adopt(7, own)
  expect(noted).toEqual([{ picture: own, userId: 7, at: now() }])
  const givenUp = createFinder({ store: { ...noting, renew: async () => false }, files, now })
  expect(await givenUp.find(7, 'avatar', own)).toBe(false)
})
