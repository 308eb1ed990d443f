import { expect, test } from 'vitest'
import { uselessToken } from '../directory/decide-email.ts'
import { DirectoryError, refusal, unavailable } from '../directory/errors.ts'
import { createEmailLimits, emailLimits } from './email-limits.ts'
import { countInMemory } from './windows.ts'

const { quota } = emailLimits.ofTokens
const refused = (error: Error) => async () => {
  throw error
}
const email = { field: 'email', message: 'is taken' } as const

test.each<[what: string, work: () => Promise<unknown>, counts: boolean]>([
  ['what works', async () => 'right', false],
  ['what is found to be of no use', async () => 'useless', true],
  ['a token that is not good', refused(new DirectoryError(uselessToken)), true],
  ['a token of nobody', refused(new DirectoryError(refusal('not_found', 'User not found'))), true],
  ['an address that is taken', refused(new DirectoryError(refusal('conflict', 'Taken', [email]))), false],
  ['somebody who is blocked', refused(new DirectoryError(refusal('forbidden', 'Blocked'))), false],
  ['a store that is away', refused(unavailable('The store is away')), false],
  ['a mistake of ours', refused(new TypeError('x is not a function')), false],
])('of tokens, %s uses up a try or not', async (_what, work, counts) => {
  const { tryToken } = createEmailLimits((_name, rate) => countInMemory(rate, () => 0))
  const attempt = () => tryToken('192.0.2.1', work, (result) => result === 'useless').catch(() => undefined)
  for (let n = 0; n < quota; n++) await attempt()
  const last = tryToken('192.0.2.1', async () => 'done')
  if (counts) await expect(last).rejects.toMatchObject({ code: 'rate_limited' })
  else expect(await last).toBe('done')
  expect(await tryToken('192.0.2.2', async () => 'done')).toBe('done')
})
