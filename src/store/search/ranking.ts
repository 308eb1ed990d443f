export interface RankingOptions {
  /** By place: smaller first; NaN for none, which comes last whichever way. */
  readonly keys: Float64Array
  /** Decides between equal keys. */
  readonly compare?: (a: number, b: number) => number
  /** By place: decides between those who are equal still, upwards, whichever way. */
  readonly ids: Float64Array
  readonly descending: boolean
  /** How many are wanted. */
  readonly most: number
}

/** The first of many in some order, without putting the others in order: a heap with the last of them on top. */
export function createRanking({ keys, compare, ids, descending, most }: RankingOptions) {
  /** The places of those who are the first so far. */
  const heap: number[] = []
  const sign = descending ? -1 : 1
  /** The key of whom everybody has to come before, once there are enough. */
  let worst = Number.POSITIVE_INFINITY

  function keyFor(slot: number): number {
    const key = keys[slot] as number
    return Number.isNaN(key) ? Number.POSITIVE_INFINITY : sign * key
  }

  function order(a: number, b: number): number {
    const [x, y] = [keyFor(a), keyFor(b)]
    if (x !== y) return x < y ? -1 : 1
    const tie = compare === undefined || x === Number.POSITIVE_INFINITY ? 0 : sign * compare(a, b)
    return tie || (ids[a] as number) - (ids[b] as number)
  }

  const ordered = (a: number, b: number) => order(heap[a] as number, heap[b] as number)

  function swap(a: number, b: number): void {
    const slot = heap[a] as number
    heap[a] = heap[b] as number
    heap[b] = slot
  }

  function sink(): void {
    for (let at = 0; ; ) {
      const left = at * 2 + 1
      if (left >= heap.length) return
      const later = left + 1 < heap.length && ordered(left + 1, left) > 0 ? left + 1 : left
      if (ordered(later, at) <= 0) return
      swap(at, later)
      at = later
    }
  }

  function rise(): void {
    for (let at = heap.length - 1; at > 0; ) {
      const above = (at - 1) >>> 1
      if (ordered(at, above) <= 0) return
      swap(at, above)
      at = above
    }
  }

  return {
    add(slot: number): void {
      if (heap.length < most) {
        heap.push(slot)
        rise()
        if (heap.length === most) worst = keyFor(heap[0] as number)
        return
      }
      // Nearly everybody is turned away here.
      const key = keyFor(slot)
      if (key > worst || (key === worst && order(slot, heap[0] as number) >= 0)) return
      heap[0] = slot
      sink()
      worst = keyFor(heap[0] as number)
    },

    /** Those who are left, the first one first. */
    inOrder: (): number[] => heap.toSorted(order),
  }
}
