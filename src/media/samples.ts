import { crc32, createDeflate } from 'node:zlib'
import sharp from 'sharp'
import type { Format } from './formats.ts'

/** Pictures for tests, made here and by sharp. */

/** Quarters of four colours, so that one can see which way up it is: red, green / blue, white. */
export async function quarters(width: number, height: number): Promise<Buffer> {
  const quarter = (left: number, top: number, background: string) => ({
    input: { create: { width: width / 2, height: height / 2, channels: 3 as const, background } },
    left,
    top,
  })
  return sharp({ create: { width, height, channels: 3, background: '#fff' } })
    .composite([quarter(0, 0, '#f00'), quarter(width / 2, 0, '#0f0'), quarter(0, height / 2, '#00f')])
    .png()
    .toBuffer()
}

/** The same in any format. */
export async function pictureIn(format: Format, width = 320, height = 240): Promise<Buffer> {
  return sharp(await quarters(width, height))
    .toFormat(format)
    .toBuffer()
}

/** As a telephone writes it down that is held on its side: turned, with the place and the owner in it. */
export async function photo(orientation = 6): Promise<Buffer> {
  return sharp(await quarters(800, 600))
    .withExif({
      IFD0: { Artist: 'Mira Sole', Copyright: 'SECRET-OWNER' },
      IFD3: {
        GPSLatitudeRef: 'N',
        GPSLatitude: '44/1 29/1 41/1',
        GPSLongitudeRef: 'E',
        GPSLongitude: '11/1 20/1 33/1',
      },
    })
    .withXmp('<?xpacket?><x:xmpmeta xmlns:x="adobe:ns:meta/">SECRET-XMP</x:xmpmeta><?xpacket end="w"?>')
    .withMetadata({ orientation })
    .jpeg()
    .toBuffer()
}

/** A PNG of zeros, small to send and large to decode. */
export async function bomb(side: number): Promise<Buffer> {
  const deflate = createDeflate({ level: 9 })
  const chunks: Buffer[] = []
  deflate.on('data', (chunk: Buffer) => chunks.push(chunk))
  const ended = new Promise((resolve) => deflate.once('end', resolve))
  // One bit for each pixel, and a byte before each row.
  const rows = Buffer.alloc((1 + Math.ceil(side / 8)) * 100)
  for (let row = 0; row < side; row += 100)
    if (!deflate.write(rows)) await new Promise((resolve) => deflate.once('drain', resolve))
  deflate.end()
  await ended
  return png({ width: side, height: side, depth: 1 }, Buffer.concat(chunks))
}

export interface PngHead {
  readonly width: number
  readonly height: number
  /** Bits of a sample. */
  readonly depth: number
  readonly transparent?: boolean
  readonly interlaced?: boolean
}

/** A PNG, grey or of colours with transparency, that says that of itself, whatever its data are. */
export function png({ width, height, depth, transparent, interlaced }: PngHead, data: Uint8Array): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([depth, transparent ? 6 : 0, 0, 0, interlaced ? 1 : 0], 8)
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  const named = Buffer.concat([Buffer.from(type, 'latin1'), bytes])
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}

/** A PNG whose first chunk of that type has another checksum than its bytes. */
export function withWrongChecksum(png: Buffer, type: string): Buffer {
  const broken = Buffer.from(png)
  const at = broken.indexOf(type, 0, 'latin1')
  const length = broken.readUInt32BE(at - 4)
  broken[at + 4 + length] = (broken[at + 4 + length] ?? 0) ^ 1
  return broken
}

/** A GIF of so many frames, each a pixel. */
export function frames(count: number): Buffer {
  const head = Buffer.from('GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff', 'latin1')
  const frame = Buffer.from('\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00', 'latin1')
  return Buffer.concat([head, ...Array.from({ length: count }, () => frame), Buffer.from(';')])
}
