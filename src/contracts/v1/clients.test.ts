import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'

/** `/v1/clients`; what clients can do afterwards is in ../oauth/. */

let roster: TestApp
beforeAll(async () => {
  roster = await startApp()
})
afterAll(() => roster.close())

test('the answer with the secret is kept by no cache, and is given once', async () => {
  const admin = await roster.keyWith('admin')
  const asked = { name: 'the shop', scopes: ['read'], redirect_uris: ['https://shop.example.com/back'] }
  const own = { ...admin, 'idempotency-key': '"a client for the shop"' }
  const made = await roster.call('POST /v1/clients', asked, own)
  const { client_id, client_secret } = made.body as { client_id: string; client_secret: string }
  expect(made).toMatchObject({
    status: 201,
    headers: { location: `/v1/clients/${client_id}`, 'cache-control': 'no-store' },
  })
  const again = await roster.call('POST /v1/clients', asked, own)
  expect(again).toMatchObject({
    status: 409,
    body: { error: 'conflict', message: expect.stringContaining(client_id) },
  })
  expect(again.text).not.toContain(client_secret)
  for (const other of [
    { ...asked, name: 'another' },
    { ...asked, scopes: ['read', 'write'] },
    { ...asked, redirect_uris: ['https://shop.example.com/elsewhere'] },
  ])
    expect(await roster.call('POST /v1/clients', other, own)).toMatchObject({ status: 422 })
})
