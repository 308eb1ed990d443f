import { existsSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { pino } from 'pino'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../../test/app.ts'
import { claim } from '../../directory/claims.ts'
import { photo, pictureIn, quarters } from '../../media/samples.ts'

/** Pictures as bodies of requests, with what all writes of the platform API have. */

let roster: TestApp
let key: { readonly authorization: string }
let id: string
let made = 0
const log: Record<string, unknown>[] = []
const maxPicture = 1_000_000
beforeAll(async () => {
  roster = await startApp(
    { maxPicture },
    { log: pino({}, { write: (line) => void log.push(JSON.parse(line)) }) },
  )
  key = await roster.keyWith('read', 'write')
})
afterAll(() => roster.close())
beforeEach(async () => {
  made++
  const person = { email: `p${made}@example.org`, username: `p${made}`, password: 'correct horse' }
  id = ((await roster.call('POST /v1/users', person, key)).body as { id: string }).id
})

const png = { 'content-type': 'image/png' }

const put = (body: Uint8Array | string, headers: Record<string, string | undefined> = {}, path = 'avatar') =>
  roster.call(`PUT /v1/users/${id}/${path}`, body, { ...key, ...png, ...headers })

const remove = (headers = {}, path = 'avatar') =>
  roster.call(`DELETE /v1/users/${id}/${path}`, undefined, { ...key, ...headers })

type Shown = Readonly<Record<string, Readonly<Record<string, string>> | null>>
const shownIn = ({ body }: Answer) => body as Shown

/** Nothing is changed by it, and nothing left behind. */
async function expectNothing(work: () => Promise<Answer>): Promise<Answer> {
  const before = await roster.everything()
  const answer = await work()
  expect(await roster.everything()).toEqual(before)
  // The last thing that is done for a request, maybe after it was answered.
  await expect.poll(uploads).toEqual([])
  return answer
}

function uploads(): string[] {
  const folder = join(roster.folder, 'uploads')
  return existsSync(folder) ? readdirSync(folder) : []
}

describe('PUT', () => {
  test.for([
    ['avatar', ['64', '128', '256', '512']],
    ['cover', ['640', '1500']],
  ] as const)('sets the %s, and tells where it is in every size', async ([kind, sizes]) => {
    const answer = await put(await photo(), { 'content-type': 'image/jpeg' }, kind)
    expect(answer).toMatchObject({ status: 200, headers: { etag: '"2"' }, body: { id } })
    expect(Object.keys(answer.body as object)).toEqual(['id', kind, 'updated_at'])
    const urls = shownIn(answer)[kind] ?? {}
    expect(Object.keys(urls).toSorted()).toEqual(sizes.toSorted())
    for (const [size, url] of Object.entries(urls)) {
      const picture = await fetch(`${roster.url}${url}`)
      const { format, width = 0, height = 0 } = await sharp(await picture.arrayBuffer()).metadata()
      expect([format, Math.max(width, height) <= Number(size)]).toEqual(['webp', true])
    }
  })

  test('believes the bytes and not the type', async () => {
    expect((await put(await pictureIn('jpeg'))).status).toBe(200)
    const answer = await expectNothing(() => put('<!doctype html><script>alert(1)</script>'))
    expect(answer).toMatchObject({
      status: 400,
      body: {
        error: 'validation_error',
        details: { body: ['Body must be a picture: JPEG, PNG, GIF, WebP or AVIF'] },
      },
    })
  })

  test('of a type that is no picture’s is 415', async () => {
    const body = await pictureIn('png')
    for (const type of [
      'image/svg+xml',
      'text/html',
      'multipart/form-data; boundary=b',
      'application/json',
      ';',
      undefined,
    ])
      expect((await expectNothing(() => put(body, { 'content-type': type }))).status).toBe(415)
    const coded = await expectNothing(() => put(body, { 'content-encoding': 'gzip' }))
    expect(coded.status).toBe(415)
  })

  test('of too much is 413, and of nothing 400', async () => {
    expect(await expectNothing(() => put(Buffer.alloc(maxPicture + 1)))).toMatchObject({
      status: 413,
      headers: { connection: 'close' },
    })
    expect((await expectNothing(() => put(''))).status).toBe(400)
    const half = (await pictureIn('png')).subarray(0, 200)
    expect((await expectNothing(() => put(half))).status).toBe(400)
  })

  test('needs the current version where one is named', async () => {
    const body = await pictureIn('png')
    expect((await expectNothing(() => put(body, { 'if-match': '"9"' }))).status).toBe(412)
    expect(await put(body, { 'if-match': '"1"' })).toMatchObject({ status: 200, headers: { etag: '"2"' } })
    expect(await put(body, { 'if-match': '"2"' })).toMatchObject({ status: 200, headers: { etag: '"2"' } })
  })

  test('only tries where that is asked, and keeps nothing', async () => {
    const body = await pictureIn('png')
    const answer = await expectNothing(() => put(body, {}, 'avatar?dry_run=true'))
    expect(answer).toMatchObject({ status: 200, body: { dry_run: true, status: 200 } })
    const { changes } = answer.body as { changes: { avatar: { old: null; new: string } } }
    const real = await put(body)
    expect(shownIn(real).avatar?.['64']).toContain(changes.avatar.new)
    expect((await expectNothing(() => put(body, {}, 'avatar?dry=1'))).status).toBe(400)
  })

  test('is done once with a key, whatever has become of it since', async () => {
    const body = await pictureIn('png')
    const once = { 'idempotency-key': `k${made}`, 'if-match': '"1"' }
    const first = await put(body, once)
    expect(first.status).toBe(200)
    await remove()
    const again = await expectNothingButPictures(() => put(body, once))
    expect(again).toMatchObject({ status: 200, headers: { 'idempotency-replayed': 'true', etag: '"2"' } })
    expect(again.body).toEqual(first.body)
    expect((await put(await pictureIn('gif'), once)).status).toBe(422)
    expect((await put('no picture', once)).status).toBe(422)
  })

  /** Its files may be wanted again; nothing else is. */
  async function expectNothingButPictures(work: () => Promise<Answer>): Promise<Answer> {
    const { pictures: _, ...before } = await roster.everything()
    const answer = await work()
    const { pictures: __, ...after } = await roster.everything()
    expect(after).toEqual(before)
    return answer
  }

  test('that breaks off, also while it waits for others, changes nothing and is no failure of the service', async () => {
    const body = await photo()
    const begin = () => {
      const { hostname, port } = new URL(roster.url)
      const socket = connect(Number(port), hostname)
      socket.write(
        `PUT /v1/users/${id}/avatar HTTP/1.1\r\nHost: x\r\nAuthorization: ${key.authorization}\r\n` +
          `Content-Type: image/jpeg\r\nContent-Length: ${body.length}\r\n\r\n`,
      )
      socket.write(body.subarray(0, 1_000))
      return socket
    }
    const ended = () => log.filter(({ method, status }) => method === 'PUT' && Number(status) >= 400).length
    const [before, earlier] = [ended(), log.length]
    await expectNothing(async () => {
      const sockets = Array.from({ length: 5 }, begin)
      await expect.poll(uploads).toHaveLength(4)
      for (const socket of sockets) socket.destroy()
      await expect.poll(ended).toBe(before + 5)
      return roster.call('GET /v1/users', undefined, key)
    })
    expect(log.slice(earlier).filter(({ level }) => Number(level) >= 40)).toEqual([])
  })

  test('of somebody who is not there is 404, without their files being taken', async () => {
    const body = await quarters(8, 8)
    const line = 'PUT /v1/users/usr_00000000nobody/avatar'
    expect((await expectNothing(() => roster.call(line, body, { ...key, ...png }))).status).toBe(404)
    const reader = await roster.keyWith('read')
    expect((await put(body, reader)).status).toBe(403)
    expect((await put(body, { authorization: undefined })).status).toBe(401)
  })
})

describe('DELETE', () => {
  test.for(['avatar', 'cover'])('removes the %s, once or often', async (kind) => {
    await put(await pictureIn('png'), {}, kind)
    expect(await remove({ 'if-match': '"9"' }, kind)).toMatchObject({ status: 412 })
    const tried = await roster.call(`DELETE /v1/users/${id}/${kind}?dry_run=true`, undefined, key)
    expect(tried).toMatchObject({ status: 200, body: { status: 204, user: { [kind]: null } } })
    expect(await remove({}, kind)).toMatchObject({ status: 204, text: '', headers: { etag: '"3"' } })
    expect(await remove({}, kind)).toMatchObject({ status: 204, headers: { etag: '"3"' } })
  })

  test('with a key is done once', async () => {
    await put(await pictureIn('png'))
    const once = { 'idempotency-key': `d${made}` }
    expect((await remove(once)).headers['idempotency-replayed']).toBeUndefined()
    await put(await pictureIn('png'))
    expect(await remove(once)).toMatchObject({ status: 204, headers: { 'idempotency-replayed': 'true' } })
    expect(await remove()).toMatchObject({ headers: { etag: '"5"' } })
  })
})

test('a picture of the platform’s is the one that the community shows', async () => {
  const urls = shownIn(await put(await pictureIn('png'))).avatar ?? {}
  const found = await roster.store.find(claim('uid', id))
  const shown = (await roster.call(`GET /api/v2/user/${found?.id}/`)).body as { avatar: string }
  expect(shown.avatar).toBe(`${roster.url}${urls['256']}`)
})
