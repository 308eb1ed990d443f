/** Statements of one kind that are under way at once: while one is answered the server works on the other. */
const atOnce = 2

/** Milliseconds after which one that is under way keeps the next of its kind waiting no longer: something holds it. */
const slow = 50

/** What may wait at once, of all kinds; more is turned away. */
const mostWaiting = 20_000

export interface Gathering<Item> {
  /** Settles all that it is given, and never rejects. */
  readonly send: (items: readonly Item[]) => Promise<void>
  /** How many it is given at once. */
  readonly most: number
  /** Only those of one kind are sent together. */
  readonly kindOf?: (item: Item) => string
}

/**
 * Sends together what comes together: at the end of a turn of the event loop, or, while as many as may be
 * are under way, when one of those is through. So each goes by itself when it is quiet, and more go
 * together the busier it is.
 * @returns what takes an item, and says false where too many wait already
 */
export function createGathering<Item>({ send, most, kindOf = () => '' }: Gathering<Item>) {
  const kinds = new Map<string, ReturnType<typeof createKind>>()
  let count = 0

  function createKind(name: string) {
    let waiting: Item[] = []
    let underWay = 0
    let called = false

    function call(): void {
      if (called || underWay >= atOnce) return
      if (waiting.length === 0) {
        if (underWay === 0) kinds.delete(name)
        return
      }
      called = true
      setImmediate(sendSome)
    }

    function sendSome(): void {
      called = false
      const items = waiting.slice(0, most)
      waiting = waiting.slice(most)
      count -= items.length
      underWay++
      let counts = true
      const letNextGo = () => {
        if (!counts) return
        counts = false
        clearTimeout(timer)
        underWay--
        call()
      }
      const timer = setTimeout(letNextGo, slow)
      void send(items).then(letNextGo)
      call()
    }

    function add(item: Item): void {
      waiting.push(item)
      call()
    }
    return { add }
  }

  return (item: Item): boolean => {
    if (count >= mostWaiting) return false
    count++
    const name = kindOf(item)
    let kind = kinds.get(name)
    if (kind === undefined) {
      kind = createKind(name)
      kinds.set(name, kind)
    }
    kind.add(item)
    return true
  }
}
