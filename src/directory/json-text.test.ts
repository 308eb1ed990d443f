import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countMembers, depthOf, namesTwice } from './json-text.ts'

const object = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { noNullPrototype: true })

test('an object that was written by JSON.stringify names nothing twice, whatever is in its texts', () => {
  fc.assert(
    fc.property(object, fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      expect([countMembers(text), namesTwice(text)]).toEqual([Object.keys(value).length, false])
    }),
  )
})

describe('of a text that JSON.parse takes', () => {
  test.each<[text: string, members: number, twice: boolean, depth: number]>([
    ['{}', 0, false, 1],
    ['{"a":1,"a":2}', 2, true, 1],
    ['{"a":{"b":1,"b":2}}', 1, true, 2],
    ['{"a":[{"b":1},{"b":2}],"c":"\\"{:,"}', 2, false, 3],
    ['{"a":1,"\\u0061":2}', 2, true, 1],
    ['{"a\\\\":1, "b" : "[["}', 2, false, 1],
    ['[{"a":1},{"a":1}]', 0, false, 2],
  ])('%s: its members, whether a name comes twice, and its depth', (text, members, twice, depth) => {
    expect(JSON.parse(text)).toBeDefined()
    expect([countMembers(text), namesTwice(text), depthOf(text)]).toEqual([members, twice, depth])
  })
})
