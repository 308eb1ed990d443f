import fc from 'fast-check'
import { applyPatch } from 'rfc6902'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../../test/app.ts'

/** What must hold of every patch of a profile, whatever it says. */

let roster: TestApp
let key: { readonly authorization: string }
beforeAll(async () => {
  roster = await startApp()
  key = await roster.keyWith('read', 'write')
})
afterAll(() => roster.close())

const at = '/v1/users/usr_123abc456def/profile'
const operations = { 'content-type': 'application/json-patch+json' }
const call = (method: string, body?: unknown, headers: object = {}): Promise<Answer> =>
  roster.call(`${method} ${at}`, body, { ...key, ...headers })

type Texts = Readonly<Record<string, string | null>>
const names = ['bio', 'location', 'description', 'real_name', 'company_name'] as const
const name = fc.constantFrom(...names)
const text = fc.constantFrom('', 'a', 'b', 'é', null)
const texts = fc.record(Object.fromEntries(names.map((one) => [one, text])), { requiredKeys: [] })

/** The fields that are played with, as they are now. */
async function read(): Promise<Texts> {
  const profile = (await call('GET')).body as Texts
  return Object.fromEntries(names.map((one) => [one, profile[one] ?? null]))
}

test('JSON, JSON Merge Patch and JSON Patch come to the same', async () => {
  const ways: readonly ((values: object) => Promise<Answer>)[] = [
    (values) => call('PATCH', values),
    (values) => call('PATCH', values, { 'content-type': 'application/merge-patch+json' }),
    (values) =>
      call(
        'PATCH',
        Object.entries(values).map(([path, value]) => ({ op: 'replace', path: `/${path}`, value })),
        operations,
      ),
    (values) =>
      call(
        'PATCH',
        Object.entries(values).map(([path, value]) =>
          value === null ? { op: 'remove', path: `/${path}` } : { op: 'add', path: `/${path}`, value },
        ),
        operations,
      ),
  ]
  await fc.assert(
    fc.asyncProperty(texts, texts, async (before, values) => {
      for (const way of ways) {
        const cleared = Object.fromEntries(names.map((one) => [one, null]))
        expect(await call('PATCH', { ...cleared, ...before })).toMatchObject({ status: 200 })
        expect(await way(values)).toMatchObject({ status: 200 })
        expect(await read()).toEqual({ ...cleared, ...before, ...values })
      }
    }),
    { numRuns: 25 },
  )
})

const pointer = fc.oneof(
  { weight: 6, arbitrary: name },
  { weight: 1, arbitrary: fc.constant('nowhere/at/all') },
)
const operation = fc.oneof(
  fc.record({ op: fc.constantFrom('add', 'replace'), path: name, value: text }),
  fc.record({ op: fc.constant('test'), path: pointer, value: text }),
  fc.record({ op: fc.constant('remove'), path: pointer }),
  fc.record({ op: fc.constantFrom('move', 'copy'), from: pointer, path: name }),
)

/** What rfc6902 makes of it; undefined where an operation can not be applied. */
function expected(before: Texts, patch: readonly object[]): Texts | undefined {
  const document = { ...before }
  const failed = applyPatch(document, structuredClone(patch) as Parameters<typeof applyPatch>[1]).some(
    (error) => error !== null,
  )
  return failed ? undefined : Object.fromEntries(names.map((one) => [one, document[one] ?? null]))
}

test('a JSON Patch is applied as rfc6902 would apply it, or not at all', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 6 }), async (steps) => {
      const patch = steps.map((step) => ({
        ...step,
        path: `/${step.path}`,
        ...('from' in step && { from: `/${step.from}` }),
      }))
      const before = await read()
      const after = expected(before, patch)
      const answer = await call('PATCH', patch, operations)
      expect(answer.status).toBe(after === undefined ? 409 : 200)
      expect(await read()).toEqual(after ?? before)
    }),
    { numRuns: 200 },
  )
})
