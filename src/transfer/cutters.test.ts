import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCsvCutter, formatCell, parseCells } from './csv.ts'
import { createJsonCutter } from './json.ts'
import { createLineCutter } from './lines.ts'
import type { Cutter, Piece } from './piece.ts'

type Shown = readonly [line: number, text: string] | readonly [line: number, problem: string, 'problem']

/** The pieces of a text that arrives in chunks of so many bytes. */
function cut(cutter: Cutter, text: string, size = 7): Shown[] {
  const bytes = Buffer.from(text)
  const shown: Shown[] = []
  const show = (pieces: Iterable<Piece>) => {
    for (const piece of pieces)
      shown.push(
        'bytes' in piece ? [piece.line, String(piece.bytes)] : [piece.line, piece.problem, 'problem'],
      )
  }
  for (let at = 0; at < bytes.length; at += size) show(cutter.push(bytes.subarray(at, at + size)))
  show(cutter.end())
  return shown
}

const chunkSizes = [1, 2, 3, 7, 64, 100_000]
const tooLong = 'is longer than 8 MB'

describe('lines', () => {
  test.each(chunkSizes)('are cut wherever chunks of %i bytes end, empty ones left out', (size) => {
    const text = '{"a":1}\n\n{"b":"ü"}\r\n\r\n{"c":3}'
    expect(cut(createLineCutter(), text, size)).toEqual([
      [1, '{"a":1}'],
      [3, '{"b":"ü"}'],
      [5, '{"c":3}'],
    ])
  })

  test.each(chunkSizes)('that are too long are told of once, and cost nobody else (%i)', (size) => {
    const text = `short\n${'x'.repeat(50)}\nend\n${'y'.repeat(50)}`
    expect(cut(createLineCutter(20), text, size)).toEqual([
      [1, 'short'],
      [2, tooLong, 'problem'],
      [3, 'end'],
      [4, tooLong, 'problem'],
    ])
  })
})

describe('CSV', () => {
  test.each(chunkSizes)('is cut at ends of lines that are not in quotes (%i)', (size) => {
    const text = 'a,b\r\n1,"x\r\ny ""z"""\r\n\r\n2,"",\n3,ü'
    expect(cut(createCsvCutter(), text, size)).toEqual([
      [1, 'a,b'],
      [2, '1,"x\r\ny ""z"""'],
      [5, '2,"",'],
      [6, '3,ü'],
    ])
  })

  test.each(chunkSizes)(
    'loses one line to a quote that is not closed, and goes on behind it (%i)',
    (size) => {
      const text = `a,b\n1,"open\n2,b\n3,c\n`
      expect(cut(createCsvCutter(), text, size)).toEqual([
        [1, 'a,b'],
        [2, 'opens a quote that is not closed', 'problem'],
        [3, '2,b'],
        [4, '3,c'],
      ])
      const long = `1,"${'open\n'.repeat(3)}${'2,b\n'.repeat(20)}`
      const pieces = cut(createCsvCutter(40), long, size)
      expect(pieces.filter(([, , problem]) => problem)).toEqual([
        [1, 'opens a quote that is not closed', 'problem'],
      ])
      expect(pieces.slice(1).map(([line]) => line)).toEqual(Array.from({ length: 22 }, (_, n) => n + 2))
    },
  )

  test.each(chunkSizes)('has a quote within a cell open nothing (%i)', (size) => {
    const text = '5" pipe,x\n"closed"again,y\n'
    const pieces = cut(createCsvCutter(), text, size)
    expect(pieces.map(([line]) => line)).toEqual([1, 2])
    expect(pieces.map(([, record]) => parseCells(record))).toEqual([
      { problem: 'has a quote within cell 1, which has none around it' },
      { problem: 'has something between the quotes of cell 1 and the comma' },
    ])
  })

  test.each(chunkSizes)('tells of a line that is too long once, in quotes or not (%i)', (size) => {
    const text = `a\n${'x'.repeat(60)}\nb\n"${'y'.repeat(60)}\nc\n`
    const pieces = cut(createCsvCutter(20), text, size)
    expect(pieces).toEqual([
      [1, 'a'],
      [2, tooLong, 'problem'],
      [3, 'b'],
      [4, expect.any(String), 'problem'],
      [5, 'c'],
    ])
  })

  const cell = fc.oneof(
    fc.constant(null),
    fc.constantFrom('', '"', '""', ',', '\n', '\r\n', 'a"b', '=1+1'),
    fc.string({ unit: 'binary' }),
  )

  test('comes back as it was written, whatever is in it and wherever chunks end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(cell, { minLength: 2, maxLength: 5 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom('\n', '\r\n'),
        (records, size, end) => {
          const wellFormed = records.map((cells) => cells.map((text) => text?.toWellFormed() ?? null))
          const text = wellFormed.map((cells) => `${cells.map(formatCell).join(',')}${end}`).join('')
          const pieces = cut(createCsvCutter(), text, size)
          expect(pieces.map(([, record]) => parseCells(record))).toEqual(wellFormed)
        },
      ),
    )
  })
})

describe('a database of json-server', () => {
  const people = [{ id: 1, name: 'a "quoted\\" ] } ü' }, { id: 2, tags: [[{}], '}'] }, 5, 'x', null]

  test.each(chunkSizes)('gives its users, each with its line, and names the rest (%i)', (size) => {
    const cutter = createJsonCutter()
    const text = JSON.stringify(
      { pets: [{ users: [1] }], users: people, 'a"b': '}]', n: 1, e: {}, t: true },
      null,
      2,
    )
    const pieces = cut(cutter, text, size)
    expect(pieces.map(([, value]) => JSON.parse(value))).toEqual(people)
    const lines = text.split('\n')
    expect(pieces.map(([line]) => lines[line - 1]?.trim()[0])).toEqual(['{', '{', '5', '"', 'n'])
    expect(cutter.others).toEqual(['pets', 'a"b', 'n', 'e', 't'])
  })

  test.each(['[]', '{"users":[]}', ' {"a": 1 ,"users" : [ ] }\n'])('may be empty: %s', (text) => {
    expect(cut(createJsonCutter(), text)).toEqual([])
  })

  test.each(chunkSizes)('may be a bare list (%i)', (size) => {
    expect(cut(createJsonCutter(), '[ {"id":1}\n,2\n, 3 ]', size)).toEqual([
      [1, '{"id":1}'],
      [2, '2'],
      [3, '3'],
    ])
  })

  test.each([
    ['', 'ends in the middle, in line 1'],
    ['{"users": [\n{"id": 1}', 'ends in the middle, in line 2'],
    ['{"users": [\n{"id": 1', 'ends in the middle, in line 2'],
    ['{"users": []', 'ends in the middle'],
    ['{"people": []}', 'has no "users"'],
    ['{"users": {}}', '"users" is not a list'],
    ['{"users": [], "users": []}', 'has "users" twice'],
    ['{"users": [\n{} {}]}', 'stops being JSON in line 2'],
    ['{"users": [{}}', 'stops being JSON in line 1'],
    ['{"users" []}', 'stops being JSON in line 1'],
    ['{users: []}', 'stops being JSON in line 1'],
    ['{"us\\xers": []}', 'stops being JSON in line 1'],
    ['{"users": []}\n{}', 'stops being JSON in line 2'],
    ['"users"', 'stops being JSON in line 1'],
  ])('is told to be broken where it is: %s', (text, complaint) => {
    for (const size of chunkSizes) expect(() => cut(createJsonCutter(), text, size)).toThrow(complaint)
  })

  test.each(chunkSizes)('gives everybody before the place where it is broken (%i)', (size) => {
    const bytes = Buffer.from('{"users": [{"id":1},\n{"id":2} {"id":3}]}')
    const cutter = createJsonCutter()
    const shown: string[] = []
    expect(() => {
      for (let at = 0; at < bytes.length; at += size)
        for (const piece of cutter.push(bytes.subarray(at, at + size)))
          shown.push('bytes' in piece ? String(piece.bytes) : piece.problem)
    }).toThrow('stops being JSON in line 2')
    expect(shown).toEqual(['{"id":1}', '{"id":2}'])
  })

  test.each(chunkSizes)(
    'loses who is too long, not who comes after, however large the rest is (%i)',
    (size) => {
      const long = 'x'.repeat(50)
      const text = `{"others": ["${long}"], "users": [\n{"id":"${long}"},\n{"id":2}\n, [${long}] ], "more": "${long}"}`
      expect(cut(createJsonCutter(20), text, size)).toEqual([
        [2, tooLong, 'problem'],
        [3, '{"id":2}'],
        [4, tooLong, 'problem'],
      ])
    },
  )

  test('gives what JSON.parse gives, for any values and any layout', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { maxKeys: 4 }),
        fc.array(fc.jsonValue(), { maxLength: 6 }),
        fc.constantFrom(0, 1, 2, '\t', '\r\n '),
        fc.integer({ min: 1, max: 50 }),
        (others, users, indent, size) => {
          const text = JSON.stringify({ ...others, users }, null, indent)
          const cutter = createJsonCutter()
          const pieces = cut(cutter, text, size)
          expect(pieces.map(([, value]) => JSON.parse(value))).toEqual(JSON.parse(JSON.stringify(users)))
          expect(cutter.others.toSorted()).toEqual(
            Object.keys({ ...others })
              .filter((name) => name !== 'users')
              .toSorted(),
          )
        },
      ),
    )
  })
})
