import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp'
import type { PictureKind } from '../directory/picture.ts'
import {
  type Format,
  fileName,
  longestSide,
  mostBytes,
  mostBytesAtOnce,
  mostFrames,
  mostPixels,
  sizes,
} from './formats.ts'

/**
 * The process that decodes what strangers send: it has no settings and no secrets, and ends with its
 * parent. Each task is answered with the files, or with what is wrong with the picture.
 */
export interface RenderTask {
  readonly path: string
  readonly format: Format
  readonly kind: PictureKind
}

export type RenderReply =
  | { readonly files: readonly (readonly [name: string, bytes: Uint8Array])[] }
  | { readonly problem: string }

// Only these loaders can be reached, whatever the bytes look like to the library.
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({
  operation: ['Jpeg', 'Png', 'Nsgif', 'Webp', 'Heif'].map((name) => `VipsForeignLoad${name}File`),
})
sharp.cache(false)
sharp.concurrency(1)

/** The first frame alone; what is cut off or has wrong checksums is refused. */
const strictly: SharpOptions = { failOn: 'error', page: 0, pages: 1, limitInputPixels: mostPixels }

async function render({ path, format, kind }: RenderTask): Promise<RenderReply> {
  try {
    // The head alone is read here.
    const problem = judge(await sharp(path, { ...strictly, limitInputPixels: false }).metadata(), format)
    if (problem !== undefined) return { problem }
    return { files: kind === 'avatar' ? await squares(path) : await within(path) }
  } catch {
    return { problem: `is not a whole and sound ${format.toUpperCase()} picture` }
  }
}

function judge(read: Metadata, format: Format): string | undefined {
  const { width, height, pages = 1 } = read
  const isIt =
    read.format === format || (format === 'avif' && read.format === 'heif' && read.compression === 'av1')
  if (!isIt) return `is not the ${format.toUpperCase()} picture that its first bytes announce`
  if (width * height > mostPixels)
    return `must have at most ${mostPixels} pixels, and has ${width} × ${height}`
  if (Math.max(width, height) > longestSide) return `must be at most ${longestSide} pixels wide and high`
  const tooLarge = judgeSize(read)
  if (tooLarge !== undefined) return tooLarge
  return pages > mostFrames ? `must have at most ${mostFrames} frames, and has ${pages}` : undefined
}

function judgeSize({ width, height, channels, depth, isProgressive }: Metadata): string | undefined {
  const bytes = width * height * channels * (depth === 'uchar' || depth === 'char' ? 1 : 2)
  const most = isProgressive ? mostBytesAtOnce : mostBytes
  if (bytes <= most) return undefined
  const what = isProgressive ? ', as it is interlaced or progressive,' : ''
  return `must have at most ${most} bytes when it is decoded${what} and has ${bytes}`
}

/** Decoded once; the smaller ones are made of the largest. */
async function squares(path: string) {
  const [most] = sizes.avatar
  const { data, info } = await sharp(path, strictly)
    .autoOrient()
    .resize(most, most, { fit: 'cover' })
    .raw()
    .toBuffer({ resolveWithObject: true })
  return encode(sizes.avatar, (size) => sharp(data, { raw: info }).resize(size, size))
}

async function within(path: string) {
  const [most] = sizes.cover
  const { data, info } = await fitted(sharp(path, strictly).autoOrient(), most)
    .raw()
    .toBuffer({ resolveWithObject: true })
  return encode(sizes.cover, (size) => fitted(sharp(data, { raw: info }), size))
}

function fitted(picture: Sharp, size: number): Sharp {
  return picture.resize(size, size, { fit: 'inside', withoutEnlargement: true })
}

/** One after the other, in the sizes' order. What the library is not told to keep, it leaves out: all metadata. */
async function encode(of: readonly number[], sized: (size: number) => Sharp) {
  const files: [string, Uint8Array][] = []
  for (const size of of) files.push([fileName(size), await sized(size).webp({ quality: 82 }).toBuffer()])
  return files
}

process.on('message', (task: RenderTask) => {
  void render(task).then((reply) => process.send?.(reply))
})
process.on('disconnect', () => process.exit())
