import type { Actor } from '../directory/actor.ts'
import { DirectoryError, refusal } from '../directory/errors.ts'
import type { Asking, Authenticator } from './authenticate.ts'
import type { createDoor } from './door.ts'

export interface GateOptions {
  readonly authenticator: Pick<Authenticator, 'authenticate'>
  readonly door: ReturnType<typeof createDoor>
}

/** What the gate needs to know of a contract. */
export interface Entrance {
  readonly name: string
  readonly knowsCredentials: boolean
}

/** Who is let in: at once, unless credentials have to be looked up. Throws or rejects with a DirectoryError. */
export type Gate = (asking: Asking, entrance: Entrance) => Actor | Promise<Actor>

/**
 * Stands before the routes of every contract. Valid credentials let in everywhere, with the scopes they
 * have; invalid ones nowhere, not even where none are needed. Without any, the door decides.
 */
export function createGate({ authenticator, door }: GateOptions): Gate {
  return (asking, { name, knowsCredentials }) => {
    const actor = authenticator.authenticate(asking, name)
    if (actor !== undefined) return actor
    if (knowsCredentials) throw new DirectoryError(refusal('unauthenticated', keyNeeded))
    return door(asking.raw, name)
  }
}

const keyNeeded = 'An API key is needed, as Authorization: Bearer; roster key create makes one'
