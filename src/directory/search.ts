import type { User } from './user.ts'

/**
 * Looking for people as other people do: by names and what they say of themselves. Only who has a
 * username is found. Plain data, the same for every store.
 */
export interface SearchQuery {
  /** Has these texts in it, wherever, whatever the case and the accents. */
  readonly has: { readonly [F in SearchedText]?: string | undefined }
  /** Has this in the username or in the name. */
  readonly called?: string | undefined
  readonly gender?: string | undefined
  /** Born on one of these days, both included, as `1990-12-31`. */
  readonly born?: { readonly from?: string | undefined; readonly to?: string | undefined } | undefined
  /** Whether the role is another than `user`. */
  readonly staff?: boolean | undefined
  /** The id of a tag. */
  readonly tag?: number | undefined
  readonly order: SearchOrder
  readonly offset: number
  readonly limit: number
}

/** `name` is the name that is shown: the real name, or first and last name. */
export const searchedTexts = ['username', 'name', 'location', 'description'] as const
export type SearchedText = (typeof searchedTexts)[number]

/** Equals by id, upwards; who has no such value comes last, whichever way. */
export type SearchOrder =
  | { readonly by: 'id' | 'username' | 'name' | 'location'; readonly descending: boolean }
  | { readonly by: 'distance'; readonly descending: boolean; readonly from: Place }

export interface Place {
  readonly lat: number
  readonly lng: number
}

export interface Found {
  readonly users: readonly User[]
  readonly total: number
}

/** What is compared of a text: without case and accents, in characters that have neither. */
export function plainOf(text: string): string {
  // Folding once more, since taking accents off can leave a capital (İ), and the other way round.
  return isPlain.test(text) ? text.toLowerCase() : fold(text)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
const isPlain = /^[\x00-\x7f]*$/

function fold(text: string): string {
  return text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}+/gu, '')
    .normalize('NFC')
}

/** Latitude and longitude, where a text is both. */
export function placeOf(text: string): Place | undefined {
  const match = /^(-?\d{1,3}(?:\.\d{1,30})?),(-?\d{1,3}(?:\.\d{1,30})?)$/.exec(text)
  if (match === null) return undefined
  const [lat, lng] = [Number(match[1]), Number(match[2])]
  return Math.abs(lat) <= 90 && Math.abs(lng) <= 180 ? { lat, lng } : undefined
}

/**
 * A place to about a kilometre. Where somebody is exactly is theirs to know, and an order by distance
 * from many places would tell.
 */
export function roughly({ lat, lng }: Place): Place {
  return { lat: Math.round(lat * 100) / 100, lng: Math.round(lng * 100) / 100 }
}
