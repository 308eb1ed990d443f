import { expect, test } from 'vitest'
import { inTurn } from './in-turn.ts'

test.for<[width: number, count: number]>([
  [1, 10],
  [4, 10],
  [64, 100],
])('no more than %i of %i are under way at a time, and all get done in the end', async ([width, count]) => {
  let running = 0
  let most = 0
  const things = Array.from({ length: count }, (_, n) => n)
  const results = await inTurn(
    things,
    () => [],
    async (n) => {
      most = Math.max(most, ++running)
      await new Promise(setImmediate)
      running--
      return n
    },
    width,
  )
  expect(most).toBe(width)
  expect(results).toEqual(things)
})

test('those in one lane are done one after the other, in their order, failures too', async () => {
  const seen: string[] = []
  const act = async (n: number) => {
    seen.push(`${n} begins`)
    await new Promise(setImmediate)
    seen.push(`${n} ends`)
    if (n === 1) throw new Error('no')
    return n
  }
  await expect(inTurn([1, 2], () => ['one lane'], act)).rejects.toThrow('no')
  await expect.poll(() => seen).toEqual(['1 begins', '1 ends', '2 begins', '2 ends'])
})
