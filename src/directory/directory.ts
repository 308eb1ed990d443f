import type { Actor } from './actor.ts'
import { type ClaimKind, claim } from './claims.ts'
import type { Command, Create, Import, Lifecycle, Replace, Update } from './command.ts'
import { decide, userNotFound } from './decide.ts'
import { DirectoryError } from './errors.ts'
import type { Rules } from './field-types.ts'
import { type Action, permit } from './policy.ts'
import { type Conditions, type Listing, type ListQuery, positionOf } from './query.ts'
import type { Outcome, Store } from './store.ts'
import { isVisible, type User } from './user.ts'

/** What a use case needs to know of the request: who asks, and the id under which it is logged. */
export interface Context {
  readonly actor: Actor
  readonly requestId: string
}

export interface Dependencies {
  readonly store: Store
  readonly rules: Rules
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly newChangeId: () => string
  readonly newUid: () => string
}

type Own = 'kind' | 'actor' | 'requestId' | 'changeId' | 'at' | 'uid'
type Asked<C extends Command> = Omit<C, Own>

/** A user as it stands after the command, and what it took to get there. */
export interface Result {
  readonly user: User
  readonly outcome: 'created' | 'changed' | 'unchanged'
}

/**
 * The use cases. Every method rejects with a DirectoryError: `unauthenticated` or `forbidden` where
 * policy.ts says so, `not_found` for who is not there to be seen, `invalid` with every problem at
 * once, `precondition_failed`, `conflict` naming the taken fields, `unavailable`.
 */
export type Directory = ReturnType<typeof createDirectory>

export function createDirectory({ store, rules, now, newChangeId, newUid }: Dependencies) {
  const circumstances = ({ actor, requestId }: Context) => ({
    actor,
    requestId,
    changeId: newChangeId(),
    at: now(),
  })

  async function change(command: Command): Promise<Result> {
    // What is wrong already changes nothing, so it need not wait its turn among the writes.
    const outcome = isWrong(command) ? await judgeOnly(command) : await store.change(command)
    return result(command, outcome)
  }

  async function judgeOnly(command: Command): Promise<Outcome> {
    const current = command.id === undefined ? undefined : await store.get(command.id)
    const decision = decide(
      current,
      command.kind === 'create' || command.kind === 'import' ? { id: 1, ...command } : command,
      rules,
    )
    if (decision.outcome === 'commit') throw new Error('a command with problems was accepted')
    return decision
  }

  return {
    /** Makes a user under an id of the allocator's. */
    create: (context: Context, asked: Omit<Asked<Create>, 'id'>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'create', uid: newUid() }),

    /** Changes exactly the fields that the patch names. */
    update: (context: Context, asked: Asked<Update>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'update' }),

    /** Sets the fields that the contract's whole representation consists of; with `upsert`, makes the user where nobody ever was. */
    replace: (context: Context, asked: Asked<Replace>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'replace', uid: newUid() }),

    /** Hides a user; the claims stay reserved. */
    remove: (context: Context, asked: Asked<Lifecycle>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'remove' }),

    /** Brings a removed user back. */
    restore: (context: Context, asked: Asked<Lifecycle>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'restore' }),

    /** Forgets a user: values, claims, and the values in the change log. The id is never used again. */
    erase: (context: Context, asked: Asked<Lifecycle>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'erase' }),

    /**
     * Puts somebody from another directory in place; `unchanged` where they are here already.
     * @param asked with the uid for a new user, where it is not left to chance
     */
    import: (context: Context, asked: Asked<Import> & { readonly uid?: string }): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'import', uid: asked.uid ?? newUid() }),

    async get({ actor }: Context, id: number): Promise<User> {
      allow(actor, 'read', id)
      return seen(await store.get(id))
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

    /** The user who holds a unique value: an e-mail address, a username, an ext_id or a uid. */
    async find({ actor }: Context, kind: ClaimKind, value: string): Promise<User> {
      const user = await store.find(claim(kind, value))
      allow(actor, 'read', user?.id)
      return seen(user)
    },

    /** A page of the visible users that fit, in any order, and how many there are. */
    async list({ actor }: Context, query: ListQuery): Promise<Listing> {
      allow(actor, 'read', undefined)
      return store.list(query)
    },

    /**
     * As `list`, for any number of users: piece by piece, as many as a reader takes, no more. Each piece
     * shows its users as they are when it is read.
     */
    async walk({ actor }: Context, query: ListQuery): Promise<Walk> {
      allow(actor, 'read', undefined)
      if (isEverybody(query)) return { total: undefined, pieces: walkAll(store, query) }
      const first = await store.list({ ...query, limit: Math.min(query.limit, pieceSize) })
      return { total: first.total, pieces: walkOn(store, query, first.users) }
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

async function* walkOn(
  store: Store,
  query: ListQuery,
  first: readonly User[],
): AsyncGenerator<readonly User[]> {
  let users = first
  for (let left = query.limit; users.length > 0; ) {
    yield users
    const last = users.at(-1)
    left -= users.length
    if (last === undefined || users.length < pieceSize || left <= 0) return
    const after = positionOf(last, query.sort)
    const limit = Math.min(left, pieceSize)
    users = (await store.list({ ...query, offset: 0, count: false, after, limit })).users
  }
}

function result(command: Command, outcome: Outcome): Result {
  switch (outcome.outcome) {
    case 'refused':
      throw new DirectoryError(outcome.refusal)
    case 'unchanged':
      return { user: outcome.user, outcome: 'unchanged' }
    case 'committed': {
      const { kind } = command
      const { version } = outcome.user
      const created =
        kind === 'create' ||
        (kind === 'replace' && version === 1) ||
        (kind === 'import' && (version === 1 || (version === 3 && command.vacated !== undefined)))
      return { user: outcome.user, outcome: created ? 'created' : 'changed' }
    }
  }
}

function allow(actor: Actor, action: Action, userId: number | undefined): void {
  const permission = permit(actor, action, userId)
  if ('refusal' in permission) throw new DirectoryError(permission.refusal)
}

function isWrong(command: Command): boolean {
  if (command.problems?.length) return true
  return 'patch' in command && Object.values(command.patch).some((value) => isDeeper(value, 2))
}

/** No field's value is deeper than a list of flat objects; a store that writes one down as text would recurse. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1))
}

function seen(user: User | undefined): User {
  if (user === undefined || !isVisible(user)) throw new DirectoryError(userNotFound)
  return user
}
