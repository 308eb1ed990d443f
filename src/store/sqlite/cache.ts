import type { User } from '../../directory/user.ts'

/**
 * The users that were used last. One process owns the file, and everything that it writes is put in
 * here before it is acknowledged, so an entry is never older than what a caller was told; what a
 * read finds to be newer replaces it too, so nobody sees a user go back in time.
 */
export interface UserCache {
  readonly get: (id: number) => User | undefined
  /** Keeps the user, unless a newer version is here already. */
  readonly put: (user: User) => void
  /** As `put`, but only for a user who is here: what a long list reads must not push out the others. */
  readonly refresh: (user: User) => void
}

/** How many users each thread keeps at hand: some 20 MB at most. */
export const cachedUsers = 10_000

/** @param limit how many users are kept at least; at most twice as many are */
export function createUserCache(limit: number): UserCache {
  // Two generations: when the young one is full it becomes the old one, and who was not asked for
  // in that time is gone. As good as exact order here, and a fraction of its cost.
  let young = new Map<number, User>()
  let old = new Map<number, User>()

  function keep(user: User): void {
    if (young.size >= limit) {
      old = young
      young = new Map()
    }
    young.set(user.id, user)
  }

  function peek(id: number): User | undefined {
    return young.get(id) ?? old.get(id)
  }

  return {
    get(id) {
      const user = young.get(id)
      if (user !== undefined) return user
      const aged = old.get(id)
      if (aged !== undefined) keep(aged)
      return aged
    },

    put(user) {
      const known = peek(user.id)
      if (known === undefined || known.version <= user.version) keep(user)
    },

    refresh(user) {
      const known = peek(user.id)
      if (known !== undefined && known.version < user.version) keep(user)
    },
  }
}
