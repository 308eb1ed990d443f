import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { folder, generate } from '../docs/generate.ts'

const generated = await generate()

test('the reference has the files that the code gives, and no others', () => {
  expect(readdirSync(folder).sort()).toEqual([...generated.keys()].sort())
})

test.each([...generated])('docs/reference/%s is what the code says now (npm run docs)', (name, text) => {
  expect(readFileSync(new URL(name, folder), 'utf8')).toBe(text)
})

test('the same code gives the same reference', async () => {
  expect(await generate()).toEqual(generated)
})
