import { createHash } from 'node:crypto'
import { callerGone, unavailable } from '../directory/errors.ts'
import type { PictureKind, PictureStore } from '../directory/picture.ts'
import { createTurns, type TurnsOptions } from '../directory/turns.ts'
import { isReference, type PictureFiles } from './files.ts'
import { type Files, fileName, formatNames, sizes } from './formats.ts'
import type { Renderer } from './renderer.ts'
import { sniff } from './sniff.ts'
import type { Spool, Spooled } from './spool.ts'

export interface PicturesOptions {
  readonly store: Pick<PictureStore, 'note'>
  readonly files: Pick<PictureFiles, 'put' | 'get' | 'remove'>
  readonly renderer: Pick<Renderer, 'render'>
  readonly spool: Spool
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
}

/** Pictures, from what somebody sends to what everybody is shown. */
export type Pictures = ReturnType<typeof createPictures>

/** What was made of a file, or what is wrong with it, said so that it can be put right. */
export type Rendered = { readonly files: Files } | { readonly problem: string }

export function createPictures({ store, files, renderer, spool, now }: PicturesOptions) {
  // Where a bucket hangs each read may take as long as that: who waits behind many of them is told.
  const turn = takeTurnsToRead({ patience: 10_000 })

  return {
    /** Bytes that a file may have. */
    maxBytes: spool.maxBytes,

    /** Begins to take the files of a request. Rejects with a DirectoryError where too many are on their way. */
    receive: spool.open,

    /** What a file's first bytes tell, at no cost: what is wrong with it, if they tell that. */
    glance: judgeHead,

    /**
     * Decodes a file, and makes of it what is kept.
     * Rejects with a DirectoryError `unavailable` where too much is to be decoded, or the sender has gone.
     */
    async render(kind: PictureKind, file: Spooled): Promise<Rendered> {
      const format = sniff(file.head)
      if (format === undefined) return { problem: judgeHead(file) ?? notOne }
      const reply = await renderer.render({ path: file.path, format, kind }, file.gone)
      if (file.gone.aborted) throw callerGone()
      return 'files' in reply ? { files: new Map(reply.files) } : reply
    },

    /** The reference that a picture will have, unless one with it was given up lately. */
    referenceOf,

    /**
     * Stores a picture. It is on disk when this resolves, and kept for a while though nothing refers to it.
     * Rejects with a DirectoryError `unavailable` where it can not be stored.
     * @returns its reference
     */
    async keep(userId: number, kind: PictureKind, rendered: Files): Promise<string> {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const picture = referenceOf(userId, kind, rendered, attempt)
        if (!(await store.note({ picture, userId, at: now() }))) continue
        await files.put(picture, rendered)
        // Whoever was erased meanwhile had it given up, and its files removed before they were there.
        if (await store.note({ picture, userId, at: now() })) return picture
        await files.remove(picture)
      }
      throw unavailable('The picture can not be stored now')
    },

    /**
     * A file of a picture; undefined where there is none.
     * Rejects with a DirectoryError `unavailable` where too many are being read, also after a wait of ten seconds, or nobody waits for it any more.
     */
    async read(picture: string, file: string, gone?: AbortSignal): Promise<Uint8Array | undefined> {
      if (!isPictureFile(picture, file)) return undefined
      const endTurn = await turn('', gone)
      try {
        return await files.get(picture, file)
      } finally {
        endTurn()
      }
    },
  }
}

export interface FinderOptions extends Pick<PicturesOptions, 'files' | 'now'> {
  readonly store: Pick<PictureStore, 'note' | 'renew'>
}

/** Pictures that records from elsewhere refer to, and whose files somebody has copied here, or left here. */
export function createFinder({ store, files, now }: FinderOptions) {
  const turn = takeTurnsToRead()

  async function isWhole(userId: number, kind: PictureKind, picture: string): Promise<boolean> {
    const found = new Map<string, Uint8Array>()
    for (const name of sizes[kind].map(fileName)) {
      const bytes = await files.get(picture, name)
      if (bytes === undefined) return false
      found.set(name, bytes)
    }
    for (let attempt = 0; attempt < maxAttempts; attempt++)
      if (referenceOf(userId, kind, found, attempt) === picture) return true
    return false
  }

  return {
    /**
     * Tells whether a picture is here: all of its files, whole, and those of that person, as its reference
     * says. It is not removed for a while then. What was not noted before is not noted by this either: its
     * files would be removed if nothing came to refer to it, and they may be another directory's.
     * Rejects with a DirectoryError `unavailable` where that can not be told now.
     */
    async find(userId: number, kind: PictureKind, picture: string): Promise<boolean> {
      if (!isReference(picture)) return false
      const endTurn = await turn('')
      try {
        return (await isWhole(userId, kind, picture)) && (await store.renew(picture, now()))
      } finally {
        endTurn()
      }
    },

    /** Says that somebody's record refers to a picture now: from here on its files go when nothing does any more. */
    async adopt(userId: number, picture: string): Promise<void> {
      await store.note({ picture, userId, at: now() })
    },
  }
}

/** What is read is in memory as a whole, or a request to the bucket. */
function takeTurnsToRead(options: Pick<TurnsOptions, 'patience'> = {}) {
  const refuse = () => unavailable('Too many pictures are being read')
  return createTurns({ atOnce: 32, maxWaiting: 1_000, refuse, ...options })
}

const maxAttempts = 8

const known: ReadonlySet<string> = new Set(Object.values(sizes).flat().map(fileName))

/** Whether there can be a file of a picture under this name. */
export function isPictureFile(picture: string, file: string): boolean {
  return isReference(picture) && known.has(file)
}

const notOne = `must be a picture: ${formatNames}`

function judgeHead({ head, size }: Spooled): string | undefined {
  if (size === 0) return 'is empty'
  return sniff(head) === undefined ? notOne : undefined
}

/**
 * SHA-256 of what is kept, and of whose it is: so a picture is the same however often it is sent, and
 * nobody's goes with somebody else's.
 * @param attempt another one for each reference that may not be used again
 */
function referenceOf(userId: number, kind: PictureKind, files: Files, attempt = 0): string {
  const hash = createHash('sha256').update(`roster ${kind} ${userId} ${attempt}\n`)
  for (const [name, bytes] of files) hash.update(`${name} ${bytes.length}\n`).update(bytes)
  return hash.digest('hex')
}
