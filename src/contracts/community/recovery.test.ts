import { beforeEach, describe, expect, test } from 'vitest'
import { password as first, useAccounts } from '../../../test/accounts.ts'
import { faultsOf, urlencoded } from '../../../test/community.ts'

/** POST /api/v2/account/recover/ and reset/. */

const accounts = useAccounts('forgetful')
const { post } = accounts
let roster: typeof accounts.roster
let id: number
let email: string
beforeEach(() => {
  roster = accounts.roster
  ;({ id, email } = accounts.account)
})

const next = 'Staple-of-the-horse-2'
const recover = (body: unknown, headers?: object) => post('recover', body, headers)
const reset = (body: unknown, headers?: object) => post('reset', body, headers)
const codeFor = (address: string) => accounts.codeFor(address, 'new-password')

test('a mailed code replaces the password once, ends what was issued, and signs in', async () => {
  const before = await roster.tokenOf(id, Date.now() - 5_000)
  expect(await recover({ email: email.toUpperCase() })).toMatchObject({ status: 204, text: '' })
  const validation_code = await codeFor(email)
  const answer = await reset({ validation_code, password: next })
  expect(answer).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
  const { token } = answer.body as { token: { access_token: string } }
  expect(Object.entries(token)).toEqual([
    ['access_token', expect.stringMatching(/^rt_[\w-]{43}$/)],
    ['expires_in', 3_600],
    ['token_type', 'Bearer'],
    ['refresh_token', null],
    ['client_id', null],
    ['scope', 'read write'],
  ])
  const own = { authorization: `Bearer ${token.access_token}` }
  expect(await roster.call('GET /api/v2/user/me/', undefined, own)).toMatchObject({
    status: 200,
    body: { id },
  })
  // It is the community's, and good nowhere else.
  expect(await roster.call('GET /v1/user', undefined, own)).toMatchObject({ status: 401 })
  await expect
    .poll(async () => (await roster.call('GET /api/v2/user/me/', undefined, before)).status, {
      timeout: 5_000,
    })
    .toBe(401)
  expect(faultsOf(await reset({ validation_code, password: first }))).toEqual(['validation_code: invalid'])
  // Known by its hash only, and gone with the next change of the password.
  expect(JSON.stringify(await roster.everything())).not.toContain(token.access_token)
  const change = { password: next, new_password: first }
  const path = `PATCH /api/v2/user/${id}/change_password/`
  expect(await roster.call(path, change, own)).toMatchObject({ status: 204 })
  await expect
    .poll(async () => (await roster.call('GET /api/v2/user/me/', undefined, own)).status, { timeout: 5_000 })
    .toBe(401)
})

test('nobody is told whether somebody has an address', async () => {
  const known = await recover({ email })
  const unknown = await recover({ email: `nobody-${email}` })
  const namesOf = ({ headers }: typeof known) => Object.keys(headers).toSorted()
  expect([unknown.status, unknown.text, namesOf(unknown)]).toEqual([known.status, known.text, namesOf(known)])
  await codeFor(email)
  expect(accounts.mail.received.some(({ to }) => to.includes(`nobody-${email}`))).toBe(false)
})

test('a weak password is refused, and the code stays good', async () => {
  await recover(`email=${encodeURIComponent(email)}`, urlencoded)
  const validation_code = await codeFor(email)
  for (const [password, code] of [
    ['Short-1', 'min_length'],
    [`Aa-1${'x'.repeat(125)}`, 'max_length'],
    ['only small letters', 'invalid'],
    ['Passw0rd', 'invalid'],
  ])
    expect(faultsOf(await reset({ validation_code, password }))).toEqual([`password: ${code}`])
  const form = new URLSearchParams({ validation_code, password: next }).toString()
  expect(await reset(form, urlencoded)).toMatchObject({ status: 200 })
})

describe('bad input', () => {
  test.for<[what: string, body: unknown, faults: readonly string[]]>([
    ['recover', '', ['email: required']],
    ['recover', { email: '' }, ['email: required']],
    ['recover', { email: 7 }, ['email: invalid']],
    ['recover', { email: 'nobody' }, ['email: invalid']],
    ['recover', { email: ['a@example.org'] }, ['email: invalid']],
    ['reset', {}, ['validation_code: required', 'password: required']],
    ['reset', { validation_code: 'x', password: next }, ['validation_code: invalid']],
    ['reset', { validation_code: 'x', password: 'short' }, ['validation_code: invalid']],
    ['reset', { validation_code: 'x'.repeat(100_000), password: next }, ['validation_code: invalid']],
    ['reset', { validation_code: 'a\0b', password: next }, ['validation_code: invalid']],
  ])('%s of %j is 400', async ([what, body, faults]) => {
    const answer = await post(what, body)
    expect([answer.status, faultsOf(answer)]).toEqual([400, faults])
  })

  test('another type is 415, another method 405', async () => {
    for (const what of ['recover', 'reset']) {
      expect(await post(what, 'x', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
      expect(await roster.call(`GET /api/v2/account/${what}/`)).toMatchObject({ status: 405 })
    }
  })
})

test('too many requests, and too many guesses, have to wait', async () => {
  for (let n = 0; n < 5; n++) expect(await recover({ email })).toMatchObject({ status: 204 })
  const late = await recover({ email })
  expect([late.status, faultsOf(late)]).toEqual([429, ['non_field_errors: throttled']])
  const guesses = Array.from({ length: 40 }, (_, n) =>
    reset({ validation_code: `guess-${n}`, password: next }),
  )
  expect((await Promise.all(guesses)).filter(({ status }) => status === 429)).toHaveLength(10)
})
