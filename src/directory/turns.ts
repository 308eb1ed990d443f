import { callerGone, type DirectoryError } from './errors.ts'

export interface TurnsOptions {
  /** How many of a subject may be under way. */
  readonly atOnce: number
  /** How many of a subject may wait. */
  readonly maxWaiting: number
  /** How many of all may wait; whose turn it is at once waits for nobody. */
  readonly maxWaitingInAll?: number
  /** Milliseconds after which one that waits is refused. */
  readonly patience?: number
  /** What the next one is refused with. */
  readonly refuse: () => DirectoryError
}

interface Line {
  underWay: number
  readonly waiting: Set<() => void>
}

/**
 * Bounds how many of each subject do something at a time; others wait, in their order.
 * @returns waits for a turn, and resolves to what ends it, to be called once. Rejects where too many wait
 * or this one has for too long, and with a DirectoryError `unavailable` where the signal tells that nobody
 * waits for it any more
 */
export function createTurns(options: TurnsOptions) {
  const { atOnce, maxWaiting, maxWaitingInAll = Number.POSITIVE_INFINITY, patience, refuse } = options
  const lines = new Map<string, Line>()
  let waiting = 0

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
    if (line.waiting.size >= maxWaiting || waiting >= maxWaitingInAll) throw refuse()
    return new Promise((resolve, reject) => {
      function leave(settle: () => void): void {
        if (!line.waiting.delete(begin)) return
        waiting--
        clearTimeout(timer)
        settle()
      }
      const begin = () => leave(() => resolve(end))
      const timer = patience === undefined ? undefined : setTimeout(leave, patience, () => reject(refuse()))
      line.waiting.add(begin)
      waiting++
      signal?.addEventListener('abort', () => leave(() => reject(callerGone())))
    })
  }
}
