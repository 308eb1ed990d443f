import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { cleanUp, temporaryFolder } from '../test/process.ts'
import { readConfig } from './config.ts'
import type { PictureStore } from './directory/picture.ts'
import { startPictures } from './pictures.ts'
import { rules } from './store/conformance.ts'
import { openSqlite } from './store/sqlite/store.ts'

afterEach(cleanUp)

/** What is written to the log while pictures are started, and looked after once. */
async function logOf(env: Record<string, string>, folder = temporaryFolder()) {
  const store = await openSqlite({ folder, rules, onFatal: () => {} })
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line) => void lines.push(JSON.parse(line)) })
  const looked = Promise.withResolvers<void>()
  const watched: PictureStore = {
    ...store.pictures,
    async giveUp(unusedSince, at) {
      const given = await store.pictures.giveUp(unusedSince, at)
      if (given.length === 0) looked.resolve()
      return given
    },
  }
  const { close } = startPictures(readConfig({ ...env, ROSTER_DATA: folder }), watched, log)
  await looked.promise
  await close()
  await store.close()
  return lines
}

test('several nodes that may keep pictures each in its own folder are warned of', async () => {
  const nodes = { DATABASE_URL: 'postgres://roster@127.0.0.1/roster' }
  const bucket = { ROSTER_MEDIA: 's3://pictures', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }
  expect(await logOf(nodes)).toEqual([
    expect.objectContaining({ msg: expect.stringContaining('ROSTER_MEDIA') }),
  ])
  expect(await logOf({ ...nodes, ...bucket })).toEqual([])
  expect(await logOf({})).toEqual([])
})

test('what killed processes have left in the folders is removed, and nothing else', async () => {
  const folder = temporaryFolder()
  const longAgo = new Date(Date.now() - 7_200_000)
  const make = (...path: string[]) => {
    const at = join(folder, ...path)
    mkdirSync(join(at, '..'), { recursive: true })
    writeFileSync(at, 'part')
    utimesSync(at, longAgo, longAgo)
  }
  for (const name of ['new-0b0e', 'README']) make('media', name)
  for (const name of ['17-1796079401519-1', 'README']) make('uploads', name)
  await logOf({}, folder)
  for (const name of ['media', 'uploads'])
    await expect.poll(() => readdirSync(join(folder, name))).toEqual(['README'])
})
