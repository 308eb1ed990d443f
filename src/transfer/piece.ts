/**
 * A file is cut into pieces as it is read, each one person's: a line, a record of CSV, an element of a
 * list. Cutting looks at bytes only and keeps one piece at most; what a piece says is for rows.ts.
 */
export type Piece =
  | { readonly line: number; readonly bytes: Buffer }
  /** What can not be a person, and why; the file goes on after it. */
  | { readonly line: number; readonly problem: string }

export interface Cutter {
  /**
   * The pieces that are complete with this chunk, in order.
   * @throws BrokenFile after them where what follows can not be told apart any more
   */
  readonly push: (chunk: Buffer) => Iterable<Piece>
  /** The rest. @throws BrokenFile where the file ends too early */
  readonly end: () => readonly Piece[]
}

/** The file can not be read, or not any further. Pieces before it stand. */
export class BrokenFile extends Error {
  override readonly name = 'BrokenFile'
}

/** What a person can have fits several times: all fields full are some 3 MB of JSON. */
export const maxPiece = 8_000_000

export const tooLong = `is longer than ${maxPiece / 1e6} MB`

/** Bytes. */
export const code = {
  tab: 0x09,
  newline: 0x0a,
  return: 0x0d,
  space: 0x20,
  quote: 0x22,
  comma: 0x2c,
  colon: 0x3a,
  openBracket: 0x5b,
  backslash: 0x5c,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const
