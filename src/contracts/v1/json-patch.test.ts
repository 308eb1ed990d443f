import { createRequire } from 'node:module'
import fc from 'fast-check'
import { applyPatch } from 'rfc6902'
import { describe, expect, test } from 'vitest'
import { applyOperations, maxOperations, parseOperations } from './json-patch.ts'

/** JSON Patch on JSON values of every kind; over HTTP, on what a profile can hold, it is in profile.test.ts. */

interface Case {
  readonly comment?: string
  readonly doc: unknown
  readonly patch: unknown
  readonly expected?: unknown
  readonly error?: string
  readonly disabled?: boolean
}

const load = createRequire(import.meta.url)
const suite = ['tests.json', 'spec_tests.json'].flatMap((file) =>
  (load(`json-patch-test-suite/${file}`) as Case[]).map((one, at) => ({
    ...one,
    title: `${file} ${at}: ${one.comment ?? JSON.stringify(one.patch)}`,
  })),
)

/** The document afterwards, or what the refusal is about. */
function run(doc: unknown, patch: unknown): { readonly document: unknown } | { readonly refused: unknown } {
  const parsed = parseOperations(patch)
  if ('faults' in parsed) return { refused: parsed.faults }
  const applied = applyOperations(doc, parsed.operations)
  return 'fault' in applied ? { refused: applied.fault } : applied
}

describe('json-patch-test-suite', () => {
  // Those that it disables itself lost their point on the way: JSON.parse has dropped the second "op".
  const cases = suite.filter(({ disabled, error }) => disabled !== true || error === undefined)

  test('is there', () => {
    expect(cases.length).toBeGreaterThan(90)
  })

  test.for(cases)('$title', ({ doc, patch, expected, error }) => {
    const before = structuredClone(doc)
    const result = run(doc, patch)
    if (error !== undefined) expect(result).toHaveProperty('refused')
    else expect(result).toEqual({ document: expected ?? doc })
    expect(doc).toEqual(before)
  })
})

describe('names that JavaScript gives a meaning', () => {
  test.for(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length'])('%s', (name) => {
    expect(run({}, [{ op: 'test', path: `/${name}`, value: null }])).toHaveProperty('refused')
    expect(run({}, [{ op: 'remove', path: `/${name}` }])).toHaveProperty('refused')
    expect(run({}, [{ op: 'add', path: `/${name}/isAdmin`, value: true }])).toHaveProperty('refused')
    expect(run([], [{ op: 'add', path: `/${name}`, value: true }])).toHaveProperty('refused')
    const added = run({ a: 1 }, [
      { op: 'add', path: `/${name}`, value: { isAdmin: true } },
      { op: 'copy', from: `/${name}`, path: '/b' },
      { op: 'remove', path: '/a' },
    ])
    expect(JSON.stringify(added)).toBe(
      `{"document":{${JSON.stringify(name)}:{"isAdmin":true},"b":{"isAdmin":true}}}`,
    )
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })
})

// RFC 6902, section 4.4: as a remove, followed immediately by an add.
test('a move finds its target in what is left', () => {
  expect(run([1, {}, {}], [{ op: 'move', from: '/0', path: '/1/a' }])).toEqual({ document: [{}, { a: 1 }] })
})

test('copies of copies take no memory', () => {
  const doubling = Array.from({ length: 500 }, (_, i) => ({ op: 'copy', from: '', path: `/a${i}` }))
  expect(run({ a: 1 }, doubling)).toHaveProperty('document.a499.a498.a497.a', 1)
})

test.for<[about: string, patch: unknown, message: RegExp]>([
  ['no list', { op: 'add' }, /array/],
  ['null', null, /array/],
  ['too many operations', Array(maxOperations + 1).fill({ op: 'remove', path: '/a' }), /at most 1000/],
  ['an operation that is no object', ['add'], /object/],
  ['a list for an operation', [[]], /object/],
  ['no op', [{ path: '/a' }], /op must be one of/],
  ['an op in capitals', [{ op: 'Add', path: '/a', value: 1 }], /op must be one of/],
  ['no path', [{ op: 'remove' }], /path must be/],
  ['a path without a slash', [{ op: 'remove', path: 'a' }], /path must be/],
  ['a path that is a number', [{ op: 'remove', path: 0 }], /path must be/],
  ['a tilde that escapes nothing', [{ op: 'remove', path: '/a~2' }], /path must be/],
  ['a tilde at the end', [{ op: 'remove', path: '/a~' }], /path must be/],
  ['a path that is too deep', [{ op: 'remove', path: '/a'.repeat(65) }], /path must be/],
  ['a path that is far too deep', [{ op: 'remove', path: '/'.repeat(500_000) }], /path must be/],
  ['a move into itself', [{ op: 'move', from: '/a', path: '/a/b' }], /into itself/],
  ['no value', [{ op: 'replace', path: '/a' }], /value is required/],
])('%s breaks the rules of RFC 6902', ([, patch, message]) => {
  expect(JSON.stringify(parseOperations(patch))).toMatch(message)
})

test('every operation that breaks the rules is told, by its number', () => {
  expect(parseOperations([{ op: 'x', path: '' }, { op: 'remove', path: '/a' }, 1])).toMatchObject({
    faults: [{ at: 0 }, { at: 2 }],
  })
})

const token = fc.constantFrom('a', 'b', '0', '1', '-', 'a/b', '~')
const pointer = fc
  .array(token, { maxLength: 3 })
  .map((tokens) => tokens.map((one) => `/${one.replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''))
const valuesWith = (lists: boolean) =>
  fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      // No text with letters: theirs takes those for elements.
      fc.constantFrom<unknown>(null, true, 0, 1, ''),
      ...(lists ? [fc.array(tie('tree'), { maxLength: 3 })] : []),
      fc.dictionary(fc.constantFrom('a', 'b', '0', 'a/b', '~'), tie('tree'), { maxKeys: 3 }),
    ),
  })).tree
const cases = (lists: boolean) => {
  const operation = fc.oneof(
    fc.record({
      op: fc.constantFrom('add', 'replace', 'test'),
      path: pointer,
      value: valuesWith(lists),
    }),
    fc.record({ op: fc.constant('remove'), path: pointer.filter((path) => path !== '') }),
    // Theirs looks for the target of a move before it removes, which tells in lists; see below.
    fc.record({ op: fc.constantFrom(lists ? 'copy' : 'move', 'copy'), path: pointer, from: pointer }),
  )
  return [valuesWith(lists), fc.array(operation, { minLength: 1, maxLength: 4 })] as const
}

/** It throws where a number or a text is to get a member. */
function failsThere(document: unknown, patch: Parameters<typeof applyPatch>[1]): boolean {
  try {
    return applyPatch(document, patch).some((error) => error !== null)
  } catch {
    return true
  }
}

// Theirs works on a member, so that the root can be replaced too.
const below = <O extends object>(one: O & { readonly path: string }) => ({
  ...one,
  path: `/document${one.path}`,
  ...('from' in one && { from: `/document${String(one.from)}` }),
})

test.for([
  ['objects', false],
  // Theirs gives lists members with names, where ours knows indexes only (RFC 6901, section 4).
  ['objects and lists, where ours is not stricter', true],
] as const)('agrees with rfc6902 on whatever %s', ([, lists]) => {
  fc.assert(
    fc.property(...cases(lists), (document, patch) => {
      const ours = run(document, patch)
      const theirs = { document: structuredClone(document) }
      const failed = failsThere(theirs, patch.map(below) as Parameters<typeof applyPatch>[1])
      if (failed) expect(ours).toHaveProperty('refused')
      else if (!lists || 'document' in ours) expect(ours).toEqual(theirs)
    }),
    { numRuns: 2_000 },
  )
})
