/**
 * Texts in one buffer, numbered as they come, and never changed. Of each it is known at once which letters
 * and digits it has; so nearly all that do not have a part are passed over, and all are looked through in
 * milliseconds for a million, without an index that writing would have to keep.
 */
export interface Texts {
  /** Adds a text under the next number. */
  readonly add: (text: string) => void
  readonly count: () => number
  readonly get: (n: number) => string
  readonly is: (n: number, text: string) => boolean
  /** In bytes. */
  readonly lengthOf: (n: number) => number
  /** Marks the texts that have the part in that place with 1. */
  readonly mark: (part: string, marks: Uint8Array, place?: Place) => void
  /** What a text begins with, as a number that orders as it does. */
  readonly key: (n: number) => number
  /** By code points. */
  readonly compare: (a: number, b: number) => number
}

/** Where in a text a part has to be. */
export type Place = 'anywhere' | 'start' | 'end'

/** Bytes of a text that make its number. */
export const keyBytes = 4

/**
 * @param expected how many there will be, as far as that is known: what is grown leaves holes in the
 *   memory of the process, and what is not used takes none
 */
export function createTexts(expected = 0): Texts {
  let bytes = Buffer.alloc(Math.max(expected * 20, 65_536))
  let count = 0
  /** Where each text starts; and, after the last, where the next one will. */
  let starts = new Uint32Array(roomFor(expected))
  let keys = new Uint32Array(roomFor(expected))
  let letters = new Int32Array(roomFor(expected))

  const start = (n: number) => starts[n] as number
  const end = (n: number) => starts[n + 1] as number
  const get = (n: number) => bytes.toString('utf8', start(n), end(n))

  return {
    add(text) {
      const used = start(count)
      // No character takes more than three bytes for each of its units.
      const room = used + text.length * 3
      if (room > bytes.length) {
        const larger = Buffer.alloc(Math.max(bytes.length * 2, room))
        bytes.copy(larger, 0, 0, used)
        bytes = larger
      }
      if (count + 1 === starts.length) {
        starts = grown(starts, starts.length * 2)
        keys = grown(keys, starts.length)
        letters = grown(letters, starts.length)
      }
      const next = used + bytes.write(text, used)
      let key = 0
      for (let at = used; at < used + keyBytes; at++)
        key = key * 256 + (at < next ? (bytes[at] as number) : 0)
      keys[count] = key
      letters[count] = lettersOf(bytes, used, next)
      starts[++count] = next
    },

    count: () => count,
    get,
    lengthOf: (n) => end(n) - start(n),

    is(n, text) {
      const from = start(n)
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i)
        if (unit > 0x7f) return get(n) === text
        if (bytes[from + i] !== unit) return false
      }
      return end(n) - from === text.length
    },

    mark(text, marks, place = 'anywhere') {
      const part = Buffer.from(text)
      const wanted = lettersOf(part, 0, part.length)
      // Own names for what the loop looks at a million times.
      const [all, places, has, total, first, length] = [bytes, starts, letters, count, part[0], part.length]
      for (let n = 0; n < total; n++) {
        if (((has[n] as number) & wanted) !== wanted) continue
        const from = places[n] as number
        const last = (places[n + 1] as number) - length
        const until = place === 'start' ? Math.min(from, last) : last
        for (let at = place === 'end' ? Math.max(from, last) : from; at <= until; at++) {
          if (all[at] !== first && length > 0) continue
          let same = 1
          while (same < length && all[at + same] === part[same]) same++
          if (same < length) continue
          marks[n] = 1
          break
        }
      }
    },

    key: (n) => keys[n] as number,

    compare: (a, b) => bytes.compare(bytes, start(b), end(b), start(a), end(a)),
  }
}

/** What has a bit of its own: digits, letters, of which rare ones share, and everything else together. */
const signs = '0 1 2 3 4 5 6 7 8 9 a b c d e g h i l m n o r s t u fk jq py vw xz'.split(' ')
const bits = Int32Array.from({ length: 256 }, (_, byte) => {
  const at = signs.findIndex((sign) => sign.includes(String.fromCharCode(byte)))
  return 1 << (at < 0 ? 31 : at)
})

/** The bits of what is between two places. */
function lettersOf(bytes: Uint8Array, from: number, to: number): number {
  let letters = 0
  for (let at = from; at < to; at++) letters |= bits[bytes[at] as number] as number
  return letters
}

/** A length for arrays that need not be grown soon. */
export const roomFor = (expected: number) => Math.max(Math.ceil((expected * 1.1) / 1_024) * 1_024, 1_024)

/** A longer array with the same at its beginning. What has not been written of it takes no memory yet. */
export function grown<A extends Uint32Array | Float64Array | Uint16Array | Uint8Array | Int32Array>(
  array: A,
  length: number,
): A {
  const larger = new (array.constructor as new (length: number) => A)(length)
  larger.set(array)
  return larger
}
