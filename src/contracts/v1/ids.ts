import type { Directory } from '../../directory/directory.ts'

/** Names nobody: every use case answers for it as for somebody who is not there. */
const nobody = 0

/** As uids are made; whatever else an address has in this place names nobody. */
const form = /^usr_[0-9a-z]{12,60}$/

/** How many are remembered: a few megabytes. */
const most = 50_000

/**
 * The directory's number of whoever a uid names. That never changes, so those that were asked for are
 * remembered, the latest ones: a look-up less for an update.
 */
export type Ids = (uid: string) => number | Promise<number>

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
