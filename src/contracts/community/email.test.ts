import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Community, faultsOf, formData, startCommunity, urlencoded } from '../../../test/community.ts'
import { person, signedIn } from '../../../test/oauth.ts'
import { type Postbox, startPostbox } from '../../../test/postbox.ts'
import { emailLimits } from '../../access/email-limits.ts'

/** One's own address: change_email, confirm_email and check_email_token. */

let postbox: Postbox
let roster: Community
beforeAll(async () => {
  postbox = await startPostbox()
  roster = await startCommunity(postbox.settings)
})
afterAll(async () => {
  await roster.close()
  await postbox.close()
})

let made = 0
const address = () => `new-${++made}@mail.example`
const at = (id: number, step: string) => `/api/v2/user/${id}/${step}/`
const emailOf = async (id: number) => (await roster.store.get(id))?.email
const change = (id: number, body: unknown, headers = {}) =>
  roster.as(id, `PATCH ${at(id, 'change_email')}`, body, headers)
const confirm = (id: number, new_email: string, validation_code: string) =>
  roster.call(`POST ${at(id, 'confirm_email')}`, { new_email, validation_code })
const check = async (id: number, query: string) =>
  (await roster.call(`GET ${at(id, 'check_email_token')}?${query}`)).body

async function codeFor(id: number, email: string): Promise<string> {
  const { status, body } = await change(id, { new_email: email, confirm: true })
  expect(status).toBe(200)
  return (body as { validation_code: string }).validation_code
}

describe('for whom the backend speaks', () => {
  test('answers with the code, which is good once, for this person and address, and checks as what it is', async () => {
    const [id, other] = [await roster.newPerson(), await roster.newPerson()]
    const [email, old] = [address(), await emailOf(id)]
    const answer = await change(id, { new_email: email, confirm: true })
    expect(answer).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
    expect(answer.body).toEqual({ validation_code: expect.stringMatching(/^emc_/) })
    const code = (answer.body as { validation_code: string }).validation_code
    expect(await emailOf(id)).toBe(old)
    expect(await check(id, `token=${code}`)).toEqual({ is_valid: true })
    expect(await check(id, `email_token=${code}`)).toEqual({ is_valid: true })
    expect(await check(other, `token=${code}`)).toEqual({ is_valid: false })
    for (const wrong of [
      await confirm(other, email, code),
      await confirm(id, address(), code),
      await confirm(id, email, `${code}x`),
      await confirm(999_999, email, code),
    ])
      expect([wrong.status, faultsOf(wrong)]).toEqual([400, ['validation_code: invalid']])
    const body = { new_email: email, validation_code: code, confirm: '1' }
    expect(await roster.call(`POST ${at(id, 'confirm_email')}`, body)).toMatchObject({
      status: 204,
      text: '',
    })
    expect(await roster.store.get(id)).toMatchObject({ email, email_verified: true })
    expect(await check(id, `token=${code}`)).toEqual({ is_valid: false })
    expect((await confirm(id, email, code)).status).toBe(400)
    expect(postbox.unread(email)).toEqual([])
  })

  test.each([
    ['JSON', (fields: Record<string, string>) => ({ body: fields, headers: {} })],
    [
      'a form',
      (fields: Record<string, string>) => ({
        ...{ body: new URLSearchParams(fields).toString(), headers: urlencoded },
      }),
    ],
    ['a form in parts', (fields: Record<string, string>) => formData(fields)],
  ] as const)('reads %s', async (_type, make) => {
    const id = await roster.newPerson()
    const email = address()
    const asked = make({ new_email: email, confirm: '1', shoe_size: '43' })
    const { status, headers, body } = await change(id, asked.body, asked.headers)
    expect([status, headers['roster-ignored']]).toEqual([200, 'shoe_size'])
    const { validation_code } = body as { validation_code: string }
    const confirmed = make({ new_email: email, validation_code })
    const answer = await roster.call(`POST ${at(id, 'confirm_email')}`, confirmed.body, confirmed.headers)
    expect([answer.status, await emailOf(id)]).toEqual([204, email])
  })

  test('mails the code where it is not asked for, and besides where that is', async () => {
    const id = await roster.newPerson()
    const [one, two] = [address(), address()]
    expect(await change(id, { new_email: one })).toMatchObject({ status: 204, text: '' })
    const code = await postbox.token(one)
    expect((await confirm(id, one, code)).status).toBe(204)
    const answer = await change(id, { new_email: two, confirm: true, send_email: 1 })
    expect(answer.body).toEqual({ validation_code: await postbox.token(two) })
  })

  test('tells of a taken address to whoever has the code alone', async () => {
    const [id, other] = [await roster.newPerson(), await roster.newPerson()]
    const taken = String(await emailOf(other))
    const code = await codeFor(id, taken.toUpperCase())
    const answer = await confirm(id, taken, code)
    expect([answer.status, faultsOf(answer)]).toEqual([400, ['new_email: invalid']])
    expect(await emailOf(other)).toBe(taken)
  })

  test.each([
    ['no address', { new_email: 'x', confirm: true }, ['new_email: invalid']],
    ['an empty address', { new_email: '' }, ['new_email: required']],
    ['none', { confirm: true }, ['new_email: required']],
    ['a list', { new_email: ['a@b.example'] }, ['new_email: invalid']],
    ['neither yes nor no', { new_email: 'a@b.example', confirm: 'perhaps' }, ['confirm: invalid']],
  ] as const)('is told what is wrong with %s', async (_name, body, faults) => {
    const id = await roster.newPerson()
    const rows = await roster.everything()
    const answer = await change(id, body)
    expect([answer.status, faultsOf(answer)]).toEqual([400, faults])
    expect(await roster.everything()).toEqual(rows)
  })
})

test('a confirmation that is not the last that is needed is told as such', async () => {
  const both = await startCommunity({ ...postbox.settings, emailChange: 'confirm-both' })
  try {
    const id = await both.newPerson({ email: address() })
    const [old, email] = [String((await both.store.get(id))?.email), address()]
    const asked = await both.as(id, `PATCH ${at(id, 'change_email')}`, { new_email: email, confirm: true })
    const { validation_code } = asked.body as { validation_code: string }
    const send = (code: string) =>
      both.call(`POST ${at(id, 'confirm_email')}`, { new_email: email, validation_code: code })
    expect(await send(validation_code)).toMatchObject({
      ...{ status: 204, headers: { 'roster-pending': 'email' } },
    })
    expect((await both.store.get(id))?.email).toBe(old)
    const last = await send(await postbox.token(old))
    expect([last.status, last.headers['roster-pending']]).toEqual([204, undefined])
    expect((await both.store.get(id))?.email).toBe(email)
  } finally {
    await both.close()
  }
})

describe('others', () => {
  test('are mailed the code, whatever they ask, alike for a taken address', async () => {
    const who = await person(roster)
    const id = Number((await roster.store.find({ kind: 'uid', key: who.uid }))?.id)
    const token = await signedIn(roster, who)
    const taken = String(await emailOf(await roster.newPerson()))
    for (const email of [taken, address()]) {
      const body = { new_email: email, confirm: true, send_email: 0 }
      const answer = await roster.call(`PATCH ${at(id, 'change_email')}`, body, token)
      expect(answer).toMatchObject({ status: 204, text: '' })
      expect(await check(id, `token=${await postbox.token(email)}`)).toEqual({ is_valid: true })
    }
  })

  test('change nobody’s address but their own', async () => {
    const [id, other] = [await roster.newPerson(), await roster.newPerson()]
    const line = `PATCH ${at(id, 'change_email')}`
    const body = { new_email: address(), confirm: true }
    expect((await roster.call(line, body)).status).toBe(401)
    expect((await roster.as(other, line, body)).status).toBe(403)
    expect((await roster.call(line, body, await roster.keyWith('read', 'write'))).status).toBe(403)
    expect((await roster.as(id, `PATCH ${at(999_999, 'change_email')}`, body)).status).toBe(404)
    await roster.setStatus(id, 'blocked')
    expect((await roster.as(id, line, body)).status).toBe(403)
  })

  test('are told what a confirmation and a check need', async () => {
    const id = await roster.newPerson()
    const nothing = await roster.call(`POST ${at(id, 'confirm_email')}`, '')
    expect([nothing.status, faultsOf(nothing)]).toEqual([
      400,
      ['new_email: required', 'validation_code: required'],
    ])
    for (let n = 0; n < emailLimits.ofTokens.quota; n++)
      expect((await roster.call(`POST ${at(id, 'confirm_email')}`, '')).status).toBe(400)
    for (const query of ['', 'token=', 'token=a&email_token=b', 'token=a&token=b'])
      expect((await roster.call(`GET ${at(id, 'check_email_token')}?${query}`)).status, query).toBe(400)
  })

  test('who guess are told to wait, and then no code is looked at', async () => {
    const guessed = await startCommunity(postbox.settings)
    try {
      const id = await guessed.newPerson()
      const email = address()
      const { body } = await guessed.as(id, `PATCH ${at(id, 'change_email')}`, {
        new_email: email,
        confirm: true,
      })
      const { validation_code } = body as { validation_code: string }
      const send = (code: string) =>
        guessed.call(`POST ${at(id, 'confirm_email')}`, { new_email: email, validation_code: code })
      const { quota } = emailLimits.ofTokens
      for (let n = 1; n < quota; n++) expect((await send(`${validation_code}${n}`)).status).toBe(400)
      // Many wrong ones keep nobody from the right one before the caller's own are too many.
      expect((await send(validation_code)).status).toBe(204)
      expect((await send(validation_code)).status).toBe(400)
      const refused = await send(validation_code)
      expect([refused.status, faultsOf(refused)]).toEqual([429, ['non_field_errors: throttled']])
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
      expect((await guessed.store.get(id))?.email).toBe(email)
    } finally {
      await guessed.close()
    }
  })
})
