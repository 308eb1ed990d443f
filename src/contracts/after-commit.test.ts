import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { password, useAccounts } from '../../test/accounts.ts'
import { faultsOf } from '../../test/community.ts'
import { unavailable } from '../directory/errors.ts'
import { pictureIn } from '../media/samples.ts'

/** A store that goes away between what a request has committed and what is left of it to do. */

const accounts = useAccounts('unlucky')
let roster: typeof accounts.roster
let id: number
let email: string
beforeEach(() => {
  roster = accounts.roster
  ;({ id, email } = accounts.account)
})

/**
 * Has the store be away from the next commit on.
 * @returns has it come back
 */
function awayOnceCommitted(): () => void {
  const { store } = roster
  const { settings, counters, emailChanges, pictures, documents } = store
  const { change } = store
  const { set } = settings
  let isAway = false
  const orAway =
    <A extends unknown[], R>(work: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      if (isAway) throw unavailable('The store is away')
      return work(...given)
    }
  const undo = [
    replace(store, {
      async change(command) {
        const outcome = await change(command)
        isAway ||= outcome.outcome === 'committed'
        return outcome
      },
    }),
    replace(settings, {
      get: orAway(settings.get),
      async set(...given) {
        await set(...given)
        isAway = true
      },
    }),
    replace(counters, { get: orAway(counters.get) }),
    replace(emailChanges, { get: orAway(emailChanges.get) }),
    replace(pictures, { removeAvatar: orAway(pictures.removeAvatar) }),
    replace(documents, { put: orAway(documents.put) }),
  ]
  const back = () => {
    for (const one of undo) one()
  }
  onTestFinished(back)
  return back
}

function replace<S extends object>(owner: S, members: Partial<S>): () => void {
  const was = Object.keys(members).map((name) => [name, owner[name as keyof S]] as const)
  Object.assign(owner, members)
  return () => void Object.assign(owner, Object.fromEntries(was))
}

/** Nobody is told that nothing was done, as `unavailable` would. */
const unknown = [503, ['non_field_errors: outcome_unknown']]
const told = (answer: Awaited<ReturnType<typeof roster.call>>) => [answer.status, faultsOf(answer)]

test('a profile that was changed may have been', async () => {
  for (const method of ['PATCH', 'PUT'] as const) {
    const sent = { username: `unlucky-${method}-${id}`, bio: method }
    const back = awayOnceCommitted()
    expect(told(await roster.as(id, `${method} /api/v2/user/${id}/`, sent))).toEqual(unknown)
    back()
    expect(await roster.store.get(id)).toMatchObject(sent)
  }
})

test('an account that was made may have been', async () => {
  const admin = await roster.keyWith('admin')
  awayOnceCommitted()
  const account = { username: `heir-${id}`, email: `heir-${id}@example.org`, password }
  expect(told(await roster.call('POST /api/v2/account/create/', account, admin))).toEqual(unknown)
  expect(await roster.store.find({ kind: 'username', key: account.username })).toMatchObject({
    email: account.email,
  })
})

test('settings that were set are told without being read again', async () => {
  const path = `PATCH /api/v2/user/${id}/settings/`
  expect(await roster.as(id, path, { show_toast_notifications: 0 })).toMatchObject({ status: 200 })
  awayOnceCommitted()
  expect(await roster.as(id, path, { qa_frequency: -1 })).toMatchObject({
    ...{ status: 200, body: { qa_frequency: -1, show_toast_notifications: 0 } },
  })
})

test('an avatar that was taken from the record, and not from the list, may be gone', async () => {
  const avatar_base64 = `image/png;base64,${(await pictureIn('png', 32, 32)).toString('base64')}`
  const added = await roster.as(id, 'POST /api/v2/user/avatar/', { avatar_base64 })
  const avatar_id = (added.body as { id: number }).id
  expect((await roster.as(id, 'PATCH /api/v2/user/avatar/', { avatar_id })).status).toBe(204)
  awayOnceCommitted()
  expect(told(await roster.as(id, 'DELETE /api/v2/user/avatar/', { avatar_id }))).toEqual(unknown)
  expect(await roster.store.get(id)).toMatchObject({ avatar: null })
})

test('a code that was used without a token for it may have been', async () => {
  const validation_code = await accounts.codeFor(email)
  const back = awayOnceCommitted()
  expect(told(await accounts.post('verify', { validation_code }))).toEqual(unknown)
  expect(await roster.store.get(id)).toMatchObject({ email_verified: true })
  back()
  expect(await accounts.post('recover', { email })).toMatchObject({ status: 204 })
  const code = await accounts.codeFor(email, 'new-password')
  const backAgain = awayOnceCommitted()
  const next = 'Staple-of-the-horse-2'
  expect(told(await accounts.post('reset', { validation_code: code, password: next }))).toEqual(unknown)
  backAgain()
  expect((await accounts.post('reset', { validation_code: code, password: next })).status).toBe(400)
})

test('who confirms on the page is told that it may have been done', async () => {
  const key = await roster.keyWith('read', 'write')
  const uid = (await roster.store.get(id))?.uid
  const next = `page-${id}@example.org`
  expect((await roster.call(`POST /v1/users/${uid}/email-changes`, { email: next }, key)).status).toBe(201)
  const token = await accounts.codeFor(next)
  awayOnceCommitted()
  const form = { method: 'POST', body: new URLSearchParams({ token }) }
  const answer = await fetch(`${roster.url}/email/confirm`, form)
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
  expect(await answer.text()).toContain('It is not certain that this was done')
  expect(await roster.store.get(id)).toMatchObject({ email: next })
})

test('an e-mail change that was opened, corrected or confirmed may have been', async () => {
  const key = await roster.keyWith('read', 'write')
  const user = await roster.store.get(id)
  const path = `/v1/users/${user?.uid}/email-changes`
  const unlucky = async (line: string, body: object) => {
    const back = awayOnceCommitted()
    expect(await roster.call(line, body, key)).toMatchObject({
      ...{ status: 503, body: { error: 'outcome_unknown' } },
    })
    back()
    const { data } = (await roster.call(`GET ${path}`, undefined, key)).body as {
      data: [{ id: string; email: string; state: string }]
    }
    return data[0]
  }
  const [typo, right] = [`typo-${id}@example.org`, `right-${id}@example.org`]
  const opened = await unlucky(`POST ${path}`, { email: typo })
  expect(opened).toMatchObject({ email: typo, state: 'pending' })
  const one = `${path}/${opened.id}`
  expect(await unlucky(`PATCH ${one}`, { email: right })).toMatchObject({ email: right, state: 'pending' })
  const token = await accounts.codeFor(right)
  expect((await roster.call(`POST ${one}/confirm?dry_run=true`, { token })).status).toBe(200)
  expect(await unlucky(`POST ${one}/confirm`, { token })).toMatchObject({ state: 'confirmed' })
})
