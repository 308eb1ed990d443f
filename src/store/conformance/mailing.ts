import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { type Kinds, type Mail, noticeLife } from '../../directory/mail.ts'
import type { Store } from '../../directory/store.ts'
import { committed, create, type Given, lifecycle, setPassword, times, update } from './commands.ts'

const at = Date.UTC(2026, 0, 1)

function mail(over: Partial<Mail> = {}): Mail {
  const about = { to: 'ann@example.com', userId: null, values: {} }
  return { id: randomUUID(), kind: 'recover_password', ...about, at, expiresAt: at + 1_000, ...over }
}

const everything = { at: Date.UTC(2100, 0, 1), until: Date.UTC(2100, 0, 2), most: 1_000 }

/** What waits, as it was put there. */
async function waiting(store: Store): Promise<Mail[]> {
  const taken = await store.outbox.take(everything)
  return taken.map(({ tries: _, ...rest }) => rest)
}

/** What every store must do with mails until they are sent. */
export function keepingMails(given: Given): void {
  it('keeps a mail as it was given, once, also when opened again', async () => {
    const { store, reopen } = given()
    const values = { token: 'a "b" \u{1f642}', address: 'ä@exämple.com' }
    const full = mail({ values, userId: 2 ** 52, to: 'ä@exämple.com' })
    await store.outbox.add(full)
    await store.outbox.add({ ...full, to: 'other@example.com' })
    expect(await store.outbox.backlog()).toEqual({ count: 1, oldest: at })
    const opened = await reopen()
    expect(await waiting(opened)).toEqual([full])
    await opened.outbox.remove(full.id)
    expect(await opened.outbox.backlog()).toEqual({ count: 0, oldest: null })
  })

  it('gives each mail to one of all who take at once, and again when its time is over', async () => {
    const { store } = given()
    const mails = times(30, (n) => mail({ at: at + n }))
    for (const each of mails) await store.outbox.add(each)
    const taking = { at: at + 30, until: at + 100, most: 4 }
    const given20 = await Promise.all(times(20, () => store.outbox.take(taking)))
    const ids = given20.flat().map(({ id }) => id)
    expect(given20.every((some) => some.length <= 4)).toBe(true)
    expect(new Set(ids).size).toBe(ids.length)
    const later = await store.outbox.take({ at: at + 99, until: at + 200, most: 1_000 })
    expect([...ids, ...later.map(({ id }) => id)].toSorted()).toEqual(mails.map(({ id }) => id).toSorted())
    expect(await store.outbox.take({ at: at + 99, until: at + 200, most: 1_000 })).toEqual([])
    const again = await store.outbox.take({ at: at + 100, until: at + 300, most: 1_000 })
    expect(again.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    expect(again.every(({ tries }) => tries === 2)).toBe(true)
  })

  it('gives those that are due longest first, and none before', async () => {
    const { store } = given()
    const [late, early, next] = [mail({ at: at + 9 }), mail({ at }), mail({ at: at + 5 })]
    for (const each of [late, early, next]) await store.outbox.add(each)
    const take = async (now: number) =>
      (await store.outbox.take({ at: now, until: now + 50, most: 2 })).map(({ id }) => id)
    expect(await take(at - 1)).toEqual([])
    expect(await take(at + 20)).toEqual([early.id, next.id])
    expect(await take(at + 20)).toEqual([late.id])
  })

  it('gives and counts those of one kind alone, and all but those of one', async () => {
    const { store } = given()
    const [link, notice, other] = [
      mail(),
      mail({ kind: 'password_changed', at: at + 1 }),
      mail({ kind: 'verify_account', at: at + 2 }),
    ]
    for (const each of [other, notice, link]) await store.outbox.add(each)
    const [only, without] = [{ only: 'recover_password' }, { without: 'recover_password' }] as const
    expect(await store.outbox.backlog(only)).toEqual({ count: 1, oldest: at })
    expect(await store.outbox.backlog(without)).toEqual({ count: 2, oldest: at + 1 })
    expect(await store.outbox.backlog({ only: 'confirm_email' })).toEqual({ count: 0, oldest: null })
    const take = async (kinds: Kinds) =>
      (await store.outbox.take({ at: at + 20, until: at + 50, most: 9, ...kinds })).map(({ id }) => id)
    expect(await take({ only: 'confirm_email' })).toEqual([])
    expect(await take(without)).toEqual([notice.id, other.id])
    expect(await take(without)).toEqual([])
    expect(await take(only)).toEqual([link.id])
  })

  it('takes a mail back until it is due again, but not from who has it by then', async () => {
    const { store } = given()
    const one = mail()
    await store.outbox.add(one)
    const [first] = await store.outbox.take({ at, until: at + 10, most: 1 })
    if (first === undefined) throw new Error('nothing was given')
    await store.outbox.postpone({ ...first, userId: 7 }, at + 50)
    expect(await store.outbox.take({ at: at + 49, until: at + 90, most: 1 })).toEqual([])
    const [second] = await store.outbox.take({ at: at + 50, until: at + 90, most: 1 })
    expect(second).toEqual({ ...one, userId: 7, tries: 2 })
    // The first of the two comes late, and is not believed.
    await store.outbox.postpone(first, at + 51)
    expect(await store.outbox.take({ at: at + 60, until: at + 90, most: 1 })).toEqual([])
    await store.outbox.remove(one.id)
    if (second !== undefined) await store.outbox.postpone(second, at)
    expect(await waiting(store)).toEqual([])
  })

  it('writes the mails of a unit with it, to the address of the record, and none where nothing was committed', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann', email: 'ann@example.com' }))
    await committed(store, create({ username: 'bob' }))
    const first = setPassword(1, 'first')
    await committed(store, first)
    const notice = {
      ...{ id: first.changeId, kind: 'password_changed', to: 'ann@example.com', userId: 1 },
      ...{ at: first.at, expiresAt: first.at + noticeLife, values: {} },
    }
    expect(await waiting(store)).toEqual([notice])
    await store.outbox.remove(first.changeId)
    await committed(store, setPassword(2, 'first'))
    for (const refused of [
      { ifMatch: [1] },
      { basis: { version: 1 } },
      { dryRun: true },
      { called: 'usr_x' },
    ])
      await store.change(setPassword(1, 'second', refused))
    await committed(store, update(1, { bio: 'x' }))
    expect(await waiting(store)).toEqual([])
  })

  it('writes the mails of units that are done once, once', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann', email: 'ann@example.com' }))
    const once = { actor: 'key:1', key: 'k', hash: 'h' }
    const first = setPassword(1, 'first', { once })
    await committed(store, first)
    await store.change(setPassword(1, 'first', { once }))
    expect((await waiting(store)).map(({ id }) => id)).toEqual([first.changeId])
  })

  it('writes them in the order of the changes, whoever else is changing the same user', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann', email: 'ann@example.com' }))
    const commands = times(12, (n) => (n % 3 === 0 ? setPassword(1, `${n}`) : update(1, { bio: `${n}` })))
    await Promise.all(commands.map(store.change))
    const changed = commands.flatMap((one) => (one.kind === 'password' ? [one.changeId] : []))
    expect((await waiting(store)).map(({ id }) => id).toSorted()).toEqual(changed.toSorted())
  })

  it.each([{}, { once: { actor: 'key:1', key: 'k', hash: 'h' } }])(
    'forgets what is about a user who is erased, and nothing else: %o',
    async (how) => {
      const { store } = given()
      await committed(store, create({ username: 'ann', email: 'ann@example.com' }))
      await committed(store, setPassword(1, 'first'))
      const [others, nobodys] = [mail({ userId: 2 }), mail()]
      for (const each of [others, nobodys]) await store.outbox.add(each)
      await committed(store, { ...lifecycle('remove', 1), ...how })
      expect(await store.outbox.backlog()).toMatchObject({ count: 3 })
      const once = 'once' in how ? { once: { ...how.once, key: 'another' } } : {}
      await committed(store, { ...lifecycle('erase', 1), removedToo: true, ...once })
      expect((await waiting(store)).map(({ id }) => id).toSorted()).toEqual(
        [others.id, nobodys.id].toSorted(),
      )
    },
  )
}
