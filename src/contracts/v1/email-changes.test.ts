import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../../test/app.ts'
import { type Received, startMailServer, tokenIn, until } from '../../../test/mail.ts'
import { person, signedIn } from '../../../test/oauth.ts'
import { type Postbox, startPostbox } from '../../../test/postbox.ts'
import { emailLimits } from '../../access/email-limits.ts'
import { expireEmailChanges } from '../../directory/email-changes.ts'
import { keepTidy } from '../../tidy.ts'

/** Addresses that are confirmed first, as people, keys and mailboxes meet them. */

let postbox: Postbox
let roster: TestApp
let service: { readonly authorization: string }
beforeAll(async () => {
  postbox = await startPostbox()
  roster = await startApp(postbox.settings)
  service = await roster.keyWith('read', 'write')
})
afterAll(async () => {
  await roster.close()
  await postbox.close()
})

let made = 0
const address = (name = 'new') => `${name}-${++made}@mail.example`

interface Change {
  readonly id: string
  readonly state: string
  readonly email: string
  readonly old_email: string | null
  readonly confirmed_by: readonly string[]
  readonly undo_until: string | null
}

/** Somebody with a token of the authorization server's. */
async function somebody(of = roster) {
  const who = await person(of)
  const token = await signedIn(of, who)
  const path = `/v1/users/${who.uid}`
  const call = (line: string, body?: unknown, headers = {}) => {
    const [method, rest = ''] = line.split(' ')
    return of.call(`${method} ${path}${rest}`, body, { ...token, ...headers })
  }
  const changes = async () => ((await call('GET /email-changes')).body as { data: Change[] }).data
  const current = async () => ((await call('GET')).body as { email: string }).email
  return { ...who, path, token, call, changes, current }
}

const confirm = (of: TestApp, path: string, { id }: Pick<Change, 'id'>, token: string, step = 'confirm') =>
  of.call(`POST ${path}/email-changes/${id}/${step}`, { token })

/** What a browser is shown: of a link, or of its button. */
async function page(path: string, form?: { readonly token: string }) {
  const answer = await fetch(`${roster.url}${path}`, {
    ...(form && { method: 'POST', body: new URLSearchParams(form) }),
  })
  return { status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text() }
}

const latest = async ({ changes }: { changes: () => Promise<Change[]> }) => (await changes())[0] as Change

/** Gives somebody an address that they have confirmed. */
async function verified(ann: Awaited<ReturnType<typeof somebody>>): Promise<string> {
  const email = address('verified')
  await ann.call('POST /email-changes', { email })
  const change = await latest(ann)
  expect((await confirm(roster, ann.path, change, await postbox.token(email))).status).toBe(200)
  await postbox.next(change.old_email ?? '')
  await postbox.next(change.old_email ?? '')
  return email
}

/** Has the address of somebody be shown to be theirs, as another directory knew. */
async function haveVerified(uid: string): Promise<void> {
  const user = await roster.store.find({ kind: 'uid', key: uid })
  const actor = { kind: 'operator', id: null, scopes: ['admin'], contract: 'operator' } as const
  const by = { actor, requestId: 'test', changeId: randomUUID(), at: Date.now(), update: true, source: {} }
  const outcome = await roster.store.change({
    ...{ ...by, kind: 'import', id: Number(user?.id), uid, patch: { email_verified: true } },
  })
  expect(outcome.outcome).toBe('committed')
}

const useless = {
  error: 'validation_error',
  message: 'Invalid request parameters',
  details: { token: ['Token is not valid, or not any more'] },
}

describe('a person', () => {
  test('changes an address with other fields: these at once, and the address when the new mailbox has confirmed it', async () => {
    const ann = await somebody()
    const email = address()
    const answer = await ann.call('PATCH', { email, first_name: 'Ann' })
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'roster-pending': 'email', etag: '"2"' },
      body: { email: ann.email, first_name: 'Ann' },
    })
    const change = await latest(ann)
    expect(change).toEqual({
      ...{ id: expect.stringMatching(/^emc_[0-9a-z]{16}$/), state: 'pending', email, old_email: ann.email },
      ...{ confirmation_by: ['new'], confirmed_by: [], ended_at: null, undo_until: null },
      ...{ requested_at: expect.any(String), expires_at: expect.any(String) },
    })
    expect(Date.parse((change as never as { expires_at: string }).expires_at) - Date.now()).toBeGreaterThan(
      8e7,
    )
    expect(await ann.call(`GET /email-changes/${change.id}`)).toMatchObject({ status: 200, body: change })
    const notice = await postbox.next(ann.email)
    expect(notice.raw).not.toContain('token=')
    expect(await confirm(roster, ann.path, change, await postbox.token(email))).toMatchObject({
      ...{ status: 200, body: { id: change.id, state: 'confirmed', email, confirmed_by: ['new'] } },
    })
    expect(await ann.call('GET /profile')).toMatchObject({ body: { email, email_verified: true } })
    expect((await postbox.next(ann.email)).raw).toContain('Your address was changed')
  })

  test('keeps what they have while it waits: the address, that it is theirs, and their tokens (keycloak#43738)', async () => {
    const ann = await somebody()
    const email = await verified(ann)
    await ann.call('PATCH', { email: address() })
    expect(await ann.call('GET /profile')).toMatchObject({
      status: 200,
      body: { email, email_verified: true },
    })
    expect(await ann.call('PATCH', { email, first_name: 'Ann' })).toMatchObject({ status: 200 })
    expect((await latest(ann)).state).toBe('pending')
  })

  test('is answered and written to alike whether somebody has the address, which is told to whoever reads its mail', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    const [free, taken] = [address(), bob.email]
    const answers: Answer[] = []
    for (const email of [free, taken]) answers.push(await ann.call('POST /email-changes', { email }))
    const [one, other] = answers.map(({ status, body }) => ({
      status,
      body: { ...(body as object), id: '', email: '', requested_at: '', expires_at: '' },
    }))
    expect(one).toEqual(other)
    await postbox.next(taken)
    const patched = await ann.call('PATCH', { email: taken.toUpperCase() })
    expect(patched).toMatchObject({ status: 200, headers: { 'roster-pending': 'email' } })
    const token = await postbox.token(taken)
    expect(await confirm(roster, ann.path, await latest(ann), token)).toMatchObject({
      ...{ status: 409, body: { error: 'conflict', message: 'User with this email already exists' } },
    })
    expect(await ann.current()).toBe(ann.email)
    expect(await bob.current()).toBe(bob.email)
  })

  test('is not written to twice who sends the same address again with other fields', async () => {
    const ann = await somebody()
    const email = address()
    await ann.call('PATCH', { email })
    const again = await ann.call('PATCH', { email, last_name: 'Lee' })
    expect(again).toMatchObject({
      status: 200,
      headers: { 'roster-pending': 'email' },
      body: { last_name: 'Lee' },
    })
    const none = await ann.call('PATCH', { email })
    expect(none).toMatchObject({
      status: 200,
      headers: { 'roster-pending': 'email', etag: again.headers.etag },
    })
    expect(await ann.changes()).toHaveLength(1)
    const token = await postbox.token(email)
    expect((await confirm(roster, ann.path, await latest(ann), token)).status).toBe(200)
    expect(postbox.unread(email)).toEqual([])
  })

  test('corrects a typo, has the mails sent again, and cancels (supabase/auth#1289)', async () => {
    const ann = await somebody()
    const [typo, email] = [address('typo'), address()]
    const { id } = (await ann.call('POST /email-changes', { email: typo })).body as Change
    const step = (line: string, body?: unknown) => ann.call(line.replace(' ', ` /email-changes/${id}`), body)
    const first = await postbox.token(typo)
    expect(await step('PATCH ', { email })).toMatchObject({
      status: 200,
      body: { id, state: 'pending', email },
    })
    const second = await postbox.token(email)
    expect(await step('POST /resend')).toMatchObject({ status: 200, body: { id, state: 'pending', email } })
    const third = await postbox.token(email)
    for (const old of [first, second])
      expect(await confirm(roster, ann.path, { id }, old)).toMatchObject({ status: 400, body: useless })
    expect(await step('DELETE ')).toMatchObject({ status: 204, text: '' })
    expect(await confirm(roster, ann.path, { id }, third)).toMatchObject({ status: 400, body: useless })
    for (const line of ['DELETE ', 'POST /resend'])
      expect(await step(line)).toMatchObject({
        ...{
          status: 409,
          body: { error: 'conflict', message: 'This e-mail change is not pending any more' },
        },
      })
    expect((await step('PATCH ', { email: address() })).status).toBe(409)
    expect(await latest(ann)).toMatchObject({ id, state: 'cancelled' })
  })

  test.each([
    ['no address', { email: 'x' }, { email: ['Invalid email format'] }],
    ['the address that they have', { email: 'OWN' }, { email: ['Email is the address as it is'] }],
    [
      'an address with a line break',
      { email: 'a@b.example\r\nBcc: c@d.example' },
      { email: ['Invalid email format', 'Email must not have control characters'] },
    ],
    ['a number', { email: 7 }, { email: ['Invalid email format', 'Email must be a string'] }],
    ['nothing', {}, { email: ['Email is required'] }],
    [
      'more',
      { email: 'a@b.example', password: 'x' },
      { password: ['Password is not known here; known is email'] },
    ],
  ])('is told what is wrong with %s', async (_name, body, details) => {
    const ann = await shared()
    const sent = 'email' in body && body.email === 'OWN' ? { email: ann.email } : body
    const rows = await roster.everything()
    const asked = await ann.call('POST /email-changes', sent)
    expect(asked).toMatchObject({ status: 400, body: { error: 'validation_error', details } })
    expect(await roster.everything()).toEqual(rows)
  })

  let someone: ReturnType<typeof somebody> | undefined
  const shared = () => {
    someone ??= somebody()
    return someone
  }

  test('has no say in the changes of others, and sees none', async () => {
    const [ann, eve] = [await somebody(), await shared()]
    await ann.call('POST /email-changes', { email: address() })
    const { id } = await latest(ann)
    const rows = await roster.everything()
    for (const [line, body] of [
      ['GET', undefined],
      ['POST', { email: address() }],
      [`GET /${id}`, undefined],
      [`PATCH /${id}`, { email: address() }],
      [`DELETE /${id}`, undefined],
      [`POST /${id}/resend`, undefined],
    ] as const) {
      const [method, rest = ''] = line.split(' ')
      const path = (of: string) => `${method} ${of}/email-changes${rest}`
      expect((await roster.call(path(ann.path), body, eve.token)).status, line).toBe(403)
      expect((await roster.call(path(ann.path), body)).status, line).toBe(401)
      if (rest !== '') expect((await roster.call(path(eve.path), body, eve.token)).status, line).toBe(404)
    }
    expect(await roster.everything()).toEqual(rows)
  })

  test('has a preview, a repetition and a batch as with anything else', async () => {
    const ann = await somebody()
    const email = address()
    const rows = await roster.everything()
    expect(await ann.call('PATCH ?dry_run=true', { email, first_name: 'Ann' })).toMatchObject({
      ...{ status: 200, headers: { 'roster-pending': 'email' } },
      body: {
        ...{ dry_run: true, status: 200, user: { email: ann.email, first_name: 'Ann' } },
        changes: { first_name: { old: null, new: 'Ann' }, email_change: { old: null, new: 'pending' } },
      },
    })
    expect(await ann.call('POST /email-changes?dry_run=true', { email })).toMatchObject({
      ...{
        status: 200,
        body: { dry_run: true, status: 201, changes: { email_change: { old: null, new: 'pending' } } },
      },
    })
    expect(await roster.everything()).toEqual(rows)
    const key = { 'idempotency-key': randomUUID() }
    const first = await ann.call('POST /email-changes', { email }, key)
    const second = await ann.call('POST /email-changes', { email }, key)
    expect(second).toMatchObject({
      status: 201,
      headers: { 'idempotency-replayed': 'true' },
      body: first.body,
    })
    await postbox.next(email)
    const batch = {
      operations: [{ op: 'update', id: ann.uid, data: { email: address(), first_name: 'Ann' } }],
    }
    expect(await roster.call('POST /v1/users/batch', batch, ann.token)).toMatchObject({
      ...{
        status: 200,
        body: { results: [{ status: 200, pending: ['email'], body: { email: ann.email } }] },
      },
    })
    expect((await ann.changes()).map(({ state }) => state)).toEqual(['pending', 'cancelled'])
    expect(postbox.unread(email)).toEqual([])
  })

  test('is told to wait who asks for too many mails, by user and by address, and dry runs do not count', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    const email = address()
    for (let n = 0; n < emailLimits.ofEmail.quota; n++)
      expect((await ann.call('POST /email-changes', { email })).status).toBe(201)
    const refused = { status: 429, body: { error: 'rate_limit_exceeded' } }
    const answer = await ann.call('PATCH', { email: address(), phone: '1' })
    expect(answer.status).toBe(400)
    expect(await bob.call('POST /email-changes', { email: email.toUpperCase() })).toMatchObject(refused)
    expect((await bob.call('POST /email-changes?dry_run=true', { email })).status).toBe(200)
    for (let n = emailLimits.ofEmail.quota; n < emailLimits.ofUser.quota; n++)
      expect((await ann.call('PATCH', { email: address() })).status).toBe(200)
    const { id } = await latest(ann)
    const resent = await ann.call(`POST /email-changes/${id}/resend`)
    expect(resent).toMatchObject(refused)
    expect(Number(resent.headers['retry-after'])).toBeGreaterThan(0)
    expect((await ann.call('PATCH', { first_name: 'Ann' })).status).toBe(200)
  })

  test('is told what came of a request, or what is wrong with it, however many mails there were', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    const email = address()
    const key = { 'idempotency-key': '"mail-once"' }
    const first = await ann.call('POST /email-changes', { email }, key)
    expect(first.status).toBe(201)
    const { id } = first.body as Change
    const resend = () => ann.call(`POST /email-changes/${id}/resend`, undefined, { 'idempotency-key': '"r"' })
    expect((await resend()).status).toBe(200)
    for (let n = 2; n < emailLimits.ofEmail.quota; n++)
      expect((await ann.call('POST /email-changes', { email: email.toUpperCase() })).status).toBe(201)
    expect(await ann.call('POST /email-changes', { email })).toMatchObject({ status: 429 })
    expect(await ann.call('POST /email-changes', { email }, key)).toMatchObject({
      ...{ status: 201, headers: { 'idempotency-replayed': 'true' } },
    })
    expect(await resend()).toMatchObject({ status: 200, headers: { 'idempotency-replayed': 'true' } })
    const stale = { 'if-match': '"1"' }
    expect((await ann.call('PATCH', { email }, stale)).status).toBe(412)
    expect((await roster.call(`PATCH ${ann.path}`, { email }, bob.token)).status).toBe(403)
    const nobody = '/v1/users/usr_0000000000000000/email-changes'
    expect((await roster.call(`POST ${nobody}`, { email }, service)).status).toBe(404)
  })

  test('loses what is pending with another password', async () => {
    const ann = await somebody()
    const email = address()
    await ann.call('POST /email-changes', { email })
    const token = await postbox.token(email)
    const words = { current_password: ann.password, new_password: 'another horse entirely' }
    expect((await ann.call('PUT /password', words)).status).toBe(204)
    const [change] = (
      (await roster.call(`GET ${ann.path}/email-changes`, undefined, service)).body as { data: Change[] }
    ).data
    expect(change).toMatchObject({ state: 'cancelled' })
    expect(await confirm(roster, ann.path, change as Change, token)).toMatchObject({
      status: 400,
      body: useless,
    })
  })

  test('changes an address through the contracts of others in the same way', async () => {
    const ann = await somebody()
    const { id: number } = (await roster.store.find({ kind: 'uid', key: ann.uid })) ?? { id: 0 }
    const [one, two] = [address(), address()]
    const adopted = await roster.call(`PATCH /users/${number}`, { email: one, phone: '12' }, ann.token)
    expect(adopted).toMatchObject({
      ...{ status: 200, headers: { 'roster-pending': 'email' }, body: { email: ann.email, phone: '12' } },
    })
    const whole = { firstName: 'Ann', lastName: 'Lee', email: two }
    const put = await roster.call(`PUT /records/users/${number}`, whole, ann.token)
    expect(put).toMatchObject({
      ...{ status: 200, headers: { 'roster-pending': 'email' }, body: { ...whole, email: ann.email } },
    })
    const operations = [{ op: 'replace', path: '/email', value: address() }]
    const type = { 'content-type': 'application/json-patch+json' }
    const patched = await ann.call('PATCH /profile', operations, type)
    expect(patched).toMatchObject({
      status: 200,
      headers: { 'roster-pending': 'email' },
      body: { email: ann.email },
    })
    expect((await ann.changes()).map(({ state }) => state)).toEqual(['pending', 'cancelled', 'cancelled'])
  })
})

describe('a link', () => {
  test('is looked at without doing anything, works once, and for its own change only', async () => {
    const ann = await somebody()
    const email = address()
    await ann.call('POST /email-changes', { email })
    const token = await postbox.token(email)
    const open = (of: string) => page(`/email/${of}?token=${token}`)
    for (let n = 0; n < 2; n++) {
      const shown = await open('confirm')
      expect(shown).toMatchObject({ status: 200, text: expect.stringContaining(`<strong>${email}</strong>`) })
      expect(shown.headers).toMatchObject({
        ...{ 'referrer-policy': 'no-referrer', 'cache-control': 'no-store', 'x-frame-options': 'DENY' },
        'content-security-policy': expect.stringMatching(/default-src 'none'.*form-action 'self'/),
      })
      expect(shown.text).not.toMatch(/<script|<link|<img/)
    }
    expect((await open('undo')).status).toBe(410)
    expect(await ann.current()).toBe(ann.email)
    const eve = await somebody()
    await eve.call('POST /email-changes', { email: address() })
    expect(await confirm(roster, eve.path, await latest(eve), token)).toMatchObject({
      status: 400,
      body: useless,
    })
    expect(await confirm(roster, ann.path, await latest(eve), token)).toMatchObject({
      status: 400,
      body: useless,
    })
    const send = () => page('/email/confirm', { token })
    expect(await send()).toMatchObject({
      status: 200,
      text: expect.stringContaining('The address is confirmed'),
    })
    expect(await ann.current()).toBe(email)
    for (const again of [await send(), await open('confirm')])
      expect(again).toMatchObject({ status: 410, text: expect.stringContaining('of no use any more') })
  })

  test('is tried before it is used, and by nothing that is not to be had there', async () => {
    const ann = await somebody()
    const [old, email] = [await verified(ann), address()]
    const { id } = (await ann.call('POST /email-changes', { email })).body as Change
    await postbox.next(old)
    const step = async (name: string, token: string, query = '', headers = {}) =>
      roster.call(`POST ${ann.path}/email-changes/${id}/${name}${query}`, { token }, headers)
    async function isTried(name: string, token: string, changes: object) {
      const before = await roster.everything()
      const tried = await step(name, token, '?dry_run=true')
      expect([tried.status, tried.body]).toEqual([200, { dry_run: true, status: 200, user: null, changes }])
      expect(await step(name, `${token}x`, '?dry_run=true')).toMatchObject({ status: 400, body: useless })
      const headers = { 'if-match': '"999"', 'if-none-match': '*', 'idempotency-key': 'mine' }
      expect(await step(name, token, '?dry_run=yes&x=1', headers)).toMatchObject({
        status: 400,
        body: {
          details: {
            ...{ 'If-Match': [expect.any(String)], 'If-None-Match': [expect.any(String)] },
            ...{ 'Idempotency-Key': [expect.any(String)], dry_run: [expect.any(String)] },
            x: ['Unknown parameter: x'],
          },
        },
      })
      expect(await roster.everything()).toEqual(before)
      const done = await step(name, token)
      expect(done).toMatchObject({ status: 200, body: { id, email } })
      expect(done.body).not.toHaveProperty('old_email')
    }
    const change = (state: string) => ({ email_change: { new: state } })
    await isTried('confirm', await postbox.token(email), { email: { new: email }, ...change('confirmed') })
    const later = address('later')
    const next = (await ann.call('POST /email-changes', { email: later })).body as Change
    expect((await confirm(roster, ann.path, next, await postbox.token(later))).status).toBe(200)
    await isTried('revert', await postbox.token(old), { email: { new: old }, ...change('reverted') })
  })

  test('is counted as a guess for nothing that does not lie with its token', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    const { id } = (await ann.call('POST /email-changes', { email: bob.email })).body as Change
    const token = await postbox.token(bob.email)
    for (let n = 0; n <= emailLimits.ofTokens.quota; n++) {
      const path = `POST ${ann.path}/email-changes/${id}/confirm`
      expect(await roster.call(path, {})).toMatchObject({ status: 400 })
      expect(await roster.call(path, { token })).toMatchObject({ status: 409 })
    }
  })

  test('undoes a change from the old mailbox: once, tokens end, and not where somebody else has the address', async () => {
    const ann = await somebody()
    const old = await verified(ann)
    const email = address('thief')
    await ann.call('POST /email-changes', { email })
    const change = await latest(ann)
    await postbox.next(old)
    await confirm(roster, ann.path, change, await postbox.token(email))
    expect(await latest(ann)).toMatchObject({ state: 'confirmed', undo_until: expect.any(String) })
    const undo = await postbox.token(old)
    const send = () => page('/email/undo', { token: undo })
    expect(await page(`/email/undo?token=${undo}`)).toMatchObject({
      ...{ status: 200, text: expect.stringContaining('Undo the change') },
    })
    const heir = { email: old, username: `heir${++made}`, password: 'correct horse battery' }
    const { id } = (await roster.call('POST /v1/users', heir, service)).body as { id: string }
    expect(await send()).toMatchObject({ status: 409, text: expect.stringContaining('Another account') })
    expect((await ann.call('GET')).status).toBe(200)
    await roster.call(`DELETE /v1/users/${id}`, undefined, service)
    expect(await send()).toMatchObject({
      status: 200,
      text: expect.stringMatching(/old address is back.*href="\.\.\/oauth\/forgot-password"/s),
    })
    // Whoever reads the address that is replaced is told, and can not undo it.
    const told = await postbox.next(email)
    expect(told.raw).toContain('Your address was changed')
    expect(told.raw).not.toContain('token=')
    expect((await send()).status).toBe(410)
    const profile = await roster.call(`GET ${ann.path}/profile`, undefined, service)
    expect(profile).toMatchObject({ body: { email: old, email_verified: true } })
    expect(
      (await roster.call(`GET ${ann.path}/email-changes/${change.id}`, undefined, service)).body,
    ).toMatchObject({
      ...{ state: 'reverted' },
    })
    await expect.poll(async () => (await ann.call('GET')).status, { timeout: 5_000 }).toBe(401)
  })

  test('is of no use late, noted or not, and the note is a change of the user like any other', async () => {
    const ann = await somebody()
    const email = address()
    await ann.call('POST /email-changes', { email })
    const change = await latest(ann)
    const token = await postbox.token(email)
    const day = 86_400_000
    const expire = (at: number) => expireEmailChanges(roster.store, { at, newChangeId: randomUUID })
    const { email_change } = (await roster.store.find({ kind: 'uid', key: ann.uid })) ?? {}
    expect(email_change).toBe(change.id)
    const end = keepTidy({ expire }, () => Date.now() + day)
    await expect.poll(async () => (await latest(ann)).state, { timeout: 5_000 }).toBe('expired')
    end()
    expect(await confirm(roster, ann.path, change, token)).toMatchObject({ status: 400, body: useless })
    expect(await ann.call('GET')).toMatchObject({ headers: { etag: '"3"' }, body: { email: ann.email } })
  })

  test('is not sent any more once a later step has made it useless, however long it waited', async () => {
    const away = await startMailServer()
    await away.close()
    const pace = { poll: 10, pause: 10, longestPause: 40 }
    const app = await startApp({ ...postbox.settings, smtpUrl: away.url }, { pace })
    try {
      const [ann, bob] = [await somebody(app), await somebody(app)]
      const [typo, email, second] = [address('typo'), address(), address('second')]
      const { id } = (await ann.call('POST /email-changes', { email: typo })).body as Change
      expect((await ann.call(`PATCH /email-changes/${id}`, { email })).status).toBe(200)
      expect((await ann.call(`POST /email-changes/${id}/resend`)).status).toBe(200)
      await bob.call('POST /email-changes', { email: address('cancelled') })
      expect((await bob.call(`DELETE /email-changes/${(await latest(bob)).id}`)).status).toBe(204)
      await bob.call('POST /email-changes', { email: second })
      const server = await startMailServer(undefined, {}, away.port)
      await until(async () => (await app.store.outbox.backlog()).count === 0)
      await server.close()
      const asked = server.received.filter(({ raw }) => raw.includes('Subject: Confirm this address'))
      expect(asked.flatMap(({ to }) => to).toSorted()).toEqual([email, second].toSorted())
      expect(server.received).toHaveLength(6)
      const good = asked.find(({ to }) => to[0] === email)
      expect((await confirm(app, ann.path, { id }, tokenIn(good as Received))).status).toBe(200)
      const metrics = await fetch(`${app.url}/metrics`)
      expect(await metrics.text()).toMatch(
        /outcome="given_up"} 0\nroster_mails_total\{outcome="dropped"} 3\n/,
      )
    } finally {
      await app.close()
    }
  })

  test.each([
    '',
    'x',
    'emc_0123456789abcdef',
    'emc_0123456789abcdef.0123456789012345678901234567',
    `emc_${'a'.repeat(300)}`,
  ])('that is %j is of no use', async (token) => {
    const shown = await page(`/email/confirm?token=${token}`)
    expect(shown).toMatchObject({ status: 410, headers: { 'content-type': 'text/html; charset=utf-8' } })
  })
})

describe('a key', () => {
  test('changes addresses at once, and cancels what is pending, where that is the setting', async () => {
    const ann = await somebody()
    await ann.call('POST /email-changes', { email: address() })
    const email = address()
    const answer = await roster.call(`PATCH ${ann.path}`, { email }, service)
    expect(answer).toMatchObject({ status: 200, body: { email } })
    expect(answer.headers).not.toHaveProperty('roster-pending')
    expect(await latest(ann)).toMatchObject({ state: 'cancelled' })
  })

  test('is told where a verified address is replaced, which can be undone there; but not what is put right', async () => {
    for (const isBatch of [false, true]) {
      const ann = await somebody()
      await haveVerified(ann.uid)
      const email = address('thief')
      const set = async (to: string) => {
        const batch = { operations: [{ op: 'update', id: ann.uid, data: { email: to } }] }
        const answer = isBatch
          ? await roster.call('POST /v1/users/batch', batch, service)
          : await roster.call(`PATCH ${ann.path}`, { email: to }, service)
        expect(answer.status).toBe(200)
      }
      await set(email)
      expect(await latest(ann)).toMatchObject({
        ...{ state: 'confirmed', email, old_email: ann.email, confirmed_by: [] },
        ...{ undo_until: expect.any(String) },
      })
      const undo = await postbox.token(ann.email)
      // Nobody has confirmed this one, so there is no word for it to go back to.
      await set(address('thief'))
      expect(await page('/email/undo', { token: undo })).toMatchObject({ status: 200 })
      const profile = await roster.call(`GET ${ann.path}/profile`, undefined, service)
      expect(profile).toMatchObject({ body: { email: ann.email, email_verified: true } })

      await set(email)
      const late = await postbox.token(ann.email)
      await haveVerified(ann.uid)
      await set(ann.email)
      const told = await postbox.next(email)
      expect(told.raw).toContain('Your address was changed')
      expect(told.raw).not.toContain('token=')
      expect(await page('/email/undo', { token: late })).toMatchObject({ status: 410 })
    }
  })

  test.each(['confirm-new', 'confirm-both'] as const)(
    'has them confirmed with %s, and is told of a taken one',
    async (mode) => {
      const app = await startApp({ ...postbox.settings, emailChange: mode })
      try {
        const key = await app.keyWith('read', 'write')
        const [ann, bob] = [await person(app), await person(app)]
        const path = `/v1/users/${ann.uid}`
        expect(await app.call(`PATCH ${path}`, { email: bob.email.toUpperCase() }, key)).toMatchObject({
          ...{ status: 409, body: { error: 'conflict', message: 'User with this email already exists' } },
        })
        const email = address()
        expect(await app.call(`PATCH ${path}`, { email, role: 'admin' }, key)).toMatchObject({
          ...{
            status: 200,
            headers: { 'roster-pending': 'email' },
            body: { email: ann.email, role: 'admin' },
          },
        })
        const { data } = (await app.call(`GET ${path}/email-changes`, undefined, key)).body as {
          data: Change[]
        }
        const [change] = data as [Change]
        if (mode === 'confirm-both') {
          const half = await confirm(app, path, change, await postbox.token(ann.email))
          expect(half).toMatchObject({ status: 200, body: { state: 'pending', confirmed_by: ['old'] } })
        } else expect((await postbox.next(ann.email)).raw).toContain('about to be changed')
        const whole = await confirm(app, path, change, await postbox.token(email))
        expect(whole).toMatchObject({ status: 200, body: { state: 'confirmed' } })
        expect(await app.call(`GET ${path}`, undefined, key)).toMatchObject({ body: { email } })
      } finally {
        await app.close()
      }
    },
  )

  test('corrects no change of an administrator’s at fewer words than its own would take', async () => {
    const app = await startApp({ ...postbox.settings, emailChange: 'confirm-both' })
    try {
      const admin = await app.keyWith('admin')
      const key = await app.keyWith('read', 'write')
      for (const isOwn of [true, false]) {
        const ann = await person(app)
        const path = `/v1/users/${ann.uid}`
        const by = isOwn ? await signedIn(app, ann) : key
        const asked = await app.call(`POST ${path}/email-changes`, { email: address() }, admin)
        const { id } = asked.body as Change
        await postbox.next(ann.email)
        const email = address('thief')
        expect(await app.call(`PATCH ${path}/email-changes/${id}`, { email }, by)).toMatchObject({
          ...{ status: 200, body: { id, email, old_email: ann.email, confirmation_by: ['new', 'old'] } },
        })
        const half = await confirm(app, path, { id }, await postbox.token(email))
        expect(half).toMatchObject({ status: 200, body: { state: 'pending', confirmed_by: ['new'] } })
        // The administrator's word counts where it is asked for, not where somebody else was to be heard.
        const corrected = address()
        expect(
          await app.call(`PATCH ${path}/email-changes/${id}`, { email: corrected }, admin),
        ).toMatchObject({ body: { confirmed_by: [], confirmation_by: ['new', 'old'] } })
        expect(await app.call(`GET ${path}`, undefined, admin)).toMatchObject({ body: { email: ann.email } })
      }
    } finally {
      await app.close()
    }
  })

  test.each(['confirm-new', 'confirm-both'] as const)(
    'corrects no address that somebody new came with unless that one is told, with %s',
    async (emailChange) => {
      const settings = { jwtSecret: 'a secret of thirty-two characters', emailChange }
      const app = await startApp({ ...postbox.settings, ...settings })
      try {
        const email = address('new')
        const account = { username: `new${++made}`, email, password: 'Correct-horse-1' }
        const admin = await app.keyWith('admin')
        const { body } = await app.call('POST /api/v2/account/create/', account, admin)
        const { uid } = (await app.store.get((body as { id: number }).id)) ?? {}
        const path = `/v1/users/${uid}`
        const key = await app.keyWith('read', 'write')
        const { data } = (await app.call(`GET ${path}/email-changes`, undefined, key)).body as {
          data: [Change]
        }
        const [{ id }] = data
        await postbox.next(email)
        const thief = address('thief')
        const isBoth = emailChange === 'confirm-both'
        const corrected = await app.call(`PATCH ${path}/email-changes/${id}`, { email: thief }, key)
        expect(corrected).toMatchObject({
          ...{ status: 200, body: { old_email: email, confirmation_by: isBoth ? ['new', 'old'] : ['new'] } },
        })
        const notice = await postbox.next(email)
        expect(notice.raw).toContain(isBoth ? 'token=' : 'about to be changed')
        const confirmed = await confirm(app, path, { id }, await postbox.token(thief))
        expect(confirmed).toMatchObject({ body: { state: isBoth ? 'pending' : 'confirmed' } })
        const now = isBoth ? email : thief
        expect(await app.call(`GET ${path}`, undefined, key)).toMatchObject({ body: { email: now } })
        if (!isBoth) expect((await postbox.next(email)).raw).toContain('Your address was changed')
      } finally {
        await app.close()
      }
    },
  )

  test('of an administrator stands in for an old mailbox that nobody reads any more', async () => {
    const app = await startApp({ ...postbox.settings, emailChange: 'confirm-both' })
    try {
      const admin = await app.keyWith('admin')
      for (const asIs of ['field', 'request']) {
        const ann = await person(app)
        const path = `/v1/users/${ann.uid}`
        const email = address()
        const answer =
          asIs === 'field'
            ? await app.call(`PATCH ${path}`, { email }, admin)
            : await app.call(`POST ${path}/email-changes`, { email }, admin)
        expect(answer.status).toBe(asIs === 'field' ? 200 : 201)
        const { body } = await app.call(`GET ${path}/email-changes`, undefined, admin)
        const [change] = (body as { data: [Change] }).data
        expect(change).toMatchObject({ state: 'pending', confirmation_by: ['new'] })
        // Whoever reads it all the same is told, and has no say.
        expect((await postbox.next(ann.email)).raw).not.toContain('token=')
        const whole = await confirm(app, path, change, await postbox.token(email))
        expect(whole).toMatchObject({ status: 200, body: { state: 'confirmed' } })
        expect(await app.call(`GET ${path}/profile`, undefined, admin)).toMatchObject({
          body: { email, email_verified: true },
        })
      }
    } finally {
      await app.close()
    }
  })
})
