import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countInMemory } from './windows.ts'

const rate = { quota: 3, seconds: 60 }

describe('counting in memory', () => {
  test('begins a window with the first, and forgets all at its end', () => {
    let now = 1_000
    const count = countInMemory(rate, () => now)
    expect(count('a', 1)).toEqual({ used: 1, left: 60_000 })
    now += 59_999
    expect(count('a', 1)).toEqual({ used: 2, left: 1 })
    now += 1
    expect(count('a', 1)).toEqual({ used: 1, left: 60_000 })
  })

  test('keeps subjects apart, looks for nothing, and takes back', () => {
    const count = countInMemory(rate, () => 0)
    const used = (subject: string, cost: number) => count(subject, cost).used
    expect([used('a', 1), used('b', 1), used('a', 1), used('a', 0), used('b', 0)]).toEqual([1, 1, 2, 2, 1])
    expect([used('a', -1), used('a', -1), used('a', -1), used('a', 1)]).toEqual([1, 0, 0, 1])
  })

  test('lasts no longer than a window where the clock is set back', () => {
    let now = 3_600_000
    const count = countInMemory(rate, () => now)
    count('a', 5)
    now = 0
    expect(count('a', 1)).toEqual({ used: 1, left: 60_000 })
  })

  test('does as a plain list of what was asked when does', () => {
    const step = fc.record({ subject: fc.constantFrom('a', 'b', 'c'), wait: fc.nat(40_000) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        let now = 0
        const count = countInMemory(rate, () => now)
        const begun = new Map<string, number[]>()
        for (const { subject, wait } of steps) {
          now += wait
          const asked = begun.get(subject) ?? []
          const window = asked[0] !== undefined && now < asked[0] + 60_000 ? [...asked, now] : [now]
          begun.set(subject, window)
          expect(count(subject, 1)).toEqual({ used: window.length, left: (window[0] ?? 0) + 60_000 - now })
        }
      }),
    )
  })

  test('keeps a bounded number of subjects, those that ask among them', () => {
    const count = countInMemory(rate, () => 0, 1_000)
    const before = process.memoryUsage().heapUsed
    for (let n = 1; n <= 500_000; n++) {
      count(`2001:db8:0:${n.toString(16)}::/64`, 1)
      // Once in a while among the flood, and yet never forgotten.
      if (n % 900 === 0) expect(count('busy', 1).used).toBe(n / 900)
    }
    expect(count('2001:db8:0:1::/64', 0).used).toBe(0)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64e6)
  })
})
