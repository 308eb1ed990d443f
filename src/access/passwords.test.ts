import { readdirSync } from 'node:fs'
import { getPriority } from 'node:os'
import { verify } from '@node-rs/argon2'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { DirectoryError } from '../directory/errors.ts'
import { createPasswords, type Passwords } from './passwords.ts'

let passwords: Passwords
beforeAll(() => {
  passwords = createPasswords({ threads: 1, maxWaiting: 4 })
})
afterAll(() => passwords.close())

test('a hash is Argon2id with a salt of its own, and of the composed form', async () => {
  const decomposed = 'Cafe\u0301 au lait'
  const [one, other] = await Promise.all([passwords.hash(decomposed), passwords.hash(decomposed)])
  expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect(one).not.toBe(other)
  expect(await verify(one, 'Caf\u00e9 au lait')).toBe(true)
  expect(await verify(one, 'Cafe au lait')).toBe(false)
})

test('a fingerprint is the same for the same text and salt, and for no other', async () => {
  const [one, same, otherText, otherSalt] = await Promise.all([
    passwords.fingerprint('text', 'salt'),
    passwords.fingerprint('text', 'salt'),
    passwords.fingerprint('texts', 'salt'),
    passwords.fingerprint('text', 'salts'),
  ])
  expect(one).toMatch(/^[0-9a-f]{64}$/)
  expect(same).toBe(one)
  expect(new Set([one, otherText, otherSalt]).size).toBe(3)
})

describe('the pool', () => {
  test('refuses beyond its bound, and does what it took', async () => {
    const asked = Array.from({ length: 7 }, (_, i) => passwords.hash(`password ${i}`))
    const settled = await Promise.allSettled(asked)
    expect(settled.map(({ status }) => status)).toEqual([
      ...Array(5).fill('fulfilled'),
      ...Array(2).fill('rejected'),
    ])
    const [refused] = settled.filter((one) => one.status === 'rejected')
    expect(refused?.reason).toBeInstanceOf(DirectoryError)
    expect(refused?.reason).toMatchObject({ code: 'unavailable' })
    expect(await passwords.hash('and again')).toMatch(/^\$argon2id/)
  })

  test('does not keep the event loop', async () => {
    const hashing = Promise.all(Array.from({ length: 4 }, (_, i) => passwords.hash(`password ${i}`)))
    let isDone = false
    hashing.finally(() => {
      isDone = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(isDone).toBe(false)
    await hashing
  })

  test.skipIf(process.platform !== 'linux')(
    'stands back behind everybody else, where threads have priorities of their own (Linux)',
    async () => {
      const lower = () =>
        readdirSync('/proc/self/task').filter((id) => getPriority(Number(id)) > getPriority())
      const own = createPasswords({ threads: 1 })
      onTestFinished(own.close)
      const before = lower()
      await own.hash('one')
      const [thread, ...more] = lower().filter((id) => !before.includes(id))
      expect([more, thread === String(process.pid)]).toEqual([[], false])
      expect(getPriority(Number(thread))).toBe(15)
    },
  )

  test('a closed one tells whoever waits', async () => {
    const own = createPasswords({ threads: 1 })
    onTestFinished(own.close)
    const asked = Promise.allSettled([own.hash('one'), own.hash('two')])
    await own.close()
    for (const one of await asked)
      expect(one).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } })
    await expect(own.hash('three')).rejects.toMatchObject({ code: 'unavailable' })
  })
})
