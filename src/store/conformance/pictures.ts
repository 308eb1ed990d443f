import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { maxAvatars } from '../../directory/picture.ts'
import type { Store } from '../../directory/store.ts'
import { committed, create, type Given, lifecycle, range, times, update } from './commands.ts'

const picture = (text: string) => createHash('sha256').update(text).digest('hex')
const [one, two, three, four] = ['one', 'two', 'three', 'four'].map(picture) as [
  string,
  string,
  string,
  string,
]

/** Later than the commands of these tests. */
const later = Date.UTC(2027, 0, 1)
const never = Date.UTC(2020, 0, 1)

const listOf = async (store: Store, id: number) =>
  (await store.pictures.avatars(id)).map((avatar) => avatar.picture)

/** What every store must know of pictures. */
export function keepingPictures(given: Given): void {
  const note = (userId: number, ...pictures: readonly string[]) =>
    Promise.all(
      pictures.map((picture) => given().store.pictures.note({ picture, userId, at: Date.UTC(2026, 0, 1) })),
    )

  it('gives up what has been unused for long enough, once, and nothing that is shown', async () => {
    const { store, reopen } = given()
    await committed(store, create({ username: 'ann' }))
    expect(await note(1, one, two, three, four)).toEqual([true, true, true, true])
    await committed(store, update(1, { avatar: one, cover: two }))
    await store.pictures.addAvatar({ picture: three, userId: 1, at: later })
    expect(await store.pictures.giveUp(never, later)).toEqual([])
    expect(await store.pictures.giveUp(later, later)).toEqual([four])
    // Nobody has said yet that its files are gone.
    const { pictures } = await reopen()
    expect(await pictures.giveUp(later, later)).toEqual([four])
    await pictures.removed([four, one], later)
    expect(await pictures.giveUp(later - 1, later)).toEqual([])
  })

  it('gives a reference that was given up again only when its files have been gone for as long', async () => {
    const { store } = given()
    const noted = { picture: one, userId: 1, at: never }
    expect(await store.pictures.note(noted)).toBe(true)
    expect(await store.pictures.giveUp(never, later)).toEqual([one])
    expect(await store.pictures.note(noted)).toBe(false)
    await store.pictures.removed([one], later)
    expect(await store.pictures.note(noted)).toBe(false)
    await store.pictures.giveUp(later - 1, later)
    expect(await store.pictures.note(noted)).toBe(false)
    await store.pictures.giveUp(later, later)
    expect(await store.pictures.note(noted)).toBe(true)
  })

  it('counts the time from when a picture was last given up, not from when it was stored', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    await note(1, one, two, three)
    await committed(store, update(1, { avatar: one, cover: two }))
    expect(await store.pictures.giveUp(later, later)).toEqual([three])
    await store.pictures.removed([three], later)
    const replaced = await committed(store, update(1, { avatar: null, cover: null }))
    expect(await store.pictures.giveUp(replaced.updated_at - 1, later)).toEqual([])
    expect((await store.pictures.giveUp(replaced.updated_at, later)).toSorted()).toEqual(
      [one, two].toSorted(),
    )
  })

  it('gives what is postponed again when its time has come, and others meanwhile', async () => {
    const { store } = given()
    await note(1, one, two)
    expect((await store.pictures.giveUp(later, later)).toSorted()).toEqual([one, two].toSorted())
    await store.pictures.postpone([one, three], later + 2)
    expect(await store.pictures.giveUp(later, later + 1)).toEqual([two])
    expect(await store.pictures.giveUp(later, later + 2)).toEqual([two, one])
    await note(1, three)
    expect(await store.pictures.giveUp(never, later + 2)).toEqual([two, one])
  })

  it('counts no time that is still to come', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    await store.pictures.note({ picture: one, userId: 1, at: Date.UTC(9999, 0, 1) })
    expect(await store.pictures.giveUp(never, later)).toEqual([])
    expect(await store.pictures.giveUp(later, later + 1)).toEqual([one])
  })

  it('removes nothing from a list that the record comes to have at the same time', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    for (const n of range(20)) {
      const added = await store.pictures.addAvatar({ picture: picture(`race ${n}`), userId: 1, at: later })
      const avatar = picture(`race ${n}`)
      await Promise.all([
        committed(store, update(1, { avatar })),
        store.pictures.removeAvatar(1, added?.id ?? 0, later),
      ])
      expect(await listOf(store, 1)).toContain(avatar)
    }
  })

  it('keeps what is wanted again before it was given up', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    await note(1, one)
    await store.pictures.note({ picture: one, userId: 1, at: later })
    expect(await store.pictures.giveUp(later - 1, later)).toEqual([])
  })

  it('renews what was noted and not given up, and never gives up what was not noted', async () => {
    const { store } = given()
    await note(1, one)
    expect([await store.pictures.renew(one, later), await store.pictures.renew(two, later)]).toEqual([
      true,
      true,
    ])
    expect(await store.pictures.giveUp(later - 1, later)).toEqual([])
    expect(await store.pictures.giveUp(later, later)).toEqual([one])
    expect(await store.pictures.renew(one, later + 1)).toBe(false)
    expect(await store.pictures.giveUp(later + 1, later + 1)).toEqual([one])
  })

  it('lists what was added and what the record has, in the order in which they came', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    await committed(store, create({ username: 'bob', avatar: four }))
    const first = await store.pictures.addAvatar({ picture: one, userId: 1, at: later })
    expect(first).toEqual({ id: expect.any(Number), picture: one, uploadedAt: later })
    const { updated_at } = await committed(store, update(1, { avatar: two }))
    expect(await store.pictures.avatars(1)).toEqual([
      first,
      { id: expect.any(Number), picture: two, uploadedAt: updated_at },
    ])
    // What was not added goes when the record gives it up.
    await committed(store, update(1, { avatar: one }))
    expect(await listOf(store, 1)).toEqual([one])
    await committed(store, update(1, { avatar: null, bio: 'x' }))
    expect(await listOf(store, 1)).toEqual([one])
    expect(await listOf(store, 2)).toEqual([four])
    expect(await listOf(store, 3)).toEqual([])
  })

  it('adds the same only once, also one that the record has, which then stays', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    const noted = { picture: one, userId: 1, at: later }
    const added = await Promise.all(range(5).map(() => store.pictures.addAvatar(noted)))
    expect(new Set(added.map((avatar) => avatar?.id)).size).toBe(1)
    await committed(store, update(1, { avatar: two }))
    await store.pictures.addAvatar({ ...noted, picture: two })
    await committed(store, update(1, { avatar: null }))
    expect(await listOf(store, 1)).toEqual([one, two])
  })

  it('removes from a list what is its owner’s and what the record has not', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    await committed(store, create({ username: 'bob' }))
    await note(1, one, two)
    const [added, other] = await Promise.all(
      [one, two].map((picture) => store.pictures.addAvatar({ picture, userId: 1, at: 1 })),
    )
    await committed(store, update(1, { avatar: two }))
    for (const [userId, id] of [
      [2, added?.id],
      [1, other?.id],
      [1, 999],
    ] as const)
      await store.pictures.removeAvatar(userId, id ?? 0, later)
    expect((await listOf(store, 1)).toSorted()).toEqual([one, two].toSorted())
    await store.pictures.removeAvatar(1, added?.id ?? 0, later)
    expect(await listOf(store, 1)).toEqual([two])
    expect(await store.pictures.giveUp(later - 1, later)).toEqual([])
    expect(await store.pictures.giveUp(later, later)).toEqual([one])
  })

  it('has no list without an end, and none of who is not to be seen', async () => {
    const { store } = given()
    await committed(store, create({ username: 'ann' }))
    const add = (userId: number, n: number) =>
      store.pictures.addAvatar({ picture: picture(`${userId} ${n}`), userId, at: later })
    for (const n of times(maxAvatars, (n) => n)) expect(await add(1, n)).toBeDefined()
    expect(await add(1, maxAvatars + 1)).toBeUndefined()
    expect(await add(1, 1)).toBeDefined()
    expect(await add(2, 1)).toBeUndefined()
    await committed(store, lifecycle('remove', 1))
    expect(await add(1, 1)).toBeUndefined()
    expect(await listOf(store, 1)).toHaveLength(maxAvatars)
  })

  it.for(['alone', 'once'])(
    'forgets the pictures of who is erased, in the unit that erases (%s)',
    async (how) => {
      const { store } = given()
      await committed(store, create({ username: 'ann' }))
      await committed(store, create({ username: 'bob' }))
      await note(1, one, two, three)
      await note(2, four)
      await committed(store, update(1, { avatar: one, cover: two }))
      await store.pictures.addAvatar({ picture: three, userId: 1, at: later })
      const erasing = lifecycle('erase', 1)
      const once = { actor: 'key:1', key: 'k', hash: 'h' }
      await committed(store, how === 'alone' ? erasing : { ...erasing, once })
      expect(await listOf(store, 1)).toEqual([])
      expect((await store.pictures.giveUp(0, later)).toSorted()).toEqual([one, two, three].toSorted())
    },
  )
}
