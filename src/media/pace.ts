/**
 * Lets so many through at once, and as many again after a pause, in the order in which they came.
 * @param pause milliseconds
 * @returns waits for its turn; undefined where there need be no waiting
 */
export function createPace(most: number, pause: number): () => Promise<void> | undefined {
  const waiting: (() => void)[] = []
  let left = most
  let isPausing = false

  function renewLater(): void {
    if (isPausing) return
    isPausing = true
    setTimeout(() => {
      isPausing = false
      const next = waiting.splice(0, most)
      left = most - next.length
      for (const begin of next) begin()
      if (next.length > 0) renewLater()
    }, pause)
  }

  return () => {
    renewLater()
    if (left === 0) return new Promise((resolve) => waiting.push(resolve))
    left--
    return undefined
  }
}
