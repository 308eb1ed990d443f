import type { Store } from './directory/store.ts'

/** Milliseconds between looks. */
const pause = 60_000

/**
 * Removes what has had its time, now and every minute, a few at once, so that nobody waits for it.
 * @returns a function that ends this
 */
export function keepTidy({ expire }: Pick<Store, 'expire'>, now: () => number): () => void {
  let ended = false
  let timer: NodeJS.Timeout | undefined

  async function tidy(): Promise<void> {
    try {
      while (!ended && (await expire(now())) > 0);
    } catch {
      // Whatever keeps the store from it now is told by others, and the next look is as good.
    }
    if (!ended) timer = setTimeout(tidy, pause).unref()
  }

  void tidy()
  return () => {
    ended = true
    clearTimeout(timer)
  }
}
