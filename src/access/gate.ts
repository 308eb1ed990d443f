import type { Actor } from '../directory/actor.ts'
import { DirectoryError, refusal } from '../directory/errors.ts'
import type { Asking, Authenticator } from './authenticate.ts'
import type { createDoor } from './door.ts'
import { exceeded, type Limits, type Quota } from './limits.ts'

export interface GateOptions {
  readonly authenticator: Pick<Authenticator, 'authenticate'>
  readonly door: ReturnType<typeof createDoor>
  /** Undefined where nobody is limited. */
  readonly limits: Pick<Limits, 'take'> | undefined
}

/** What the gate needs to know of a contract. */
export interface Entrance {
  readonly name: string
  readonly knowsCredentials: boolean
  /** Whether those who bring none may come in nevertheless, to see what is public. */
  readonly showsPublic?: boolean
  /** It is where credentials come from: none are asked for, and what is sent is for it to judge. */
  readonly givesCredentials?: true
}

/** Who is let in, or why nobody is, and in either case where the caller's limit stands, if there is one. */
export type Admission = { readonly quota: Quota | undefined } & (
  | { readonly actor: Actor; readonly error?: never }
  | { readonly actor?: never; readonly error: unknown }
)

/** At once, unless something has to be looked up. */
export type Gate = (asking: Asking, entrance: Entrance) => Admission | Promise<Admission>

/**
 * Stands before the routes of every contract. Valid credentials let in everywhere, with the scopes they
 * have; invalid ones nowhere, not even where none are needed. Without any, the door decides.
 */
export function createGate({ authenticator, door, limits }: GateOptions): Gate {
  function identify(
    asking: Asking,
    { name, knowsCredentials, showsPublic, givesCredentials }: Entrance,
  ): Actor | Promise<Actor> {
    if (givesCredentials) return { kind: 'anonymous', id: null, scopes: [], contract: name }
    const actor = authenticator.authenticate(asking, name)
    if (actor !== undefined) return actor
    if (showsPublic) return { kind: 'anonymous', id: null, scopes: ['read'], contract: name }
    if (knowsCredentials) throw new DirectoryError(refusal('unauthenticated', keyNeeded))
    return door(asking.raw, name)
  }

  function admitted({ ip }: Asking, actor: Actor): Admission | Promise<Admission> {
    const quota = limits?.take(ip, actor)
    return quota instanceof Promise ? quota.then((taken) => judge(taken, actor)) : judge(quota, actor)
  }

  /** Who is refused is counted too. */
  function refused({ ip }: Asking, error: unknown): Admission | Promise<Admission> {
    if (!(error instanceof DirectoryError)) return { error, quota: undefined }
    const quota = limits?.take(ip, undefined, error)
    const told = (taken: Quota | undefined) => ({ error: (taken && exceeded(taken)) ?? error, quota: taken })
    return quota instanceof Promise ? quota.then(told) : told(quota)
  }

  return (asking, entrance) => {
    try {
      const actor = identify(asking, entrance)
      if (!(actor instanceof Promise)) return admitted(asking, actor)
      return actor.then(
        (found) => admitted(asking, found),
        (error: unknown) => refused(asking, error),
      )
    } catch (error) {
      return refused(asking, error)
    }
  }
}

function judge(quota: Quota | undefined, actor: Actor): Admission {
  const error = quota && exceeded(quota)
  return error === undefined ? { actor, quota } : { error, quota }
}

const keyNeeded = 'An API key is needed, as Authorization: Bearer; roster key create makes one'
