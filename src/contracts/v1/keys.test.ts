import { describe, expect, test } from 'vitest'
import { usePlatform } from '../../../test/platform.ts'

/** `/v1/keys`, for those who hold a key with the scope `admin`. */

const platform = usePlatform(['admin'])
const { call } = platform

interface Key {
  readonly id: string
  readonly secret: string
}

const asked = { name: 'the shop', scopes: ['read', 'write'] }
const names = ['id', 'name', 'scopes', 'created_at', 'expires_at', 'revoked_at', 'last_used_at']
const as = ({ secret }: Key) => ({ authorization: `Bearer ${secret}` })

test('a key is made, shown with its secret this once, works, is listed and is revoked', async () => {
  const made = await call('POST /v1/keys', { ...asked, expires_at: '2099-12-31' })
  const key = made.body as Key
  expect(made).toMatchObject({
    status: 201,
    headers: { location: `/v1/keys/${key.id}`, 'cache-control': 'no-store' },
  })
  expect(Object.keys(key)).toEqual([...names, 'secret'])
  expect(key).toMatchObject({
    ...asked,
    id: expect.stringMatching(/^key_/),
    expires_at: '2099-12-31T00:00:00Z',
    revoked_at: null,
  })
  const user = 'GET /v1/users/usr_123abc456def'
  expect(await platform.roster.call(user, undefined, as(key))).toMatchObject({ status: 200 })

  const { secret, ...shown } = key
  const listed = await call('GET /v1/keys')
  expect((listed.body as { data: Key[] }).data).toContainEqual({ ...shown, last_used_at: null })
  expect(listed.text).not.toContain(secret)

  expect(await call(`DELETE /v1/keys/${key.id}`)).toMatchObject({ status: 204, text: '' })
  expect(await platform.roster.call(user, undefined, as(key))).toMatchObject({
    status: 401,
    body: { error: 'unauthorized' },
  })
  expect(await call(`DELETE /v1/keys/${key.id}`)).toMatchObject({ status: 204 })
})

describe('is refused', () => {
  test.for(['GET /v1/keys', 'POST /v1/keys', 'DELETE /v1/keys/key_1'])(
    '%s without the scope admin: 403 that names it',
    async (line) => {
      const key = await platform.roster.keyWith('read', 'write')
      const answer = await platform.roster.call(line, line.startsWith('POST') ? '{"' : undefined, key)
      expect(answer.status).toBe(403)
      expect(answer.body).toEqual({
        error: 'forbidden',
        message: 'Insufficient permissions to manage keys',
        details: { permission: ['The scope admin is needed for this'] },
      })
      expect(answer.headers['www-authenticate']).toMatch(/scope="admin"/)
    },
  )

  test('a key that does not exist: 404', async () => {
    const answer = await call('DELETE /v1/keys/key_nobody')
    expect(answer).toMatchObject({ status: 404, body: { error: 'not_found', message: 'API key not found' } })
  })

  test.for<[about: string, body: unknown, culprits: string[]]>([
    ['nothing', {}, ['name', 'scopes']],
    ['no name', { ...asked, name: '' }, ['name']],
    ['an unknown scope', { ...asked, scopes: ['read', 'everything'] }, ['scopes']],
    ['no scope', { ...asked, scopes: [] }, ['scopes']],
    ['the past', { ...asked, expires_at: '2020-01-01' }, ['expires_at']],
    ['no time', { ...asked, expires_at: 'soon' }, ['expires_at']],
    ['an unknown property', { ...asked, secret: 'x' }, ['secret']],
    ['broken JSON', '{', ['body']],
  ])('%s: 400', async ([, body, culprits]) => {
    const rows = await platform.roster.everything()
    const answer = await call('POST /v1/keys', body)
    expect(answer.status).toBe(400)
    expect(Object.keys((answer.body as { details: object }).details)).toEqual(culprits)
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('a body of another type: 415', async () => {
    expect(await call('POST /v1/keys', '{}', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
  })
})

test('sent again with its Idempotency-Key it is 409 that names the key; the secret is not shown again', async () => {
  const own = { 'idempotency-key': 'a key for the shop' }
  const quoted = { 'idempotency-key': `"${own['idempotency-key']}"` }
  const answers = await Promise.all(Array.from({ length: 5 }, () => call('POST /v1/keys', asked, quoted)))
  const [made, ...more] = answers.filter(({ status }) => status === 201)
  expect(more).toEqual([])
  const key = made?.body as Key
  for (const answer of answers.filter((one) => one !== made)) expect(answer).toMatchObject({ status: 409 })
  const late = await call('POST /v1/keys', asked, quoted)
  expect(late).toMatchObject({
    status: 409,
    body: { error: 'conflict', message: expect.stringContaining(key.id) },
  })
  expect(late.text).not.toContain(key.secret)
  expect(await platform.roster.call('GET /v1/users', undefined, as(key))).toMatchObject({ status: 200 })
  for (const other of [
    { ...asked, name: 'another' },
    { ...asked, scopes: ['read'] },
    { ...asked, scopes: ['read', 'write', 'admin'] },
    { ...asked, expires_at: '2099-12-31' },
  ])
    expect(await call('POST /v1/keys', other, quoted)).toMatchObject({
      status: 422,
      body: { error: 'idempotency_mismatch' },
    })
})

test('dry run makes and revokes nothing', async () => {
  const rows = await platform.roster.everything()
  const made = await call('POST /v1/keys?dry_run=true', asked)
  expect(made).toMatchObject({ status: 200, body: { dry_run: true, status: 201, key: { name: 'the shop' } } })
  expect(made.text).not.toContain('rk_')
  const [first] = ((await call('GET /v1/keys')).body as { data: Key[] }).data
  expect(await call(`DELETE /v1/keys/${first?.id}?dry_run=true`)).toMatchObject({
    status: 200,
    body: { status: 204 },
  })
  expect(await call('DELETE /v1/keys/key_nobody?dry_run=true')).toMatchObject({ status: 404 })
  expect(await platform.roster.everything()).toEqual(rows)
})
