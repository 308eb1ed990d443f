import { beforeEach, describe, expect, test } from 'vitest'
import { useAccounts } from '../../../test/accounts.ts'
import { faultsOf, urlencoded } from '../../../test/community.ts'
import { parseMail } from '../../../test/mail.ts'

/** POST /api/v2/account/verify/ and verify/validation_code/. */

const accounts = useAccounts('newcomer')
const { post, codeFor } = accounts
let roster: typeof accounts.roster
let id: number
let email: string
let validation_code: string
beforeEach(async () => {
  roster = accounts.roster
  ;({ id, email } = accounts.account)
  validation_code = await codeFor(email)
})

const verify = (body: unknown, headers?: object) => post('verify', body, headers)
const check = (body: unknown, headers?: object) => post('verify/validation_code', body, headers)
const me = async () => (await roster.as(id, 'GET /api/v2/user/me/')).body

test('a code that was mailed confirms the address, once, and signs in', async () => {
  expect(await me()).toMatchObject({ email, email_isvalid: null })
  const answer = await verify({ validation_code, next: '/' })
  expect(answer).toMatchObject({
    status: 200,
    headers: { 'cache-control': 'no-store', 'roster-ignored': 'next' },
    body: { token: { expires_in: 3_600, token_type: 'Bearer', scope: 'read write' } },
  })
  const { token } = answer.body as { token: { access_token: string } }
  const headers = { authorization: `Bearer ${token.access_token}` }
  const own = await roster.call('GET /api/v2/user/me/', undefined, headers)
  expect(own).toMatchObject({ status: 200, body: { id, email, email_isvalid: true } })
  expect(await verify({ validation_code })).toMatchObject({ status: 400 })
  expect(await check({ validation_code })).toMatchObject({ status: 200, body: { is_valid: false } })
})

test('the mail tells its reader what it is about, and its page confirms too', async () => {
  const { text } = parseMail(accounts.mail.received.findLast(({ to }) => to.includes(email))?.raw ?? '')
  expect(text).toContain(`/email/confirm?token=${validation_code}`)
  const page = await fetch(`${roster.url}/email/confirm?token=${validation_code}`)
  expect([page.status, (await page.text()).includes(email)]).toEqual([200, true])
  const body = new URLSearchParams({ token: validation_code })
  expect((await fetch(`${roster.url}/email/confirm`, { method: 'POST', body })).status).toBe(200)
  expect(await me()).toMatchObject({ email, email_isvalid: true })
})

test('looking whether a code is good leaves it so', async () => {
  const form = new URLSearchParams({ validation_code }).toString()
  for (const body of [{ validation_code }, { validation_code }])
    expect(await check(body)).toMatchObject({ status: 200, text: '{"is_valid":true}' })
  expect(await check(form, urlencoded)).toMatchObject({ body: { is_valid: true } })
  for (const other of ['x', `${validation_code}x`, 'emc_000000000000.xxxxxxxxxxxxxxxxxxxxxxxx'])
    expect(await check({ validation_code: other })).toMatchObject({ body: { is_valid: false } })
})

test('of many who use it at once, one does', async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, () => verify({ validation_code })))
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400, 400, 400, 400])
})

test('is for the address that the account has, and for nobody who is blocked', async () => {
  await roster.setStatus(id, 'blocked')
  expect((await verify({ validation_code })).status).toBeGreaterThanOrEqual(400)
  await roster.setStatus(id, 'active')
  await roster.call(`PATCH /users/${id}`, { email: `other-${email}` }, await roster.keyWith('read', 'write'))
  expect(faultsOf(await verify({ validation_code }))).toEqual(['validation_code: invalid'])
})

// Who reads an address that is to be somebody's is perhaps a stranger, and is not let in as them.
test('codes of other mails let nobody in', async () => {
  await verify({ validation_code })
  const new_email = `next-${email}`
  await roster.as(id, `PATCH /api/v2/user/${id}/change_email/`, { new_email }, accounts.account.from)
  const code = await codeFor(new_email)
  expect(await check({ validation_code: code })).toMatchObject({ body: { is_valid: false } })
  expect(faultsOf(await verify({ validation_code: code }))).toEqual(['validation_code: invalid'])
  expect(await me()).toMatchObject({ email })
})

describe('bad input', () => {
  test.for(['verify', 'verify/validation_code'])('%s needs a code', async (what) => {
    for (const body of ['', {}, { validation_code: '' }, { validation_code: null }])
      expect(faultsOf(await post(what, body))).toEqual(['validation_code: required'])
    for (const body of [{ validation_code: 7 }, { validation_code: [validation_code] }])
      expect(faultsOf(await post(what, body))).toEqual(['validation_code: invalid'])
    expect(await post(what, 'x', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
    expect(await roster.call(`GET /api/v2/account/${what}/`)).toMatchObject({ status: 405 })
  })

  test('guesses have to wait', async () => {
    const guesses = Array.from({ length: 32 }, (_, n) => verify({ validation_code: `guess-${n}` }))
    expect((await Promise.all(guesses)).filter(({ status }) => status === 429)).toHaveLength(2)
    expect(await verify({ validation_code })).toMatchObject({ status: 429 })
  })
})
