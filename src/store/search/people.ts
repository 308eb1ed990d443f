import type { Place, SearchedText, SearchOrder, SearchQuery } from '../../directory/search.ts'
import { placeOf, plainOf, roughly, searchedTexts } from '../../directory/search.ts'
import { derivedValues, isVisible, type User } from '../../directory/user.ts'
import { createRanking } from './ranking.ts'
import { createTexts, grown, type Texts } from './texts.ts'

/** The fields that can be looked for or sorted by: a row of the log that names none of them is no news. */
export const searchedFields = [
  ...(['username', 'real_name', 'first_name', 'last_name', 'location', 'description', 'gender'] as const),
  ...(['date_of_birth', 'location_lat_lng', 'role', 'tags'] as const),
] as const

/** What is read of somebody to be found. */
export type Searched = Pick<User, (typeof searchedFields)[number] | 'id' | 'status'>

/**
 * Who can be found and by what, in memory: some 200 bytes for each. The answer to every question is a
 * walk over all of them, in milliseconds for a million, and no two questions need different indexes.
 */
export interface People {
  /** Takes somebody in as they are now, or out where they are not to be found. */
  readonly put: (row: Searched) => void
  /** The ids of a page of those who fit, and how many there are. */
  readonly search: (query: SearchQuery) => { readonly ids: readonly number[]; readonly total: number }
  /** Whether it is better made anew. */
  readonly isWorn: () => boolean
}

const genders = ['Unspecified', 'Male', 'Female']

export function createPeople(): People {
  const texts = Object.fromEntries(searchedTexts.map((name) => [name, createTexts()])) as Record<
    SearchedText,
    Texts
  >
  const slots = new Map<number, number>()
  const tags = new Map<number, readonly number[]>()
  let size = 1_024
  let count = 0
  let ids = new Float64Array(size)
  let present = new Uint8Array(size)
  let gender = new Uint8Array(size)
  let staff = new Uint8Array(size)
  /** As a number like 19901231; 0 where it is not known. */
  let born = new Int32Array(size)
  /** Where they are, as a point of the unit sphere; NaN where that is not known. */
  let points = new Float32Array(size * 3)

  function slotOf(id: number): number {
    const known = slots.get(id)
    if (known !== undefined) return known
    if (count === size) grow()
    slots.set(id, count)
    ids[count] = id
    return count++
  }

  function grow(): void {
    size *= 2
    ids = grown(ids, size)
    present = grown(present, size)
    gender = grown(gender, size)
    staff = grown(staff, size)
    born = grown(born, size)
    points = grown(points, size * 3)
  }

  function put(row: Searched): void {
    const isFound = isVisible(row as User) && row.username !== null
    if (!isFound && !slots.has(row.id)) return
    const slot = slotOf(row.id)
    present[slot] = isFound ? 1 : 0
    const name = row.real_name ?? derivedValues(row as User).real_name
    const { username, location, description } = row
    const values = isFound ? { username, name, location, description } : nothing
    for (const text of searchedTexts) {
      const value = values[text]
      texts[text].set(slot, value === null || value === '' ? null : plainOf(value))
    }
    gender[slot] = Math.max(genders.indexOf(row.gender ?? ''), 0)
    staff[slot] = row.role !== null && row.role !== 'user' ? 1 : 0
    born[slot] = dayOf(row.date_of_birth)
    points.set(pointOf(row.location_lat_lng), slot * 3)
    if (isFound && row.tags !== null && row.tags.length > 0)
      tags.set(
        slot,
        row.tags.map(({ id }) => id),
      )
    else tags.delete(slot)
  }

  /** A byte for each place: whether who is there fits. */
  function fitting(query: SearchQuery): Uint8Array {
    let fits = present.slice(0, count)
    for (const [name, part] of partsOf(query)) fits = both(fits, having([name], part))
    if (query.called !== undefined) fits = both(fits, having(['username', 'name'], query.called))
    if (query.gender !== undefined) keep(fits, gender, genders.indexOf(query.gender))
    if (query.staff !== undefined) keep(fits, staff, query.staff ? 1 : 0)
    if (query.born !== undefined) {
      const from = query.born.from === undefined ? 1 : dayOf(query.born.from)
      const to = query.born.to === undefined ? Number.POSITIVE_INFINITY : dayOf(query.born.to)
      for (let slot = 0; slot < count; slot++) {
        const day = born[slot] ?? 0
        if (day < from || day > to) fits[slot] = 0
      }
    }
    if (query.tag !== undefined) fits = both(fits, tagged(query.tag))
    return fits
  }

  function having(names: readonly SearchedText[], part: string): Uint8Array {
    const has = new Uint8Array(count)
    const plain = plainOf(part)
    for (const name of names) texts[name].mark(plain, has)
    return has
  }

  function tagged(tag: number): Uint8Array {
    const has = new Uint8Array(count)
    for (const [slot, own] of tags) if (own.includes(tag)) has[slot] = 1
    return has
  }

  /** Numbers to order by, smaller first, NaN for none; and what decides between equal ones. */
  function keysFor(order: SearchOrder, fits: Uint8Array) {
    switch (order.by) {
      case 'id':
        return { keys: ids }
      case 'distance':
        return { keys: distances(order.from, fits) }
      default:
        return { keys: texts[order.by].keys(), compare: texts[order.by].compare }
    }
  }

  /** The larger the product of two points, the smaller the angle between them. */
  function distances(from: Place, fits: Uint8Array): Float64Array {
    const [x, y, z] = pointOf(`${from.lat},${from.lng}`)
    const keys = new Float64Array(count)
    for (let slot = 0, at = 0; slot < count; slot++, at += 3) {
      if (fits[slot] === 1)
        keys[slot] = -(x * (points[at] ?? 0) + y * (points[at + 1] ?? 0) + z * (points[at + 2] ?? 0))
    }
    return keys
  }

  return {
    put,

    search(query) {
      const fits = fitting(query)
      const { descending } = query.order
      const most = query.offset + query.limit
      const ranking = createRanking({ ...keysFor(query.order, fits), ids, descending, most })
      let total = 0
      // Most come in the order of their ids, so from that end on which the page is.
      for (let i = 0; i < count; i++) {
        const slot = descending ? count - 1 - i : i
        if (fits[slot] !== 1) continue
        total++
        ranking.add(slot)
      }
      const page = ranking.inOrder().slice(query.offset)
      return { ids: page.map((slot) => ids[slot] ?? 0), total }
    },

    isWorn: () => searchedTexts.some((name) => texts[name].isWorn()),
  }
}

const nothing = { username: null, name: null, location: null, description: null }

function partsOf({ has }: SearchQuery): (readonly [SearchedText, string])[] {
  return searchedTexts.flatMap((name) => {
    const part = has[name]
    return part === undefined ? [] : [[name, part] as const]
  })
}

function both(fits: Uint8Array<ArrayBuffer>, others: Uint8Array): Uint8Array<ArrayBuffer> {
  for (let i = 0; i < fits.length; i++) fits[i] = (fits[i] ?? 0) & (others[i] ?? 0)
  return fits
}

function keep(fits: Uint8Array, values: Uint8Array, wanted: number): void {
  for (let i = 0; i < fits.length; i++) if (values[i] !== wanted) fits[i] = 0
}

function dayOf(date: string | null): number {
  return date === null ? 0 : Number(date.replaceAll('-', ''))
}

type Point = readonly [x: number, y: number, z: number]

const nowhere: Point = [Number.NaN, Number.NaN, Number.NaN]

function pointOf(text: string | null): Point {
  const place = text === null ? undefined : placeOf(text)
  if (place === undefined) return nowhere
  const { lat, lng } = roughly(place)
  const [phi, lambda] = [(lat * Math.PI) / 180, (lng * Math.PI) / 180]
  return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)]
}
