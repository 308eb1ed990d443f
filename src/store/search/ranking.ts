export interface RankingOptions {
  /** Smaller first; undefined for none, which comes last whichever way. */
  readonly keyOf: (slot: number) => number | undefined
  /** Decides between equal keys. */
  readonly compare?: (a: number, b: number) => number
  /** Decides between those who are equal still: upwards, whichever way. */
  readonly idOf: (slot: number) => number
  readonly descending: boolean
  /** How many are wanted. */
  readonly most: number
}

/** The first of many in some order, without putting the others in order: a heap with the last of them on top. */
export function createRanking({ keyOf, compare, idOf, descending, most }: RankingOptions) {
  const slots: number[] = []
  const keys: number[] = []
  const sign = descending ? -1 : 1

  const keyFor = (slot: number) => {
    const key = keyOf(slot)
    return key === undefined ? Number.POSITIVE_INFINITY : sign * key
  }

  function order(slotA: number, keyA: number, slotB: number, keyB: number): number {
    if (keyA !== keyB) return keyA < keyB ? -1 : 1
    const tie = compare === undefined || keyA === Number.POSITIVE_INFINITY ? 0 : sign * compare(slotA, slotB)
    return tie || idOf(slotA) - idOf(slotB)
  }

  const ordered = (a: number, b: number) =>
    order(slots[a] as number, keys[a] as number, slots[b] as number, keys[b] as number)

  function swap(a: number, b: number): void {
    const [slot, key] = [slots[a] as number, keys[a] as number]
    slots[a] = slots[b] as number
    keys[a] = keys[b] as number
    slots[b] = slot
    keys[b] = key
  }

  function sink(): void {
    for (let at = 0; ; ) {
      const left = at * 2 + 1
      if (left >= slots.length) return
      const later = left + 1 < slots.length && ordered(left + 1, left) > 0 ? left + 1 : left
      if (ordered(later, at) <= 0) return
      swap(at, later)
      at = later
    }
  }

  return {
    add(slot: number): void {
      const key = keyFor(slot)
      if (slots.length < most) {
        let at = slots.push(slot) - 1
        keys.push(key)
        while (at > 0 && ordered(at, (at - 1) >>> 1) > 0) {
          swap(at, (at - 1) >>> 1)
          at = (at - 1) >>> 1
        }
        return
      }
      const [top, topKey] = [slots[0], keys[0]]
      if (top === undefined || topKey === undefined || order(slot, key, top, topKey) >= 0) return
      slots[0] = slot
      keys[0] = key
      sink()
    },

    /** Those who are left, the first one first. */
    inOrder(): number[] {
      return slots
        .map((slot, at) => ({ slot, key: keys[at] as number }))
        .sort((a, b) => order(a.slot, a.key, b.slot, b.key))
        .map(({ slot }) => slot)
    },
  }
}
