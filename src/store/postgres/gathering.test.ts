import { describe, expect, it } from 'vitest'
import { createGathering } from './gathering.ts'

/** Notes what is sent, and lets a test say when it is through. */
function createSender() {
  const sent: { readonly items: readonly string[]; readonly finish: () => void }[] = []
  const send = (items: readonly string[]) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    sent.push({ items, finish: resolve })
    return promise
  }
  return { send, sent, items: () => sent.map(({ items }) => items.join('')) }
}

/** Until what was to be sent in this turn is, and what follows from that. */
async function turn(): Promise<void> {
  for (let n = 0; n < 3; n++) await new Promise(setImmediate)
}

describe('what comes', () => {
  it('in one turn of the event loop is sent together', async () => {
    const { send, items } = createSender()
    const add = createGathering({ send, most: 10 })
    for (const item of 'abc') add(item)
    expect(items()).toEqual([])
    await turn()
    expect(items()).toEqual(['abc'])
  })

  it('while two sendings are under way waits, and goes with all that waits when one is through', async () => {
    const { send, sent, items } = createSender()
    const add = createGathering({ send, most: 10 })
    for (const item of 'ab') {
      add(item)
      await turn()
    }
    for (const item of 'cde') {
      add(item)
      await turn()
    }
    expect(items()).toEqual(['a', 'b'])
    sent[1]?.finish()
    await turn()
    expect(items()).toEqual(['a', 'b', 'cde'])
  })

  it('in great number is sent so many at once, in its order', async () => {
    const { send, sent, items } = createSender()
    const add = createGathering({ send, most: 4 })
    for (const item of 'abcdefghij') add(item)
    await turn()
    expect(items()).toEqual(['abcd', 'efgh'])
    sent[0]?.finish()
    await turn()
    expect(items()).toEqual(['abcd', 'efgh', 'ij'])
  })

  it('of another kind is not held up', async () => {
    const { send, items } = createSender()
    const add = createGathering({ send, most: 10, kindOf: (item) => item.toLowerCase() })
    for (const item of 'aba') add(item)
    await turn()
    for (const item of 'bA') add(item)
    await turn()
    for (const item of 'abc') add(item)
    await turn()
    expect(items()).toEqual(['aa', 'b', 'b', 'A', 'c'])
  })

  it('does not wait for long for sendings that hang', async () => {
    const { send, sent, items } = createSender()
    const add = createGathering({ send, most: 1 })
    for (const item of 'abcde') add(item)
    await expect.poll(items, { timeout: 2_000 }).toEqual(['a', 'b', 'c', 'd', 'e'])
    for (const { finish } of sent) finish()
    await turn()
    for (const item of 'fgh') add(item)
    await turn()
    // No more at once than before, though some were late.
    expect(items().slice(5)).toEqual(['f', 'g'])
  })

  it('beyond a bound is turned away, until there is room again', async () => {
    const { send, sent } = createSender()
    const add = createGathering({ send, most: 20_000 })
    const taken = Array.from({ length: 20_001 }, () => add('a'))
    expect(taken.filter((is) => is)).toHaveLength(20_000)
    expect(taken.at(-1)).toBe(false)
    await turn()
    expect(sent).toHaveLength(1)
    expect(add('a')).toBe(true)
  })
})
