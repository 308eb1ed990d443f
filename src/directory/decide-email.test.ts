import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Actor } from './actor.ts'
import type { Change, Unit } from './change.ts'
import type { ChangeEmail, Command, Update } from './command.ts'
import { decide } from './decide.ts'
import {
  type Confirmers,
  confirmableFor,
  confirmersFor,
  type EmailChange,
  emailChangeModes,
  tokenOf,
  undoableFor,
} from './email-change.ts'
import type { Mail } from './mail.ts'
import { noFields, type User } from './user.ts'

const rules = { roles: ['user'] }
const self: Actor = { kind: 'person', id: '7', scopes: ['read', 'write'], contract: 'v1' }
const service: Actor = { kind: 'key', id: 'k', scopes: ['read', 'write'], contract: 'v1' }
const admin: Actor = { ...service, scopes: ['admin'] }
const anybody: Actor = { kind: 'anonymous', id: null, scopes: [], contract: 'email' }

const ann: User = {
  ...noFields,
  ...{ id: 7, uid: 'usr_ann123456789', status: 'active', version: 1, created_at: 0, updated_at: 0 },
  ...{ email: 'ann@example.com', email_verified: true },
}

const idOf = (n: number) => `emc_${String(n).padStart(16, '0')}`
const secretsOf = (n: number, tries: number) => ({
  new: `new-${n}-${tries}-${'x'.repeat(20)}`,
  old: `old-${n}-${tries}-${'x'.repeat(20)}`,
})

/** A user and their changes, as a store would keep them, with all that was ever told. */
function createRecord() {
  let user = ann
  const changes = new Map<string, EmailChange>()
  const log: Change[] = []
  const mails: Mail[] = []

  function write({ user: next, emailChanges = {}, change, mails: sent = [] }: Unit): void {
    const { ended, noUndoSince = Number.POSITIVE_INFINITY, put = [] } = emailChanges
    for (const [id, one] of changes)
      if ((one.endedAt ?? 0) >= noUndoSince) changes.set(id, { ...one, undoToken: null })
    if (ended !== undefined) {
      const { id, state, at } = ended
      const known = changes.get(id) as EmailChange
      changes.set(id, { ...known, state, endedAt: at, newToken: null, oldToken: null })
    }
    for (const one of put) changes.set(one.id, one)
    user = next
    log.push(change)
    mails.push(...sent)
  }

  return {
    user: () => user,
    changes,
    log,
    mails,
    /** @returns what is refused, or nothing */
    run(command: Command): string | undefined {
      const decision = decide(command.kind === 'create' ? undefined : user, command, rules)
      if (decision.outcome === 'commit') write(decision.unit)
      return decision.outcome === 'refused' ? decision.refusal.code : undefined
    },
  }
}

type Record_ = ReturnType<typeof createRecord>

const by = (actor: Actor, at: number) => ({ actor, requestId: 'r', changeId: `c-${at}`, at })

const request = (n: number, email: string, at: number, confirmers: 'new' | 'both' = 'new'): Update => ({
  ...{ ...by(self, at), kind: 'update', id: 7, patch: { email } },
  confirm: { by: confirmers, id: idOf(n), secrets: secretsOf(n, 0) },
})

function stepOf(
  record: Record_,
  n: number,
  step: ChangeEmail['step'],
  at: number,
  actor = self,
): ChangeEmail {
  const change = record.changes.get(idOf(n)) as EmailChange
  return {
    ...by(actor, at),
    kind: 'email_change',
    id: 7,
    change,
    basis: { version: record.user().version },
    step,
  }
}

/** Somebody new who is asked whether the address is theirs. */
function welcomed(): Record_ {
  const record = createRecord()
  const { confirm } = request(1, '', 1)
  const patch = { username: 'ann', email: ann.email }
  record.run({ ...by(admin, 1), kind: 'create', id: 7, uid: ann.uid, patch, confirm })
  return record
}

const token = (n: number, side: 'new' | 'old', tries = 0) => tokenOf(idOf(n), secretsOf(n, tries)[side])
const undo = (n: number) => `undo-${n}-${'x'.repeat(20)}`

describe('whose word it takes', () => {
  const vouched: Actor = { ...self, vouched: true }
  test.each([
    [self, ['new', 'new', 'both']],
    [vouched, [undefined, 'new', 'both']],
    [service, [undefined, 'new', 'both']],
    [admin, [undefined, 'new', 'new']],
  ] as [Actor, unknown[]][])('%o', (actor, expected) => {
    expect(emailChangeModes.map((mode) => confirmersFor(actor, mode))).toEqual(expected)
  })

  test('nobody else’s than their own says that an address is theirs at once', () => {
    const command = { ...request(1, 'b@example.com', 1), confirm: undefined }
    expect(decide(ann, command, rules)).toMatchObject({ refusal: { code: 'forbidden' } })
  })

  test('both cannot be asked where there is no old address', () => {
    const command = request(1, 'b@example.com', 1, 'both')
    const decision = decide({ ...ann, email: null, email_verified: null }, command, rules)
    expect(decision).toMatchObject({ unit: { emailChanges: { put: [{ by: 'new', oldToken: null }] } } })
  })
})

describe('a correction', () => {
  const correct = (by: Confirmers) =>
    ({ do: 'correct', email: 'c@example.com', by, secrets: secretsOf(1, 1) }) as const

  test.each([
    ['new', 'new', 'new', ['confirm_email', 'email_change_notice']],
    ['new', 'both', 'both', ['confirm_email', 'confirm_email']],
    ['both', 'new', 'both', ['confirm_email', 'confirm_email']],
    ['both', 'both', 'both', ['confirm_email', 'confirm_email']],
  ] as const)(
    'of what takes the word of %s, by whose asking takes %s, takes %s',
    (opened, asked, by, kinds) => {
      const record = createRecord()
      record.run(request(1, 'b@example.com', 1, opened))
      record.mails.length = 0
      expect(record.run(stepOf(record, 1, correct(asked), 2))).toBe(undefined)
      expect(record.changes.get(idOf(1))).toMatchObject({
        ...{ id: idOf(1), state: 'pending', by, oldEmail: ann.email, newEmail: 'c@example.com' },
        ...{ requestedAt: 1, expiresAt: 2 + confirmableFor },
      })
      expect(record.mails.map(({ kind, to }) => [kind, to])).toEqual([
        [kinds[0], 'c@example.com'],
        [kinds[1], ann.email],
      ])
    },
  )

  test.each([
    ['new', 'email_change_notice', 'c@example.com'],
    ['both', 'confirm_email', ann.email],
  ] as const)(
    'of the address that somebody new came with replaces it, at the word of %s',
    (by, kind, then) => {
      const record = welcomed()
      expect(record.changes.get(idOf(1))).toMatchObject({ by: 'new', oldEmail: null })
      expect(record.run(stepOf(record, 1, correct(by), 2, service))).toBe(undefined)
      expect(record.changes.get(idOf(1))).toMatchObject({ by, oldEmail: ann.email, oldVerified: false })
      expect(record.mails.slice(1)).toMatchObject([
        { kind: 'confirm_email', to: 'c@example.com' },
        { kind, to: ann.email },
      ])
      const confirm = { do: 'confirm', token: token(1, 'new', 1), undoSecret: undo(1) } as const
      expect(record.run(stepOf(record, 1, confirm, 3, anybody))).toBe(undefined)
      expect(record.user().email).toBe(then)
      const told = { kind: 'email_changed', to: ann.email, values: {} }
      expect(record.mails.slice(3)).toMatchObject(by === 'new' ? [told] : [])
    },
  )

  test('to the address that they have is none', () => {
    for (const record of [welcomed(), createRecord()]) {
      if (record.changes.size === 0) record.run(request(1, 'b@example.com', 1))
      const kept = record.changes.get(idOf(1))
      const asIs = { ...correct('new'), email: ann.email }
      expect(record.run(stepOf(record, 1, asIs, 2))).toBe('invalid')
      expect(record.changes.get(idOf(1))).toEqual(kept)
    }
  })
})

describe('time', () => {
  test.each([
    [confirmableFor - 1, undefined],
    [confirmableFor, 'invalid'],
    [confirmableFor + 1, 'invalid'],
  ])('%d milliseconds after the mail a confirmation is %s', (later, code) => {
    const record = createRecord()
    record.run(request(1, 'b@example.com', 1))
    const confirm = { do: 'confirm', token: token(1, 'new'), undoSecret: undo(1) } as const
    expect(record.run(stepOf(record, 1, confirm, 1 + later, anybody))).toBe(code)
  })

  test.each([
    [undoableFor - 1, undefined],
    [undoableFor, 'invalid'],
  ])('%d milliseconds after the switch undoing it is %s', (later, code) => {
    const record = createRecord()
    record.run(request(1, 'b@example.com', 1))
    record.run(stepOf(record, 1, { do: 'confirm', token: token(1, 'new'), undoSecret: undo(1) }, 2, anybody))
    const revert = { do: 'revert', token: tokenOf(idOf(1), undo(1)) } as const
    expect(record.run(stepOf(record, 1, revert, 2 + later, anybody))).toBe(code)
    expect(record.user().email).toBe(code === undefined ? 'ann@example.com' : 'b@example.com')
  })
})

test('an address that was never confirmed is told of a change, and can not undo it', () => {
  const record = createRecord()
  record.run({ ...request(0, 'typo@example.com', 1), actor: service, confirm: undefined })
  record.run(request(1, 'b@example.com', 2))
  record.run(stepOf(record, 1, { do: 'confirm', token: token(1, 'new'), undoSecret: undo(1) }, 3, anybody))
  expect(record.changes.get(idOf(1))).toMatchObject({ state: 'confirmed', undoToken: null, undoUntil: null })
  expect(record.mails.filter(({ to }) => to === 'typo@example.com')).toMatchObject([
    { kind: 'email_change_notice', values: {} },
    { kind: 'email_changed', values: {} },
  ])
})

test('a log tells every step, whatever comes after what', () => {
  const steps = fc.record({
    what: fc.constantFrom(
      'request',
      'both',
      'correct',
      'resend',
      'cancel',
      'new',
      'old',
      'undo',
      'expire',
      'direct',
      'password',
      'other',
    ),
    n: fc.integer({ min: 1, max: 6 }),
    hours: fc.constantFrom(0, 0, 0, 1, 25, 200),
  })
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 40, size: 'max' }), (sequence) => {
      const record = createRecord()
      const tries = new Map<number, number>()
      let [at, made, address] = [1, 0, 0]
      for (const { what, n, hours } of sequence) {
        at += hours * 3_600_000 + 1
        const next = () => `a${++address}@example.com`
        const last = Math.min(n, made)
        const nth = tries.get(last) ?? 0
        const secrets = secretsOf(last, nth + 1)
        const before = record.user()
        const step = (one: ChangeEmail['step'], actor = self) => {
          if (made === 0) return
          const code = record.run(stepOf(record, last, one, at, actor))
          if (code === undefined && 'secrets' in one) tries.set(last, nth + 1)
        }
        if (what === 'request' || what === 'both')
          record.run(request(++made, next(), at, what === 'both' ? 'both' : 'new'))
        else if (what === 'correct') step({ do: 'correct', email: next(), by: 'new', secrets })
        else if (what === 'resend') step({ do: 'resend', secrets })
        else if (what === 'cancel' || what === 'expire')
          step({ do: what }, what === 'expire' ? service : self)
        else if (what === 'new' || what === 'old')
          step({ do: 'confirm', token: token(last, what, nth), undoSecret: undo(last) }, anybody)
        else if (what === 'undo') step({ do: 'revert', token: tokenOf(idOf(last), undo(last)) }, anybody)
        else if (what === 'password')
          record.run({ ...by(self, at), kind: 'password', id: 7, password: 'hash' })
        else {
          const patch = what === 'direct' ? { email: next() } : { bio: `${at}` }
          record.run({ ...by(service, at), kind: 'update', id: 7, patch })
        }
        agree(record, before)
      }
    }),
    { numRuns: 300 },
  )
})

/** What record, changes and log say of each other. */
function agree({ user, changes, log }: Record_, before: User): void {
  const now = user()
  const pending = [...changes.values()].filter(({ state }) => state === 'pending')
  expect(pending.map(({ id }) => id)).toEqual(now.email_change === null ? [] : [now.email_change])
  for (const { state, newToken, oldToken } of changes.values())
    if (state !== 'pending') expect([newToken, oldToken]).toEqual([null, null])
  expect(log.map(({ version }) => version)).toEqual(log.map((_, n) => n + 2))
  // Replayed, the log has as many of each state as there are changes, and leads to the address.
  const counts = { confirmed: 0, cancelled: 0, expired: 0, reverted: 0 }
  let [isPending, email] = [false, ann.email]
  for (const { fields } of log) {
    const [from, to] = fields.email_change ?? []
    if (to !== undefined) {
      if (to !== 'reverted') expect(from).toBe(isPending ? 'pending' : null)
      if (to === 'replaced' || (to === 'reverted' && isPending)) counts.cancelled++
      if (to === 'reverted') counts.confirmed--
      if (typeof to === 'string' && to in counts) counts[to as keyof typeof counts]++
      isPending = to === null || !['confirmed', 'cancelled', 'expired', 'reverted'].includes(String(to))
    }
    if (fields.email !== undefined) {
      expect(fields.email[0]).toBe(email)
      email = fields.email[1] as string
    }
  }
  expect([isPending, email]).toEqual([now.email_change !== null, now.email])
  for (const [state, count] of Object.entries(counts))
    expect(
      [...changes.values()].filter((one) => one.state === state),
      state,
    ).toHaveLength(count)
  // Nothing but a switch and its undoing has an address shown to be somebody's.
  if (now.email !== before.email && now.email_verified === true)
    expect(['confirmed', 'reverted']).toContain(log.at(-1)?.fields.email_change?.[1])
}
