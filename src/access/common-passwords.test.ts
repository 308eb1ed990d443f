import { expect, test } from 'vitest'
import { createIsCommon, isCommonPassword } from './common-passwords.ts'

test.for([
  ['password', true],
  ['PassWord', true],
  ['a password nobody has', false],
] as const)('whether %j is common: %s', async ([password, expected]) => {
  expect(await isCommonPassword(password)).toBe(expected)
})

test('a list that could not be read is read again, and one that was is not', async () => {
  const tries = [Promise.reject(new Error('EMFILE')), Promise.resolve(new Set(['password']))]
  const isCommon = createIsCommon(() => tries.shift() ?? Promise.reject(new Error('was read before')))
  await expect(isCommon('password')).rejects.toThrow('EMFILE')
  for (const [password, expected] of [
    ['password', true],
    ['other', false],
  ] as const)
    expect(await isCommon(password)).toBe(expected)
})
