import { callerGone, type DirectoryError } from '../directory/errors.ts'

export interface TurnsOptions {
  /** How many of a subject may be under way. */
  readonly atOnce: number
  /** How many of a subject may wait. */
  readonly maxWaiting: number
  /** What the next one is refused with. */
  readonly refuse: () => DirectoryError
}

interface Line {
  underWay: number
  readonly waiting: Set<() => void>
}

/**
 * Bounds how many of each subject do something at a time; others wait, in their order.
 * @returns waits for a turn, and resolves to what ends it, to be called once. Rejects where too many wait,
 * and with a DirectoryError `unavailable` where the signal tells that nobody waits for it any more
 */
export function createTurns({ atOnce, maxWaiting, refuse }: TurnsOptions) {
  const lines = new Map<string, Line>()

  return async (subject: string, signal?: AbortSignal): Promise<() => void> => {
    if (signal?.aborted) throw callerGone()
    const line = lines.get(subject) ?? { underWay: 0, waiting: new Set() }
    lines.set(subject, line)

    function end(): void {
      const [next] = line.waiting
      if (next === undefined) line.underWay--
      else next()
      if (line.underWay === 0) lines.delete(subject)
    }

    if (line.underWay < atOnce) {
      line.underWay++
      return end
    }
    if (line.waiting.size >= maxWaiting) throw refuse()
    return new Promise((resolve, reject) => {
      const begin = () => {
        line.waiting.delete(begin)
        resolve(end)
      }
      line.waiting.add(begin)
      signal?.addEventListener('abort', () => {
        if (line.waiting.delete(begin)) reject(callerGone())
      })
    })
  }
}
