/**
 * Does many things at once, but those that share a lane one after the other, in their order.
 * @param width how many are under way at a time
 * @returns what each came to, in their order
 */
export async function inTurn<T, R>(
  things: readonly T[],
  lanesOf: (thing: T) => readonly string[],
  act: (thing: T) => Promise<R>,
  width = 64,
): Promise<readonly R[]> {
  const last = new Map<string, Promise<unknown>>()
  const running = new Set<Promise<unknown>>()
  const results: Promise<R>[] = []
  for (const thing of things) {
    if (running.size >= width) await Promise.race(running)
    const lanes = lanesOf(thing)
    const before = lanes.map((lane) => last.get(lane))
    const result = Promise.all(before).then(() => act(thing))
    // Whoever waits for it waits for its end, not for its success.
    const end = result.then(
      () => {},
      () => {},
    )
    running.add(end)
    end.then(() => running.delete(end))
    for (const lane of lanes) last.set(lane, end)
    results.push(result)
  }
  return Promise.all(results)
}
