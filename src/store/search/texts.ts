/**
 * Texts of many people, one for each place, in one buffer: looking through all of them for a part takes
 * some milliseconds for a million, and needs no index that writing would have to keep.
 */
export interface Texts {
  readonly set: (slot: number, text: string | null) => void
  /** Marks the places whose text has the part in it with 1. */
  readonly mark: (part: string, marks: Uint8Array) => void
  /** What the text of each place begins with, as a number that orders as it does; NaN where there is none. */
  readonly keys: () => Float64Array
  /** By code points. */
  readonly compare: (a: number, b: number) => number
  /** Whether more is kept of texts that were replaced than of those that are there. */
  readonly isWorn: () => boolean
}

/** Bytes of a text that make its number: as many as one holds exactly. */
const keyBytes = 6

/** Hits after which it is looked whether they lie so close together that jumping from one to the next is slower. */
const manyHits = 2_000

/** Bytes that are not worth tidying up. */
const negligible = 1_000_000

export function createTexts(): Texts {
  let bytes = Buffer.alloc(65_536)
  let used = 0
  let wasted = 0
  /** The texts in the order in which they came: where each starts, and whose it is. */
  let starts = new Uint32Array(1_024)
  let owners = new Uint32Array(1_024)
  let count = 0
  /** By place: the number of its text in that order, from 1; 0 for none. */
  let entries = new Uint32Array(1_024)
  let keys = new Float64Array(1_024).fill(Number.NaN)

  const start = (entry: number) => starts[entry] ?? 0
  const end = (entry: number) => (entry + 1 < count ? start(entry + 1) : used) - 1
  const entryOf = (slot: number) => (entries[slot] ?? 0) - 1
  const isCurrent = (entry: number) => entries[owners[entry] ?? 0] === entry + 1

  function add(slot: number, text: string): void {
    const length = Buffer.byteLength(text)
    if (used + length + 1 > bytes.length) {
      const larger = Buffer.alloc(Math.max(bytes.length * 2, used + length + 1))
      bytes.copy(larger, 0, 0, used)
      bytes = larger
    }
    if (count === starts.length) {
      starts = grown(starts, count * 2)
      owners = grown(owners, count * 2)
    }
    starts[count] = used
    owners[count] = slot
    bytes.write(text, used)
    // No text has this in it, so no part goes across.
    bytes[used + length] = 0
    used += length + 1
    entries[slot] = ++count
    keys[slot] = keyAt(bytes, used - length - 1, length)
  }

  /** The entry that a byte lies in, from one that does not come after it. */
  function entryAt(offset: number, from: number): number {
    let low = from
    let step = 1
    while (low + step < count && start(low + step) <= offset) {
      low += step
      step *= 2
    }
    let high = Math.min(low + step, count)
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (start(middle) <= offset) low = middle
      else high = middle
    }
    return low
  }

  /** Entry by entry: the way through a thicket. */
  function walk(part: Buffer, from: number, marks: Uint8Array): void {
    // Own names for what the loops look at a million times.
    const [text, places, slots, all] = [bytes, starts, owners, count]
    const [first, length] = [part[0], part.length]
    let next = start(from)
    for (let entry = from; entry < all; entry++) {
      let at = next
      next = entry + 1 < all ? (places[entry + 1] as number) : used
      const slot = slots[entry] as number
      if (marks[slot] === 1) continue
      const last = next - 1 - length
      for (; at <= last; at++) {
        if (text[at] !== first) continue
        let same = 1
        while (same < length && text[at + same] === part[same]) same++
        if (same < length) continue
        if (entries[slot] === entry + 1) marks[slot] = 1
        break
      }
    }
  }

  return {
    set(slot, text) {
      if (slot >= entries.length) {
        const [before, length] = [entries.length, Math.max(entries.length * 2, slot + 1)]
        entries = grown(entries, length)
        keys = grown(keys, length).fill(Number.NaN, before)
      }
      const entry = entryOf(slot)
      if (entry >= 0) {
        if (text !== null && text === bytes.toString('utf8', start(entry), end(entry))) return
        wasted += end(entry) - start(entry)
        entries[slot] = 0
        keys[slot] = Number.NaN
      }
      if (text !== null) add(slot, text)
    },

    mark(text, marks) {
      const part = Buffer.from(text)
      const all = bytes.subarray(0, used)
      let hits = 0
      let entry = 0
      for (let at = all.indexOf(part); at >= 0; at = all.indexOf(part, end(entry) + 1)) {
        entry = entryAt(at, entry)
        if (isCurrent(entry)) marks[owners[entry] ?? 0] = 1
        if (++hits >= manyHits && entry < hits * 12) return walk(part, entry + 1, marks)
      }
    },

    keys: () => keys,

    compare(a, b) {
      const [x, y] = [entryOf(a), entryOf(b)]
      return bytes.compare(bytes, start(y), end(y), start(x), end(x))
    },

    isWorn: () => wasted > negligible && wasted > used / 2,
  }
}

/** Filled up with zeros, which come before everything. */
function keyAt(bytes: Buffer, from: number, length: number): number {
  const first = Math.min(length, keyBytes)
  return first === 0 ? 0 : bytes.readUIntBE(from, first) * 256 ** (keyBytes - first)
}

export function grown<A extends Uint32Array | Float64Array | Float32Array | Uint8Array | Int32Array>(
  array: A,
  length: number,
): A {
  const larger = new (array.constructor as new (length: number) => A)(length)
  larger.set(array)
  return larger
}
