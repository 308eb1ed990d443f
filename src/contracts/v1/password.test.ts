import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../../test/app.ts'
import { authorize, client, createBrowser, password, person } from '../../../test/oauth.ts'
import { confirmationFailures } from '../../access/confirmation.ts'

/** PUT /v1/users/{user_id}/password. */

let roster: TestApp
let writer: { readonly authorization: string }
let admin: typeof writer
let shop: { readonly id: string; readonly secret: string }
let ann: Awaited<ReturnType<typeof person>>
beforeAll(async () => {
  roster = await startApp({ trustProxy: ['127.0.0.1'] })
  writer = await roster.keyWith('read', 'write')
  admin = await roster.keyWith('admin')
  shop = await client(roster, { scopes: ['read', 'write'], redirect_uris: [back] })
})
afterAll(() => roster.close())

const back = 'https://app.example.com/back'
const next = 'staple of the horse'

let addresses = 0
let from: { 'x-forwarded-for': string }
beforeEach(async () => {
  addresses++
  from = { 'x-forwarded-for': `192.0.2.${addresses}` }
  ann = await person(roster)
})

const put = (body: unknown, headers: object = writer, query = ''): Promise<Answer> =>
  roster.call(`PUT /v1/users/${ann.uid}/password${query}`, body, { ...from, ...headers })

const change = (current_password: string, new_password: string, headers?: object) =>
  put({ current_password, new_password }, headers)

/** Signs Ann in at the pages. */
async function signIn(word: string) {
  const browser = createBrowser(roster.url)
  const scope = 'read write'
  const query = new URLSearchParams({
    ...{ client_id: shop.id, redirect_uri: back, response_type: 'code', scope, state: 's' },
  })
  const answer = await authorize(browser, `/oauth/authorize?${query}`, { name: ann.name, password: word })
  return String(answer.searchParams.get('code'))
}

async function grant(form: Readonly<Record<string, string>>) {
  const authorization = `Basic ${btoa(`${shop.id}:${shop.secret}`)}`
  const body = new URLSearchParams(form)
  const answer = await fetch(`${roster.url}/oauth/token`, {
    method: 'POST',
    headers: { authorization },
    body,
  })
  return (await answer.json()) as { access_token?: string; refresh_token?: string; error?: string }
}

const tokens = async (word: string) =>
  grant({ grant_type: 'authorization_code', code: await signIn(word), redirect_uri: back })

const bearer = (token: string | undefined) => ({ authorization: `Bearer ${token}` })
const own = (token: string | undefined) => roster.call('GET /v1/user', undefined, bearer(token))

test('ends the tokens that were issued before, and the new password signs in', async () => {
  const before = await tokens(password)
  expect(await own(before.access_token)).toMatchObject({ status: 200, headers: { etag: '"1"' } })
  expect(await change(password, next, bearer(before.access_token))).toMatchObject({ status: 204, text: '' })
  await expect
    .poll(async () => (await own(before.access_token)).status, { timeout: 2_000, interval: 50 })
    .toBe(401)
  const refresh = await grant({ grant_type: 'refresh_token', refresh_token: String(before.refresh_token) })
  expect(refresh.error).toBe('invalid_grant')
  await expect(signIn(password)).rejects.toThrow('not sent back')
  const after = await tokens(next)
  expect(await own(after.access_token)).toMatchObject({ status: 200, headers: { etag: '"2"' } })
})

test('a person may not change that of another', async () => {
  const { access_token } = await tokens(password)
  ann = await person(roster)
  expect(await change(password, next, bearer(access_token))).toMatchObject({ status: 403 })
})

const details = (told: Record<string, string[]>) => ({ error: 'validation_error', details: told })
const wrong = { current_password: ['Current password is not the current password'] }

test('an administrator needs no current password, a key with write does; one that is sent has to be right', async () => {
  expect(await change('not it', next, admin)).toMatchObject({ status: 400, body: details(wrong) })
  expect(await change(password, next, admin)).toMatchObject({ status: 204 })
  expect(await put({ new_password: next }, admin)).toMatchObject({ status: 204 })
  expect(await put({ new_password: password })).toMatchObject({ status: 400 })
  expect(await change(next, password)).toMatchObject({ status: 204 })
})

test('neither answer nor log nor what else is kept tells a password', async () => {
  const secret = `secret ${randomUUID()}`
  const answer = await change(password, secret, { ...writer, 'idempotency-key': 'a-key' })
  expect(answer.status).toBe(204)
  expect(JSON.stringify(await roster.everything())).not.toContain(secret)
})

test.for<[about: string, body: unknown, told: Record<string, string[]>]>([
  [
    'nothing',
    {},
    {
      current_password: ['Current password is required'],
      new_password: ['New password is required'],
    },
  ],
  [
    'a short one',
    { current_password: password, new_password: '1234567' },
    {
      new_password: ['New password must be at least 8 characters'],
    },
  ],
  [
    'seven of two units',
    { current_password: password, new_password: '😀'.repeat(7) },
    {
      new_password: ['New password must be at least 8 characters'],
    },
  ],
  [
    'a long one',
    { current_password: password, new_password: 'a'.repeat(129) },
    {
      new_password: ['New password must be at most 128 characters'],
    },
  ],
  [
    'half a character',
    { current_password: password, new_password: 'password\ud800' },
    {
      new_password: ['New password must be well-formed Unicode, without lone surrogates'],
    },
  ],
  [
    'a number',
    { current_password: password, new_password: 12345678 },
    {
      new_password: ['New password must be a string'],
    },
  ],
  [
    'an object that is no text either',
    { current_password: { toString: 1 }, new_password: { toString: 1 } },
    {
      current_password: ['Current password must be a string'],
      new_password: ['New password must be a string'],
    },
  ],
  [
    'a common one',
    { current_password: password, new_password: 'PassWord1' },
    {
      new_password: ['New password must not be one of the most common passwords'],
    },
  ],
  [
    'a current one that is none',
    { current_password: null, new_password: next },
    {
      current_password: ['Current password must be a string'],
    },
  ],
  ['the wrong current one', { current_password: `${password} `, new_password: next }, wrong],
  ['an endless current one', { current_password: 'x'.repeat(100_000), new_password: next }, wrong],
  [
    'something else',
    { current_password: password, new_password: next, password: next },
    {
      password: ['Password is not known here; known are current_password, new_password'],
    },
  ],
  ['a list', [], { body: ['Body must be a JSON object'] }],
  [
    'one twice',
    `{"current_password":"${password}","new_password":"x","new_password":"${next}"}`,
    {
      body: ['Body must not name a property twice'],
    },
  ],
])('%s is 400', async ([, body, told]) => {
  const rows = await roster.everything()
  for (const query of ['', '?dry_run=true'])
    expect(await put(body, writer, query)).toMatchObject({ status: 400, body: details(told) })
  expect(await roster.everything()).toEqual(rows)
})

test('as a form it is 415, of nobody 404, without a key 401', async () => {
  const form = { ...writer, 'content-type': 'application/x-www-form-urlencoded' }
  expect(await put('new_password=x', form)).toMatchObject({ status: 415 })
  expect(await put({}, {})).toMatchObject({ status: 401 })
  ann = { ...ann, uid: 'usr_nobody123456' }
  expect(await change(password, next)).toMatchObject({ status: 404 })
})

test('holds to If-Match, whether it is done once or not', async () => {
  for (const more of [{}, { 'idempotency-key': 'another-key' }]) {
    const stale = { ...writer, ...more, 'if-match': '"7"' }
    expect(await change(password, next, stale)).toMatchObject({ status: 412 })
  }
  expect(await change(password, next, { ...writer, 'if-match': '"1"' })).toMatchObject({ status: 204 })
})

test('a dry run tells that it would be changed, and not from what to what', async () => {
  const rows = await roster.everything()
  const tried = await put({ current_password: password, new_password: next }, writer, '?dry_run=true')
  expect(tried).toMatchObject({ status: 200, body: { status: 204, changes: { password: { old: null } } } })
  expect(tried.text).not.toContain(next)
  expect(await roster.everything()).toEqual(rows)
})

test('of two who know the current one, at the same time, one changes it', async () => {
  const answers = await Promise.all([change(password, next), change(password, 'another horse')])
  expect(answers.map(({ status }) => status).toSorted()).toEqual([204, 400])
})

describe('wrong current passwords', () => {
  test('are counted for the user, wherever they come from', async () => {
    const { quota } = confirmationFailures.ofUser
    const tries = Array.from({ length: quota + 1 }, () => change('wrong password', next))
    const statuses = (await Promise.all(tries)).map(({ status }) => status)
    expect(statuses.toSorted()).toEqual([...Array(quota).fill(400), 429])
    const elsewhere = { ...writer, 'x-forwarded-for': '203.0.113.1' }
    const late = await change(password, next, elsewhere)
    expect(late).toMatchObject({ status: 429, headers: { 'retry-after': expect.any(String) } })
    expect(await put({ new_password: next }, admin)).toMatchObject({ status: 204 })
  })

  test('are not what right ones and repetitions are', async () => {
    const { quota } = confirmationFailures.ofUser
    const same = { ...writer, 'idempotency-key': `key-of-${ann.uid}` }
    expect(await change(password, next, same)).toMatchObject({ status: 204 })
    for (let n = 0; n <= quota; n++) {
      const again = await change(password, next, same)
      expect(again).toMatchObject({ status: 204, headers: { 'idempotency-replayed': 'true' } })
    }
    expect(await change(next, password)).toMatchObject({ status: 204 })
  })
})
