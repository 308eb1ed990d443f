import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DirectoryError, refusal, unavailable } from '../directory/errors.ts'
import { createPace } from './pace.ts'
import { headLength } from './sniff.ts'

/**
 * Where files that are being sent wait until they have come whole: on disk, so that they take no memory
 * however many there are, and in a bounded number.
 */
export interface Spool {
  /** Rejects with a DirectoryError `unavailable` where too many uploads are under way. */
  readonly open: () => Promise<Upload>
  /** Bytes of one file, at most. */
  readonly maxBytes: number
  /** Uploads that are under way. */
  readonly size: () => number
}

/** The files of one request. */
export interface Upload {
  /**
   * Keeps what a stream brings.
   * @throws DirectoryError `too_large`, or `unavailable` where it can not be written
   */
  readonly take: (bytes: Readable) => Promise<Spooled>
  /** Ends what is on its way and removes everything: to be called whatever came of the request. */
  readonly close: () => Promise<void>
}

export interface Spooled {
  readonly path: string
  readonly size: number
  /** SHA-256 of the bytes, in hex. */
  readonly hash: string
  /** The first bytes. */
  readonly head: Uint8Array
}

export interface SpoolOptions {
  readonly folder: string
  /** Bytes of one file, at most. */
  readonly maxBytes: number
  /** Uploads under way, at most. */
  readonly maxUploads?: number
}

/** Milliseconds after which a file is one that a killed process has left behind. */
const leftAfter = 3_600_000

/**
 * Chunks of all uploads, of some 64 kB, that are taken at once, and the milliseconds before the next: some 60 MB
 * a second, more than can be decoded, and little enough for others not to notice.
 */
const pace = [2, 2] as const

export function createSpool({ folder, maxBytes, maxUploads = 200 }: SpoolOptions): Spool {
  const turn = createPace(...pace)
  let under = 0
  let made = 0
  let ready: Promise<void> | undefined

  async function prepare(): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
      if (mtimeMs < Date.now() - leftAfter) await rm(path, { force: true })
    }
  }

  function begin(): Upload {
    const ending = new AbortController()
    const paths: string[] = []
    const writing = new Set<Promise<unknown>>()

    async function take(bytes: Readable): Promise<Spooled> {
      const path = join(folder, `${process.pid}-${Date.now()}-${++made}`)
      paths.push(path)
      const hash = createHash('sha256')
      let head = Buffer.alloc(0)
      let size = 0
      async function* look(source: AsyncIterable<Buffer>) {
        for await (const chunk of source) {
          await turn()
          size += chunk.length
          if (size > maxBytes) throw new DirectoryError(tooLarge(maxBytes))
          if (head.length < headLength) head = Buffer.concat([head, chunk]).subarray(0, headLength)
          hash.update(chunk)
          yield chunk
        }
      }
      try {
        const file = createWriteStream(path, { flags: 'wx', mode: 0o600 })
        await pipeline(bytes, look, file, { signal: ending.signal })
      } catch (error) {
        throw isDiskFailure(error) ? unavailable('The picture can not be stored now', error) : error
      }
      return { path, size, hash: hash.digest('hex'), head }
    }

    let closed: Promise<void> | undefined
    async function close(): Promise<void> {
      ending.abort()
      await Promise.allSettled(writing)
      // What can not be removed now is swept later, and is no reason to answer otherwise.
      await Promise.allSettled(paths.map((path) => rm(path, { force: true })))
      under--
    }
    return {
      take: (bytes) => {
        const taken = take(bytes)
        writing.add(taken)
        return taken
      },
      close: () => {
        closed ??= close()
        return closed
      },
    }
  }

  return {
    async open() {
      if (under >= maxUploads) throw unavailable('Too many pictures are on their way')
      under++
      try {
        ready ??= prepare()
        await ready
      } catch (error) {
        under--
        ready = undefined
        throw unavailable('Pictures can not be stored now', error)
      }
      return begin()
    },
    maxBytes,
    size: () => under,
  }
}

/** As a stream, for what came another way. */
export function streamOf(bytes: Uint8Array): Readable {
  return Readable.from([bytes])
}

function tooLarge(maxBytes: number) {
  const message = `must have at most ${maxBytes} bytes`
  return refusal('too_large', 'The picture is too large', [{ property: 'body', message }])
}

const filing: ReadonlySet<unknown> = new Set(['open', 'write', 'writev', 'close', 'mkdir', 'rename', 'fsync'])

/** Whether it is the disk's fault, and not that of whoever sends. */
export function isDiskFailure(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && filing.has(error.syscall)
}
