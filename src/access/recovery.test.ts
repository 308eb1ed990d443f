import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createDirectory, type Directory } from '../directory/directory.ts'
import { DirectoryError } from '../directory/errors.ts'
import type { Store } from '../directory/store.ts'
import { openSqlite } from '../store/sqlite/store.ts'
import { hashOf } from './authenticate.ts'
import { createPasswords, type Passwords } from './passwords.ts'
import { createRecovery, type Recovery, recoveryLimits } from './recovery.ts'
import { countInMemory, type Rate } from './windows.ts'

const rules = { roles: ['user', 'admin'] }
const contract = 'oauth'
const shop = {
  actor: { kind: 'key', id: 'shop', scopes: ['read', 'write', 'admin'], contract },
  requestId: 'r',
} as const
const ip = '192.0.2.1'
const hour = 3_600_000

let folder: string
let store: Store
let directory: Directory
let passwords: Passwords
let recovery: Recovery
let clock: number
let woken: number

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'roster-recovery-'))
  store = await openSqlite({ folder, rules, onFatal: () => {} })
  clock = Date.UTC(2026, 0, 1)
  let made = 0
  const newChangeId = () => `change-${++made}`
  const newUid = () => `usr_${String(++made).padStart(16, '0')}`
  directory = createDirectory({ store, rules, now: () => clock, newChangeId, newUid })
  passwords = createPasswords({ threads: 1 })
})

afterAll(async () => {
  await passwords.close()
  await store.close()
  await rm(folder, { recursive: true })
})

/** Somebody's, for each test. */
let ann: string
let annIs = 0
beforeEach(async () => {
  ann = `ann${++annIs}@example.com`
  woken = 0
  const now = () => clock
  const counting = (_name: string, rate: Rate) => countInMemory(rate, now)
  recovery = createRecovery({ store, directory, passwords, counting, now, onMail: () => woken++ })
  await mails()
})

const create = async (email: string) => (await directory.create(shop, { patch: { email } })).user.id

/** What waits to be sent, taken off the queue. */
async function mails() {
  const taken = await store.outbox.take({ at: clock, until: clock + 1, most: 100 })
  for (const { id } of taken) await store.outbox.remove(id)
  return taken
}

/** A link, as it goes into the mail. */
async function linkTo(address: string): Promise<string> {
  await recovery.request(address, ip)
  const [mail] = await mails()
  const link = mail && (await recovery.linkFor(mail))
  if (link === undefined) throw new Error('nobody would be written to')
  return link.token
}

const reset = (token: string, password = 'a new password', fault?: string) =>
  recovery.reset({ token, password, fault, ip, requestId: 'r', contract })

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => (error instanceof DirectoryError ? error.code : `${error}`),
  )
}

describe('a forgotten password', () => {
  test('is replaced by a link that is good once, which ends what was issued before', async () => {
    const id = await create(ann)
    const token = await linkTo(ann)
    expect(woken).toBe(1)
    expect(await recovery.addressOf(token)).toBe(ann)
    clock += 5
    expect(await reset(token)).toMatchObject({ id, version: 2 })
    const known = await store.credentials(id)
    expect(known?.tokensValidFrom).toBe(clock)
    expect(await passwords.verify('a new password', known?.password ?? null)).toBe(true)
    expect(await mails()).toMatchObject([{ kind: 'password_changed', to: ann, userId: id }])
    expect(await recovery.addressOf(token)).toBeUndefined()
    expect(await codeOf(reset(token, 'another password'))).toBe('not_found')
  })

  test.for([60_000, -60_000])(
    'is replaced once where the link is made by a node whose clock is %d ms off',
    async (off) => {
      const id = await create(ann)
      await directory.setPassword(shop, { id, password: 'x' })
      await mails()
      await recovery.request(ann, ip)
      const [mail] = await mails()
      const now = () => clock + off
      const counting = (_name: string, rate: Rate) => countInMemory(rate, now)
      const elsewhere = createRecovery({ store, directory, passwords, counting, now, onMail: () => {} })
      const token = (mail && (await elsewhere.linkFor(mail)))?.token ?? ''
      const codes: string[] = []
      for (let n = 0; n < 3; n++) codes.push(await codeOf(reset(token, `password ${n}`)))
      expect(codes).toEqual(['done', 'not_found', 'not_found'])
    },
  )

  test('shows that the address is theirs, when it is replaced by a link', async () => {
    const id = await create(ann)
    expect(await store.get(id)).toMatchObject({ email_verified: null })
    const token = await linkTo(ann)
    expect(await codeOf(reset(token, 'short', 'is short'))).toBe('invalid')
    expect(await store.get(id)).toMatchObject({ email_verified: null })
    const user = await reset(token)
    expect(user).toMatchObject({ email: ann, email_verified: true, version: 2 })
    expect(await store.get(id)).toEqual(user)
    await directory.setPassword(shop, { id, password: 'x' })
    expect(await store.get(id)).toMatchObject({ email_verified: true, version: 3 })
  })

  test('is replaced once by many who have the link at one moment', async () => {
    const id = await create(ann)
    const token = await linkTo(ann)
    clock += 5
    const codes = await Promise.all(
      Array.from({ length: 8 }, (_, n) => codeOf(reset(token, `password ${n}`))),
    )
    expect(codes.toSorted()).toEqual(['done', ...Array(7).fill('not_found')])
    expect(await store.get(id)).toMatchObject({ version: 2 })
  })

  test('is asked for alike, whoever has the address', async () => {
    await create(ann)
    for (const address of [ann, 'nobody@example.com']) {
      await recovery.request(address, ip)
      const [mail, ...others] = await mails()
      expect(others).toEqual([])
      expect(mail).toMatchObject({ kind: 'recover_password', to: address, userId: null, values: {} })
      expect((await recovery.linkFor({ to: address })) !== undefined).toBe(address === ann)
    }
  })

  test('is mailed to the address in the record, however it is spelt in the request', async () => {
    await create('Ann@Exämple.com')
    await recovery.request('ANN@xn--exmple-cua.com', ip)
    const [mail] = await mails()
    expect((await recovery.linkFor({ to: mail?.to ?? '' }))?.user.email).toBe('Ann@Exämple.com')
  })

  test('keeps nothing that the token or the address could be read from', async () => {
    const id = await create(ann)
    const token = await linkTo(ann)
    const document = await store.documents.find('Recovery', hashOf(token))
    expect(document).toMatchObject({ userId: id, expiresAt: clock + hour })
    expect(JSON.stringify(document)).not.toMatch(/ann\d|example/)
    expect(JSON.stringify(document)).not.toContain(token)
  })

  test.for<[what: string, ends: (id: number) => unknown]>([
    ['an hour', () => (clock += hour)],
    ['another password', (id) => directory.setPassword(shop, { id, password: 'x' })],
    ['another address', (id) => directory.update(shop, { id, patch: { email: `other-${id}@example.com` } })],
    ['a removal', (id) => directory.remove(shop, { id })],
    [
      'a removal that was undone',
      async (id) => {
        await directory.remove(shop, { id })
        await directory.restore(shop, { id })
      },
    ],
    [
      'a block',
      (id) => directory.import(shop, { id, patch: {}, source: { status: 'blocked' }, update: true }),
    ],
    ['an erasure', (id) => directory.erase(shop, { id })],
  ])('has links that end with %s', async ([_, ends]) => {
    const id = await create(ann)
    const token = await linkTo(ann)
    clock += 5
    await directory.update(shop, { id, patch: { bio: 'x' } })
    expect(await recovery.addressOf(token)).toBe(ann)
    await ends(id)
    expect(await recovery.addressOf(token)).toBeUndefined()
    expect(await codeOf(reset(token))).toBe('not_found')
  })

  test('has links from the very moment of another change, too', async () => {
    const id = await create(ann)
    await directory.setPassword(shop, { id, password: 'x' })
    await mails()
    const token = await linkTo(ann)
    clock += 5
    expect(await codeOf(reset(token))).toBe('done')
  })

  test('tells what is wrong with the next one to who has a good link, which stays good', async () => {
    await create(ann)
    const token = await linkTo(ann)
    clock += 5
    expect(await codeOf(reset('x', 'short', 'is short'))).toBe('not_found')
    await expect(reset(token, 'short', 'is short')).rejects.toMatchObject({
      code: 'invalid',
      problems: [{ property: 'password', message: 'is short' }],
    })
    expect(await codeOf(reset(token))).toBe('done')
  })

  test('has no link for who is blocked or was removed, or has no address', async () => {
    const id = await create(ann)
    await directory.import(shop, { id, patch: {}, source: { status: 'blocked' }, update: true })
    expect(await recovery.linkFor({ to: ann })).toBeUndefined()
    await directory.remove(shop, { id })
    expect(await recovery.linkFor({ to: ann })).toBeUndefined()
  })

  test.for([
    '',
    'ann',
    'ann@',
    'a@b.c\r\nBcc: x@example.com',
    'a@b.c\nRCPT TO:<x@example.com>',
    'a\0@example.com',
    `${'a'.repeat(300)}@example.com`,
    '"a b"@example.com',
    'a@example.com,b@example.com',
    '\ud800@example.com',
  ])('is not asked for by what is no address: %j', async (address) => {
    await expect(recovery.request(address, ip)).rejects.toMatchObject({
      code: 'invalid',
      problems: [{ field: 'email' }],
    })
    expect(await mails()).toEqual([])
  })

  test('is asked for so often by an address, and for a person, and not more', async () => {
    await create(ann)
    const ofPerson = Array.from({ length: recoveryLimits.ofEmail.quota + 1 }, (_, n) =>
      codeOf(recovery.request(n % 2 ? ann : ann.toUpperCase(), `198.51.100.${n}`)),
    )
    expect((await Promise.all(ofPerson)).filter((code) => code === 'rate_limited')).toHaveLength(1)
    const ofAddress = Array.from({ length: recoveryLimits.ofAddress.quota + 1 }, (_, n) =>
      codeOf(recovery.request(`nobody${n}@example.com`, ip)),
    )
    expect((await Promise.all(ofAddress)).filter((code) => code === 'rate_limited')).toHaveLength(1)
  })

  test('uses up nothing of what an address may ask for where it is asked too often for a person', async () => {
    const asked = Array.from({ length: recoveryLimits.ofAddress.quota * 2 }, () => recovery.request(ann, ip))
    const done = (await Promise.allSettled(asked)).filter(({ status }) => status === 'fulfilled')
    expect(done).toHaveLength(recoveryLimits.ofEmail.quota)
    expect(await codeOf(recovery.request('nobody@example.com', ip))).toBe('done')
  })

  test('does not let anybody try links for long, and counts no good one', async () => {
    await create(ann)
    const token = await linkTo(ann)
    for (let n = 0; n < recoveryLimits.ofTokens.quota - 1; n++)
      expect(await codeOf(reset(`${n}`))).toBe('not_found')
    for (let n = 0; n < 3; n++) expect(await codeOf(reset(token, 'x', 'is short'))).toBe('invalid')
    expect(await codeOf(reset('one more'))).toBe('not_found')
    expect(await codeOf(reset(token))).toBe('rate_limited')
  })
})
