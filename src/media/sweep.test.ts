import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { sweep } from './sweep.ts'

const folder = mkdtempSync(join(tmpdir(), 'roster-sweep-'))
afterAll(() => rmSync(folder, { recursive: true }))

const now = Date.UTC(2026, 0, 2)
const isOurs = (name: string) => name.startsWith('new-')

const fail = (path: string) => expect.unreachable(path)

/** A file, or a folder with one in it, of some age in minutes. */
function make(name: string, minutes: number, isFolder = false): void {
  const path = join(folder, name)
  if (isFolder) mkdirSync(path)
  writeFileSync(isFolder ? join(path, 'x') : path, 'part')
  const at = new Date(now - minutes * 60_000)
  utimesSync(path, at, at)
}

test('what is ours and an hour old is removed, once, and nothing else', async () => {
  make('new-file', 60)
  make('new-folder', 600, true)
  make('new-young', 59)
  make('another-old', 6_000)
  expect(await sweep(folder, isOurs, now, fail)).toBe(2)
  expect(readdirSync(folder).toSorted()).toEqual(['another-old', 'new-young'])
  expect(await sweep(folder, isOurs, now, fail)).toBe(0)
})

test('a folder that is not there has nothing to remove', async () => {
  expect(await sweep(join(folder, 'none'), isOurs, now, fail)).toBe(0)
})

// Even root can not remove those of Linux's /proc, and other systems have none.
test.skipIf(process.platform !== 'linux')(
  'one that can not be removed is told, and keeps no other',
  async () => {
    const stuck = ['uptime', 'version']
    const told: string[] = []
    const later = Date.now() + 86_400_000
    expect(
      await sweep(
        '/proc',
        (name) => stuck.includes(name),
        later,
        (path) => told.push(path),
      ),
    ).toBe(0)
    expect(told.toSorted()).toEqual(stuck.map((name) => join('/proc', name)))
  },
)
