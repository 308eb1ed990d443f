import { allow, seen } from './asking.ts'
import { type ClaimKind, claim } from './claims.ts'
import type { Counters } from './counters.ts'
import { userNotFound } from './decision.ts'
import type { Context } from './directory.ts'
import { DirectoryError } from './errors.ts'
import { type Conditions, type Filter, type Listing, type ListQuery, positionOf } from './query.ts'
import type { Found, SearchQuery } from './search.ts'
import { type Settings, usualSettings } from './settings.ts'
import type { Store } from './store.ts'
import type { User } from './user.ts'

/** The use cases that change nothing: who is shown whom, one by one and in lists of any length. */
export function createReading(store: Store) {
  return {
    async get({ actor }: Context, id: number): Promise<User> {
      allow(actor, 'read', id)
      return seen(await store.get(id))
    },

    /** Whoever is or was there, erased ones excepted, for who may see something of them; what, `permit` tells. */
    async view({ actor }: Context, id: number): Promise<User> {
      allow(actor, 'view', id)
      const user = await store.get(id)
      if (user === undefined || user.status === 'erased') throw new DirectoryError(userNotFound)
      return user
    },

    /** As `list`, for who may see something of everybody. */
    async browse({ actor }: Context, query: ListQuery): Promise<Listing> {
      allow(actor, 'view', undefined)
      return store.list(query)
    },

    /** The counters of users, zeros for whom nothing was ever counted. Whether they are to be seen is not asked. */
    async counters({ actor }: Context, ids: readonly number[]): Promise<ReadonlyMap<number, Counters>> {
      for (const id of ids) allow(actor, 'view', id)
      return store.counters.get(ids)
    },

    /** What somebody wants to be told of, for whoever may see all of them. */
    async settings({ actor }: Context, id: number): Promise<Settings> {
      allow(actor, 'read', id)
      seen(await store.get(id))
      return { ...usualSettings, ...(await store.settings.get(id)) }
    },

    /** Begins what the first search would have to wait for, beside everything else. */
    prepareSearch: (): void => store.prepareSearch(),

    /** People who have a username, as other people look for them. */
    async search({ actor }: Context, query: SearchQuery, signal?: AbortSignal): Promise<Found> {
      allow(actor, 'view', undefined)
      return store.search(query, signal)
    },

    /**
     * The record that a patch is to be worked out from, for whoever may update it.
     * Send what it was worked out from along as `basis`: by then somebody else may have changed it.
     */
    async basis({ actor }: Context, id: number): Promise<User> {
      allow(actor, 'update', id)
      return seen(await store.get(id))
    },

    /** The id of the user whom a uid names, for contracts that say uid. Tells nobody anything: every use case asks who may. */
    async resolve(uid: string): Promise<number | undefined> {
      return (await store.find(claim('uid', uid)))?.id
    },

    /**
     * The user who holds a unique value: an e-mail address, a username, an ext_id or a uid.
     * @param removedToo whether who was removed is found as well: they hold it still
     */
    async find(
      { actor }: Context,
      kind: ClaimKind,
      value: string,
      { removedToo = false } = {},
    ): Promise<User> {
      const user = await store.find(claim(kind, value))
      allow(actor, 'read', user?.id)
      return removedToo && user?.status === 'deleted' ? user : seen(user)
    },

    /** A page of the visible users that fit, in any order, and how many there are. */
    async list({ actor }: Context, query: ListQuery, signal?: AbortSignal): Promise<Listing> {
      allow(actor, 'read', undefined)
      return store.list(query, signal)
    },

    /**
     * As `list`, for any number of users: piece by piece, as many as a reader takes, no more. Each piece
     * shows its users as they are when it is read.
     */
    async walk({ actor }: Context, query: ListQuery, signal?: AbortSignal): Promise<Walk> {
      allow(actor, 'read', undefined)
      if (isEverybody(query)) return { total: undefined, pieces: walkAll(store, query) }
      const first = await store.list({ ...query, limit: Math.min(query.limit, pieceSize) }, signal)
      return { total: first.total, pieces: walkOn(store, query, first.users, signal) }
    },

    /** All visible users that fit, in the order of their ids, page by page: as many as a reader takes, no more. */
    async *stream({ actor }: Context, conditions: Conditions): AsyncGenerator<readonly User[]> {
      allow(actor, 'read', undefined)
      yield* walkAll(store, conditions)
    },
  }
}

/** A list of any length. */
export interface Walk {
  readonly total: number | undefined
  readonly pieces: AsyncGenerator<readonly User[]>
}

/** Users that are read in one go. */
const pieceSize = 1_000

function isEverybody({ filters, search, sort, offset, limit, count }: ListQuery): boolean {
  const anybody = filters.length === 0 && search === undefined
  return anybody && sort.length === 0 && offset === 0 && limit === Number.POSITIVE_INFINITY && !count
}

async function* walkAll(store: Store, conditions: Conditions): AsyncGenerator<readonly User[]> {
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page = await store.page({ filters: conditions.filters, search: conditions.search, after })
    if (page.users.length > 0) yield page.users
    after = page.next
  }
}

/** Sorting everybody anew for each piece would take time that grows with the square of how many there are. */
async function* walkOn(
  store: Store,
  query: ListQuery,
  first: readonly User[],
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly User[]> {
  const last = first.at(-1)
  if (last === undefined) return
  yield first
  const limit = Math.min(query.limit - first.length, Number.MAX_SAFE_INTEGER)
  if (first.length < pieceSize || limit === 0) return
  const rest = { ...query, offset: 0, count: false }
  const ids = await store.listIds({ ...rest, limit, after: positionOf(last, query.sort) }, signal)
  for (let at = 0; at < ids.length; at += pieceSize) {
    const piece = [...ids.subarray(at, at + pieceSize)]
    const among: Filter = { name: 'id', comparison: 'eq', values: piece.map(String) }
    const filters = [...query.filters, among]
    const { users } = await store.list({ ...rest, filters, sort: [], limit: pieceSize }, signal)
    const byId = new Map(users.map((user) => [user.id, user]))
    if (users.length > 0) yield piece.flatMap((id) => byId.get(id) ?? [])
  }
}
