import { type Cutter, code, maxPiece, type Piece, tooLong } from './piece.ts'

/**
 * RFC 4180: cells between commas, in double quotes where they hold a comma, a quote (doubled) or the
 * end of a line. Lines may end in LF alone.
 */

/** Where in a record the next byte stands; only a quote at the start of a cell opens one. */
type Place = 'start' | 'plain' | 'quoted' | 'closed'

/**
 * Cuts records. A quote that is never closed costs its own line only: the lines behind it are read
 * again as records of their own.
 */
export function createCsvCutter(limit = maxPiece): Cutter {
  let rest: Buffer = Buffer.alloc(0)
  /** The bytes of its first line that are not kept any more, as there are too many. */
  let dropped = 0
  /** How much of the rest has been looked at. */
  let at = 0
  let place: Place = 'start'
  /** The line that the rest starts in, and the lines that have been passed since. */
  let line = 1
  let passed = 0

  function scan(pieces: Piece[]): void {
    let from = 0
    for (; at < rest.length; at++) {
      const byte = rest[at]
      if (byte === code.newline) {
        passed++
        if (place !== 'quoted') {
          cut(from, at, pieces)
          from = at + 1
          continue
        }
      }
      place = next(place, byte)
    }
    rest = rest.subarray(from)
    at -= from
  }

  function cut(from: number, to: number, pieces: Piece[]): void {
    const end = to > from && rest[to - 1] === code.return ? to - 1 : to
    if (dropped + end - from > limit) pieces.push({ line, problem: tooLong })
    else if (end > from) pieces.push({ line, bytes: rest.subarray(from, end) })
    line += passed
    passed = 0
    dropped = 0
    place = 'start'
  }

  /** Gives up the first line of the rest and looks at what follows it anew. */
  function giveUp(pieces: Piece[], problem: string): void {
    pieces.push({ line, problem })
    const end = rest.indexOf(code.newline)
    rest = end < 0 ? Buffer.alloc(0) : rest.subarray(end + 1)
    line++
    at = 0
    passed = 0
    dropped = 0
    place = 'start'
    scan(pieces)
  }

  return {
    push(chunk) {
      const pieces: Piece[] = []
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      scan(pieces)
      while (dropped + rest.length > limit && rest.includes(code.newline))
        giveUp(pieces, 'opens a quote that is not closed')
      if (dropped + rest.length > limit) {
        dropped += rest.length
        rest = Buffer.alloc(0)
        at = 0
      }
      return pieces
    },
    end() {
      const pieces: Piece[] = []
      while (place === 'quoted' && dropped + rest.length > 0)
        giveUp(pieces, 'opens a quote that is not closed')
      if (dropped + rest.length > 0) cut(0, rest.length, pieces)
      return pieces
    },
  }
}

function next(place: Place, byte: number | undefined): Place {
  const isQuote = byte === code.quote
  if (place === 'quoted') return isQuote ? 'closed' : 'quoted'
  if (byte === code.comma) return 'start'
  if (place === 'closed' && isQuote) return 'quoted'
  if (place === 'start' && isQuote) return 'quoted'
  return place === 'closed' && byte === code.return ? 'closed' : 'plain'
}

/** The cells of a record: null where there is nothing, not even quotes; or what is wrong. */
export function parseCells(record: string): readonly (string | null)[] | { readonly problem: string } {
  const cells: (string | null)[] = []
  for (let at = 0; ; at++) {
    if (record[at] === '"') {
      const end = endOfQuoted(record, at)
      if (end < 0) return { problem: 'opens a quote that is not closed' }
      cells.push(record.slice(at + 1, end).replaceAll('""', '"'))
      at = end + 1
      if (at < record.length && record[at] !== ',')
        return { problem: `has something between the quotes of cell ${cells.length} and the comma` }
    } else {
      const comma = record.indexOf(',', at)
      const end = comma < 0 ? record.length : comma
      const cell = record.slice(at, end)
      if (cell.includes('"'))
        return { problem: `has a quote within cell ${cells.length + 1}, which has none around it` }
      cells.push(cell === '' ? null : cell)
      at = end
    }
    if (at >= record.length) return cells
  }
}

/** Where the quote is that closes the one at a position; -1 where there is none. */
function endOfQuoted(record: string, open: number): number {
  for (let at = record.indexOf('"', open + 1); at >= 0; at = record.indexOf('"', at + 2))
    if (record[at + 1] !== '"') return at
  return -1
}

/** A cell as it is written: nothing for null, quotes where they are needed. */
export function formatCell(value: string | null): string {
  if (value === null) return ''
  return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}
