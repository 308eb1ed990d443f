import { unavailable } from '../../directory/errors.ts'

/** What may wait in this node; the next is turned away. */
const maxWaiting = 20_000

/**
 * Work that would only wait for each other in the database waits here, in the order in which it came:
 * so a user whom everybody wants takes one connection and not all.
 */
export function createLanes() {
  const lanes = new Map<number | string, Promise<unknown>>()
  let count = 0
  return async function inTurn<T>(lane: number | string, work: () => Promise<T>): Promise<T> {
    if (count >= maxWaiting) throw unavailable('Too many updates are waiting')
    count++
    const turn = (lanes.get(lane) ?? Promise.resolve()).then(work, work)
    lanes.set(lane, turn)
    try {
      return await turn
    } finally {
      count--
      if (lanes.get(lane) === turn) lanes.delete(lane)
    }
  }
}
