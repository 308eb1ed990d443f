import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Actor } from '../directory/actor.ts'
import type { Context, Directory, Result } from '../directory/directory.ts'
import type { Code, Problem } from '../directory/errors.ts'

/** What every wire API is to the service: one of these, and a line in app.ts. */
export interface Contract {
  readonly name: string
  /** Whether its page knows credentials: then nobody comes in without. Elsewhere the door decides (access/door.ts). */
  readonly knowsCredentials: boolean
  /** Whether those without credentials may see what is public. */
  readonly showsPublic?: boolean
  /** It is where credentials come from, and judges those that it needs itself. */
  readonly givesCredentials?: true
  /** Whether errors at this address are to be told in this contract's shape. */
  readonly owns: (method: string, path: string) => boolean
  readonly routes: (app: FastifyInstance, directory: Directory) => void
  /** Those that need no credentials, and look at none. */
  readonly openRoutes?: (app: FastifyInstance, directory: Directory) => void
  /** @param asked what was asked for, where that could be read */
  readonly refuse: (refused: Refused, requestId: string, asked?: Asked) => Answer
}

export interface Asked {
  readonly method: string
  /** The route, where there is one: `/v1/users/:id`. */
  readonly path: string
}

export interface Refused {
  readonly code: Code
  readonly message: string
  readonly problems: readonly Problem[]
}

export interface Answer {
  readonly status: number
  readonly body: unknown
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks: set by the one hook that stands before every contract's routes. */
    actor: Actor
  }
  interface FastifyContextConfig {
    /** The media types that a route with PATCH takes (RFC 5789, section 3.1). */
    acceptPatch?: string
    /** The media types of bodies that the route reads itself, as they come; others are read before. */
    streams?: RegExp
    /** This address only leads to another: there is nothing to do here but to read where. */
    leadsOn?: boolean
  }
}

export function context(request: FastifyRequest): Context {
  return { actor: request.actor, requestId: request.id }
}

/** Tells that nobody waits for the answer any more. */
export function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  // It may have been so before anybody asked.
  if (raw.destroyed) gone.abort()
  else raw.once('close', () => gone.abort())
  return gone.signal
}

/** Whether a path is one of the given places or lies under it. */
export function isUnder(path: string, ...places: readonly string[]): boolean {
  return places.some((place) => path === place || path.startsWith(`${place}/`))
}

/** Says that the address that was sent waits to be confirmed: what is answered has the one as it is. */
export function markPending(reply: FastifyReply, { pending }: Pick<Result, 'pending'>): void {
  if (pending) reply.header('roster-pending', 'email')
}
