import { isIP } from 'node:net'
import type { Actor } from '../directory/actor.ts'
import { type DirectoryError, rateLimited } from '../directory/errors.ts'
import { createTurns } from '../directory/turns.ts'
import { isGuess, type Strangers } from './authenticate.ts'
import type { Count, Rate, Standing } from './windows.ts'

/** Where a caller stands, for the headers of the answer. */
export interface Quota extends Standing {
  readonly policy: Policy
}

export interface Policy extends Rate {
  readonly name: string
}

export interface LimitsOptions {
  /** Of each actor, and of each address that brings no credentials. */
  readonly rate: Rate
  /** Whether those who bring no credentials are limited. */
  readonly anonymous: boolean
  /** Makes what counts under a name: in memory, or shared by nodes. */
  readonly counting: (name: string, rate: Rate) => Count
}

/** How often an address may bring what is no key: enough for mistakes, and no speed to guess at. */
export const failures = { name: 'failures', quota: 30, seconds: 60 } as const

/**
 * What an address brings that is not known yet is looked up so much of at a time. What is good counts for nothing,
 * so it has to wait and is not refused, unless there is much of it, or what it waits for takes too long.
 */
const lookUps = { atOnce: failures.quota, maxWaiting: 1_000, patience: 5_000 } as const

/** Limits what each caller asks: with credentials wherever it comes from, and without any an address. */
export function createLimits({ rate, anonymous, counting }: LimitsOptions) {
  const policy: Policy = { name: 'default', ...rate }
  const ofActors = counting('actor', rate)
  const ofAddresses = counting('address', rate)
  const ofFailures = counting('failure', failures)

  const turn = createTurns({ ...lookUps, refuse: () => rateLimited(1) })

  const strangers: Strangers = {
    async attempt(ip, lookUp) {
      const subject = subjectOf(ip)
      const end = await turn(subject)
      try {
        // Only looked at: until it is known what comes of them, many at once may all be good.
        const { used, left } = await ofFailures(subject, 0)
        if (used >= failures.quota) throw rateLimited(secondsOf(left))
        return await lookUp()
      } catch (error) {
        // Before the turn ends, so that whoever is next hears of it.
        if (isGuess(error)) await ofFailures(subject, 1)
        throw error
      } finally {
        end()
      }
    },
  }

  /**
   * Counts a request.
   * @param actor who asks; undefined where that was refused
   * @param error why it was refused
   * @returns undefined where there is no limit
   */
  function take(
    ip: string,
    actor: Actor | undefined,
    error?: DirectoryError,
  ): Quota | undefined | Promise<Quota> {
    if (error?.code === 'rate_limited') return quotaOf(failures, ofFailures(subjectOf(ip), 0))
    if (actor !== undefined && actor.id !== null) return quotaOf(policy, ofActors(actor.id, 1))
    if (!anonymous) return undefined
    return quotaOf(policy, ofAddresses(subjectOf(ip), 1))
  }

  /**
   * Counts what a request that was counted already asks more than others: all of it or, where that is
   * more than is left, nothing. It costs no more than a whole window has, or it could never be asked.
   * @param cost of the request as a whole
   * @returns where the caller stands, and whether it is refused; undefined where there is no limit
   */
  async function charge(ip: string, actor: Actor, cost: number): Promise<Charged | undefined> {
    if (actor.id === null && !anonymous) return undefined
    const [count, subject] =
      actor.id === null ? ([ofAddresses, subjectOf(ip)] as const) : ([ofActors, actor.id] as const)
    const more = Math.min(cost, rate.quota) - 1
    const before = await count(subject, 0)
    if (before.used + more > rate.quota) return { policy, ...before, isRefused: true }
    const { used, left } = await count(subject, more)
    if (used <= rate.quota) return { policy, used, left, isRefused: false }
    // Another came in between.
    return { policy, ...(await count(subject, -more)), isRefused: true }
  }

  return { take, charge, strangers }
}

export interface Charged extends Quota {
  readonly isRefused: boolean
}

export type Limits = ReturnType<typeof createLimits>

function quotaOf(policy: Policy, standing: Standing | Promise<Standing>): Quota | Promise<Quota> {
  if (standing instanceof Promise) return standing.then(({ used, left }) => ({ policy, used, left }))
  return { policy, used: standing.used, left: standing.left }
}

/** The refusal of one who has asked for more than there was. */
export function exceeded({ policy, used, left }: Quota): DirectoryError | undefined {
  return used > policy.quota ? rateLimited(secondsOf(left)) : undefined
}

/** Whole seconds, and not too few of them. */
export function secondsOf(milliseconds: number): number {
  return Math.max(Math.ceil(milliseconds / 1000), 1)
}

/**
 * What is counted for an address: of IPv6 the first 64 bits, since whoever has one address has all that
 * begin with them (RFC 4291, section 2.5.1). What is no address, such as a proxy may tell, is counted together.
 */
export function subjectOf(ip: string): string {
  const address = ip.toLowerCase().startsWith('::ffff:') && isIP(ip.slice(7)) === 4 ? ip.slice(7) : ip
  switch (isIP(address)) {
    case 4:
      return address
    case 6: {
      const [head = '', tail] = address.replace(/%.*/, '').split('::')
      const groups = (text: string) => (text === '' ? [] : text.split(':'))
      const end = groups(tail ?? '')
      // An IPv4 address at the end stands for two groups.
      const length = groups(head).length + end.length + (end.at(-1)?.includes('.') ? 1 : 0)
      const all = [...groups(head), ...Array<string>(tail === undefined ? 0 : 8 - length).fill('0'), ...end]
      return `${all
        .slice(0, 4)
        .map((group) => Number.parseInt(group, 16).toString(16))
        .join(':')}::/64`
    }
    default:
      return 'unknown'
  }
}
