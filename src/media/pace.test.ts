import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createPace } from './pace.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('lets so many through at once, and as many again after each pause, in their order', async () => {
  const turn = createPace(2, 10)
  const through: number[] = []
  const all = Array.from({ length: 7 }, async (_, n) => {
    await turn()
    through.push(n)
  })
  await vi.advanceTimersByTimeAsync(0)
  const seen = [through.length]
  for (let n = 0; n < 4; n++) {
    await vi.advanceTimersByTimeAsync(10)
    seen.push(through.length)
  }
  await Promise.all(all)
  expect(seen).toEqual([2, 4, 6, 7, 7])
  expect(through).toEqual([0, 1, 2, 3, 4, 5, 6])
  expect(vi.getTimerCount()).toBe(0)
})

it('keeps nobody waiting who comes after a pause', async () => {
  const turn = createPace(1, 10)
  for (let n = 0; n < 3; n++) {
    expect(turn()).toBeUndefined()
    await vi.advanceTimersByTimeAsync(10)
  }
})
