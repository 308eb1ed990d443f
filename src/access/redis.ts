import { Redis, type Result } from 'ioredis'
import { type Count, countInMemory, type Rate, type Standing } from './windows.ts'

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /** Adds to a key that is gone so many milliseconds after the first time: what it holds then, and what is left of them. */
    rosterCount(key: string, milliseconds: number, cost: number): Result<[number, number], Context>
  }
}

// One round trip, and nothing between its steps. A key that lost its expiry gets one again. What is given back
// when its window is over counts for nothing.
const script = `
local used = redis.call('INCRBY', KEYS[1], ARGV[2])
if used < 0 then
  redis.call('INCRBY', KEYS[1], -used)
  used = 0
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {used, left}
`

export interface SharedOptions {
  /** redis:// or rediss://; `?keyPrefix=` sets what all keys begin with. */
  readonly url: string
  /** Milliseconds since 1970, UTC, for what this node counts alone. */
  readonly now: () => number
  /** Told when Redis goes and why, and when it is back. */
  readonly onAway: (reason: string) => void
  readonly onBack: () => void
}

export interface Shared {
  /** Makes what counts under a name, for all nodes together. */
  readonly counting: (name: string, rate: Rate) => Count
  readonly isAway: () => boolean
  readonly close: () => void
}

/** Milliseconds that Redis may take to answer. One that takes longer is taken to be away. */
const patience = 250

/**
 * Counts in Redis, shared by nodes. While Redis is away each node counts for itself, so that nobody
 * waits for it and nobody is refused for want of it. It is looked for until it is back.
 */
export function countTogether({ url, now, onAway, onBack }: SharedOptions): Shared {
  /** Whether what is asked now is sent to Redis. */
  let usable = false
  let away = false
  let closing = false
  const redis = new Redis(url, {
    scripts: { rosterCount: { lua: script, numberOfKeys: 1 } },
    // Nothing waits for Redis to come back, and nothing is sent to it twice.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: patience,
    connectTimeout: 2_000,
    disconnectTimeout: patience,
    retryStrategy: (tries) => Math.min(tries * 100, 1_000),
    // After a failover the one that was connected to may be a replica now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  })
  redis.on('error', lose)
  redis.on('close', () => {
    usable = false
    if (!closing) lose(new Error('the connection broke'))
  })
  redis.on('ready', () => {
    usable = true
    regain()
  })

  function lose(error: unknown): void {
    if (away) return
    away = true
    onAway(inWords(error))
  }

  function regain(): void {
    if (!away) return
    away = false
    onBack()
  }

  function counting(name: string, rate: Rate): Count {
    const alone = countInMemory(rate, now)
    const prefix = `roster:${name}:${rate.quota}/${rate.seconds}:`
    return (subject, cost) => {
      if (!usable) return alone(subject, cost)
      return count(`${prefix}${subject}`, rate.seconds * 1000, cost).catch((error: unknown) => {
        lose(error)
        return alone(subject, cost)
      })
    }
  }

  async function count(key: string, milliseconds: number, cost: number): Promise<Standing> {
    try {
      const [used, left] = await redis.rosterCount(key, milliseconds, cost)
      regain()
      return { used, left }
    } catch (error) {
      // It is there and does not answer: the next ones must not wait for it, and a new connection may do.
      if (isTimeout(error) && usable) {
        usable = false
        redis.disconnect(true)
      }
      throw error
    }
  }

  return {
    counting,
    isAway: () => away || !usable,
    close: () => {
      closing = true
      redis.disconnect()
    },
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Command timed out'
}

/** For the log: without what may be secret of the URL. */
function inWords(error: unknown): string {
  if (!(error instanceof Error)) return 'it can not be reached'
  if (isTimeout(error)) return 'it does not answer'
  if (error.name === 'MaxRetriesPerRequestError') return 'the connection broke'
  return 'code' in error ? String(error.code) : error.message
}
