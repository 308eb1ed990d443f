import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DirectoryError, refusal, unavailable } from '../directory/errors.ts'
import { createTurns, type TurnsOptions } from '../directory/turns.ts'
import { createPace } from './pace.ts'
import { headLength } from './sniff.ts'

/**
 * Where files that are being sent wait until they have come whole: on disk, so that they take no memory
 * however many there are, and in a bounded number.
 */
export interface Spool {
  /**
   * Begins an upload, once fewer of the sender's are under way than may be.
   * Rejects with a DirectoryError: `rate_limited` where too many wait, or this one has for too long,
   * `unavailable` where too many are under way at all, or the sender has gone.
   */
  readonly open: (sender: Sender) => Promise<Upload>
  /** Bytes of one file, at most. */
  readonly maxBytes: number
  /** Uploads that are under way. */
  readonly size: () => number
}

export interface Sender {
  /** Names whoever sends. */
  readonly name: string
  /** Tells that they have gone. */
  readonly gone: AbortSignal
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
  /** Tells that its sender has gone. */
  readonly gone: AbortSignal
}

export interface SpoolOptions {
  readonly folder: string
  /** Bytes of one file, at most. */
  readonly maxBytes: number
  /** Uploads under way, at most. */
  readonly maxUploads?: number
  /** Those of one sender, and those that wait. */
  readonly turns?: Omit<TurnsOptions, 'refuse'>
}

/** Whether a file of this name is one that was being sent. */
export function isSpooled(name: string): boolean {
  return /^\d+-\d+-\d+$/.test(name)
}

/**
 * Chunks of all uploads, of some 64 kB, that are taken at once, and the milliseconds before the next: some 60 MB
 * a second, more than can be decoded, and little enough for others not to notice.
 */
const pace = [2, 2] as const

/** The server ends a request that has not come whole in a minute: who waits must have time left to send. */
const usualTurns = { atOnce: 4, maxWaiting: 16, maxWaitingInAll: 200, patience: 20_000 } as const

export function createSpool(options: SpoolOptions): Spool {
  const { folder, maxBytes, maxUploads = 200, turns = usualTurns } = options
  const turn = createPace(...pace)
  const inLine = createTurns({ ...turns, refuse: tooManyOfOne })
  let under = 0
  let made = 0

  function begin({ gone }: Sender, end: () => void): Upload {
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
      const file = createWriteStream(path, { flags: 'wx', mode: 0o600 })
      const fileClosed = new Promise((resolve) => file.once('close', resolve))
      try {
        await pipeline(bytes, look, file, { signal: ending.signal })
      } catch (error) {
        throw isDiskFailure(error) ? unavailable('The picture can not be stored now', error) : error
      } finally {
        // One that is still being opened would be there after it has been removed.
        await fileClosed
      }
      return { path, size, hash: hash.digest('hex'), head, gone }
    }

    let closed: Promise<void> | undefined
    async function close(): Promise<void> {
      ending.abort()
      await Promise.allSettled(writing)
      // What can not be removed now is swept later, and is no reason to answer otherwise.
      await Promise.allSettled(paths.map((path) => rm(path, { force: true })))
      end()
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
    async open(sender) {
      const endTurn = await inLine(sender.name, sender.gone)
      if (under >= maxUploads) {
        endTurn()
        throw unavailable('Too many pictures are on their way')
      }
      under++
      const end = () => {
        under--
        endTurn()
      }
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 })
      } catch (error) {
        end()
        throw unavailable('Pictures can not be stored now', error)
      }
      return begin(sender, end)
    },
    maxBytes,
    size: () => under,
  }
}

/** As a stream, for what came another way. */
export function streamOf(bytes: Uint8Array): Readable {
  return Readable.from([bytes])
}

function tooManyOfOne(): DirectoryError {
  const message = 'Too many of your pictures are on their way'
  return new DirectoryError({ ...refusal('rate_limited', message), retryAfter: 1 })
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
