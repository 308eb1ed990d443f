import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import sharp from 'sharp'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { formats, longestSide, mostBytes, mostBytesAtOnce, mostFrames, sizes } from './formats.ts'
import { createRenderer } from './renderer.ts'
import { bomb, frames, photo, pictureIn, png, quarters, withWrongChecksum } from './samples.ts'
import { sniff } from './sniff.ts'

const folder = mkdtempSync(join(tmpdir(), 'roster-render-'))
const renderer = createRenderer({ processes: 1 })
afterAll(async () => {
  await renderer.close()
  rmSync(folder, { recursive: true })
})

let written = 0
function write(bytes: Uint8Array): string {
  const path = join(folder, String(++written))
  writeFileSync(path, bytes)
  return path
}

function script(lines: string): string {
  const path = write(Buffer.from(`#!/bin/sh\n${lines}\n`))
  chmodSync(path, 0o700)
  return path
}

/** What comes of bytes whose format is what they begin with, or is said to be. */
function render(bytes: Uint8Array, kind: 'avatar' | 'cover' = 'avatar', format = sniff(bytes)) {
  if (format === undefined) throw new Error('no picture')
  return renderer.render({ path: write(bytes), format, kind })
}

async function rendered(bytes: Uint8Array, kind: 'avatar' | 'cover' = 'avatar') {
  const reply = await render(bytes, kind)
  if (!('files' in reply)) throw new Error(reply.problem)
  return reply.files.map(([name, file]) => ({ name, file: Buffer.from(file) }))
}

/** The colours of the four corners, from the upper left, clockwise. */
async function corners(file: Buffer): Promise<string> {
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => {
    const from = (y * info.width + x) * info.channels
    const [r = 0, g = 0, b = 0] = data.subarray(from, from + 3)
    return r > 128 && g > 128 ? 'white' : r > 128 ? 'red' : g > 128 ? 'green' : b > 128 ? 'blue' : 'black'
  }
  const [right, bottom] = [info.width - 4, info.height - 4]
  return [at(3, 3), at(right, 3), at(right, bottom), at(3, bottom)].join(' ')
}

describe('a picture', () => {
  test.for(formats)('in %s becomes squares in WebP', async (format) => {
    const bytes = await pictureIn(format)
    expect(sniff(bytes)).toBe(format)
    const files = await rendered(bytes)
    expect(files.map(({ name }) => name)).toEqual(sizes.avatar.map((size) => `${size}.webp`))
    for (const [at, { file }] of files.entries()) {
      const { format, width, height } = await sharp(file).metadata()
      expect({ format, width, height }).toEqual({
        format: 'webp',
        width: sizes.avatar[at],
        height: sizes.avatar[at],
      })
      expect(await corners(file)).toBe('red green white blue')
    }
  })

  test('of a cover keeps its shape, and is not made larger', async () => {
    const sizesOf = async (bytes: Buffer) =>
      Promise.all(
        (await rendered(bytes, 'cover')).map(async ({ name, file }) => {
          const { width, height } = await sharp(file).metadata()
          return [name, width, height]
        }),
      )
    expect(await sizesOf(await quarters(3000, 1000))).toEqual([
      ['1500.webp', 1500, 500],
      ['640.webp', 640, 213],
    ])
    expect(await sizesOf(await quarters(300, 900))).toEqual([
      ['1500.webp', 300, 900],
      ['640.webp', 213, 640],
    ])
  })

  test.for([
    [1, 'red green white blue'],
    [3, 'white blue red green'],
    [6, 'blue red green white'],
    [8, 'green white blue red'],
  ] as const)(
    'from a telephone comes out upright and bare (orientation %i)',
    async ([orientation, upright]) => {
      const bytes = await photo(orientation)
      const sent = await sharp(bytes).metadata()
      expect(sent).toMatchObject({ orientation, exif: expect.any(Buffer), xmp: expect.any(Buffer) })
      for (const kind of ['avatar', 'cover'] as const)
        for (const { file } of await rendered(bytes, kind)) {
          const { exif, xmp, icc, iptc, orientation: left, comments } = await sharp(file).metadata()
          expect({ exif, xmp, icc, iptc, left, comments }).toEqual({})
          expect(file.toString('latin1')).not.toMatch(/SECRET|Mira|GPS|EXIF|XMP/)
          expect(await corners(file)).toBe(upright)
        }
    },
  )

  test('has the same bytes each time', async () => {
    const bytes = await photo()
    expect(await rendered(bytes)).toEqual(await rendered(bytes))
  })

  test('of many kinds comes out', async () => {
    const base = sharp(await quarters(64, 48))
    const kinds = {
      grey: base.clone().greyscale().png(),
      transparent: base.clone().ensureAlpha(0.5).png(),
      deep: base.clone().toColourspace('rgb16').png(),
      palette: base.clone().png({ palette: true }),
      interlaced: base.clone().png({ progressive: true }),
      progressive: base.clone().jpeg({ progressive: true }),
      cmyk: base.clone().toColourspace('cmyk').jpeg(),
      lossless: base.clone().webp({ lossless: true }),
      pixel: base.clone().resize(1, 1).png(),
    }
    for (const [name, made] of Object.entries(kinds)) {
      const files = await rendered(await made.toBuffer())
      expect([name, files.length]).toEqual([name, 4])
    }
  })

  test('that moves is shown by its first frame', async () => {
    expect(await rendered(frames(mostFrames))).toHaveLength(4)
    expect(await render(frames(mostFrames + 1))).toEqual({
      problem: `must have at most ${mostFrames} frames, and has ${mostFrames + 1}`,
    })
  })
})

describe('what is no sound picture is refused', () => {
  test.for(formats)('%s that is cut off', async (format) => {
    const bytes = await pictureIn(format)
    for (const length of [20, bytes.length >> 2, bytes.length >> 1]) {
      const reply = await render(bytes.subarray(0, length), 'avatar', format)
      expect(reply).toHaveProperty('problem')
    }
  })

  test.for(['IHDR', 'IDAT'])('PNG with a wrong checksum of %s', async (type) => {
    expect(await render(withWrongChecksum(await pictureIn('png'), type))).toHaveProperty('problem')
  })

  test.for(formats)('anything that begins like %s', async (format) => {
    const bytes = await pictureIn(format)
    const html = Buffer.from('<html><script>alert(1)</script></html>'.repeat(30))
    expect(await render(Buffer.concat([bytes.subarray(0, 16), html]), 'avatar', format)).toHaveProperty(
      'problem',
    )
    expect(await render(Buffer.alloc(0), 'avatar', format)).toHaveProperty('problem')
  })

  test('a picture of another format than it was taken for', async () => {
    expect(await render(await pictureIn('jpeg'), 'avatar', 'png')).toEqual({
      problem: 'is not the PNG picture that its first bytes announce',
    })
  })

  test('what other loaders of the library would read', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
    const tiff = await sharp(await quarters(8, 8))
      .tiff()
      .toBuffer()
    for (const bytes of [svg, tiff, Buffer.from('P3 1 1 255 0 0 0')])
      expect(await render(bytes, 'avatar', 'png')).toHaveProperty('problem')
  })
})

test.for([
  ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
  ['SVG with a preamble', '<?xml version="1.0"?><svg/>'],
  ['HTML', '<!doctype html><title>x</title>'],
  ['HTML around a picture', ' \x89PNG\r\n\x1a\n'],
  ['a script', '#!/bin/sh'],
  ['PDF', '%PDF-1.7'],
  ['BMP', 'BM1234'],
  ['TIFF', 'II*\0'],
  ['an icon', '\0\0\x01\0'],
  ['HEIC', '\0\0\0\x18ftypheic\0\0\0\0mif1heic'],
  ['a film', '\0\0\0\x18ftypmp42\0\0\0\0isommp42'],
  ['a RIFF that is none', 'RIFF\0\0\0\0WAVE'],
  ['nothing', ''],
  ['part of a signature', '\x89PNG'],
])('%s is no picture', ([, bytes = '']) => {
  expect(sniff(Buffer.from(bytes, 'latin1'))).toBeUndefined()
})

test('a picture that carries a page is taken without it', async () => {
  const page = Buffer.from('<script>alert(document.domain)</script>')
  const jpeg = await pictureIn('jpeg')
  const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, page.length + 2]), page])
  const polyglots = [
    Buffer.concat([jpeg.subarray(0, 2), comment, jpeg.subarray(2), page]),
    Buffer.concat([await pictureIn('png'), page]),
    Buffer.concat([await pictureIn('gif'), page]),
    Buffer.concat([await pictureIn('webp'), page]),
  ]
  for (const bytes of polyglots) {
    const files = await rendered(bytes)
    for (const { file } of files) expect(file.includes('<script>')).toBe(false)
  }
})

describe('too many pixels', () => {
  const peakOf = (pid: number) =>
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

  test.skipIf(process.platform !== 'linux')(
    'are refused by what the head says, before anything is decoded (memory is read from /proc)',
    async () => {
      const bytes = await bomb(50_000)
      expect(bytes.length).toBeLessThan(500_000)
      const renderer = createRenderer({ processes: 1 })
      const send = (picture: Uint8Array) =>
        renderer.render({ path: write(picture), format: 'png', kind: 'cover' })
      await send(await quarters(8, 8))
      const [pid = 0] = renderer.pids()
      const before = peakOf(pid)
      const cpu = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ').slice(13, 15).map(Number)
      const [from = 0] = [cpu().reduce((sum, ticks) => sum + ticks)]
      expect(await send(bytes)).toEqual({
        problem: 'must have at most 50000000 pixels, and has 50000 × 50000',
      })
      // In kilobytes, and in hundredths of a second of CPU time.
      expect(peakOf(pid) - before).toBeLessThan(100_000)
      expect(cpu().reduce((sum, ticks) => sum + ticks) - from).toBeLessThan(100)
      await renderer.close()
    },
  )

  test('in one direction are refused too', async () => {
    const side = longestSide + 1
    const wide = await sharp({ create: { width: side, height: 1, channels: 3, background: '#000' } })
      .png()
      .toBuffer()
    expect(await render(wide)).toEqual({ problem: `must be at most ${longestSide} pixels wide and high` })
  })
})

describe('too many bytes of all pixels are refused by what the head says', () => {
  const said = (most: number, has: number, what = '') => ({
    problem: `must have at most ${most} bytes when it is decoded${what} and has ${has}`,
  })
  const passes = ', as it is interlaced or progressive,'
  const nothing = Buffer.alloc(0)

  test.for([
    [{ width: 7_000, height: 7_000, depth: 16 }, said(mostBytes, 392_000_000)],
    [
      { width: 7_000, height: 7_000, depth: 16, interlaced: true },
      said(mostBytesAtOnce, 392_000_000, passes),
    ],
    [{ width: 5_000, height: 5_001, depth: 8, interlaced: true }, said(mostBytesAtOnce, 100_020_000, passes)],
  ] as const)('PNG %j', async ([head, problem]) => {
    expect(await render(png({ ...head, transparent: true }, nothing))).toEqual(problem)
  })

  test.for([
    { width: 7_000, height: 7_000, depth: 8, transparent: true },
    { width: 5_000, height: 5_000, depth: 8, transparent: true, interlaced: true },
    { width: 7_000, height: 7_000, depth: 16, transparent: false },
  ])('and as many are not: PNG %j', async (head) => {
    // Its data are what is wrong.
    expect(await render(png(head, nothing))).toEqual({ problem: 'is not a whole and sound PNG picture' })
  })

  test('progressive JPEG', async () => {
    const create = { width: 6_000, height: 6_000, channels: 3 as const, background: '#000' }
    const bytes = await sharp({ create }).jpeg({ progressive: true }).toBuffer()
    expect(await render(bytes)).toEqual(said(mostBytesAtOnce, 108_000_000, passes))
  })
})

describe('the processes', () => {
  test('are as many as they may be, and who waits too long in a row is turned away', async () => {
    const renderer = createRenderer({ processes: 1, maxWaiting: 2 })
    const path = write(await pictureIn('png'))
    const task = { path, format: 'png', kind: 'avatar' } as const
    const asked = Array.from({ length: 5 }, () => renderer.render(task))
    expect(renderer.pids()).toHaveLength(1)
    const told = (await Promise.allSettled(asked)).map((one) =>
      one.status === 'fulfilled' ? 'files' in one.value : one.reason.code,
    )
    expect(told).toEqual([true, true, true, 'unavailable', 'unavailable'])
    await renderer.close()
    await expect(renderer.render(task)).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('end when they have nothing to do, and come back', async () => {
    const renderer = createRenderer({ processes: 2, idleTime: 0 })
    const path = write(await pictureIn('png'))
    const task = { path, format: 'png', kind: 'avatar' } as const
    for (let round = 0; round < 2; round++) {
      expect(await renderer.render(task)).toHaveProperty('files')
      await expect.poll(() => renderer.pids()).toEqual([])
    }
    await renderer.close()
  })

  test('are ended over a picture that takes too long, and one that dies takes nobody along', async () => {
    const renderer = createRenderer({ processes: 1, patience: 1 })
    const task = { path: write(await pictureIn('png')), format: 'png', kind: 'avatar' } as const
    expect(await renderer.render(task)).toEqual({ problem: 'takes too long to be decoded' })
    await renderer.close()

    const other = createRenderer({ processes: 1 })
    const [first, second] = [other.render(task), other.render(task)]
    process.kill(other.pids()[0] ?? 0, 'SIGSEGV')
    expect(await first).toEqual({ problem: 'can not be decoded' })
    expect(await second).toHaveProperty('files')
    await other.close()
  })

  test('do not take up what nobody waits for any more, and end no work over it', async () => {
    const renderer = createRenderer({ processes: 1, maxWaiting: 1 })
    const task = { path: write(await pictureIn('png')), format: 'png', kind: 'avatar' } as const
    const gone = new AbortController()
    const first = renderer.render(task, gone.signal)
    const second = renderer.render({ ...task, path: 'never read' }, gone.signal)
    gone.abort()
    await expect(second).rejects.toMatchObject({ code: 'unavailable', message: 'The caller has gone' })
    await expect(renderer.render(task, gone.signal)).rejects.toMatchObject({ code: 'unavailable' })
    const third = renderer.render(task)
    expect(await first).toHaveProperty('files')
    expect(await third).toHaveProperty('files')
    await renderer.close()
  })

  test('are given nothing once they are ended for having nothing to do', async () => {
    const renderer = createRenderer({ processes: 1, idleTime: 0 })
    const task = { path: write(await pictureIn('png')), format: 'png', kind: 'avatar' } as const
    for (let round = 0; round < 3; round++) {
      expect(await renderer.render(task)).toHaveProperty('files')
      // Both timers fire in one turn of the loop: the process is told to end, and has not done so yet.
      await setTimeout(0)
    }
    await renderer.close()
  })

  describe('that can not be had', () => {
    const { execPath } = process
    afterEach(() => {
      process.execPath = execPath
    })

    test.for([
      ['can not be started', '/nowhere/node', 'ENOENT'],
      ['end at once', script('echo "no memory is left" >&2; exit 3'), /ended with 3: no memory is left$/],
    ] as const)('as they %s, are no fault of the picture, and the log is told why', async ([, path, why]) => {
      const renderer = createRenderer({ processes: 1 })
      const task = { path: write(await pictureIn('png')), format: 'png', kind: 'avatar' } as const
      process.execPath = path
      const asked = await Promise.allSettled([renderer.render(task), renderer.render(task)])
      for (const one of asked) {
        if (one.status === 'fulfilled') throw new Error('it was decoded')
        expect(one.reason.code).toBe('unavailable')
        expect(one.reason.cause.message).toMatch(why)
      }
      expect(renderer.pids()).toEqual([])
      process.execPath = execPath
      expect(await renderer.render(task)).toHaveProperty('files')
      await renderer.close()
    })
  })
})
