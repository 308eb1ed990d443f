import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Admission, Entrance, Gate } from '../access/gate.ts'
import { type Limits, type Quota, secondsOf } from '../access/limits.ts'
import { rateLimited } from '../directory/errors.ts'

/**
 * The one hook before every route of a contract: sets `request.actor`, or refuses. And what the
 * description of each of them says about that.
 */
export function admit(scope: FastifyInstance, entrance: Entrance, gate: Gate): void {
  const known = [{ key: [] }, { oauth: [] }]
  const security = entrance.knowsCredentials && !entrance.showsPublic ? known : [...known, {}]
  scope.addHook('onRoute', (route) => {
    route.schema = { ...route.schema, security }
  })
  scope.addHook('onRequest', (request, reply, done) => {
    const admission = gate(request, entrance)
    if (!(admission instanceof Promise)) return finish(request, reply, done, admission)
    admission.then((settled) => finish(request, reply, done, settled), done)
  })
}

type Done = (error?: Error) => void

function finish(request: FastifyRequest, reply: FastifyReply, done: Done, admission: Admission): void {
  const { actor, error, quota } = admission
  if (quota !== undefined) tellQuota(reply, quota)
  if (actor !== undefined) request.actor = actor
  done(error as Error | undefined)
}

/**
 * Counts a request that asks more than others as so many.
 * @throws DirectoryError `rate_limited` where that is more than is left; then none of it is counted
 */
export type Charge = (request: FastifyRequest, reply: FastifyReply, cost: number) => Promise<void>

export function createCharge(limits: Pick<Limits, 'charge'> | undefined): Charge {
  return async (request, reply, cost) => {
    const charged = await limits?.charge(request.ip, request.actor, cost)
    if (charged === undefined) return
    tellQuota(reply, charged)
    if (charged.isRefused) throw rateLimited(secondsOf(charged.left))
  }
}

/**
 * Where the caller stands: as draft-ietf-httpapi-ratelimit-headers has it, in structured fields (RFC
 * 9651), and in the older headers of no standard, with the end of the window in seconds since 1970.
 */
function tellQuota(reply: FastifyReply, { policy, used, left }: Quota): void {
  const { name, quota, seconds } = policy
  const rest = Math.max(quota - used, 0)
  const reset = secondsOf(left)
  reply
    .header('ratelimit-policy', `"${name}";q=${quota};w=${seconds}`)
    .header('ratelimit', `"${name}";r=${rest};t=${reset}`)
    .header('x-ratelimit-limit', String(quota))
    .header('x-ratelimit-remaining', String(rest))
    .header('x-ratelimit-reset', String(Math.ceil((Date.now() + left) / 1000)))
}
