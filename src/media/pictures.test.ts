import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Files } from './formats.ts'
import { createPictures } from './pictures.ts'

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
