import { expect, test } from 'vitest'
import { unavailable } from '../directory/errors.ts'
import type { User } from '../directory/user.ts'
import { createSignIn, signInFailures } from './sign-in.ts'
import { countInMemory } from './windows.ts'

/** What only shows where hashing takes its time, or fails; the rest is in ../contracts/oauth/sign-in.test.ts. */
function given(verify: () => Promise<boolean>) {
  let time = Date.UTC(2026, 0, 1)
  const now = () => time
  const signIn = createSignIn({
    store: {
      find: async () => ({ id: 7 }) as User,
      credentials: async () => ({ status: 'active', password: 'a hash', tokensValidFrom: 0 }),
    },
    passwords: { verify },
    counting: (_name, rate) => countInMemory(rate, now),
    now,
  })
  const pass = (ms: number) => {
    time += ms
  }
  return { signIn: () => signIn({ ip: '192.0.2.1', name: 'ann', password: 'right' }), now, pass }
}

test('an attempt that could not be judged is not counted as a wrong one', async () => {
  let isAway = true
  const { signIn } = given(async () => {
    if (isAway) throw unavailable('Too many passwords are waiting to be hashed')
    return true
  })
  for (let n = 0; n < 5 * signInFailures.ofAddress.quota; n++)
    await expect(signIn()).rejects.toMatchObject({ code: 'unavailable' })
  isAway = false
  expect(await signIn()).toMatchObject({ signed: { userId: 7 } })
})

test('who signs in has shown that it is them when it was looked up, however long the hash waited', async () => {
  const { signIn, now, pass } = given(async () => {
    pass(5_000)
    return true
  })
  const at = now()
  expect(await signIn()).toEqual({ signed: { userId: 7, at } })
})
