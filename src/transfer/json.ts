import { BrokenFile, type Cutter, code, maxPiece, type Piece, tooLong } from './piece.ts'

/**
 * Cuts the people out of a database of json-server, `{"users": [...], "other": ...}`, or out of a bare
 * list. Follows quotes and brackets only; JSON.parse judges what is between them. What belongs to other
 * names is passed over without being kept, however large it is.
 */
export interface JsonCutter extends Cutter {
  /** The names beside `users` so far. */
  readonly others: readonly string[]
}

/** What comes next outside of values: as in the grammar of JSON, for a list or for an object that has one. */
type Expected =
  | 'top'
  | 'first name'
  | 'name'
  | 'colon'
  | 'value'
  | 'comma'
  | 'first person'
  | 'person'
  | 'person comma'
  | 'nothing'

export function createJsonCutter(limit = maxPiece): JsonCutter {
  const others: string[] = []
  let expected: Expected = 'top'
  let name: string | undefined
  let found = false
  let isList = false
  let line = 1
  let value: Value | undefined

  function take(bytes: Buffer, startedAt: number, pieces: Piece[]): void {
    switch (expected) {
      case 'name':
      case 'first name':
        name = parseName(bytes)
        expected = 'colon'
        return
      case 'value':
        if (others.length < 100) others.push(name ?? '')
        expected = 'comma'
        return
      default:
        pieces.push({ line: startedAt, bytes })
        expected = 'person comma'
    }
  }

  function parseName(bytes: Buffer): string {
    try {
      const parsed: unknown = JSON.parse(bytes.toString())
      if (typeof parsed === 'string') return parsed
    } catch {}
    throw broken()
  }

  function broken(): BrokenFile {
    return new BrokenFile(`The file stops being JSON in line ${line}`)
  }

  /** @returns what is expected after a byte outside of values; undefined where a value begins with it */
  function after(byte: number): Expected | undefined {
    switch (expected) {
      case 'top':
        isList = byte === code.openBracket
        if (isList) found = true
        if (!isList && byte !== code.openBrace) throw broken()
        return isList ? 'first person' : 'first name'
      case 'first name':
      case 'name':
        if (byte === code.closeBrace && expected === 'first name') return 'nothing'
        if (byte !== code.quote) throw broken()
        return undefined
      case 'colon':
        if (byte !== code.colon) throw broken()
        return 'value'
      case 'value':
        if (name === 'users' && found) throw new BrokenFile('The file has "users" twice')
        if (name !== 'users') return undefined
        found = true
        if (byte !== code.openBracket) throw new BrokenFile('"users" is not a list')
        return 'first person'
      case 'comma':
        if (byte === code.closeBrace) return 'nothing'
        if (byte !== code.comma) throw broken()
        return 'name'
      case 'first person':
      case 'person':
        if (byte === code.closeBracket && expected === 'first person') return isList ? 'nothing' : 'comma'
        return undefined
      case 'person comma':
        if (byte === code.closeBracket) return isList ? 'nothing' : 'comma'
        if (byte !== code.comma) throw broken()
        return 'person'
      case 'nothing':
        throw broken()
    }
  }

  /** @returns where to go on; the value has ended there, or the chunk has */
  function follow(chunk: Buffer, from: number, current: Value, pieces: Piece[]): number {
    const to = endOfValue(chunk, from, current)
    line += current.lines
    current.lines = 0
    if (current.keep) current.parts.push(chunk.subarray(from, to))
    current.size += to - from
    if (current.keep && current.size > limit) {
      if (expected !== 'person' && expected !== 'first person') throw broken()
      pieces.push({ line: current.line, problem: tooLong })
      current.keep = false
      current.parts = []
    }
    if (!current.isComplete) return to
    value = undefined
    if (current.keep || expected === 'value') {
      const [part = Buffer.alloc(0)] = current.parts
      take(current.parts.length > 1 ? Buffer.concat(current.parts) : part, current.line, pieces)
    } else expected = 'person comma'
    return to
  }

  return {
    others,
    *push(chunk) {
      const pieces: Piece[] = []
      for (let at = 0; at < chunk.length; ) {
        if (value === undefined) {
          const byte = chunk[at] as number
          if (isSpace(byte)) {
            if (byte === code.newline) line++
            at++
            continue
          }
          const next = after(byte)
          if (next !== undefined) {
            expected = next
            at++
            continue
          }
          value = createValue(line, expected !== 'value')
        }
        at = follow(chunk, at, value, pieces)
        yield* pieces.splice(0)
      }
    },
    end() {
      if (expected !== 'nothing') throw new BrokenFile(`The file ends in the middle, in line ${line}`)
      if (!found) throw new BrokenFile('The file has no "users"')
      return []
    },
  }
}

/** A value on its way: how deep in brackets, and whether in a string. */
interface Value {
  readonly line: number
  keep: boolean
  parts: Buffer[]
  size: number
  depth: number
  inString: boolean
  escaped: boolean
  isComplete: boolean
  /** Lines that ended in the part that was looked at last. */
  lines: number
}

function createValue(line: number, keep: boolean): Value {
  const state = { depth: 0, inString: false, escaped: false, isComplete: false, lines: 0 }
  return { line, keep, parts: [], size: 0, ...state }
}

/** Follows a value through a chunk. @returns the position after its end, or the chunk's length */
function endOfValue(chunk: Buffer, from: number, value: Value): number {
  for (let at = from; at < chunk.length; at++) {
    const byte = chunk[at] as number
    if (byte === code.newline) value.lines++
    if (value.inString) {
      if (value.escaped) value.escaped = false
      else if (byte === code.backslash) value.escaped = true
      else if (byte === code.quote) {
        value.inString = false
        if (value.depth === 0) return complete(value, at + 1)
      }
    } else if (byte === code.quote) value.inString = true
    else if (byte === code.openBrace || byte === code.openBracket) value.depth++
    else if (byte === code.closeBrace || byte === code.closeBracket) {
      // A number or a word ends where what it is in does.
      if (value.depth === 0) return complete(value, at)
      value.depth--
      if (value.depth === 0) return complete(value, at + 1)
    } else if (value.depth === 0 && (byte === code.comma || isSpace(byte))) {
      if (byte === code.newline) value.lines--
      return complete(value, at)
    }
  }
  return chunk.length
}

function complete(value: Value, at: number): number {
  value.isComplete = true
  return at
}

function isSpace(byte: number): boolean {
  return byte === code.space || byte === code.newline || byte === code.return || byte === code.tab
}
