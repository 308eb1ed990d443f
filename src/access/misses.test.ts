import { expect, test } from 'vitest'
import { createMisses, misses } from './misses.ts'

test('an address that has missed too often waits until the minute is over, and no other does', () => {
  let now = Date.UTC(2026, 0, 1)
  const { admit, count } = createMisses(() => now)
  for (let n = 0; n < misses.quota; n++) {
    admit('203.0.113.7')
    count('203.0.113.7')
  }
  now += 20_000
  expect(() => admit('203.0.113.7')).toThrow(
    expect.objectContaining({ code: 'rate_limited', retryAfter: 40 }),
  )
  admit('203.0.113.8')
  now += 40_000
  admit('203.0.113.7')
})

test('what is found is not counted', () => {
  const { admit } = createMisses(() => 0)
  for (let n = 0; n < misses.quota * 2; n++) admit('203.0.113.7')
})
