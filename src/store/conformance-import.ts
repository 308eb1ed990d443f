import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { claim } from '../directory/claims.ts'
import type { Store } from '../directory/store.ts'
import type { User } from '../directory/user.ts'
import {
  all,
  codeOf,
  committed,
  contradictions,
  create,
  type Fixture,
  importing,
  lifecycle,
  present,
} from './conformance.ts'

async function everybody(store: Store): Promise<readonly User[]> {
  return (await store.page({ after: 0, filters: [], everybody: true })).users
}

/** What every store must do with people who come from another directory. */
export function importConformance(name: string, open: () => Promise<Fixture>): void {
  describe(`${name} as a store to import into`, () => {
    let fixture: Fixture
    beforeEach(async () => {
      fixture = await open()
    })
    afterEach(() => fixture.dispose())

    it('keeps what the source knows of the record, and moves the allocator past the largest id', async () => {
      const { store, readLog } = fixture
      const source = {
        uid: 'usr_abcdefghijkl',
        status: 'blocked',
        created_at: 1_000,
        updated_at: 2_000,
      } as const
      const ann = { email: 'ann@example.com', email_verified: true }
      const user = await committed(store, importing(70, ann, { source }))
      expect(user).toMatchObject({ id: 70, version: 1, ...ann, ...source })
      expect(await store.get(70)).toEqual(user)
      expect(await store.find(claim('uid', 'usr_abcdefghijkl'))).toEqual(user)
      const outcomes = await all(store, [importing(12, {}), importing(71, { email: 'Ann@example.com' })])
      expect(outcomes.map(codeOf)).toEqual([undefined, 'conflict'])
      expect(await store.change(importing(12, {}))).toMatchObject({ outcome: 'unchanged' })
      expect((await committed(store, importing(undefined, { bio: 'no id' }))).id).toBe(71)
      expect((await committed(store, create({}))).id).toBe(72)
      expect(contradictions(await everybody(store), await readLog())).toEqual([])
    })

    it('puts somebody in the place of a sample person who made room, and of nobody else', async () => {
      const { store, readLog } = fixture
      const uid = 'usr_sampleperson'
      await committed(store, create({ email: 'ann@example.com' }, { uid }))
      await committed(store, create({}))
      await all(store, [lifecycle('erase', 1), lifecycle('erase', 2)])
      const bob = { email: 'ann@example.com', phone: '1' }
      const source = { uid: 'usr_abcdefghijkl', created_at: 1_000 }
      const codes = []
      for (const command of [
        importing(1, bob, { source }),
        importing(2, bob, { vacated: uid }),
        importing(1, bob, { source, vacated: uid }),
        importing(1, { ...bob, phone: '2' }, { vacated: uid }),
      ])
        codes.push(codeOf(await store.change(command)))
      expect(codes).toEqual(['conflict', 'conflict', undefined, 'conflict'])
      expect(await present(store, 1)).toMatchObject({
        ...bob,
        ...source,
        id: 1,
        status: 'active',
        version: 3,
      })
      expect(await store.find(claim('uid', uid))).toBeUndefined()
      expect(contradictions(await everybody(store), await readLog())).toEqual([])
    })

    it('changes who is there only where that is asked, status and all', async () => {
      const { store, readLog } = fixture
      await committed(store, importing(4, { first_name: 'Ann', phone: '1' }))
      const other = { first_name: 'Ann', phone: '2' }
      const source = { status: 'deleted' } as const
      expect(codeOf(await store.change(importing(4, other, { source })))).toBe('conflict')
      const user = await committed(store, importing(4, other, { source, update: true }))
      expect(user).toMatchObject({ ...other, ...source, version: 2 })
      expect(await present(store, 4)).toEqual(user)
      expect(await store.change(importing(4, other, { source }))).toMatchObject({ outcome: 'unchanged' })
      expect(contradictions(await everybody(store), await readLog())).toEqual([])
    })

    it('pages everybody where that is asked, also who was removed or erased', async () => {
      const { store } = fixture
      const source = { status: 'erased', created_at: 5 } as const
      await committed(store, create({}))
      await all(store, [create({}), importing(9, {}, { source })])
      await committed(store, lifecycle('remove', 1))
      expect((await store.page({ after: 0, filters: [] })).users.map(({ id }) => id)).toEqual([2])
      expect(await everybody(store)).toMatchObject([
        { id: 1, status: 'deleted' },
        { id: 2, status: 'active' },
        { id: 9, status: 'erased', version: 1 },
      ])
    })
  })
}
