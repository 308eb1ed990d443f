import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { variantsOf, withoutCase } from './caseless.ts'
import { compareValues, conditionOf, type Filter, fits } from './query.ts'

describe('texts', () => {
  test('are in the order of their code points, which is that of their UTF-8 bytes', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'Z', 'é', '\uffee', '\ue000', '😀', '𐐀', '𐐨') })
    fc.assert(
      fc.property(text, text, (a, b) => {
        const expected = Buffer.compare(Buffer.from(a), Buffer.from(b))
        expect(Math.sign(compareValues(a, b))).toBe(expected)
      }),
    )
  })

  test('are the same whatever the case, letter by letter', () => {
    for (const [a, b] of [
      ['Ann', 'aNN'],
      ['ZOË', 'zoë'],
      ['σς', 'ΣΣ'],
      ['𐐨', '𐐀'],
      ['Дом', 'дОМ'],
    ] as const) {
      expect(withoutCase(a)).toBe(withoutCase(b))
    }
    for (const [a, b] of [
      ['ß', 'ss'],
      ['ß', 'ẞ'],
      ['ſ', 's'],
      ['\u212a', 'k'],
      ['İ', 'i'],
      ['é', 'e'],
      ['ﬀ', 'ff'],
    ] as const) {
      expect(withoutCase(a)).not.toBe(withoutCase(b))
    }
  })

  test('have variants that are alike for regular expressions too', () => {
    const char = fc.integer({ min: 0x20, max: 0xd7ff }).map((point) => String.fromCharCode(point))
    fc.assert(
      fc.property(char, char, (a, b) => {
        const same = new RegExp(a.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&'), 'i').test(b)
        expect((variantsOf(a)[0] as readonly string[]).includes(b)).toBe(same)
      }),
      { numRuns: 2_000 },
    )
    for (const point of [
      0x3c3, 0x3c2, 0x3a3, 0x1c4, 0x1c5, 0x1c6, 0x130, 0x131, 0x17f, 0x212a, 0xdf, 0x1e9e,
    ]) {
      const a = String.fromCharCode(point)
      const alike = (variantsOf(a)[0] as readonly string[]).filter((b) => !new RegExp(a, 'i').test(b))
      expect(alike).toEqual([])
    }
  })
})

describe('a condition', () => {
  const by = (name: Filter['name'], comparison: Filter['comparison'], ...values: string[]): Filter => ({
    ...{ name, comparison, values },
  })
  test.for<[filter: Filter, condition: ReturnType<typeof conditionOf>]>([
    [by('id', 'eq', '7', '07', '7', 'x'), { name: 'id', test: 'in', values: [7] }],
    [by('id', 'eq', '07'), { test: 'none' }],
    [by('id', 'ne', '07'), { name: 'id', test: 'any' }],
    [by('id', 'gte', '2.5', '7'), { name: 'id', test: 'atLeast', value: 3 }],
    [by('id', 'lte', '2.5', '-7'), { name: 'id', test: 'atMost', value: 2 }],
    [by('id', 'lte', 'x'), { test: 'none' }],
    [by('id', 'gte', '1e400'), { name: 'id', test: 'atLeast', value: Number.MAX_SAFE_INTEGER }],
    [by('email_verified', 'eq', 'true', '1'), { name: 'email_verified', test: 'in', values: [true] }],
    [by('phone', 'eq', 'A\u030a'), { name: 'phone', test: 'in', values: ['Å'] }],
    [by('phone', 'gte', 'b', 'a'), { name: 'phone', test: 'atLeast', value: 'a' }],
    [by('phone', 'lte', 'b', 'a'), { name: 'phone', test: 'atMost', value: 'b' }],
    [by('phone', 'like', 'a', ''), { name: 'phone', test: 'any' }],
    [by('phone', 'like', '\0'), { test: 'none' }],
  ])('of %j is %j', ([filter, condition]) => {
    expect(conditionOf(filter)).toEqual(condition)
    expect(fits(condition, null)).toBe(false)
  })
})
