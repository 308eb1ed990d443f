import type { Place, SearchedText, SearchOrder, SearchQuery } from '../../directory/search.ts'
import { placeOf, plainOf, searchedTexts } from '../../directory/search.ts'
import { derivedValues, isVisible, type User } from '../../directory/user.ts'
import { createPhrases, type Phrases } from './phrases.ts'
import { createPlaces } from './places.ts'
import { firstOf, type Key } from './ranking.ts'
import { createTexts, grown, roomFor } from './texts.ts'

/** The fields that can be looked for or sorted by: a row of the log that names none of them is no news. */
export const searchedFields = [
  ...(['username', 'real_name', 'first_name', 'last_name', 'location', 'description', 'gender'] as const),
  ...(['date_of_birth', 'location_lat_lng', 'role', 'tags'] as const),
] as const

/** What is read of somebody to be found. */
export type Searched = Pick<User, (typeof searchedFields)[number] | 'id' | 'status'>

/**
 * Who can be found and by what, in memory: some 50 bytes for each. The answer to every question is a walk
 * over all of them, in milliseconds for a million, and no two questions need different indexes.
 *
 * Who has changed is added anew, and the place they had is left empty.
 */
export interface People {
  /** Takes somebody in as they are now, or out where they are not to be found. */
  readonly put: (row: Searched) => void
  /** The ids of a page of those who fit, and how many there are. */
  readonly search: (query: SearchQuery) => { readonly ids: readonly number[]; readonly total: number }
  /** Whether it is better made anew. */
  readonly isWorn: () => boolean
}

/** Empty places that are not worth tidying up. */
const negligible = 20_000

/** @param expected how many there will be, as far as that is known */
export function createPeople(expected = 0): People {
  const usernames = createTexts(expected)
  const texts: Readonly<Record<Exclude<SearchedText, 'username'>, Phrases>> = {
    name: createPhrases(expected),
    location: createPhrases(expected),
    description: createPhrases(expected),
  }
  /** Numbers of tags, as words. */
  const tags = createPhrases(expected)
  const places = createPlaces(expected)
  let size = roomFor(expected)
  let count = 0
  let empty = 0
  let ids: Uint32Array | Float64Array = new Uint32Array(size)
  let traits = new Uint8Array(size)
  /** As a number like 19901231; 0 where it is not known. */
  let born = new Int32Array(size)
  /** So many from the start on lie in the order of their ids. */
  let sorted = 0
  /** Where the others are. */
  const later = new Map<number, number>()
  let fits = new Uint8Array(size)
  let others = new Uint8Array(size)

  function slotOf(id: number): number | undefined {
    const known = later.get(id)
    if (known !== undefined) return known
    let low = 0
    for (let high = sorted; low < high; ) {
      const middle = (low + high) >>> 1
      if ((ids[middle] as number) < id) low = middle + 1
      else high = middle
    }
    return low < sorted && ids[low] === id && traits[low] !== 0 ? low : undefined
  }

  function grow(): void {
    size *= 2
    ids = grown(ids, size)
    traits = grown(traits, size)
    born = grown(born, size)
    fits = new Uint8Array(size)
    others = new Uint8Array(size)
  }

  function add(id: number, entry: Entry): void {
    if (count === size) grow()
    if (id > 0xffff_ffff && ids instanceof Uint32Array) ids = Float64Array.from(ids)
    if (sorted === count && (count === 0 || (ids[count - 1] as number) < id)) sorted++
    else later.set(id, count)
    ids[count] = id
    traits[count] = entry.traits
    born[count] = entry.born
    usernames.add(entry.username)
    for (const name of phrased) texts[name].add(entry[name])
    tags.add(entry.tags)
    places.add(entry.place)
    count++
  }

  function isSame(slot: number, entry: Entry): boolean {
    return (
      traits[slot] === entry.traits &&
      born[slot] === entry.born &&
      usernames.get(slot) === entry.username &&
      phrased.every((name) => texts[name].get(slot) === entry[name]) &&
      tags.get(slot) === entry.tags &&
      places.is(slot, entry.place)
    )
  }

  /** A byte for each place: whether who is there fits. */
  function fitting(query: SearchQuery): Uint8Array {
    const [mask, wanted] = traitsOf(query)
    const [own, all] = [fits, count]
    for (let slot = 0; slot < all; slot++) own[slot] = ((traits[slot] as number) & mask) === wanted ? 1 : 0
    for (const name of searchedTexts) {
      const part = query.has[name]
      if (part !== undefined) both(() => mark(name, plainOf(part)))
    }
    const { called, tag } = query
    if (called !== undefined)
      both(() => {
        mark('username', plainOf(called))
        mark('name', plainOf(called))
      })
    if (tag !== undefined) both(() => tags.markWord(String(tag), others))
    if (query.born !== undefined) {
      const from = query.born.from === undefined ? 1 : dayOf(query.born.from)
      const to = query.born.to === undefined ? Number.POSITIVE_INFINITY : dayOf(query.born.to)
      for (let slot = 0; slot < all; slot++) {
        const day = born[slot] as number
        if (day < from || day > to) own[slot] = 0
      }
    }
    return own
  }

  function mark(name: SearchedText, plain: string): void {
    if (name === 'username') usernames.mark(plain, others)
    else texts[name].mark(plain, others)
  }

  /** Leaves those that are marked now, too. */
  function both(markOthers: () => void): void {
    others.fill(0, 0, count)
    markOthers()
    const [own, more] = [wordsOf(fits, count), wordsOf(others, count)]
    for (let i = 0; i < own.length; i++) own[i] = (own[i] as number) & (more[i] as number)
  }

  /** Numbers to order by, smaller first, NaN for none; and what decides between equal ones. */
  function keysFor(order: SearchOrder): Key {
    switch (order.by) {
      case 'id':
        return { of: (slot) => ids[slot] as number }
      case 'distance':
        return { of: places.from(order.from) }
      case 'username':
        return { of: usernames.key, compare: usernames.compare }
      default:
        return { of: texts[order.by].key, compare: texts[order.by].compare }
    }
  }

  return {
    put(row) {
      const entry = entryOf(row)
      const slot = slotOf(row.id)
      if (slot !== undefined) {
        if (entry !== undefined && isSame(slot, entry)) return
        traits[slot] = 0
        later.delete(row.id)
        empty++
      }
      if (entry !== undefined) add(row.id, entry)
    },

    search(query) {
      const { offset, limit, order } = query
      const among = { fits: fitting(query), count, ids }
      const { first, total } = firstOf(among, { key: keysFor(order), ...order, offset, limit })
      return { ids: first.map((slot) => ids[slot] as number), total }
    },

    isWorn: () => empty > negligible && empty > count / 3,
  }
}

const genders = ['Unspecified', 'Male', 'Female']

/** What fits into one byte: whether somebody is there, their gender, whether they are staff. */
const [present, genderAt, anyGender, staff] = [1, 1, 0b110, 0b1000]

function traitsOf({ gender, staff: wanted }: SearchQuery): [mask: number, wanted: number] {
  let mask = present
  let value = present
  if (gender !== undefined) {
    mask |= anyGender
    value |= genders.indexOf(gender) << genderAt
  }
  if (wanted !== undefined) {
    mask |= staff
    if (wanted) value |= staff
  }
  return [mask, value]
}

const phrased = ['name', 'location', 'description'] as const

/** Somebody as they are kept; '' stands for no text. */
interface Entry extends Record<SearchedText, string> {
  readonly traits: number
  readonly born: number
  readonly tags: string
  readonly place: Place | undefined
}

/** Undefined for who is not to be found. */
function entryOf(row: Searched): Entry | undefined {
  if (!isVisible(row as User) || row.username === null) return undefined
  const name = row.real_name ?? derivedValues(row as User).real_name
  const isStaff = row.role !== null && row.role !== 'user'
  const gender = Math.max(genders.indexOf(row.gender ?? ''), 0)
  return {
    username: plainOf(row.username),
    name: plainOf(name ?? ''),
    location: plainOf(row.location ?? ''),
    description: plainOf(row.description ?? ''),
    traits: present | (gender << genderAt) | (isStaff ? staff : 0),
    born: dayOf(row.date_of_birth),
    tags: row.tags === null ? '' : row.tags.map(({ id }) => id).join(' '),
    place: row.location_lat_lng === null ? undefined : placeOf(row.location_lat_lng),
  }
}

/** The same bytes, four at a time. */
function wordsOf(bytes: Uint8Array, count: number): Uint32Array {
  return new Uint32Array(bytes.buffer, 0, Math.ceil(count / 4))
}

function dayOf(date: string | null): number {
  return date === null ? 0 : Number(date.replaceAll('-', ''))
}
