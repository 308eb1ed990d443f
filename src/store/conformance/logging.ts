import { expect, it } from 'vitest'
import type { Actor } from '../../directory/actor.ts'
import type { Change } from '../../directory/change.ts'
import { claim } from '../../directory/claims.ts'
import type { Command } from '../../directory/command.ts'
import { claimsOf, noFields } from '../../directory/user.ts'
import {
  blank,
  codeOf,
  committed,
  create,
  everybody,
  type Given,
  lifecycle,
  present,
  replace,
  update,
} from './commands.ts'
import { contradictions } from './contradictions.ts'

export function logging(given: Given): void {
  it('explains every committed command: who, when, through what, and each old and new value', async () => {
    const { store, readLog } = given()
    const tag = { id: 7, type: 't', name: 'n', description: 'd "quoted" \u{1f642}', color: '#fff' }
    const key: Actor = { kind: 'key', id: 'importer', scopes: ['read', 'write', 'admin'], contract: 'v1' }
    const commands: Command[] = [
      create({ email: 'ann@example.com', community_badge: true, tags: [tag] }),
      update(1, { email: 'Ann@example.com', community_badge: false, bio: 'a\nb' }, { actor: key }),
      replace(9, { first_name: 'Bob' }, { actor: { ...key, kind: 'anonymous', id: null } }),
      update(1, { tags: null, bio: null }),
      lifecycle('remove', 1),
      lifecycle('restore', 1),
    ]
    for (const command of commands) await committed(store, command)
    const fields: Change['fields'][] = [
      { email: [null, 'ann@example.com'], community_badge: [null, true], tags: [null, [tag]] },
      { email: ['ann@example.com', 'Ann@example.com'], community_badge: [true, false], bio: [null, 'a\nb'] },
      { first_name: [null, 'Bob'] },
      { tags: [[tag], null], bio: ['a\nb', null] },
      { status: ['active', 'deleted'] },
      { status: ['deleted', 'active'] },
    ]
    const kinds = ['created', 'updated', 'created', 'updated', 'removed', 'restored'] as const
    const expected = commands.map(({ actor, at, changeId, requestId }, n): Change => {
      const about = { userId: n === 2 ? 9 : 1, version: [1, 2, 1, 3, 4, 5][n] ?? 0 }
      const by = { actor: { kind: actor.kind, id: actor.id }, contract: actor.contract, requestId }
      return { ...about, ...by, changeId, at, kind: kinds[n] ?? 'updated', fields: fields[n] ?? {} }
    })
    expect(await readLog()).toEqual(expected)
  })

  it('has nothing to say of commands that changed nothing or were refused', async () => {
    const { store, readLog } = given()
    await committed(store, create({ email: 'ann@example.com', bio: 'old' }))
    const before = await present(store, 1)
    const stranger: Actor = { kind: 'anonymous', id: null, scopes: [], contract: 'v1' }
    const refused: [Command, string | undefined][] = [
      [update(1, {}), undefined],
      [update(1, { email: 'ann@example.com', bio: 'old', phone: null }), undefined],
      [replace(1, { bio: 'old' }), undefined],
      [update(1, { bio: 5, phone: '' }), 'invalid'],
      [update(1, { bio: 'new' }, { ifMatch: [] }), 'precondition_failed'],
      [replace(1, { bio: 'new' }, { ifNoneMatch: '*' }), 'precondition_failed'],
      [update(2, { bio: 'new' }), 'not_found'],
      [replace(2, { bio: 'new' }, { upsert: false }), 'not_found'],
      [lifecycle('restore', 1), 'not_found'],
      [create({ email: 'ANN@example.com' }), 'conflict'],
      [update(1, { bio: 'new' }, { actor: stranger }), 'unauthenticated'],
      [create({}, { actor: { ...stranger, scopes: ['read'] } }), 'forbidden'],
      [create({}, { actor: { ...stranger, kind: 'key', id: 'reader', scopes: ['read'] } }), 'forbidden'],
    ]
    for (const [command, code] of refused) expect(codeOf(await store.change(command))).toBe(code)
    expect(await readLog()).toHaveLength(1)
    expect(await everybody(store)).toEqual([before])
  })
}

export function erasing(given: Given): void {
  it('blanks the values in every older row of that user, keeps the rows, and touches nobody else’s', async () => {
    const { store, readLog } = given()
    await committed(store, create({ email: 'ann@example.com', username: 'ann', bio: 'secret-0' }))
    await committed(store, create({ email: 'bob@example.com', username: 'bob', bio: 'public-0' }))
    for (let n = 1; n <= 30; n++) {
      await committed(store, update(1, { bio: `secret-${n}`, tags: n % 2 ? [] : null }))
      await committed(store, update(2, { bio: `public-${n}` }))
    }
    await committed(store, lifecycle('remove', 1))
    await committed(store, lifecycle('restore', 1))
    const before = await readLog()
    const erased = await committed(store, lifecycle('erase', 1))
    expect(erased).toMatchObject({ ...noFields, id: 1, status: 'erased', version: 34 })
    expect(await store.get(1)).toEqual(erased)

    const after = await readLog()
    const blanked = before.map((row) => (row.userId === 1 ? { ...row, fields: blank(row.fields) } : row))
    expect(after.slice(0, -1)).toEqual(blanked)
    expect(after.at(-1)).toMatchObject({ userId: 1, version: 34, kind: 'erased' })
    expect(/secret|ann@|"ann",null/.exec(JSON.stringify(after.map(({ fields }) => fields)))).toBeNull()
    expect(contradictions([erased, await present(store, 2)], after)).toEqual([])
  })

  it('frees every claim of the user for others', async () => {
    const { store } = given()
    const values = { email: 'ann@example.com', username: 'ann', ext_id: 'x-1' }
    const { uid } = await committed(store, create(values))
    await committed(store, lifecycle('erase', 1))
    for (const one of claimsOf({ ...(await present(store, 1)), ...values, uid, status: 'active' }))
      expect(await store.find(one)).toBeUndefined()
    const heir = await committed(store, create(values))
    expect(heir.id).toBe(2)
    expect(await store.find(claim('email', values.email))).toEqual(heir)
  })

  it('is final: nobody restores, changes, removes or erases the user again', async () => {
    const { store, readLog } = given()
    await committed(store, create({ bio: 'gone' }))
    await committed(store, lifecycle('erase', 1))
    const again = [
      update(1, { bio: 'x' }),
      replace(1, { bio: 'x' }),
      lifecycle('remove', 1),
      lifecycle('restore', 1),
      lifecycle('erase', 1),
    ]
    for (const command of again) expect(codeOf(await store.change(command))).toBe('not_found')
    expect(await readLog()).toHaveLength(2)
  })
}
