/** So many requests in so many seconds. */
export interface Rate {
  readonly quota: number
  readonly seconds: number
}

/** Where somebody stands in the window of time under way. */
export interface Standing {
  /** What has been asked in it, this time included. */
  readonly used: number
  /** Milliseconds until it ends. */
  readonly left: number
}

/**
 * Counts what each subject asks, in a window of time that begins with the first of it and ends with all
 * forgotten. At once where the count is at hand.
 * @param cost 0 only looks; less than 0 gives back
 */
export type Count = (subject: string, cost: number) => Standing | Promise<Standing>

/** Subjects that a node counts, at least, before it forgets those that have not asked for longest. */
const minSubjects = 50_000

/**
 * Counts in the memory of this process, and in a bounded part of it. Past the bound, subjects are
 * forgotten that asked nothing while as many others did: they start anew, as after the end of a window.
 * @param now milliseconds since 1970, UTC
 * @param subjects twice as many are kept, at most
 */
export function countInMemory(
  { seconds }: Rate,
  now: () => number,
  subjects = minSubjects,
): (subject: string, cost: number) => Standing {
  // Two generations: a full young one becomes the old one, and what nobody asked for in it is gone.
  let young = new Map<string, Window>()
  let old = new Map<string, Window>()

  function windowOf(subject: string): Window {
    const found = young.get(subject)
    if (found !== undefined) return found
    if (young.size >= subjects) {
      old = young
      young = new Map()
    }
    const window = old.get(subject) ?? { used: 0, ends: 0 }
    young.set(subject, window)
    return window
  }

  return (subject, cost) => {
    const window = windowOf(subject)
    const at = now()
    // One that would last longer than it can was begun before the clock was set back.
    if (window.ends <= at || window.ends > at + seconds * 1000) {
      window.used = 0
      window.ends = at + seconds * 1000
    }
    window.used = Math.max(window.used + cost, 0)
    return { used: window.used, left: window.ends - at }
  }
}

interface Window {
  used: number
  /** Milliseconds since 1970. */
  ends: number
}
