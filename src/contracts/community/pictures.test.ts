import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Community, faultsOf, startCommunity, urlencoded } from '../../../test/community.ts'
import { curl, hasCurl } from '../../../test/curl.ts'
import { misses } from '../../access/misses.ts'
import { formats } from '../../media/formats.ts'
import { bomb, frames, photo, pictureIn, quarters, withWrongChecksum } from '../../media/samples.ts'

/** Pictures, from the form that brings them to the address that shows them. */

let roster: Community
let folder: string
let id: number
let etag: string
const maxPicture = 2_000_000
beforeAll(async () => {
  roster = await startCommunity({ maxPicture, trustProxy: ['127.0.0.1'] })
  folder = roster.folder
})
afterAll(() => roster.close())
beforeEach(async () => {
  id = await roster.newPerson()
  etag = '"1"'
})

const mira = () => `PATCH /api/v2/user/${id}/`

interface Part {
  readonly name: string
  readonly value?: string
  readonly file?: Uint8Array
  readonly filename?: string
  readonly type?: string
}

/** A form in parts, with whatever they are to be. */
function form(...parts: readonly Part[]) {
  const boundary = 'b0undary'
  const chunks = parts.flatMap(({ name, value, file, filename = 'a.png', type = 'image/png' }) => {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`
    return file === undefined
      ? [Buffer.from(`${head}\r\n\r\n${value}\r\n`)]
      : [
          Buffer.from(`${head}; filename="${filename}"\r\nContent-Type: ${type}\r\n\r\n`),
          file,
          Buffer.from('\r\n'),
        ]
  })
  return {
    body: Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  }
}

async function send(parts: readonly Part[], more = {}) {
  const { body, headers } = form(...parts)
  return roster.as(id, mira(), body, { ...headers, ...more })
}

/** What an address in an answer shows. */
async function fetchPicture(url: unknown, headers: Record<string, string> = {}, method = 'GET') {
  const answer = await fetch(String(url), { headers, method })
  return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) }
}

/** Everything that there is of pictures on disk. */
function stored(): string[] {
  return ['media', 'uploads'].flatMap((name) =>
    existsSync(join(folder, name))
      ? readdirSync(join(folder, name), { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => entry.name)
      : [],
  )
}

/** Nothing is changed, and nothing is left. */
async function expectNothing(parts: readonly Part[], status: number, faults: readonly string[], more = {}) {
  const [before, files] = [await roster.everything(), stored()]
  const answer = await send(parts, more)
  expect({ status: answer.status, faults: faultsOf(answer) }).toEqual({ status, faults })
  expect(await roster.everything()).toEqual(before)
  // The last thing that is done for a request, maybe after it was answered.
  await expect.poll(stored).toEqual(files)
  return answer
}

describe.skipIf(!hasCurl)('what the page says of files, by curl', () => {
  const write = (name: string, bytes: Uint8Array) => {
    const path = join(folder, name)
    writeFileSync(path, bytes)
    return path
  }
  const patch = async (...options: string[]) =>
    curl(
      ...['-X', 'PATCH', `${roster.url}/api/v2/user/${id}/`, '-H', 'Accept: application/json'],
      ...['-H', `Authorization: ${(await roster.tokenOf(id)).authorization}`, ...options],
    )

  test('avatar and cover come in multipart/form-data, together with texts', async () => {
    const avatar = write('me.png', await quarters(300, 300))
    const cover = write('wide.jpg', await pictureIn('jpeg', 2000, 800))
    const { status, body } = await patch(
      '-F',
      'bio=Walks dogs',
      '-F',
      `avatar=@${avatar}`,
      '-F',
      `cover=@${cover}`,
    )
    expect(status).toBe(200)
    expect(body).toMatchObject({
      bio: 'Walks dogs',
      avatar: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/media\/[0-9a-f]{64}\/256\.webp$/),
      cover: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/media\/[0-9a-f]{64}\/1500\.webp$/),
    })
    for (const name of ['avatar', 'cover']) {
      const shown = await fetchPicture(body?.[name])
      expect([shown.status, shown.headers.get('content-type')]).toEqual([200, 'image/webp'])
      expect((await sharp(shown.bytes).metadata()).format).toBe('webp')
    }
  })

  test('one picture alone is enough, also of a large file', async () => {
    const noise = Buffer.from(Array.from({ length: 900 * 600 * 3 }, (_, at) => (at * 7919) % 251))
    const raw = { width: 900, height: 600, channels: 3 as const }
    const large = write('large.png', await sharp(noise, { raw }).png().toBuffer())
    const { status, body } = await patch('-F', `avatar=@${large};type=image/png`)
    expect([status, body?.id]).toEqual([200, id])
  })

  test('no text in a form is a picture', async () => {
    const { status } = await patch('-F', 'avatar=string')
    expect(status).toBe(400)
  })

  test('the documented avatar_base64 works, and an empty value removes the picture', async () => {
    const text = `image/png;base64,${(await pictureIn('png', 24, 24)).toString('base64')}`
    const { body } = await patch('--data-urlencode', `avatar_base64=${text}`)
    expect(body?.avatar).toMatch(/\/256\.webp$/)
    expect((await patch('--form-string', `avatar_base64=data:${text}`)).body?.avatar).toBe(body?.avatar)
    const json = JSON.stringify({ avatar_base64: text })
    const typed = ['-H', 'Content-Type: application/json']
    expect((await patch(...typed, '-d', json)).body?.avatar).toBe(body?.avatar)
    expect((await patch('-F', 'avatar=')).body?.avatar).toMatch(/\/media\/generated\//)
    await patch(...typed, '-d', json)
    expect((await patch('-d', 'avatar_base64=')).body?.avatar).toMatch(/\/media\/generated\//)
  })
})

describe('a picture', () => {
  test.for(formats)('of the format %s is shown in every size', async (format) => {
    const { status, body } = await send([
      { name: 'avatar', file: await pictureIn(format), type: `image/${format}` },
    ])
    expect(status).toBe(200)
    const { avatar } = body as { avatar: string }
    for (const size of [64, 128, 256, 512]) {
      const { bytes } = await fetchPicture(avatar.replace('256', String(size)))
      expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: size, height: size })
    }
  })

  test('is served to everybody, for ever, and as nothing but a picture', async () => {
    const { body } = await send([{ name: 'avatar', file: await photo() }])
    const { avatar } = body as { avatar: string }
    const { status, headers, bytes } = await fetchPicture(avatar)
    expect(status).toBe(200)
    expect(Object.fromEntries(headers)).toMatchObject({
      'cache-control': 'public, max-age=31536000, immutable',
      'content-security-policy': expect.stringMatching(/^default-src 'none';.*sandbox$/),
      'content-type': 'image/webp',
      'content-length': String(bytes.length),
      'x-content-type-options': 'nosniff',
      etag: expect.stringMatching(/^"[0-9a-f]{32}-256\.webp"$/),
    })
    expect(headers.get('set-cookie')).toBeNull()
    const etag = headers.get('etag') ?? ''
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const answer = await fetchPicture(avatar, { 'if-none-match': known })
      expect([answer.status, answer.bytes.length, answer.headers.get('etag')]).toEqual([304, 0, etag])
    }
    expect((await fetchPicture(avatar, { 'if-none-match': '"x"' })).status).toBe(200)
    const head = await fetchPicture(avatar, {}, 'HEAD')
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.length)])
    expect((await fetchPicture(avatar, {}, 'PUT')).status).toBe(405)
  })

  test('that is not there is 404', async () => {
    const { body } = await send([{ name: 'avatar', file: await pictureIn('png') }])
    const { avatar } = body as { avatar: string }
    for (const path of [
      avatar.replace('256', '257'),
      avatar.replace('256.webp', '1500.webp'),
      avatar.replace('.webp', '.png'),
      avatar.replace('256.webp', '..%2f..%2f..%2froster.db'),
      avatar.replace(/[0-9a-f]{64}/, '0'.repeat(64)),
      avatar.replace(/[0-9a-f]{64}/, '..'),
      avatar.replace(/[0-9a-f]{64}/, '%2e%2e%2f'),
      `${roster.url}/media/generated/1-ABC.svg`,
    ])
      expect([path, (await fetchPicture(path)).status]).toEqual([path, 404])
  })

  test('that is sent again is no change, and another one is another address', async () => {
    const one = { name: 'avatar', file: await pictureIn('png') }
    const first = await send([one])
    expect(first.headers.etag).toBe('"2"')
    const again = await send([one])
    expect([again.headers.etag, again.body]).toEqual(['"2"', first.body])
    const other = await send([{ name: 'avatar', file: await pictureIn('jpeg', 100, 100) }])
    expect(other.headers.etag).toBe('"3"')
    expect((other.body as { avatar: string }).avatar).not.toBe((first.body as { avatar: string }).avatar)
    // Whoever has the old address still sees it for a while.
    expect((await fetchPicture((first.body as { avatar: string }).avatar)).status).toBe(200)
  })

  test('of two people is two pictures, which come and go apart', async () => {
    const one = { name: 'avatar', file: await pictureIn('png') }
    const { avatar } = (await send([one])).body as { avatar: string }
    id = await roster.newPerson()
    expect((await send([one])).body).not.toMatchObject({ avatar })
  })

  test('is known to the change log, the list and the search, and may be sent back as it is shown', async () => {
    const { body } = await send([{ name: 'avatar', file: await pictureIn('png') }])
    const { avatar, cover } = body as { avatar: string; cover: null }
    const [reference = ''] = /[0-9a-f]{64}/.exec(avatar) ?? []
    expect(JSON.stringify((await roster.everything()).changes)).toContain(reference)
    expect((await roster.as(id, 'GET /api/v2/user/me/avatar/')).body).toEqual({ avatar })
    expect((await roster.as(id, mira(), { avatar, cover })).headers.etag).toBe('"2"')
    expect((await send([{ name: 'avatar', value: avatar }])).headers.etag).toBe('"2"')
  })

  test('of a file that a browser sends where none was chosen is none', async () => {
    const kept = await send([{ name: 'avatar', file: await pictureIn('png') }])
    const type = 'application/octet-stream'
    const answer = await send([{ name: 'avatar', file: Buffer.alloc(0), filename: '', type }])
    expect(answer.body).toEqual(kept.body)
  })

  test('may have any name, since nobody looks at it', async () => {
    for (const filename of [
      '../../roster.db',
      'C:\\x\\..\\y.png',
      'a%00.php',
      '\u{1f642}.svg',
      '.',
      'x'.repeat(1_000),
    ]) {
      const answer = await send([
        { name: 'cover', file: await pictureIn('png'), filename, type: 'text/html' },
      ])
      expect([filename, answer.status]).toEqual([filename, 200])
    }
    expect(readdirSync(folder).sort()).toEqual(expect.arrayContaining(['media', 'uploads']))
  })
})

describe('text and picture of one request', () => {
  const good = async () => ({ name: 'avatar', file: await pictureIn('png') })

  test('apply together', async () => {
    const answer = await send([await good(), { name: 'bio', value: 'New' }], { 'if-match': etag })
    expect(answer).toMatchObject({ status: 200, headers: { etag: '"2"' }, body: { bio: 'New' } })
  })

  test('or not at all, whichever is wrong', async () => {
    const website = { name: 'website', value: 'nowhere' }
    await expectNothing([await good(), website], 400, ['website: invalid'])
    await expectNothing([website, { name: 'avatar', file: Buffer.from('GIF89a') }], 400, [
      'website: invalid',
      'avatar: invalid',
    ])
    await expectNothing(
      [
        { name: 'bio', value: 'New' },
        { name: 'cover', file: Buffer.from('<svg/>') },
      ],
      400,
      ['cover: invalid'],
    )
    await expectNothing(
      [await good(), { name: 'bio', value: 'New' }],
      412,
      ['non_field_errors: precondition_failed'],
      {
        'if-match': '"7"',
      },
    )
    const username = { name: 'username', value: 'fiona' }
    const taken = ((await roster.call('GET /api/v2/user/4/')).body as { username: string }).username
    await expectNothing([await good(), { ...username, value: taken }], 400, ['username: unique'])
  })

  test('of who may not change anything are not looked at', async () => {
    const parts = [await good()]
    const { body, headers } = form(...parts)
    const before = await roster.everything()
    const files = stored()
    expect((await roster.call(mira(), body, headers)).status).toBe(401)
    expect((await roster.as(3, mira(), body, headers)).status).toBe(403)
    expect((await roster.as(id, 'PATCH /api/v2/user/999999/', body, headers)).status).toBe(404)
    await roster.setStatus(id, 'blocked')
    expect((await roster.as(id, mira(), body, headers)).status).toBe(403)
    expect(stored()).toEqual(files)
    expect((await roster.everything()).pictures).toEqual(before.pictures)
  })
})

describe('what is refused', () => {
  const page = Buffer.from('<!doctype html><script>alert(1)</script>')

  test('pictures that are none, in words that help', async () => {
    const png = await pictureIn('png')
    const wrong: Record<string, Uint8Array> = {
      html: page,
      svg: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'),
      'svg in disguise': Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.from('<svg/>')]),
      'a page in disguise': Buffer.concat([Buffer.from('GIF89a'), page]),
      'cut off': png.subarray(0, png.length / 2),
      'a wrong checksum': withWrongChecksum(png, 'IDAT'),
      'too many pixels': await bomb(50_000),
      'too many frames': frames(1_001),
      nothing: Buffer.alloc(0),
    }
    for (const [what, file] of Object.entries(wrong)) {
      const answer = await expectNothing([{ name: 'avatar', file }], 400, ['avatar: invalid'])
      expect([what, answer.text]).toEqual([what, expect.stringMatching(/avatar (is|must|can)/)])
      expect(answer.text).not.toMatch(/vips|sharp|\/tmp|Error:/i)
    }
  })

  test('a file that is too large, before it has come', async () => {
    const answer = await expectNothing([{ name: 'avatar', file: Buffer.alloc(maxPicture + 1) }], 413, [
      'non_field_errors: too_large',
    ])
    expect(answer.headers.connection).toBe('close')
  })

  test('a form that is larger than two pictures and some text', async () => {
    const big = { name: 'x', value: 'x'.repeat(60_000) }
    await expectNothing(Array(99).fill(big), 413, ['non_field_errors: too_large'])
  })

  test('a form whose texts are larger together than two pictures and some text', async () => {
    const big = { name: 'avatar_base64', value: 'x'.repeat(1_000_000) }
    await expectNothing(Array(4).fill(big), 413, ['non_field_errors: too_large'])
  })

  test('one picture sent twice', async () => {
    const file = await pictureIn('png')
    const base64 = { name: 'avatar_base64', value: `image/png;base64,${file.toString('base64')}` }
    const twice = ['avatar: invalid']
    await expectNothing(
      [
        { name: 'avatar', file },
        { name: 'avatar', file },
      ],
      400,
      twice,
    )
    await expectNothing([{ name: 'avatar', file }, base64], 400, twice)
    await expectNothing(
      [
        { name: 'avatar', file },
        { name: 'avatar', value: '' },
      ],
      400,
      twice,
    )
    await expectNothing([base64, base64], 400, ['avatar_base64: invalid'])
  })

  test.for([
    'x',
    'iVBORw0KGgo=',
    'image/png;base64',
    'image/png;base64,',
    'image/png;base64,=',
    'image/png;base64,A',
    'image/png;base64,iVBOR*',
    'image/svg+xml;base64,PHN2Zy8+',
    'text/html;base64,PHN2Zy8+',
    'image/png,iVBORw0KGgo=',
    7,
    true,
    {},
    ['image/png;base64,AA=='],
  ])('base64 that is none: %j', async (avatar_base64) => {
    const before = await roster.everything()
    const answer = await roster.as(id, mira(), { avatar_base64, bio: 'New' })
    expect([answer.status, faultsOf(answer)]).toEqual([400, ['avatar_base64: invalid']])
    expect(await roster.everything()).toEqual(before)
  })

  const long = (bytes: number) => `image/png;base64,${'A'.repeat(bytes)}`

  test.for<
    [about: string, send: () => readonly [body: unknown, headers?: object], status: number, fault: string]
  >([
    ['JSON', () => [{ avatar_base64: long(2 ** 20) }], 413, 'non_field_errors: too_large'],
    [
      'a form',
      () => [new URLSearchParams({ avatar_base64: long(2 ** 20) }).toString(), urlencoded],
      413,
      'non_field_errors: too_large',
    ],
    [
      'a form in parts',
      () => {
        const { body, headers } = form({ name: 'avatar_base64', value: long(2 ** 20) })
        return [body, headers]
      },
      400,
      'avatar_base64: max_length',
    ],
  ])('base64 that is too long, in %s', async ([, sent, status, fault]) => {
    const [before, files] = [await roster.everything(), stored()]
    const [body, headers] = sent()
    const answer = await roster.as(id, mira(), body, { ...headers })
    expect([answer.status, faultsOf(answer)]).toEqual([status, [fault]])
    expect(Object.keys(answer.body as object)).toEqual(['errors'])
    expect(await roster.everything()).toEqual(before)
    expect(stored()).toEqual(files)
  })

  test('base64 of a picture that is larger than pictures may be', async () => {
    const small = await startCommunity({ maxPicture: 1_000 })
    const before = await small.everything()
    const answer = await small.as(3, 'PATCH /api/v2/user/3/', { avatar_base64: long(2_000), bio: 'New' })
    expect([answer.status, faultsOf(answer)]).toEqual([413, ['non_field_errors: too_large']])
    expect(await small.everything()).toEqual(before)
    await small.close()
  })

  test('base64 in a form whose plus signs were not encoded', async () => {
    const answer = await roster.as(id, mira(), 'avatar_base64=image/png;base64,AA+A', urlencoded)
    expect(faultsOf(answer)).toEqual(['avatar_base64: invalid'])
  })
})

test('pictures that the disk does not take are not passed over', async () => {
  const [uploads, aside] = [join(folder, 'uploads'), join(folder, 'uploads-aside')]
  // One that is taken, so that the folder has been made.
  expect((await send([{ name: 'avatar', file: await pictureIn('png') }])).status).toBe(200)
  const before = await roster.everything()
  renameSync(uploads, aside)
  writeFileSync(uploads, 'no folder')
  try {
    for (const file of [
      await pictureIn('png', 30, 30),
      Buffer.concat([await photo(), Buffer.alloc(500_000)]),
    ])
      for (const parts of [[], [{ name: 'bio', value: 'Bakes.' }]])
        expect(await send([{ name: 'avatar', file }, ...parts])).toMatchObject({ status: 503 })
    expect(await roster.everything()).toEqual(before)
  } finally {
    rmSync(uploads)
    renameSync(aside, uploads)
  }
})

const uploads = () => (existsSync(join(folder, 'uploads')) ? readdirSync(join(folder, 'uploads')) : [])

/** A request whose end is still to come; `answered` is the status that came nevertheless. */
async function begin(parts: readonly Part[], cut = 200) {
  const { body, headers } = form(...parts)
  const { hostname, port } = new URL(roster.url)
  const { authorization } = await roster.tokenOf(id)
  const socket = connect(Number(port), hostname)
  const answered = new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(data.toString('latin1')))
  })
  socket.on('error', () => {})
  socket.write(
    `PATCH /api/v2/user/${id}/ HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n` +
      `Content-Type: ${headers['content-type']}\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  socket.write(body.subarray(0, cut))
  return { owner: id, socket, answered, finish: () => socket.write(body.subarray(cut)) }
}

describe('an upload that is abandoned', () => {
  test('leaves no file and no change', async () => {
    const parts = [{ name: 'avatar', file: Buffer.concat([await photo(), Buffer.alloc(500_000)]) }]
    const { body } = form(...parts)
    const before = await roster.everything()
    const files = stored()
    for (const cut of [100, 10_000, body.length - 10]) {
      const { socket } = await begin(parts, cut)
      if (cut > 1_000) await expect.poll(uploads).toHaveLength(1)
      socket.destroy()
      await expect.poll(uploads).toEqual([])
    }
    expect(await roster.everything()).toEqual(before)
    expect(stored()).toEqual(files)
  })

  /** The processes of this one that decode. */
  const decoders = () =>
    readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
      .split(' ')
      .filter((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('render-process'))
      .map(Number)

  test.skipIf(process.platform !== 'linux')(
    'is not decoded, if it still waits for that (processes are found in /proc)',
    async () => {
      const file = await pictureIn('png')
      const most = Math.min(4, Math.max(1, Math.floor(availableParallelism() / 2)))
      while (decoders().length < most)
        await Promise.all(Array.from({ length: most }, () => send([{ name: 'avatar', file }])))
      const stopped = decoders()
      for (const pid of stopped) process.kill(pid, 'SIGSTOP')
      const begun: Awaited<ReturnType<typeof begin>>[] = []
      try {
        const sent = most + 3
        for (let n = 0; n < sent; n++) {
          id = await roster.newPerson()
          begun.push(await begin([{ name: 'avatar', file }]))
        }
        for (const { finish } of begun) finish()
        const sizes = () => uploads().map((name) => statSync(join(folder, 'uploads', name)).size)
        await expect.poll(sizes).toEqual(Array(sent).fill(file.length))
        for (const { socket } of begun) socket.destroy()
        await expect.poll(() => uploads().length).toBeLessThanOrEqual(most)
      } finally {
        for (const pid of stopped) process.kill(pid, 'SIGCONT')
      }
      await expect.poll(uploads).toEqual([])
      for (const { owner } of begun)
        expect((await roster.as(owner, 'GET /api/v2/user/me/')).headers.etag).toBe('"1"')
    },
  )
})

test('one person has four uploads under way, sixteen more wait, and others notice nothing of it', async () => {
  const parts = [{ name: 'avatar', file: await pictureIn('png') }]
  const several = (count: number) => Promise.all(Array.from({ length: count }, () => begin(parts)))
  const begun = await several(4)
  await expect.poll(uploads).toHaveLength(4)
  const waiting = await several(17)
  const refused = await Promise.any(waiting.map(({ answered }) => answered))
  expect(refused).toMatch(/^HTTP\/1.1 429 .*\r\nretry-after: 1\r\n.*"code":"throttled"/s)
  id = await roster.newPerson()
  expect((await send(parts)).status).toBe(200)
  expect(uploads()).toHaveLength(4)
  begun[0]?.finish()
  expect(await begun[0]?.answered).toMatch(/^HTTP\/1.1 200 /)
  // Another begins in its place.
  await expect.poll(uploads).toHaveLength(4)
  for (const { socket } of [...begun, ...waiting]) socket.destroy()
  await expect.poll(uploads).toEqual([])
  id = begun[0]?.owner ?? 0
  expect((await send(parts)).status).toBe(200)
})

describe('a picture that is asked for', () => {
  const from = (ip: string, more = {}) => ({ 'x-forwarded-for': ip, ...more })
  const shown = async () => {
    const { body } = await send([{ name: 'avatar', file: await pictureIn('png') }])
    const { avatar } = body as { avatar: string }
    return { avatar, etag: (await fetchPicture(avatar)).headers.get('etag') ?? '' }
  }

  test('by who has it is not read for that', async () => {
    const { avatar, etag } = await shown()
    const [, picture = ''] = /([0-9a-f]{64})/.exec(avatar) ?? []
    rmSync(join(folder, 'media', picture.slice(0, 2), picture), { recursive: true })
    const known = await fetchPicture(avatar, { 'if-none-match': etag })
    expect([known.status, known.headers.get('cache-control')]).toEqual([
      304,
      'public, max-age=31536000, immutable',
    ])
    const gone = await fetchPicture(avatar, { 'if-none-match': '"another"' })
    expect([gone.status, gone.headers.get('cache-control'), gone.headers.get('etag')]).toEqual([
      404,
      null,
      null,
    ])
    expect((await fetchPicture(avatar, { 'if-none-match': '*' })).status).toBe(404)
  })

  test('too often where there is none is looked for no more', async () => {
    const { avatar, etag } = await shown()
    const none = avatar.replace(/[0-9a-f]{64}/, 'e'.repeat(64))
    const statuses = new Set<number>()
    for (let n = 0; n < misses.quota; n++)
      statuses.add((await fetchPicture(none, from('203.0.113.7'))).status)
    expect([...statuses]).toEqual([404])
    for (const url of [none, avatar]) {
      const { status, headers } = await fetchPicture(url, from('203.0.113.7'))
      expect([status, Number(headers.get('retry-after')) > 0, headers.get('cache-control')]).toEqual([
        429,
        true,
        null,
      ])
    }
    // What costs nothing, and what others ask.
    expect((await fetchPicture(avatar, from('203.0.113.7', { 'if-none-match': etag }))).status).toBe(304)
    expect((await fetchPicture(`${none}x`, from('203.0.113.7'))).status).toBe(404)
    expect((await fetchPicture(avatar, from('203.0.113.8'))).status).toBe(200)
  })
})

describe('without a picture', () => {
  test('one is made here, of the letters of the name', async () => {
    const { avatar } = (await roster.call(`GET /api/v2/user/${id}/`)).body as { avatar: string }
    const { status, headers, bytes } = await fetchPicture(avatar)
    expect([status, headers.get('content-type')]).toEqual([200, 'image/svg+xml'])
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none';.*sandbox$/)
    expect(bytes.toString()).toMatch(/^<svg [\s\S]*>M[A-Z0-9]?<\/text><\/svg>$/)
    expect((await fetchPicture(avatar, { 'if-none-match': headers.get('etag') ?? '' })).status).toBe(304)
  })
})
