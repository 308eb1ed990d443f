import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import S3rver from '@20minutes/s3rver'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { filesConformance } from './conformance.ts'
import { keepInBucket } from './s3.ts'

/** On a server that speaks S3, and checks signatures as it does. */

const directory = mkdtempSync(join(tmpdir(), 'roster-s3-'))
const server = new S3rver({
  ...{ address: '127.0.0.1', port: 0, silent: true, directory },
  configureBuckets: [{ name: 'pictures', configs: [] }],
})
let endpoint: string
beforeAll(async () => {
  const { port } = await server.run()
  endpoint = `http://127.0.0.1:${port}`
})
afterAll(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

const open = (more = {}) =>
  keepInBucket({
    ...{ bucket: 'pictures', prefix: 'roster/live', region: 'us-east-1', endpoint },
    ...{ accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    ...more,
  })

filesConformance('a bucket', async () => open())
filesConformance('a bucket without a prefix', async () => open({ prefix: '' }))

const picture = 'ab'.repeat(32)
const file = new Map([['64.webp', new Uint8Array([1])]])

test('keeps apart what has another prefix', async () => {
  await open().put(picture, file)
  expect(await open({ prefix: 'other' }).get(picture, '64.webp')).toBeUndefined()
  expect(await open().get(picture, '64.webp')).toEqual(new Uint8Array([1]))
})

test('a key that is wrong, a bucket that is not there and a service that is away are unavailable', async () => {
  const away = createServer(() => {})
  await new Promise<void>((resolve) => away.listen(0, '127.0.0.1', resolve))
  const { port } = away.address() as { port: number }
  const cases = {
    'a wrong key': open({ secretAccessKey: 'other' }),
    'no bucket': open({ bucket: 'elsewhere' }),
    'nobody there': open({ endpoint: 'http://127.0.0.1:1' }),
    'nobody who answers': open({ endpoint: `http://127.0.0.1:${port}`, patience: 50 }),
  }
  for (const [what, files] of Object.entries(cases))
    await expect(files.put(picture, file), what).rejects.toMatchObject({ code: 'unavailable' })
  for (const what of ['nobody there', 'nobody who answers'] as const)
    await expect(cases[what].get(picture, '64.webp'), what).rejects.toMatchObject({ code: 'unavailable' })
  away.close()
})
