import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Community, faultsOf, formData, startCommunity, urlencoded } from '../../../test/community.ts'
import { confirmationFailures } from '../../access/confirmation.ts'

/** PATCH /api/v2/user/{id}/change_password/. */

let roster: Community
let admin: { readonly authorization: string }
beforeAll(async () => {
  roster = await startCommunity({ trustProxy: ['127.0.0.1'] })
  admin = await roster.keyWith('admin')
})
afterAll(() => roster.close())

const password = 'Correct-horse-1'
const next = 'Staple-of-the-horse-2'
let made = 0
let id: number
let from: { 'x-forwarded-for': string }
beforeEach(async () => {
  const username = `owner-${++made}`
  from = { 'x-forwarded-for': `192.0.2.${made}` }
  const account = { username, email: `${username}@example.org`, password }
  const { body } = await roster.call('POST /api/v2/account/create/', account, admin)
  id = (body as { id: number }).id
})

const path = (of: number | string = id) => `PATCH /api/v2/user/${of}/change_password/`
const change = (body: unknown, headers: object = {}) =>
  roster.as(id, path(), body, { ...from, ...headers } as Record<string, string>)

test('needs the current one, and ends what was issued before', async () => {
  const token = await roster.tokenOf(id, Date.now() - 5_000)
  const version = (await roster.store.get(id))?.version
  const answer = await change({ password, new_password: next, other: 1 })
  expect(answer).toMatchObject({ status: 204, text: '', headers: { 'roster-ignored': 'other' } })
  expect((await roster.store.get(id))?.version).toBe(Number(version) + 1)
  await expect
    .poll(async () => (await roster.call('GET /api/v2/user/me/', undefined, token)).status, {
      timeout: 5_000,
    })
    .toBe(401)
  expect(faultsOf(await change({ password, new_password: 'Another-horse-3' }))).toEqual(['password: invalid'])
  expect(await change({ password: next, new_password: password })).toMatchObject({ status: 204 })
})

test('comes in a form of either kind', async () => {
  const form = new URLSearchParams({ password, new_password: next }).toString()
  expect(await change(form, urlencoded)).toMatchObject({ status: 204 })
  const { body, headers } = formData({ password: next, new_password: password })
  expect(await change(body, headers)).toMatchObject({ status: 204 })
})

test.for<[about: string, body: unknown, faults: readonly string[]]>([
  ['nothing', '', ['password: required', 'new_password: required']],
  [
    'nothing but names',
    { password: '', new_password: null },
    ['password: required', 'new_password: required'],
  ],
  ['a wrong current one', { password: 'Wrong-1234', new_password: next }, ['password: invalid']],
  ['an endless current one', { password: 'x'.repeat(100_000), new_password: next }, ['password: invalid']],
  ['a current one that is none', { password: 7, new_password: next }, ['password: invalid']],
  ['a short one', { password, new_password: 'Short-1' }, ['new_password: min_length']],
  ['a long one', { password, new_password: `Aa-1${'x'.repeat(125)}` }, ['new_password: max_length']],
  ['a plain one', { password, new_password: 'only small letters' }, ['new_password: invalid']],
  ['a common one', { password, new_password: 'Passw0rd' }, ['new_password: invalid']],
  ['half a character', { password, new_password: 'Pass-1234\ud800' }, ['new_password: invalid']],
  ['a list', { password, new_password: [next] }, ['new_password: invalid']],
])('%s is 400, and nothing changes', async ([, body, faults]) => {
  const before = await roster.everything()
  const answer = await change(body)
  expect([answer.status, faultsOf(answer)]).toEqual([400, faults])
  expect(await roster.everything()).toEqual(before)
})

test('is one’s own: 401 for nobody, 404 for who is not there, 403 for anybody else', async () => {
  const before = await roster.everything()
  const body = { password, new_password: next }
  expect(await roster.call(path(), body)).toMatchObject({ status: 401 })
  expect(await roster.as(4, path(), body)).toMatchObject({ status: 403 })
  expect(await roster.as(4, path(999), body)).toMatchObject({ status: 404 })
  expect(await roster.call(path(), body, admin)).toMatchObject({ status: 403 })
  expect(await roster.as(4, path(), '{"broken')).toMatchObject({ status: 403 })
  expect(await roster.everything()).toEqual(before)
  await roster.setStatus(id, 'blocked')
  expect(await change(body)).toMatchObject({ status: 403 })
})

test('holds to If-Match', async () => {
  const body = { password, new_password: next }
  expect(await change(body, { 'if-match': '"7"' })).toMatchObject({ status: 412 })
  expect(await change(body, { 'if-match': '"1"' })).toMatchObject({ status: 204 })
})

describe('too many wrong ones', () => {
  test('are 429 in the contract’s shape, wherever they come from', async () => {
    const wrong = { password: 'Wrong-1234', new_password: next }
    const tries = Array.from({ length: confirmationFailures.ofUser.quota }, () => change(wrong))
    for (const { status } of await Promise.all(tries)) expect(status).toBe(400)
    const late = await change({ password, new_password: next }, { 'x-forwarded-for': '203.0.113.1' })
    expect([late.status, faultsOf(late)]).toEqual([429, ['non_field_errors: throttled']])
    expect(late.headers).toHaveProperty('retry-after')
  })
})
