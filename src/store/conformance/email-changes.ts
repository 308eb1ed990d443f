import { expect, it } from 'vitest'
import { claim } from '../../directory/claims.ts'
import type { ChangeEmail, Update } from '../../directory/command.ts'
import { type Confirmers, type EmailChange, keptFor, tokenOf } from '../../directory/email-change.ts'
import type { Outcome, Store } from '../../directory/store.ts'
import {
  codeOf,
  committed,
  create,
  type Fixture,
  type Given,
  importing,
  lifecycle,
  present,
  setPassword,
  times,
  update,
} from './commands.ts'

const secret = (name: string) => `${name}-0123456789abcdefghij`
const secrets = { new: secret('new'), old: secret('old') }
const changeId = (n: number) => `emc_00000000000${n}`

/** Asks for another address, with further fields. */
export function request(
  id: number,
  email: string,
  n: number,
  { by = 'new', ...more }: Partial<Update> & { by?: Confirmers } = {},
): Update {
  return update(id, { email }, { confirm: { by, id: changeId(n), secrets }, ...more })
}

async function step(store: Store, n: number, what: ChangeEmail['step'], more: Partial<ChangeEmail> = {}) {
  const change = await found(store, n)
  const { version } = await present(store, change.userId)
  const { actor, requestId, changeId: id, at } = update(change.userId, {})
  const by = { actor, requestId, changeId: id, at }
  const command: ChangeEmail = {
    ...by,
    ...{ kind: 'email_change', id: change.userId, change, basis: { version }, step: what },
    ...more,
  }
  return command
}

const token = (n: number, name: 'new' | 'old') => tokenOf(changeId(n), secrets[name])
const confirm = (n: number, name: 'new' | 'old') =>
  ({ do: 'confirm', token: token(n, name), undoSecret: secret('undo') }) as const

async function found(store: Store, n: number): Promise<EmailChange> {
  const change = await store.emailChanges.get(changeId(n))
  if (change === undefined) throw new Error(`there is no change ${n}`)
  return change
}

const statesOf = async (store: Store, id: number) =>
  (await store.emailChanges.list(id)).map(({ id: of, state }) => [Number(of.at(-1)), state])

async function toldOf({ readLog }: Fixture): Promise<unknown[]> {
  return (await readLog()).flatMap(({ fields }) =>
    fields.email_change === undefined ? [] : [fields.email_change],
  )
}

async function everyMail({ outbox }: Store): Promise<[kind: string, to: string][]> {
  const mails = await outbox.take({ at: Date.UTC(2030, 0), until: Date.UTC(2031, 0), most: 100 })
  return mails.toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1)).map(({ kind, to }) => [kind, to])
}

/** What every store must do with addresses that are confirmed first. */
export function changingEmail(given: Given): void {
  it('keeps a change, its mails and its row of the log in one unit, and the address until it is confirmed', async () => {
    const { store, readLog, reopen } = given()
    await committed(store, create({ email: 'ann@example.com', username: 'ann' }))
    const asked = request(1, 'ann@new.example', 1)
    const user = await committed(store, { ...asked, patch: { ...asked.patch, bio: 'x' } })
    expect(user).toMatchObject({ email: 'ann@example.com', bio: 'x', email_change: changeId(1), version: 2 })
    expect((await readLog()).at(-1)?.fields).toEqual({ bio: [null, 'x'], email_change: [null, 'pending'] })
    const pending = await found(store, 1)
    expect(pending).toEqual({
      ...{ id: changeId(1), userId: 1, state: 'pending', by: 'new' },
      ...{ oldEmail: 'ann@example.com', oldVerified: false, newEmail: 'ann@new.example' },
      ...{ confirmedByNew: false, confirmedByOld: false },
      ...{ requestedAt: asked.at, expiresAt: asked.at + 86_400_000, endedAt: null, undoUntil: null },
      ...{ newToken: expect.stringMatching(/^[0-9a-f]{64}$/), oldToken: null, undoToken: null },
    })
    expect(await store.find(claim('email', 'ann@new.example'))).toBeUndefined()
    expect(await everyMail(store)).toEqual([
      ['confirm_email', 'ann@new.example'],
      ['email_change_notice', 'ann@example.com'],
    ])
    const again = await reopen()
    expect(await found(again, 1)).toEqual(pending)
    const command = await step(again, 1, confirm(1, 'new'))
    const after = await committed(again, command)
    expect(after).toMatchObject({
      email: 'ann@new.example',
      email_verified: true,
      email_change: null,
      version: 3,
    })
    expect(await again.get(1)).toEqual(after)
    expect(await again.find(claim('email', 'ann@new.example'))).toEqual(after)
    expect(await again.find(claim('email', 'ann@example.com'))).toBeUndefined()
    expect(await found(again, 1)).toEqual({
      ...pending,
      ...{ state: 'confirmed', confirmedByNew: true, newToken: null, endedAt: command.at },
    })
    expect((await readLog()).at(-1)?.fields).toEqual({
      email: ['ann@example.com', 'ann@new.example'],
      email_verified: [null, true],
      email_change: ['pending', 'confirmed'],
    })
  })

  it.for(['', 'emc', 'EMC_000000000001', 'emc_000000000001\0', '\0', '\ud800'])(
    'knows no change by what can be no id of one: %j',
    async (id) => {
      const { store } = given()
      await committed(store, create({ email: 'ann@example.com', username: 'ann' }))
      await committed(store, request(1, 'ann@new.example', 1))
      expect(await store.emailChanges.get(id)).toBeUndefined()
    },
  )

  it('makes somebody whose address is to be confirmed, in one unit, alone and with others', async () => {
    const { store } = given()
    const made = await Promise.all(
      [1, 2, 3].map((n) => {
        const asked = create(
          { email: `new${n}@example.com` },
          { confirm: { by: 'new', id: changeId(n), secrets } },
        )
        return committed(store, asked)
      }),
    )
    for (const [i, user] of made.entries()) {
      expect(user).toMatchObject({
        email: `new${i + 1}@example.com`,
        email_change: changeId(i + 1),
        version: 1,
      })
      expect(await store.get(user.id)).toEqual(user)
      expect(await found(store, i + 1)).toMatchObject({ userId: user.id, state: 'pending', oldEmail: null })
    }
    expect((await everyMail(store)).toSorted()).toEqual([
      ['verify_account', 'new1@example.com'],
      ['verify_account', 'new2@example.com'],
      ['verify_account', 'new3@example.com'],
    ])
    const user = await committed(store, await step(store, 1, confirm(1, 'new')))
    expect(user).toMatchObject({
      email: 'new1@example.com',
      email_verified: true,
      email_change: null,
      version: 2,
    })
  })

  it('cancels a pending change in the unit that replaces it, sets the address or the password, or removes', async () => {
    const fixture = given()
    const { store } = fixture
    await committed(store, create({ email: 'ann@example.com' }))
    await committed(store, request(1, 'a@new.example', 1))
    await committed(store, request(1, 'b@new.example', 2))
    expect(await statesOf(store, 1)).toEqual([
      [2, 'pending'],
      [1, 'cancelled'],
    ])
    await committed(store, update(1, { email: 'direct@example.com' }))
    await committed(store, request(1, 'c@new.example', 3))
    await committed(store, setPassword(1, 'hash'))
    await committed(store, request(1, 'd@new.example', 4))
    expect(await committed(store, lifecycle('remove', 1))).toMatchObject({ email_change: null })
    expect(await statesOf(store, 1)).toEqual([4, 3, 2, 1].map((n) => [n, 'cancelled']))
    for (const n of [1, 2, 3, 4]) {
      expect(await found(store, n)).toMatchObject({ newToken: null, oldToken: null })
      expect((await found(store, n)).endedAt).toBeGreaterThan(0)
    }
    expect(await toldOf(fixture)).toEqual([
      [null, 'pending'],
      ['pending', 'replaced'],
      ['pending', 'cancelled'],
      [null, 'pending'],
      ['pending', 'cancelled'],
      [null, 'pending'],
      ['pending', 'cancelled'],
    ])
  })

  it('does the same in a batch, in the order of its commands, and with a key once', async () => {
    const fixture = given()
    const { store } = fixture
    await committed(store, create({ email: 'ann@example.com' }))
    const outcomes = await store.changeAll([
      request(1, 'a@new.example', 1),
      request(1, 'b@new.example', 2),
      update(1, { bio: 'x' }),
    ])
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['committed', 'committed', 'committed'])
    expect(await statesOf(store, 1)).toEqual([
      [2, 'pending'],
      [1, 'cancelled'],
    ])
    const once = { actor: 'person:1', key: 'k', hash: 'h' }
    const first = await store.change(request(1, 'c@new.example', 3, { once }))
    const second = await store.change(request(1, 'c@new.example', 4, { once }))
    expect(second).toEqual({ ...first, replayed: true })
    expect(await store.emailChanges.get(changeId(4))).toBeUndefined()
    const preview = await store.change(request(1, 'd@new.example', 5, { dryRun: true }))
    expect(preview).toMatchObject({
      outcome: 'previewed',
      change: { fields: { email_change: ['pending', 'replaced'] } },
    })
    const refused = await store.changeAll([request(1, 'e@new.example', 6), update(2, { bio: 'x' })])
    expect(refused.map(codeOf)).toEqual(['batch_aborted', 'not_found'])
    for (const n of [5, 6]) expect(await store.emailChanges.get(changeId(n))).toBeUndefined()
    const mails = (await everyMail(store)).filter(([kind]) => kind === 'confirm_email')
    expect(mails.map(([, to]) => to).toSorted()).toEqual(['a', 'b', 'c'].map((name) => `${name}@new.example`))
    await committed(store, { ...lifecycle('erase', 1), once: { ...once, key: 'e' } })
    expect(await store.emailChanges.list(1)).toEqual([])
  })

  it('waits for both mailboxes where both are asked, in either order', async () => {
    const fixture = given()
    const { store } = fixture
    for (const [n, order] of [
      [1, ['new', 'old']],
      [2, ['old', 'new']],
    ] as const) {
      await committed(store, create({ email: `p${n}@example.com` }))
      await committed(store, request(n, `p${n}@new.example`, n, { by: 'both' }))
      const half = await committed(store, await step(store, n, confirm(n, order[0])))
      expect(half).toMatchObject({ email: `p${n}@example.com`, email_change: changeId(n), version: 3 })
      expect(codeOf(await store.change(await step(store, n, confirm(n, order[0]))))).toBe('invalid')
      const whole = await committed(store, await step(store, n, confirm(n, order[1])))
      expect(whole).toMatchObject({ email: `p${n}@new.example`, email_verified: true, email_change: null })
      // Whoever has confirmed from the old mailbox has shown that they read it.
      expect(await found(store, n)).toMatchObject({ oldVerified: false, undoToken: expect.any(String) })
    }
    expect(await toldOf(fixture)).toEqual(
      ['new', 'old'].flatMap((first) => [
        [null, 'pending'],
        ['pending', `confirmed_by_${first}`],
        ['pending', 'confirmed'],
      ]),
    )
  })

  it('lets the first of two have an address that both confirm at once, and of one that is confirmed twice', async () => {
    const { store } = given()
    for (const n of [1, 2]) {
      await committed(store, create({ email: `p${n}@example.com` }))
      await committed(store, request(n, 'wanted@new.example', n))
    }
    const both = await Promise.all([1, 2].map((n) => step(store, n, confirm(n, 'new'))))
    const outcomes = await Promise.all(both.map(store.change))
    expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(['committed', 'refused'])
    expect(outcomes.map(codeOf).filter(Boolean)).toEqual(['conflict'])
    const loser = outcomes.findIndex(({ outcome }) => outcome === 'refused') + 1
    expect(await present(store, loser)).toMatchObject({
      ...{ email: `p${loser}@example.com`, email_change: changeId(loser) },
    })
    expect((await found(store, loser)).state).toBe('pending')

    await committed(store, request(loser, 'other@new.example', 3))
    const twice = await Promise.all([1, 2].map(() => step(store, 3, confirm(3, 'new'))))
    const told = await Promise.all(twice.map(store.change))
    expect(told.map(({ outcome }) => outcome).toSorted()).toEqual(['committed', 'refused'])
    expect(told.map(codeOf).filter(Boolean)).toEqual(['precondition_failed'])
  })

  it('lets one of a confirmation, a cancellation and a new password come first, and the others know', async () => {
    const { store } = given()
    for (let n = 1; n <= 8; n++) {
      await committed(store, create({ email: `p${n}@example.com` }))
      await committed(store, request(n, `p${n}@new.example`, n))
      const racing = [
        await step(store, n, confirm(n, 'new')),
        await step(store, n, { do: 'cancel' }),
        setPassword(n, 'hash'),
      ]
      const turned = [...racing.slice(n % 3), ...racing.slice(0, n % 3)]
      const outcomes = await Promise.all(turned.map(store.change))
      const done = (kind: string, what?: string) =>
        outcomes[
          turned.findIndex((one) => one.kind === kind && (!what || ('step' in one && one.step.do === what)))
        ]?.outcome === 'committed'
      expect(done('password')).toBe(true)
      expect([done('email_change', 'confirm'), done('email_change', 'cancel')]).not.toEqual([true, true])
      const isConfirmed = done('email_change', 'confirm')
      expect(await present(store, n)).toMatchObject({
        ...{ email: isConfirmed ? `p${n}@new.example` : `p${n}@example.com`, email_change: null },
      })
      expect((await found(store, n)).state).toBe(isConfirmed ? 'confirmed' : 'cancelled')
    }
  })

  it('tells which have expired, the oldest first, and ends them as a change like any other', async () => {
    const fixture = given()
    const { store } = fixture
    for (const n of [1, 2, 3]) {
      await committed(store, create({ email: `p${n}@example.com` }))
      await committed(store, request(n, `p${n}@new.example`, n, { at: 1_000 * n }))
    }
    const day = 86_400_000
    const due = async (at: number, limit = 9) =>
      (await store.emailChanges.due(at, limit)).map(({ userId }) => userId)
    expect(await due(day + 999)).toEqual([])
    expect(await due(day + 2_000)).toEqual([1, 2])
    expect(await due(day + 9_000, 2)).toEqual([1, 2])
    const early = await step(store, 1, { do: 'expire' }, { at: day + 999 })
    expect(codeOf(await store.change(early))).toBe('conflict')
    const late = await step(store, 1, confirm(1, 'new'), { at: day + 1_000 })
    expect(codeOf(await store.change(late))).toBe('invalid')
    const expired = await step(store, 1, { do: 'expire' }, { at: day + 1_000 })
    expect(await committed(store, expired)).toMatchObject({ email: 'p1@example.com', email_change: null })
    expect(await found(store, 1)).toMatchObject({ state: 'expired', endedAt: day + 1_000, newToken: null })
    expect(await due(day + 9_000)).toEqual([2, 3])
    expect((await toldOf(fixture)).at(-1)).toEqual(['pending', 'expired'])
  })

  it('undoes a change towards the verified address, ends tokens and what is pending, unless somebody else has it', async () => {
    const fixture = given()
    const { store } = fixture
    await committed(store, create({ email: 'first@example.com' }))
    await committed(store, request(1, 'ann@example.com', 1))
    await committed(store, await step(store, 1, confirm(1, 'new')))
    expect((await found(store, 1)).undoToken).toBeNull()
    for (const n of [2, 3]) {
      await committed(store, request(1, `thief${n}@new.example`, n))
      await committed(store, await step(store, n, confirm(n, 'new')))
    }
    await committed(store, request(1, 'thief4@new.example', 4))
    const undo = (n: number) => tokenOf(changeId(n), secret('undo'))
    const command = await step(store, 2, { do: 'revert', token: undo(2) })
    await everyMail(store)
    await committed(store, create({ email: 'ann@example.com', username: 'heir' }))
    const outcome: Outcome = await store.change(command)
    expect(codeOf(outcome)).toBe('conflict')
    expect(await store.credentials(1)).toMatchObject({ tokensValidFrom: 0 })
    await committed(store, lifecycle('erase', 2))
    expect(await committed(store, command)).toMatchObject({
      ...{ email: 'ann@example.com', email_verified: true, email_change: null },
    })
    expect(await store.credentials(1)).toMatchObject({ tokensValidFrom: command.at })
    expect(await statesOf(store, 1)).toEqual([
      [4, 'cancelled'],
      [3, 'confirmed'],
      [2, 'reverted'],
      [1, 'confirmed'],
    ])
    expect((await found(store, 3)).undoToken).toBeNull()
    const told = await store.outbox.take({ at: Date.UTC(2032, 0), until: Date.UTC(2033, 0), most: 100 })
    expect(told.filter(({ id }) => id.endsWith('.undone'))).toMatchObject([
      { kind: 'email_changed', to: 'thief3@new.example', values: {} },
    ])
    expect((await toldOf(fixture)).at(-1)).toEqual(['confirmed', 'reverted'])
    const again = await step(store, 2, { do: 'revert', token: undo(2) })
    expect(codeOf(await store.change(again))).toBe('invalid')
  })

  const key = (id: number, email: string, more: Partial<Update> = {}) =>
    update(id, { email }, { actor: { kind: 'key', id: 'k', scopes: ['write'], contract: 'v1' }, ...more })

  it('leaves no link that undoes what an administrator sets, nor a key or an import in place of what was confirmed', async () => {
    const { store } = given()
    const admin = (id: number, email: string) =>
      update(
        id,
        { email },
        { actor: { kind: 'operator', id: null, scopes: ['admin'], contract: 'operator' } },
      )
    const source = (id: number, email: string) => importing(id, { email }, { update: true })
    for (const [n, set] of [admin, key, source].entries()) {
      const id = n + 1
      await committed(store, create({ email: `p${id}@example.com` }))
      for (const part of [1, 2]) {
        await committed(store, request(id, `p${id}${part}@thief.example`, 2 * n + part))
        await committed(store, await step(store, 2 * n + part, confirm(2 * n + part, 'new')))
      }
      expect((await found(store, 2 * n + 2)).undoToken).not.toBeNull()
      const commands = [set(id, `p${id}@example.com`), update(id, { bio: 'x' })]
      // Together, and each on its own.
      if (n === 1) await store.changeAll(commands)
      else for (const command of commands) await committed(store, command)
      expect(await present(store, id)).toMatchObject({ email_verified: false })
      expect((await found(store, 2 * n + 2)).undoToken).toBeNull()
      const token = tokenOf(changeId(2 * n + 2), secret('undo'))
      expect(codeOf(await store.change(await step(store, 2 * n + 2, { do: 'revert', token })))).toBe(
        'invalid',
      )
    }
    // Nobody has confirmed what this one replaces, which may be a thief's.
    await committed(store, importing(4, { email: 'p4@example.com', email_verified: true }))
    await committed(store, request(4, 'p4@new.example', 7))
    await committed(store, await step(store, 7, confirm(7, 'new')))
    await committed(store, importing(4, { email_verified: false }, { update: true }))
    await committed(store, key(4, 'p4@newer.example'))
    expect((await found(store, 7)).undoToken).not.toBeNull()
  })

  it('can undo what is set at once in place of a verified address, and finds what was confirmed last', async () => {
    const { store } = given()
    expect(await store.emailChanges.lastConfirmed(1)).toBeUndefined()
    await committed(store, importing(1, { email: 'ann@example.com', email_verified: true }))
    const set = (email: string, n: number, backTo: string | null) =>
      key(1, email, { atOnce: { id: changeId(n), undoSecret: secret('undo'), backTo } })
    await committed(store, set('new@example.com', 1, 'ann@example.com'))
    expect(await everyMail(store)).toEqual([['email_changed', 'ann@example.com']])
    expect(await store.emailChanges.lastConfirmed(1)).toMatchObject({ id: changeId(1), state: 'confirmed' })
    await committed(store, set('newer@example.com', 2, 'new@example.com'))
    expect(await store.emailChanges.get(changeId(2))).toBeUndefined()
    await committed(store, request(1, 'pending@example.com', 3))
    expect(await store.emailChanges.lastConfirmed(1)).toEqual(await found(store, 1))
    const token = tokenOf(changeId(1), secret('undo'))
    expect(await committed(store, await step(store, 1, { do: 'revert', token }))).toMatchObject({
      ...{ email: 'ann@example.com', email_verified: true, email_change: null },
    })
    expect(await store.emailChanges.lastConfirmed(1)).toBeUndefined()
  })

  it('removes those that have long been over, a few at a time, and no others; the log knows them for ever', async () => {
    const fixture = given()
    const { store } = fixture
    await committed(store, importing(1, { email: 'ann@example.com', email_verified: true }))
    await committed(store, request(1, 'ann@new.example', 1))
    await committed(store, await step(store, 1, confirm(1, 'new')))
    for (const n of [2, 3]) await committed(store, request(1, 'ann@newer.example', n))
    const [undoUntil, cancelledAt] = [(await found(store, 1)).undoUntil, (await found(store, 2)).endedAt]
    const log = await fixture.readLog()
    expect(await store.expire(Number(cancelledAt) + keptFor - 1)).toBe(0)
    expect(await store.expire(Number(cancelledAt) + keptFor)).toBe(1)
    expect(await store.expire(Number(undoUntil) + keptFor - 1)).toBe(0)
    expect(await statesOf(store, 1)).toEqual([
      [3, 'pending'],
      [1, 'confirmed'],
    ])
    expect(await store.expire(Number(undoUntil) + keptFor)).toBe(1)
    expect(await statesOf(store, 1)).toEqual([[3, 'pending']])

    await committed(store, create({ email: 'bob@example.com' }))
    for (const from of [0, 600])
      await store.changeAll(times(600, (n) => request(2, `bob${n}@new.example`, 1_000 + from + n)))
    const late = Date.UTC(2030, 0)
    const portions: number[] = []
    for (let count = 1; count > 0; portions.push(count)) count = await store.expire(late)
    expect(portions.reduce((sum, count) => sum + count)).toBe(1_199)
    expect(Math.max(...portions)).toBeLessThanOrEqual(1_000)
    expect(await statesOf(store, 1)).toEqual([[3, 'pending']])
    expect((await store.emailChanges.list(2)).map(({ state }) => state)).toEqual(['pending'])
    expect((await fixture.readLog()).slice(0, log.length)).toEqual(log)
  })

  it('removes all of it with the user, and keeps no address in the log', async () => {
    const { store, readLog } = given()
    await committed(store, create({ email: 'ann@example.com' }))
    await committed(store, create({ email: 'bob@example.com' }))
    await committed(store, request(2, 'bob@new.example', 2))
    await committed(store, request(1, 'ann@new.example', 1))
    await committed(store, await step(store, 1, confirm(1, 'new')))
    await committed(store, request(1, 'ann@newer.example', 3))
    expect(await committed(store, lifecycle('erase', 1))).toMatchObject({ email_change: null })
    expect(await store.emailChanges.list(1)).toEqual([])
    expect(await store.emailChanges.get(changeId(3))).toBeUndefined()
    expect(JSON.stringify(await readLog())).not.toMatch(/ann@/)
    expect((await readLog()).at(-1)?.fields.email_change).toEqual([null, null])
    expect(await statesOf(store, 2)).toEqual([[2, 'pending']])
    expect((await everyMail(store)).map(([, to]) => to).toSorted()).toEqual([
      'bob@example.com',
      'bob@new.example',
    ])
  })
}
