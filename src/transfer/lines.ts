import { type Cutter, code, maxPiece, type Piece, tooLong } from './piece.ts'

/** Cuts at the ends of lines, for NDJSON. Empty lines are nobody. */
export function createLineCutter(limit = maxPiece): Cutter {
  let line = 1
  let parts: Buffer[] = []
  let size = 0
  let skipping = false

  function take(part: Buffer): void {
    if (skipping) return
    size += part.length
    parts.push(part)
  }

  /** A line that is being skipped has been told of already. */
  function finish(pieces: Piece[]): void {
    if (!skipping) {
      const bytes = trimReturn(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts))
      if (bytes.length > 0) pieces.push({ line, bytes })
    }
    parts = []
    size = 0
    skipping = false
    line++
  }

  function overflow(pieces: Piece[]): void {
    if (skipping || size <= limit) return
    pieces.push({ line, problem: tooLong })
    parts = []
    skipping = true
  }

  return {
    push(chunk) {
      const pieces: Piece[] = []
      let from = 0
      for (let to = chunk.indexOf(code.newline); to >= 0; to = chunk.indexOf(code.newline, from)) {
        take(chunk.subarray(from, to))
        overflow(pieces)
        finish(pieces)
        from = to + 1
      }
      take(chunk.subarray(from))
      overflow(pieces)
      return pieces
    },
    end() {
      const pieces: Piece[] = []
      finish(pieces)
      return pieces
    },
  }
}

function trimReturn(bytes: Buffer): Buffer {
  return bytes.at(-1) === code.return ? bytes.subarray(0, -1) : bytes
}
