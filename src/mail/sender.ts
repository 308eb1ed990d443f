import type { Logger } from 'pino'
import { DirectoryError } from '../directory/errors.ts'
import type { Backlog, Kinds, Outbox, Taken } from '../directory/mail.ts'
import type { Compose, Composed } from './compose.ts'
import type { Deliver } from './deliver.ts'
import { Unsendable } from './message.ts'
import { judgeFailure, longestDelivery } from './smtp.ts'

export interface SenderOptions {
  readonly outbox: Outbox
  /** Which mails are its to send; left out, all. */
  readonly kinds?: Kinds
  readonly compose: Compose
  readonly deliver: Deliver
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly log: Logger
  readonly pace?: Partial<Pace>
}

/** Times in milliseconds. */
export interface Pace {
  /** Between looks, for mails of other nodes, and of those that are gone. */
  readonly poll: number
  /** How long a mail is this node's to send. */
  readonly lease: number
  /** Before another try, of the mail server or of one mail; twice that after the next, and so on up to a bound. */
  readonly pause: number
  readonly longestPause: number
  /** How long a stop waits for mails that are being sent. */
  readonly patience: number
}

const usualPace: Pace = {
  poll: 5_000,
  lease: longestDelivery + 15_000,
  pause: 5_000,
  longestPause: 15 * 60_000,
  patience: 5_000,
}

/** Mails that a node sends at once. */
const most = 5

/** Pauses between looks at a mail server that is away are no longer than this. */
const longestOutage = 60_000

/**
 * Sends the mails that wait in the outbox: at once those that this node is told of, and those of others by
 * looking now and then. A mail is removed once it was taken by the mail server, so none is lost; one may be sent
 * twice, with the same Message-ID, where a node dies in between.
 */
export function createSender({ outbox, kinds = {}, compose, deliver, now, log, pace }: SenderOptions) {
  const { poll, lease, pause, longestPause, patience } = { ...usualPace, ...pace }
  const counts = { sent: 0, postponed: 0, given_up: 0, dropped: 0 }
  /** Sent, but not removed yet, since the store was away: not to be sent again. */
  const done = new Set<string>()
  const ending = new AbortController()
  let outage: { readonly since: number; readonly tries: number; readonly reason: string } | undefined
  /** Which try of a mail server that is away the round under way is. */
  let attempt = 1
  let waiting: Backlog | undefined
  let running: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let again = false
  let isTroubled = false
  let started = false
  let closing = false

  /** Doubles with every try. */
  const growing = (tries: number, bound: number) => Math.min(pause * 2 ** Math.min(tries - 1, 20), bound)

  async function send(taken: Taken): Promise<void> {
    const { id, kind, tries } = taken
    if (done.has(id)) return forget(id)
    if (taken.expiresAt <= now()) return giveUp(taken, 'it has expired')
    let composed: Composed | undefined
    try {
      composed = await compose(taken)
    } catch (error) {
      return unwritten(taken, error)
    }
    if (composed === undefined) {
      counts.dropped++
      log.info({ mail: id, kind, tries }, 'mail dropped: it is for nobody, or its link is of no use any more')
      return outbox.remove(id)
    }
    const { message, userId } = composed
    try {
      await deliver(message, ending.signal)
    } catch (error) {
      return fail({ ...taken, userId }, error)
    }
    outage = undefined
    counts.sent++
    log.info({ mail: id, kind, tries }, 'mail sent')
    done.add(id)
    await forget(id)
  }

  async function forget(id: string): Promise<void> {
    await outbox.remove(id)
    done.delete(id)
  }

  async function giveUp(taken: Taken, reason: string): Promise<void> {
    counts.given_up++
    log.error({ mail: taken.id, kind: taken.kind, tries: taken.tries, reason }, 'mail given up')
    await outbox.remove(taken.id)
  }

  async function fail(taken: Taken, error: unknown): Promise<void> {
    const { verdict, reason } = judgeFailure(error)
    if (closing) return outbox.postpone(taken, now())
    // A server that judges one mail is there for the others.
    if (verdict !== 'away' && !(error instanceof Unsendable)) outage = undefined
    if (verdict === 'never') return giveUp(taken, reason)
    counts.postponed++
    let rest = growing(taken.tries, longestPause)
    if (verdict === 'away') {
      outage = { since: outage?.since ?? now(), tries: attempt, reason }
      // Where others are taken in between, it is this one that the server can not bear.
      rest = growing(Math.max(attempt, taken.tries), longestOutage)
    }
    log.warn({ mail: taken.id, kind: taken.kind, tries: taken.tries, reason, verdict }, 'mail not sent yet')
    await outbox.postpone(taken, now() + rest)
  }

  /** One that can not be written must not keep the others from being sent, and is tried again until it expires. */
  async function unwritten(taken: Taken, error: unknown): Promise<void> {
    if (error instanceof DirectoryError) throw error
    const { id, kind, tries } = taken
    counts.postponed++
    // Its message may quote what is in the mail.
    const stack = error instanceof Error ? error.stack?.match(/^ +at .*$/gm)?.join('\n') : undefined
    log.error({ mail: id, kind, tries, stack }, 'mail can not be written')
    await outbox.postpone(taken, now() + growing(tries, longestPause))
  }

  /** @returns whether there may be more that can be sent now */
  async function round(): Promise<boolean> {
    const before = outage
    attempt = (before?.tries ?? 0) + 1
    // One is enough to see whether a mail server is back.
    const asked = before === undefined ? most : 1
    const taken = await outbox.take({ at: now(), until: now() + lease, most: asked, ...kinds })
    const results = await Promise.allSettled(taken.map(send))
    for (const result of results) if (result.status === 'rejected') throw result.reason
    // Only a try tells that the server is away still: what had expired, or was for nobody, has not reached it.
    return taken.length === asked && (outage === undefined || outage === before)
  }

  async function run(): Promise<void> {
    try {
      do {
        again = false
        while (!closing && (await round()));
      } while (again && !closing && outage === undefined)
      waiting = outage === undefined ? undefined : await outbox.backlog(kinds)
      isTroubled = false
    } catch (error) {
      // What was taken comes back when its time is over. Told once: a store that is away stays so for a while.
      const reason = error instanceof DirectoryError ? error.code : 'unknown'
      if (!isTroubled) log.warn({ reason }, 'mails can not be looked after now')
      isTroubled = true
    }
    running = undefined
    if (closing) return
    timer = setTimeout(begin, outage === undefined ? poll : growing(outage.tries, longestOutage)).unref()
  }

  function begin(): void {
    clearTimeout(timer)
    running = run()
  }

  return {
    /** Looks after mails from now on. */
    start(): void {
      started = true
      begin()
    },

    /** There is a mail. While the mail server is away its turn comes with the others'. */
    wake(): void {
      if (!started || closing) return
      if (running !== undefined) again = true
      else if (outage === undefined) begin()
    },

    /** What is worth knowing of it, where something is wrong; in words. */
    remark(): string | undefined {
      if (outage === undefined) return undefined
      const since = new Date(outage.since).toISOString()
      const { count = 0, oldest = null } = waiting ?? {}
      const queue =
        oldest === null ? '' : `; ${count} wait, the oldest since ${new Date(oldest).toISOString()}`
      return `not sent since ${since} (${outage.reason})${queue}`
    },

    /** For Prometheus. What waits is left out where the store can not tell. */
    async metrics(): Promise<string> {
      const backlog = await outbox.backlog(kinds).catch(() => undefined)
      const lines = [
        '# HELP roster_mails_total Mails by what became of them: postponed is one try that failed; links for forgotten passwords are left out',
        '# TYPE roster_mails_total counter',
        ...Object.entries(counts).map(
          ([outcome, count]) => `roster_mails_total{outcome="${outcome}"} ${count}`,
        ),
      ]
      if (backlog !== undefined) {
        const age = backlog.oldest === null ? 0 : Math.max(now() - backlog.oldest, 0) / 1000
        lines.push(
          '# HELP roster_mails_waiting Mails that wait to be sent, by any node; links for forgotten passwords are left out',
          '# TYPE roster_mails_waiting gauge',
          `roster_mails_waiting ${backlog.count}`,
          '# HELP roster_mails_oldest_seconds How long the oldest of them has waited',
          '# TYPE roster_mails_oldest_seconds gauge',
          `roster_mails_oldest_seconds ${age}`,
        )
      }
      return `${lines.join('\n')}\n`
    },

    /** Takes no more, lets what is being sent come to its end for a while, and gives the rest back. */
    async close(): Promise<void> {
      closing = true
      clearTimeout(timer)
      const cut = setTimeout(() => ending.abort(), patience)
      await running
      clearTimeout(cut)
    },
  }
}
