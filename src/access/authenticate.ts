import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Actor } from '../directory/actor.ts'
import { DirectoryError, refusal } from '../directory/errors.ts'
import type { ApiKey, KeyStore } from '../directory/key.ts'

/** What of a request tells who sent it. */
export interface Asking {
  readonly raw: Pick<IncomingMessage, 'method' | 'headers' | 'rawHeaders'> & {
    readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>
  }
  /** The address that it came from; with a trusted proxy, the one that the proxy tells. */
  readonly ip: string
}

/** Keeps those from guessing who bring what was no key when it was seen last, if it was seen at all. */
export interface Strangers {
  /** Throws or rejects with a DirectoryError where this address has to wait. */
  readonly admit: (ip: string) => void | Promise<void>
  /** Told where it was no wrong guess after all: a key, or nothing that could be found out now. */
  readonly welcome: (ip: string) => void
}

export interface AuthenticatorOptions {
  readonly keys: Pick<KeyStore, 'find' | 'used'>
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly strangers?: Strangers
}

/** Milliseconds after which a key that was found is looked up again, in the background. */
const fresh = 500
/** Milliseconds after which it is not taken for good any more: a revoked one is refused within a second. */
const trusted = 900
/** Keys that are kept at hand, at most. */
const maxKeys = 10_000
/** Characters; a longer header is no key's. */
const maxLength = 4_096

interface Known {
  readonly key: ApiKey
  /** When the look-up that found it began. */
  readonly checkedAt: number
  refreshing: boolean
  readonly actors: Map<string, Actor>
}

/**
 * Tells whose credentials a request brings: API keys as bearer tokens (RFC 6750, section 2.1).
 *
 * A key that was found is remembered under the header it came in, so that a request with it costs a
 * map look-up. That compares the secret with those in memory by their hashes, and these are seeded at
 * random; the store is asked for a SHA-256. Neither takes a time that tells how much of a guess is right.
 */
export function createAuthenticator({ keys, now, strangers }: AuthenticatorOptions) {
  /** By the header in its usual spelling. */
  const known = new Map<string, Known>()
  const lookUps = new Map<string, Promise<Known>>()
  /** When keys were last used, as far as it is not written down. */
  let uses = new Map<string, number>()

  /**
   * @returns the actor, at once where the key is at hand; undefined where the request brings no credentials
   * @throws DirectoryError `unauthenticated`, or rejects with it, with `unavailable`, or what `strangers` throws
   */
  function authenticate(asking: Asking, contract: string): Actor | undefined | Promise<Actor> {
    const { authorization } = asking.raw.headers
    if (authorization === undefined) return undefined
    // Node.js keeps the first of several and says nothing.
    if (isRepeated(asking.raw.rawHeaders)) return verify(asking, contract, '')
    const found = known.get(authorization)
    const at = now()
    const age = found === undefined ? trusted : at - found.checkedAt
    if (found === undefined || age >= trusted || age < 0) return verify(asking, contract, authorization)
    if (age > fresh && !found.refreshing) refresh(authorization, found)
    return actorOf(found, contract, at)
  }

  async function verify({ ip }: Asking, contract: string, authorization: string): Promise<Actor> {
    const token = tokenOf(authorization)
    const header = `Bearer ${token}`
    const isStranger = !known.has(header)
    if (isStranger) await strangers?.admit(ip)
    if (token === undefined) throw invalidToken('Authorization must be sent once, as Bearer and an API key')
    if (!shape.test(token)) throw invalidToken('There is no such API key')
    let isGuess = isStranger
    try {
      const actor = actorOf(await lookUp(header, token), contract, now())
      isGuess = false
      return actor
    } catch (error) {
      isGuess &&= error instanceof DirectoryError && error.code === 'unauthenticated'
      throw error
    } finally {
      if (isStranger && !isGuess) strangers?.welcome(ip)
    }
  }

  /** One look-up for all who wait for the same. */
  function lookUp(header: string, secret: string): Promise<Known> {
    const begun = lookUps.get(header)
    if (begun !== undefined) return begun
    const promise = find(header, secret).finally(() => lookUps.delete(header))
    lookUps.set(header, promise)
    return promise
  }

  async function find(header: string, secret: string): Promise<Known> {
    const checkedAt = now()
    const key = await keys.find(hashOf(secret))
    if (key === undefined) {
      known.delete(header)
      throw invalidToken('There is no such API key')
    }
    const entry: Known = { key, checkedAt, refreshing: false, actors: new Map() }
    // In again, so that it is the youngest.
    known.delete(header)
    known.set(header, entry)
    if (known.size > maxKeys) known.delete(known.keys().next().value ?? '')
    return entry
  }

  function refresh(header: string, entry: Known): void {
    entry.refreshing = true
    lookUp(header, header.slice('Bearer '.length)).catch(() => {
      // Whoever comes when it is not trusted any more is told.
      entry.refreshing = false
    })
  }

  function actorOf({ key, actors }: Known, contract: string, at: number): Actor {
    if (key.revokedAt !== null) throw invalidToken('The API key has been revoked')
    if (key.expiresAt !== null && key.expiresAt <= at) throw invalidToken('The API key has expired')
    uses.set(key.id, at)
    let actor = actors.get(contract)
    if (actor === undefined) {
      actor = { kind: 'key', id: key.id, scopes: key.scopes, contract }
      actors.set(contract, actor)
    }
    return actor
  }

  /** Writes down when keys were last used; what could not be written is kept for the next time. */
  async function flush(): Promise<void> {
    if (uses.size === 0) return
    const told = uses
    uses = new Map()
    try {
      await keys.used(told)
    } catch (error) {
      for (const [id, at] of told) if (!uses.has(id)) uses.set(id, at)
      throw error
    }
  }

  return {
    authenticate,
    flush,
    /** Looks the key up again at its next use: for what this process itself has changed. */
    forget(id: string): void {
      for (const [header, { key }] of known) if (key.id === id) known.delete(header)
    },
  }
}

export type Authenticator = ReturnType<typeof createAuthenticator>

/** What is kept of a secret. It is random and long, so it needs no salt and no slow function. */
export function hashOf(secret: string): string {
  return hash('sha256', secret, 'hex')
}

// RFC 9110, section 11.4: a scheme in whatever case, and one token68.
const bearer = /^bearer +([\w.~+/-]+=*) *$/i

/** What a secret looks like that `keys.ts` has made. */
const shape = /^rk_[0-9A-Za-z]{32}$/

function tokenOf(authorization: string): string | undefined {
  return authorization.length > maxLength ? undefined : bearer.exec(authorization)?.[1]
}

function isRepeated(rawHeaders: readonly string[]): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 13 && name.toLowerCase() === 'authorization') count++
  }
  return count > 1
}

function invalidToken(message: string): DirectoryError {
  return new DirectoryError({ ...refusal('unauthenticated', message), lack: { error: 'invalid_token' } })
}
