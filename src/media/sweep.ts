import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Milliseconds after which what is there for a moment was left behind by a process that was killed. */
const leftAfter = 3_600_000

/**
 * Removes from a folder what is there for a moment only, and has been there for an hour.
 * @param isOurs tells by its name what has been made to be removed again
 * @param at milliseconds since 1970, UTC
 * @param onFailure told of each that can not be removed, which keeps no other
 * @returns how many went
 */
export async function sweep(
  folder: string,
  isOurs: (name: string) => boolean,
  at: number,
  onFailure: (path: string, error: unknown) => void,
): Promise<number> {
  let removed = 0
  for (const name of (await readdir(folder).catch(() => [])).filter(isOurs)) {
    const path = join(folder, name)
    const found = await stat(path).catch(() => undefined)
    if (found === undefined || found.mtimeMs > at - leftAfter) continue
    try {
      await rm(path, { recursive: true, force: true })
      removed++
    } catch (error) {
      onFailure(path, error)
    }
  }
  return removed
}
