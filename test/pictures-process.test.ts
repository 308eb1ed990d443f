import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, expect, test } from 'vitest'
import { signSharedSecretToken } from '../src/access/shared-secret.ts'
import { fileName, sizes } from '../src/media/formats.ts'
import { range } from '../src/store/conformance.ts'
import { cleanUp, createClient, readKept, type Send, serve, temporaryFolder, versionOf } from './process.ts'

afterEach(cleanUp)

const secret = 'a secret that the backend of the community has too'
const env = { ROSTER_JWT_SECRET: secret, ROSTER_RATE_LIMIT: 'off' }
const kills = 20
const people = 6

async function addPeople(send: Send): Promise<void> {
  for (const id of range(people))
    await send('POST', '/users', {
      email: `p${id}@example.org`,
      first_name: `p${id}`,
      last_name: 'x',
      phone: '1',
      interested_in: 'cats',
    })
}

async function bearer(userId: number) {
  const issuedAt = Date.now()
  const expiresAt = issuedAt + 600_000
  return { authorization: `Bearer ${await signSharedSecretToken(secret, { userId, issuedAt, expiresAt })}` }
}

/** Unlike any other, and of so many bytes and more. */
async function picture(seed: number, side = 24): Promise<string> {
  const raw = createHash('shake256', { outputLength: side * side * 3 })
    .update(String(seed))
    .digest()
  const png = await sharp(raw, { raw: { width: side, height: side, channels: 3 } })
    .png()
    .toBuffer()
  return `image/png;base64,${png.toString('base64')}`
}

const patch = (send: Send, id: number, body: object, headers: object) =>
  send('PATCH', `/api/v2/user/${id}/`, body, { ...headers })

/** Whatever is wrong with a picture that a profile shows. */
async function damageOf(folder: string, kind: 'avatar' | 'cover', reference: string): Promise<string[]> {
  const place = join(folder, 'media', reference.slice(0, 2), reference)
  const wrong = await Promise.all(
    sizes[kind].map(async (size) => {
      try {
        await sharp(readFileSync(join(place, fileName(size))))
          .raw()
          .toBuffer()
        return []
      } catch (error) {
        return [`${reference} ${size}: ${String(error)}`]
      }
    }),
  )
  return wrong.flat()
}

test(`no profile points to a picture that is missing or partial, killed ${kills} times during uploads`, {
  timeout: 480_000,
}, async () => {
  const folder = temporaryFolder()
  const acknowledged: { id: number; version: number; avatar: string }[] = []
  let seed = 0
  for (let life = 1; life <= kills; life++) {
    const server = await serve([], { folder, env })
    const send = createClient(server.url, people)
    if (life === 1) await addPeople(send)
    const last = acknowledged.length + 1 + (life % 5)
    let killed: Promise<unknown> | undefined
    await Promise.all(
      range(people).map(async (id) => {
        const headers = await bearer(id)
        while (killed === undefined) {
          const text = await picture(++seed)
          // The answer itself is the signal, so that the kill comes while others are on their way.
          const answer = await patch(
            send,
            id,
            { avatar_base64: text, cover_base64: text, bio: text.slice(-20) },
            headers,
          ).catch(() => undefined)
          if (answer?.status !== 200) continue
          const { avatar } = JSON.parse(answer.text) as { avatar: string }
          acknowledged.push({ id, version: versionOf(answer), avatar })
          if (acknowledged.length >= last) killed ??= server.kill()
        }
      }),
    )
    expect(await killed).toMatchObject({ signal: 'SIGKILL' })
    const { users, log, damage } = readKept(folder)
    expect(damage).toEqual([])
    const shown = users.flatMap(({ avatar, cover }) => [
      ...(avatar === null ? [] : [damageOf(folder, 'avatar', avatar)]),
      ...(cover === null ? [] : [damageOf(folder, 'cover', cover)]),
    ])
    expect((await Promise.all(shown)).flat()).toEqual([])
    // Text and pictures are one change.
    for (const { fields, kind } of log)
      if (kind === 'updated') expect(Object.keys(fields).toSorted()).toEqual(['avatar', 'bio', 'cover'])
    for (const { id, version, avatar } of acknowledged) {
      const change = log.find((one) => one.userId === id && one.version === version)
      expect(avatar).toContain(String(change?.fields.avatar?.[1]))
    }
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(kills)
})

/** Noise, which comes again every few rows: small as it is sent, and large as it is kept. */
async function noise(side: number): Promise<string> {
  const tile = createHash('shake256', { outputLength: side * 4 })
    .update('noise')
    .digest()
  const raw = Buffer.concat(Array.from({ length: side / 4 }, () => tile))
  const png = await sharp(raw, { raw: { width: side, height: side, channels: 1 } })
    .png({ compressionLevel: 9, adaptiveFiltering: false })
    .toBuffer()
  return `image/png;base64,${png.toString('base64')}`
}

/** Bytes that a file may have, for a disk that is full. */
const room = 512_000

test.for([
  ['as it is sent', async () => ({ avatar_base64: await picture(1, 480) })],
  ['as it is kept', async () => ({ cover_base64: await noise(1_504) })],
] as const)(
  'a picture for which there is no room %s is 503, and the profile stays as it is',
  async ([when, make]) => {
    const folder = temporaryFolder()
    // Blocks of 512 bytes; with the signal ignored a write beyond fails with EFBIG.
    const limited = ['sh', '-c', `trap '' XFSZ; ulimit -f ${room / 512}; exec "$@"`, 'sh']
    const server = await serve([], { folder, env, under: limited })
    const send = createClient(server.url)
    await addPeople(send)
    const headers = await bearer(1)
    const sent = await make()
    const [text = ''] = Object.values(sent)
    expect(Buffer.from(text.replace(/.*,/, ''), 'base64').length > room).toBe(when === 'as it is sent')
    const answer = await patch(send, 1, { ...sent, bio: 'New' }, headers)
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1'])
    expect(JSON.parse(answer.text)).toMatchObject({ errors: [{ messages: [{ code: 'unavailable' }] }] })
    expect(readKept(folder).users[0]).toMatchObject({ avatar: null, cover: null, bio: null, version: 1 })
    await expect.poll(() => filesIn(folder)).toEqual([])
    const small = await patch(send, 1, { avatar_base64: await picture(1), bio: 'New' }, headers)
    expect(small.status).toBe(200)
    expect(await server.stop()).toMatchObject({ code: 0 })
    expect(filesIn(folder).toSorted()).toEqual(sizes.avatar.map(fileName).toSorted())
  },
)

/** What there is of pictures. */
function filesIn(folder: string): string[] {
  return ['media', 'uploads']
    .map((name) => join(folder, name))
    .filter(existsSync)
    .flatMap((path) => readdirSync(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() || entry.name.startsWith('new-'))
    .map(({ name }) => name)
}
