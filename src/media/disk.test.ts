import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { filesConformance } from './conformance.ts'
import { isUnplaced, keepOnDisk } from './disk.ts'

const root = mkdtempSync(join(tmpdir(), 'roster-media-'))
afterAll(() => rmSync(root, { recursive: true }))

filesConformance('a folder', async () => keepOnDisk(join(root, 'media')))

const picture = 'ab'.repeat(32)
const file = new Map([['64.webp', new Uint8Array([1])]])

test('leaves nothing beside what was put, nor of what is not whole', async () => {
  const folder = join(root, 'beside')
  const files = keepOnDisk(folder)
  await files.put(picture, file)
  await files.put(picture, file)
  const unsound = new Map([...file, ['no/such/folder.webp', new Uint8Array([1])]])
  await expect(files.put('cd'.repeat(32), unsound)).rejects.toMatchObject({ code: 'unavailable' })
  await files.remove('ef'.repeat(32))
  expect(readdirSync(folder).sort()).toEqual(['ab', 'cd'])
  expect(readdirSync(join(folder, 'cd'))).toEqual([])
})

test('what is not in place can be told by its name', () => {
  expect(['new-0b0e', picture, 'ab'].map(isUnplaced)).toEqual([true, false, false])
})

test('where nothing can be written says so, and tries again next time', async () => {
  const folder = join(root, 'blocked')
  writeFileSync(folder, 'a file where the folder should be')
  const files = keepOnDisk(folder)
  await expect(files.put(picture, file)).rejects.toMatchObject({ code: 'unavailable' })
  rmSync(folder)
  await files.put(picture, file)
  expect(await files.get(picture, '64.webp')).toEqual(Buffer.from([1]))
})
