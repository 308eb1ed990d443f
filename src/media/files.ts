import type { Files } from './formats.ts'

/** Where the files of pictures are kept. Every adapter passes the suite in `conformance.ts`. */
export interface PictureFiles {
  /**
   * Puts the files of a picture in place. When it resolves all of them are there, whole, and stay
   * there whatever happens; putting the same again does no harm.
   * Rejects with a DirectoryError `unavailable` where that is not to be had now.
   */
  readonly put: (picture: string, files: Files) => Promise<void>
  /** The bytes of one file; undefined where there is none. */
  readonly get: (picture: string, file: string) => Promise<Uint8Array | undefined>
  /** Removes all files of a picture; one that is not there is fine. */
  readonly remove: (picture: string) => Promise<void>
}

/** References are hashes: nothing else ever becomes a part of a path. */
export function isReference(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}
