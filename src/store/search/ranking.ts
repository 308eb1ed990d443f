/** What people are ordered by. */
export interface Key {
  /** By place: smaller first; NaN for none, which comes last whichever way. */
  readonly of: (slot: number) => number
  /** Decides between equal keys. */
  readonly compare?: (a: number, b: number) => number
}

export interface Among {
  /** By place: whether who is there fits, as 1 or 0; a multiple of four bytes. */
  readonly fits: Uint8Array
  readonly count: number
  /** By place: decides between those who are equal, upwards, whichever way. */
  readonly ids: ArrayLike<number>
}

export interface Wanted {
  readonly key: Key
  readonly descending: boolean
  readonly offset: number
  readonly limit: number
}

/** Pages that end after so many keep the first of all in a heap; those further on put all in order around them. */
const shallow = 1_000

/** The places of a page of those who fit, in some order, and how many fit. The others are not put in order. */
export function firstOf(among: Among, wanted: Wanted): { first: readonly number[]; total: number } {
  const order = orderOf(among, wanted)
  return wanted.offset + wanted.limit <= shallow
    ? firstByHeap(among, wanted, order)
    : firstBySelection(among, wanted, order)
}

/** Compares two people by their numbers, of which there are none for NaN, and their places. */
type Order = (x: number, a: number, y: number, b: number) => number

function orderOf({ ids }: Among, { key: { compare }, descending }: Wanted): Order {
  const sign = descending ? -1 : 1
  return (x, a, y, b) => {
    if (x !== y) return x < y ? -1 : 1
    const tie = compare === undefined || x === Number.POSITIVE_INFINITY ? 0 : sign * compare(a, b)
    return tie || (ids[a] as number) - (ids[b] as number)
  }
}

/** The bytes of who fits, four at a time: most are 0, and passed over so. */
const foursOf = ({ fits, count }: Among) => new Uint32Array(fits.buffer, 0, Math.ceil(count / 4))

/** A heap of the first so far, with the last of them on top. */
function firstByHeap(among: Among, wanted: Wanted, order: Order) {
  const most = wanted.offset + wanted.limit
  const { of } = wanted.key
  const sign = wanted.descending ? -1 : 1
  const slots: number[] = []
  const numbers: number[] = []
  /** The number of whom everybody has to come before, once there are enough. */
  let worst = Number.POSITIVE_INFINITY
  let total = 0

  const compare = (i: number, j: number) =>
    order(numbers[i] as number, slots[i] as number, numbers[j] as number, slots[j] as number)

  function swap(i: number, j: number): void {
    for (const list of [slots, numbers]) {
      const one = list[i] as number
      list[i] = list[j] as number
      list[j] = one
    }
  }

  function sink(): void {
    for (let at = 0; ; ) {
      const left = at * 2 + 1
      if (left >= slots.length) return
      const later = left + 1 < slots.length && compare(left + 1, left) > 0 ? left + 1 : left
      if (compare(later, at) <= 0) return
      swap(at, later)
      at = later
    }
  }

  function rise(): void {
    for (let at = slots.length - 1; at > 0; ) {
      const above = (at - 1) >>> 1
      if (compare(at, above) <= 0) return
      swap(at, above)
      at = above
    }
  }

  function take(slot: number, number: number): void {
    if (slots.length < most) {
      slots.push(slot)
      numbers.push(number)
      rise()
      if (slots.length === most) worst = numbers[0] as number
      return
    }
    if (number === worst && order(number, slot, worst, slots[0] as number) >= 0) return
    slots[0] = slot
    numbers[0] = number
    sink()
    worst = numbers[0] as number
  }

  const { fits, count } = among
  const fours = foursOf(among)
  // Most come in the order of their ids, so from that end on which the page is.
  const step = wanted.descending ? -1 : 1
  for (let slot = wanted.descending ? count - 1 : 0; slot >= 0 && slot < count; slot += step) {
    if (fits[slot] === 1) {
      total++
      const raw = of(slot)
      const number = Number.isNaN(raw) ? Number.POSITIVE_INFINITY : sign * raw
      // Nearly everybody is turned away here.
      if (number <= worst) take(slot, number)
    } else if (fours[slot >>> 2] === 0) slot += step * (step < 0 ? slot & 3 : 3 - (slot & 3))
  }
  const places = slots.map((_, i) => i).sort(compare)
  return { first: places.slice(wanted.offset).map((i) => slots[i] as number), total }
}

/** Puts everybody on the right side of where the page begins and ends, and then the page in order (quickselect). */
function firstBySelection(among: Among, wanted: Wanted, order: Order) {
  const { fits, count } = among
  let total = 0
  for (let slot = 0; slot < count; slot++) total += fits[slot] as number
  const [from, to] = [Math.min(wanted.offset, total), Math.min(wanted.offset + wanted.limit, total)]
  if (from === to) return { first: [], total }
  const { of } = wanted.key
  const sign = wanted.descending ? -1 : 1
  const slots = new Uint32Array(total)
  const numbers = new Float64Array(total)
  for (let slot = 0, at = 0; slot < count; slot++) {
    if (fits[slot] !== 1) continue
    const raw = of(slot)
    slots[at] = slot
    numbers[at++] = Number.isNaN(raw) ? Number.POSITIVE_INFINITY : sign * raw
  }

  const compare = (i: number, number: number, slot: number) =>
    order(numbers[i] as number, slots[i] as number, number, slot)

  function swap(i: number, j: number): void {
    const [slot, number] = [slots[i] as number, numbers[i] as number]
    slots[i] = slots[j] as number
    numbers[i] = numbers[j] as number
    slots[j] = slot
    numbers[j] = number
  }

  function select(wantedAt: number, first: number): void {
    let [low, high] = [first, total - 1]
    while (low < high) {
      const pivot = low + Math.floor(Math.random() * (high - low + 1))
      const [number, slot] = [numbers[pivot] as number, slots[pivot] as number]
      let [i, j] = [low, high]
      while (i <= j) {
        while (compare(i, number, slot) < 0) i++
        while (compare(j, number, slot) > 0) j--
        if (i <= j) swap(i++, j--)
      }
      if (wantedAt <= j) high = j
      else if (wantedAt >= i) low = i
      else return
    }
  }

  select(from, 0)
  select(to - 1, from)
  const page = Array.from({ length: to - from }, (_, i) => from + i)
  page.sort((i, j) => compare(i, numbers[j] as number, slots[j] as number))
  return { first: page.map((i) => slots[i] as number), total }
}
