import { isUtf8 } from 'node:buffer'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { createCsvCutter } from './csv.ts'
import { createJsonCutter, type JsonCutter } from './json.ts'
import { createLineCutter } from './lines.ts'
import { BrokenFile, type Cutter } from './piece.ts'

/** Where an import reads from, and what it finds there. */

export const formats = ['json-server', 'ndjson', 'csv'] as const
export type Format = (typeof formats)[number]

export interface Input {
  readonly format: Format
  /** In bytes; undefined for what is no file. */
  readonly size: number | undefined
  /** From the start, without a byte order mark. */
  readonly chunks: AsyncIterable<Buffer>
  /** What has changed in the file since it was opened, in words. */
  readonly changed: () => Promise<string | undefined>
  readonly close: () => Promise<void>
}

/** What the format and the encoding are told by. */
const headSize = 65_536

/**
 * Opens a file, or standard input for `-`.
 * @param format what it is, where its content is not to decide
 * @throws BrokenFile when it is in no encoding that is read here
 */
export async function openInput(name: string, format?: Format): Promise<Input> {
  const file = name === '-' ? undefined : await open(name)
  try {
    const before = await file?.stat()
    if (before?.isDirectory()) throw new BrokenFile(`${name} is a folder`)
    const chunks = file === undefined ? readStream(process.stdin) : readFile(file)
    const head = await readHead(chunks)
    refuseOtherEncodings(head.subarray(0, headSize))
    const start = head.subarray(0, 3).equals(byteOrderMark) ? head.subarray(3) : head
    return {
      format: format ?? detect(name, start),
      size: before?.isFile() ? before.size : undefined,
      chunks: chain(start, chunks),
      async changed() {
        const after = await file?.stat()
        if (before === undefined || after === undefined || !before.isFile()) return undefined
        if (after.size !== before.size) return `its size went from ${before.size} to ${after.size} bytes`
        return after.mtimeMs === before.mtimeMs ? undefined : 'it was written to'
      },
      close: async () => file?.close(),
    }
  } catch (error) {
    await file?.close()
    throw error
  }
}

export function createCutter(format: Format): Cutter | JsonCutter {
  if (format === 'csv') return createCsvCutter()
  return format === 'ndjson' ? createLineCutter() : createJsonCutter()
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])

async function* readFile(file: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(262_144), 0, 262_144)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}

async function* readStream(stream: NodeJS.ReadableStream): AsyncGenerator<Buffer> {
  for await (const chunk of stream) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}

async function readHead(chunks: AsyncGenerator<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let size = 0; size < headSize; ) {
    const { value, done } = await chunks.next()
    if (done) break
    parts.push(value)
    size += value.length
  }
  return Buffer.concat(parts)
}

async function* chain(head: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head
  yield* rest
}

function refuseOtherEncodings(head: Buffer): void {
  const mark = head.subarray(0, 2).toString('hex')
  if (mark === 'fffe' || mark === 'feff' || head.includes(0))
    throw new BrokenFile(
      'The file is UTF-16 or binary; convert it, for instance with iconv -f UTF-16 -t UTF-8',
    )
  // The last character may be cut off.
  for (let cut = 0; cut < 4; cut++) if (isUtf8(head.subarray(0, head.length - cut))) return
  let line = 1
  for (let from = 0; ; line++) {
    const to = head.indexOf('\n', from)
    if (to < 0 || !isUtf8(head.subarray(from, to))) break
    from = to + 1
  }
  throw new BrokenFile(
    `The file is not UTF-8 (line ${line}); convert it, for instance with iconv -f LATIN1 -t UTF-8`,
  )
}

function detect(name: string, head: Buffer): Format {
  if (/\.csv$/i.test(name)) return 'csv'
  if (/\.(ndjson|jsonl)$/i.test(name)) return 'ndjson'
  const text = head.toString().trimStart()
  if (text.startsWith('[')) return 'json-server'
  if (!text.startsWith('{')) return text === '' ? 'ndjson' : 'csv'
  const [line = ''] = text.split('\n', 1)
  try {
    const first: unknown = JSON.parse(line)
    const isDatabase = typeof first === 'object' && first !== null && 'users' in first
    return isDatabase ? 'json-server' : 'ndjson'
  } catch {
    return 'json-server'
  }
}
