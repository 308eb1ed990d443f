import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { filesConformance } from './conformance.ts'
import { keepOnDisk } from './disk.ts'

const root = mkdtempSync(join(tmpdir(), 'roster-media-'))
afterAll(() => rmSync(root, { recursive: true }))

filesConformance('a folder', async () => keepOnDisk(join(root, 'media')))

const picture = 'ab'.repeat(32)
const file = new Map([['64.webp', new Uint8Array([1])]])

test('leaves nothing beside what was put, and removes what a killed process has left', async () => {
  const folder = join(root, 'killed')
  for (const name of ['new-old', 'new-young']) {
    mkdirSync(join(folder, name), { recursive: true })
    writeFileSync(join(folder, name, '64.webp'), 'part')
  }
  const longAgo = new Date(Date.now() - 7_200_000)
  utimesSync(join(folder, 'new-old'), longAgo, longAgo)
  await keepOnDisk(folder).put(picture, file)
  expect(readdirSync(folder).sort()).toEqual(['ab', 'new-young'])
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
