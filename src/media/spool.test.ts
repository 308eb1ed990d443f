import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, expect, test } from 'vitest'
import { createSpool, isSpooled, streamOf } from './spool.ts'

const root = mkdtempSync(join(tmpdir(), 'roster-spool-'))
afterAll(() => rmSync(root, { recursive: true }))

let made = 0
function open(options = {}) {
  const folder = join(root, String(++made))
  const spool = createSpool({ folder, maxBytes: 1_000, ...options })
  return { spool, files: () => (existsSync(folder) ? readdirSync(folder) : []) }
}

const sender = (name: string, gone = new AbortController().signal) => ({ name, gone })

test('a file is there until its upload is over, under a name that is known to be ours', async () => {
  const { spool, files } = open()
  const upload = await spool.open(sender('ann'))
  const { size, head } = await upload.take(streamOf(Buffer.from('bytes')))
  expect([size, Buffer.from(head).toString(), files().map(isSpooled)]).toEqual([5, 'bytes', [true]])
  await Promise.all([upload.close(), upload.close()])
  expect([files(), spool.size()]).toEqual([[], 0])
})

test('a file that ends before it has begun is not left behind', async () => {
  const { spool, files } = open()
  // Whether it is still being opened then is a matter of threads.
  for (let n = 0; n < 1_500; n++) {
    const upload = await spool.open(sender('ann'))
    const taken = upload.take(new Readable({ read: () => {} })).catch(() => {})
    await upload.close()
    await taken
  }
  expect([files(), spool.size()]).toEqual([[], 0])
})

test('one sender has so many uploads under way, nobody else waits for them, and who waits takes no place', async () => {
  const { spool } = open({ maxUploads: 4, turns: { atOnce: 2, maxWaiting: 1 } })
  const first = await spool.open(sender('ann'))
  await spool.open(sender('ann'))
  const gone = new AbortController()
  const dropped = spool.open(sender('ann', gone.signal))
  await expect(spool.open(sender('ann'))).rejects.toMatchObject({ code: 'rate_limited', retryAfter: 1 })
  gone.abort()
  await expect(dropped).rejects.toMatchObject({ code: 'unavailable' })
  const next = spool.open(sender('ann'))
  await spool.open(sender('bob'))
  await spool.open(sender('eve'))
  await expect(spool.open(sender('kim'))).rejects.toMatchObject({ code: 'unavailable' })
  await first.close()
  await (await next).close()
  expect(spool.size()).toBe(3)
})

test('one that has waited for too long is told to come again, and takes nobody a place or a turn', async () => {
  const { spool } = open({ turns: { atOnce: 1, maxWaiting: 1, patience: 1 } })
  const first = await spool.open(sender('ann'))
  await expect(spool.open(sender('ann'))).rejects.toMatchObject({ code: 'rate_limited', retryAfter: 1 })
  await first.close()
  expect(spool.size()).toBe(0)
  await (await spool.open(sender('ann'))).close()
})

test('a sender for whom there is no place gives the turn back', async () => {
  const { spool } = open({ maxUploads: 1, turns: { atOnce: 1, maxWaiting: 0 } })
  const first = await spool.open(sender('ann'))
  for (let n = 0; n < 2; n++)
    await expect(spool.open(sender('bob'))).rejects.toMatchObject({ code: 'unavailable' })
  await first.close()
  await (await spool.open(sender('bob'))).close()
})
