import type { Counters } from '../../directory/counters.ts'
import type { Tag } from '../../directory/field-types.ts'
import { derivedValues, type User } from '../../directory/user.ts'
import type { Properties } from '../request.ts'

/** What of a profile its owner may edit, in the page's order, without the pictures. */
export const properties = {
  username: 'username',
  real_name: 'real_name',
  bio: 'bio',
  location: 'location',
  location_lat_lng: 'location_lat_lng',
  position_lat_lng: 'position_lat_lng',
  date_of_birth: 'date_of_birth',
  description: 'description',
  gender: 'gender',
  website: 'website',
} as const satisfies Properties

/** What is shown of a profile besides. */
export const shownToo = {
  avatar: 'avatar',
  cover: 'cover',
  ext_id: 'ext_id',
  tags: 'tags',
  community_badge: 'community_badge',
  reg_approved: 'reg_approved',
  company_name: 'company_name',
  company_role: 'company_role',
} as const satisfies Properties

/** Where the pictures of somebody are. */
export interface Pictures {
  /** Always one: who has chosen none has a generated one. */
  readonly avatar: (user: User) => string
  readonly cover: (user: User) => string | null
}

/** What has to be known of somebody to show them. */
export interface Shown {
  readonly user: User
  readonly counters: Counters
  /** Whether the caller may see what is not for everybody. */
  readonly seesAll: boolean
  readonly pictures: Pictures
}

/** The page's 29 properties, in its order. */
export function encodeUser(shown: Shown) {
  const { user } = shown
  return {
    ...headOf(shown),
    date_joined: encodeTime(user.created_at),
    ...bodyOf(shown),
    ...standingOf(shown),
    ...endOf(user),
  }
}

/** As the person themselves sees it, with more of what is theirs alone. */
export function encodeMe(shown: Shown) {
  const { user } = shown
  return {
    ...headOf(shown),
    email: user.email,
    email_isvalid: user.email_verified,
    date_joined: encodeTime(user.created_at),
    ...bodyOf(shown),
    ...standingOf(shown),
    permission: null,
    role: user.role,
    unseen_interactions_counter: 0,
    unseen_notification_banners_counter: 0,
    ...endOf(user),
  }
}

/** What suggestions are made of. */
export function encodeItem({ user, pictures }: Pick<Shown, 'user' | 'pictures'>) {
  return {
    id: user.id,
    username: user.username,
    real_name: realNameOf(user),
    avatar: pictures.avatar(user),
    ext_id: encodeExtId(user.ext_id),
  }
}

const statuses = { active: 'a', blocked: 'b', deleted: 'd', erased: 'u' } as const

/** As administrators find accounts: 31 properties. */
export function encodeAccount(shown: Shown) {
  const { user, pictures, counters } = shown
  const { website, cover, ...body } = bodyOf(shown)
  return {
    id: user.id,
    username: user.username,
    real_name: realNameOf(user),
    avatar: pictures.avatar(user),
    ...countersOf(counters),
    categories_counter: counters.categories_counter,
    email: user.email,
    email_isvalid: user.email_verified,
    date_joined: encodeTime(user.created_at),
    ...body,
    status: statuses[user.status],
    website,
    cover,
    tags: user.tags ?? [],
    ext_id: encodeExtId(user.ext_id),
    reputation: counters.reputation,
    community_badge: user.community_badge,
    reg_approved: user.reg_approved,
    ...endOf(user),
  }
}

export function encodeCounters(counters: Counters) {
  return {
    discussions: counters.discussions_counter,
    polls: counters.polls_counter,
    posts: counters.posts_counter,
    statuses: counters.statuses_counter,
    followings: counters.followings_counter,
    followers: counters.followers_counter,
    categories: counters.categories_counter,
  }
}

function headOf({ user, counters, pictures }: Shown) {
  return {
    ...encodeItem({ user, pictures }),
    ...countersOf(counters),
    // Nobody follows anybody here.
    connection_status: null,
    categories_counter: counters.categories_counter,
  }
}

function countersOf(counters: Counters) {
  return {
    followings_counter: counters.followings_counter,
    followers_counter: counters.followers_counter,
    posts_counter: counters.posts_counter,
    discussions_counter: counters.discussions_counter,
    polls_counter: counters.polls_counter,
  }
}

function bodyOf({ user, seesAll, pictures }: Shown) {
  return {
    bio: user.bio,
    location: user.location,
    location_lat_lng: seesAll ? user.location_lat_lng : null,
    position_lat_lng: seesAll ? user.position_lat_lng : null,
    date_of_birth: seesAll ? user.date_of_birth : null,
    description: user.description,
    gender: user.gender ?? derivedValues(user).gender,
    website: user.website,
    cover: pictures.cover(user),
  }
}

function standingOf({ user, counters }: Shown) {
  const tags: readonly Tag[] = user.tags ?? []
  return {
    tags,
    reputation: counters.reputation,
    community_badge: user.community_badge,
    reg_approved: user.reg_approved,
  }
}

function endOf(user: User) {
  const isDeleted = user.status === 'deleted'
  return {
    deleted: isDeleted,
    // Nothing else happens to somebody who was removed.
    ...(isDeleted && { deleted_at: encodeTime(user.updated_at) }),
    company_name: user.company_name,
    company_role: user.company_role,
  }
}

function realNameOf(user: User): string | null {
  return user.real_name ?? derivedValues(user).real_name
}

/** An integer where it is written like one, as most other systems' ids are. */
function encodeExtId(value: string | null): string | number | null {
  if (value === null || !/^(?:0|-?[1-9]\d{0,15})$/.test(value)) return value
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** `2023-01-01T12:00:00Z`: UTC, to the second. */
export function encodeTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}
