import { userNotFound } from '../../directory/decision.ts'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError } from '../../directory/errors.ts'
import type { User } from '../../directory/user.ts'

/** Names nobody: every use case answers for it as for somebody who is not there. */
const nobody = 0

/** As uids are made; whatever else an address has in this place names nobody. */
const form = /^usr_[0-9a-z]{12,60}$/

/** How many are remembered: a few megabytes. */
const most = 50_000

/**
 * The directory's number of whoever a uid names. Those that were asked for are remembered, the latest
 * ones: a look-up less for an update. A number can pass to another person once, when a sample person
 * makes room for somebody imported; so the uid goes along with every command (`called`), and what is read
 * is looked at.
 */
export type Ids = (uid: string) => number | Promise<number>

/** The user, if that is who was asked for. */
export function thisOne(user: User, uid: string): User {
  if (user.uid !== uid) throw new DirectoryError(userNotFound)
  return user
}

export function createIds(directory: Directory): Ids {
  const known = new Map<string, number>()

  async function look(uid: string): Promise<number> {
    const id = await directory.resolve(uid)
    if (id === undefined) return nobody
    if (known.size >= most) for (const oldest of known.keys().take(most / 10)) known.delete(oldest)
    known.set(uid, id)
    return id
  }

  return (uid) => known.get(uid) ?? (form.test(uid) ? look(uid) : nobody)
}
