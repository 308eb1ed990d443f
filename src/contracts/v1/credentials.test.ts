import { describe, expect, test, vi } from 'vitest'
import type { Answer } from '../../../test/app.ts'
import { usePlatform } from '../../../test/platform.ts'
import { unavailable } from '../../directory/errors.ts'
import { receiptLife } from '../../directory/receipt.ts'

/** Keys and clients are made and revoked once, as every other write of the contract is carried out once. */

const platform = usePlatform(['read', 'write', 'admin'])
const { call } = platform

const asked = { name: 'the shop', scopes: ['read'] }
let keys = 0
const once = () => ({ 'idempotency-key': `"credentials ${++keys}"` })

/** Its id, from the answer that made it. */
const idIn = ({ headers }: Answer) => String(headers.location).split('/').at(-1) ?? ''

describe.for(['keys', 'clients'])('/v1/%s', (things) => {
  const made = async (own: object = {}) => {
    const answer = await call(`POST /v1/${things}`, asked, own)
    expect(answer).toMatchObject({ status: 201 })
    return idIn(answer)
  }

  test('one that was made is not made again, and the repetition names it: 409', async () => {
    const own = once()
    const id = await made(own)
    const rows = await platform.roster.everything()
    const again = await call(`POST /v1/${things}`, asked, own)
    expect(again).toMatchObject({ status: 409, body: { error: 'conflict' } })
    expect(again.text).toContain(id)
    expect(again.text).not.toMatch(/rk_|rcs_/)
    for (const other of [{ ...asked, name: 'another' }, { ...asked, scopes: ['write'] }, {}, '{'])
      expect(await call(`POST /v1/${things}`, other, own)).toMatchObject({ status: 422 })
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('a request that ended before anything was made goes on when it is repeated, once', async () => {
    const own = once()
    const { keys, documents } = platform.roster.store
    const failed = things === 'keys' ? vi.spyOn(keys, 'add') : vi.spyOn(documents, 'put')
    failed.mockRejectedValueOnce(unavailable('The store can not write now'))
    expect(await call(`POST /v1/${things}`, asked, own)).toMatchObject({ status: 503 })
    expect(await call(`POST /v1/${things}`, { ...asked, name: 'another' }, own)).toMatchObject({
      status: 422,
    })
    const id = await made(own)
    const again = await call(`POST /v1/${things}`, asked, own)
    expect(again).toMatchObject({ status: 409 })
    expect(again.text).toContain(id)
  })

  test('what is refused uses no key up', async () => {
    const own = once()
    expect(await call(`POST /v1/${things}`, { name: '' }, own)).toMatchObject({ status: 400 })
    await made(own)
    const other = once()
    expect(await call(`DELETE /v1/${things}/none`, undefined, other)).toMatchObject({ status: 404 })
    expect(await call(`DELETE /v1/${things}/${await made()}`, undefined, other)).toMatchObject({
      status: 204,
    })
  })

  test('revoking is told again, and its key is good for nothing else', async () => {
    const [id, another] = [await made(), await made()]
    const own = once()
    const first = await call(`DELETE /v1/${things}/${id}`, undefined, own)
    expect(first).toMatchObject({ status: 204 })
    expect(first.headers['idempotency-replayed']).toBeUndefined()
    const rows = await platform.roster.everything()
    expect(await call(`DELETE /v1/${things}/${id}`, undefined, own)).toMatchObject({
      status: 204,
      headers: { 'idempotency-replayed': 'true' },
    })
    for (const [line, body] of [
      [`DELETE /v1/${things}/${another}`],
      [`DELETE /v1/${things}/none`],
      [`POST /v1/${things}`, asked],
      ['PATCH /v1/users/usr_123abc456def', { first_name: 'Bo' }],
      ['POST /v1/users/batch', { operations: [{ op: 'update', id: 'usr_123abc456def', data: {} }] }],
      ['PATCH /v1/users/usr_123abc456def/counters', { reputation: { increment: 1 } }],
    ] as const)
      expect(await call(line, body, own)).toMatchObject({
        status: 422,
        body: { error: 'idempotency_mismatch' },
      })
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('the key of a write about users makes and revokes none', async () => {
    const id = await made()
    const own = once()
    expect(await call('PATCH /v1/users/usr_123abc456def', {}, own)).toMatchObject({ status: 200 })
    const rows = await platform.roster.everything()
    expect(await call(`POST /v1/${things}`, asked, own)).toMatchObject({ status: 422 })
    expect(await call(`DELETE /v1/${things}/${id}`, undefined, own)).toMatchObject({ status: 422 })
    expect(await platform.roster.everything()).toEqual(rows)
  })

  test('the key is not asked before who may ask', async () => {
    const own = once()
    await made(own)
    const writer = await platform.roster.keyWith('write')
    expect(await platform.roster.call(`POST /v1/${things}`, asked, { ...writer, ...own })).toMatchObject({
      status: 403,
    })
  })

  test('a dry run uses no key up', async () => {
    const own = once()
    expect(await call(`POST /v1/${things}?dry_run=true`, asked, own)).toMatchObject({ status: 200 })
    const id = await made(own)
    const other = once()
    expect(await call(`DELETE /v1/${things}/${id}?dry_run=true`, undefined, other)).toMatchObject({
      status: 200,
    })
    const done = await call(`DELETE /v1/${things}/${id}`, undefined, other)
    expect(done).toMatchObject({ status: 204 })
    expect(done.headers['idempotency-replayed']).toBeUndefined()
  })

  test('after a day the key is as new', async () => {
    const own = once()
    const id = await made(own)
    while ((await platform.roster.store.expire(Date.now() + receiptLife)) > 0);
    expect(await made(own)).not.toBe(id)
  })
})
