import { createTexts, grown, keyBytes, roomFor, type Texts } from './texts.ts'

/**
 * Texts of which many have the same words: names, places. Each word is kept once, and a text is a row of
 * numbers of words, so all of them take a third of the memory, and are looked through word by word.
 */
export interface Phrases extends Pick<Texts, 'add' | 'get' | 'compare'> {
  /** Marks the texts that have the part in them with 1. */
  readonly mark: (part: string, marks: Uint8Array) => void
  /** Marks the texts of which this is a word with 1. */
  readonly markWord: (word: string, marks: Uint8Array) => void
  /** What a text begins with, as a number that orders as it does; NaN for an empty one. */
  readonly key: (n: number) => number
}

/** @param expected how many there will be, as far as that is known */
export function createPhrases(expected = 0): Phrases {
  const words = createVocabulary()
  let count = 0
  /** Where the words of each text start; where nobody has said anything yet, 0. */
  let starts = new Uint32Array(roomFor(expected))
  let row = new Uint32Array(roomFor(expected) * 3)
  let used = 0

  const start = (n: number) => starts[n] as number
  const end = (n: number) => starts[n + 1] as number

  /** Marks texts with a word that is among those that fit. */
  function markAny(fits: Uint8Array, marks: Uint8Array): void {
    const [places, all, numbers] = [starts, count, row]
    let at = 0
    for (let n = 0; n < all; n++) {
      const next = places[n + 1] as number
      let has = 0
      for (; at < next; at++) has |= fits[numbers[at] as number] as number
      if (has === 1) marks[n] = 1
    }
  }

  /** Marks texts with some words in a row that fit one after the other. */
  function markRow(fits: readonly Uint8Array[], marks: Uint8Array): void {
    const [first, ...others] = fits as [Uint8Array, ...Uint8Array[]]
    for (let n = 0; n < count; n++) {
      const last = end(n) - others.length
      for (let at = start(n); at < last; at++) {
        if (first[row[at] as number] !== 1) continue
        if (!others.every((fit, i) => fit[row[at + 1 + i] as number] === 1)) continue
        marks[n] = 1
        break
      }
    }
  }

  return {
    add(text) {
      if (count + 1 === starts.length) starts = grown(starts, starts.length * 2)
      if (text !== '') {
        for (const word of text.split(' ')) {
          if (used === row.length) row = grown(row, row.length * 2)
          row[used++] = words.numberOf(word)
        }
      }
      count++
      if (used > 0) starts[count] = used
    },

    get(n) {
      const own: string[] = []
      for (let at = start(n); at < end(n); at++) own.push(words.get(row[at] as number))
      return own.join(' ')
    },

    mark(part, marks) {
      const pieces = part.split(' ')
      const last = pieces.length - 1
      // What stands between two spaces is a whole word; before the first ends one, after the last starts one.
      const fits = pieces.map((piece, i) => {
        if (last === 0) return words.having(piece, 'anywhere')
        if (i === 0) return words.having(piece, 'end')
        return i === last ? words.having(piece, 'start') : words.being(piece)
      })
      if (!fits.every((fit) => fit.includes(1))) return
      if (last === 0) markAny(fits[0] as Uint8Array, marks)
      else markRow(fits, marks)
    },

    markWord(word, marks) {
      const fits = words.being(word)
      if (fits.includes(1)) markAny(fits, marks)
    },

    key(n) {
      const [from, next] = [starts[n] as number, starts[n + 1] as number]
      if (from === next) return Number.NaN
      let key = words.key(row[from] as number)
      let length = words.lengthOf(row[from] as number)
      for (let at = from + 1; at < next && length < keyBytes; at++) {
        const word = row[at] as number
        key += 0x20 * (powers[keyBytes - 1 - length] as number)
        length++
        key += Math.floor(words.key(word) / (powers[length] as number))
        length += words.lengthOf(word)
      }
      return key
    },

    compare(a, b) {
      let [x, y] = [start(a), start(b)]
      for (; x < end(a) && y < end(b); x++, y++) {
        const [one, other] = [row[x] as number, row[y] as number]
        // No character of a word comes before the space that ends it.
        if (one !== other) return words.compare(one, other)
      }
      return end(a) - x - (end(b) - y)
    },
  }
}

/** Of 256. */
const powers = Float64Array.from({ length: keyBytes + 1 }, (_, i) => 256 ** i)

/** Different words, numbered as they come. */
function createVocabulary() {
  const texts = createTexts()
  /** A table from hashes to numbers, counted from 1; 0 is free. */
  let table = new Uint32Array(2_048)

  /** Where a word is in the table, or would be. */
  function find(word: string): number {
    const mask = table.length - 1
    let at = hashOf(word) & mask
    for (; table[at] !== 0; at = (at + 1) & mask) if (texts.is((table[at] as number) - 1, word)) break
    return at
  }

  function enlarge(): void {
    table = new Uint32Array(table.length * 2)
    for (let n = 0; n < texts.count(); n++) table[find(texts.get(n))] = n + 1
  }

  return {
    get: texts.get,
    key: texts.key,
    lengthOf: texts.lengthOf,
    compare: texts.compare,

    numberOf(word: string): number {
      const known = table[find(word)] as number
      if (known > 0) return known - 1
      if (texts.count() * 2 >= table.length) enlarge()
      const n = texts.count()
      texts.add(word)
      table[find(word)] = n + 1
      return n
    },

    /** A byte for each word: whether it has the part there. */
    having(part: string, place: 'anywhere' | 'start' | 'end'): Uint8Array {
      const marks = new Uint8Array(texts.count())
      texts.mark(part, marks, place)
      return marks
    },

    being(word: string): Uint8Array {
      const marks = new Uint8Array(texts.count())
      const known = table[find(word)] as number
      if (known > 0) marks[known - 1] = 1
      return marks
    },
  }
}

/** FNV-1a, of the units of a text. */
function hashOf(word: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}
