import { expect, test } from 'vitest'
import { describe } from './progress.ts'

test.each([
  [{ count: 0, done: undefined }, 5, '0 people, 0 a second'],
  [{ count: 12_345, done: undefined }, 10, '12,345 people, 1,235 a second'],
  [{ count: 500, done: 0 }, 5, '500 people, 100 a second'],
  [{ count: 250_000, done: 0.25 }, 25, '25%: 250,000 people, 10,000 a second, 1 min 15 s left'],
  [{ count: 10, done: 0.999 }, 100, '99%: 10 people, 0 a second, 1 s left'],
  [{ count: 10, done: 1 }, 2, '100%: 10 people, 5 a second, 0 s left'],
  [{ count: 10, done: 1.5 }, 2, '100%: 10 people, 5 a second, 0 s left'],
  [{ count: 1, done: 0.01 }, 120, '1%: 1 people, 0 a second, 3 h 18 min left'],
])('work that has come so far: %j after %i s', (work, seconds, text) => {
  expect(describe(work, seconds)).toBe(text)
})
