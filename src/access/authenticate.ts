import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Actor } from '../directory/actor.ts'
import { DirectoryError, refusal } from '../directory/errors.ts'

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
  /**
   * Does a look-up for an address, and counts it where what comes of it is that it was a guess (`isGuess`).
   * Rejects with a DirectoryError `rate_limited`, and looks nothing up, where the address has to wait.
   */
  readonly attempt: <T>(ip: string, lookUp: () => Promise<T>) => Promise<T>
}

/** What stands behind a bearer token: who, and for how long. */
export interface Credential extends Pick<Actor, 'id' | 'scopes'> {
  readonly kind: 'key' | 'client' | 'person'
  readonly id: string
  /** Milliseconds since 1970, UTC; null where it does not expire by itself. */
  readonly expiresAt: number | null
  /** Why it is worth nothing any more, where that is so: it was good once, so it is no guess. */
  readonly ended?: string | undefined
  /** The only contract that it is good for. */
  readonly contract?: string
  readonly vouched?: true
}

/** One kind of bearer token. */
export interface Recogniser {
  /** Whether a token looks like one of these. */
  readonly recognises: (token: string) => boolean
  /** Rejects with a DirectoryError: `unauthenticated` for a guess, `unavailable`. */
  readonly find: (token: string) => Promise<Credential>
}

export interface AuthenticatorOptions {
  /** The first that recognises a token judges it. */
  readonly recognisers: readonly Recogniser[]
  /** Writes down when keys were last used. */
  readonly used: (times: ReadonlyMap<string, number>) => Promise<void>
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly strangers?: Strangers
}

/** Milliseconds after which what was found is looked up again, in the background. */
const fresh = 500
/** Milliseconds after which it is not taken for good any more: what was revoked is refused within a second. */
const trusted = 900
/** Credentials that are kept at hand, at most. */
const maxKnown = 10_000
/** Characters; JWTs of outside issuers can list many things. */
const maxLength = 8_192

interface Known {
  readonly credential: Credential
  /** When the look-up that found it began. */
  readonly checkedAt: number
  refreshing: boolean
  readonly actors: Map<string, Actor>
}

/**
 * Tells whose credentials a request brings: bearer tokens of whatever kind (RFC 6750, section 2.1).
 *
 * What was found is remembered under the header it came in, so that a request with it costs a map
 * look-up. That compares the secret with those in memory by their hashes, and these are seeded at
 * random; stores are asked for a SHA-256. Neither takes a time that tells how much of a guess is right.
 */
export function createAuthenticator({ recognisers, used, now, strangers }: AuthenticatorOptions) {
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
    const at = now()
    let header = authorization
    let found = atHand(header, at)
    if (found === undefined) {
      header = `Bearer ${tokenOf(authorization)}`
      found = atHand(header, at)
    }
    if (found === undefined) return verify(asking, contract, authorization)
    if (at - found.checkedAt > fresh && !found.refreshing) refresh(header, found)
    return actorOf(found, contract, at)
  }

  /** What was found of a header, where that was so lately that it is taken for good. */
  function atHand(header: string, at: number): Known | undefined {
    const found = known.get(header)
    if (found === undefined) return undefined
    const age = at - found.checkedAt
    return age >= 0 && age < trusted ? found : undefined
  }

  async function verify({ ip }: Asking, contract: string, authorization: string): Promise<Actor> {
    const token = tokenOf(authorization)
    const header = `Bearer ${token}`
    const judged = async (): Promise<Known> => {
      if (token === undefined)
        throw invalidToken('Authorization must be sent once, as Bearer and a key or token')
      // Where this had to wait, another may have had the same looked up meanwhile.
      return atHand(header, now()) ?? lookUp(header, token)
    }
    const isStranger = strangers !== undefined && !known.has(header)
    const found = await (isStranger ? strangers.attempt(ip, judged) : judged())
    return actorOf(found, contract, now())
  }

  /** One look-up for all who wait for the same. */
  function lookUp(header: string, secret: string): Promise<Known> {
    const begun = lookUps.get(header)
    if (begun !== undefined) return begun
    const promise = find(header, secret).finally(() => lookUps.delete(header))
    lookUps.set(header, promise)
    return promise
  }

  async function find(header: string, token: string): Promise<Known> {
    const checkedAt = now()
    const credential = await judge(token).catch((error: unknown) => {
      if (isGuess(error)) known.delete(header)
      throw error
    })
    const entry: Known = { credential, checkedAt, refreshing: false, actors: new Map() }
    // In again, so that it is the youngest.
    known.delete(header)
    known.set(header, entry)
    if (known.size > maxKnown) known.delete(known.keys().next().value ?? '')
    return entry
  }

  async function judge(token: string): Promise<Credential> {
    const recogniser = recognisers.find(({ recognises }) => recognises(token))
    if (recogniser === undefined) throw invalidToken('There is no such key or token')
    return recogniser.find(token)
  }

  function refresh(header: string, entry: Known): void {
    entry.refreshing = true
    lookUp(header, header.slice('Bearer '.length)).catch(() => {
      // Whoever comes when it is not trusted any more is told.
      entry.refreshing = false
    })
  }

  function actorOf({ credential, actors }: Known, contract: string, at: number): Actor {
    const { kind, id, scopes, expiresAt, ended, vouched } = credential
    if (ended !== undefined) throw invalidToken(ended)
    if (expiresAt !== null && expiresAt <= at) throw invalidToken(`The ${nounOf[kind]} has expired`)
    if (kind === 'key') uses.set(id, at)
    let actor = actors.get(contract)
    if (actor === undefined) {
      if (contract !== (credential.contract ?? contract))
        throw invalidToken(`This token is good for the contract ${credential.contract} only`)
      actor = { kind, id, scopes, contract, ...(vouched && { vouched }) }
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
      await used(told)
    } catch (error) {
      for (const [id, at] of told) if (!uses.has(id)) uses.set(id, at)
      throw error
    }
  }

  return {
    authenticate,
    flush,
    /** Looks the credentials of a key, a client or a person up again at their next use: for what this process itself has changed. */
    forget(id: string): void {
      for (const [header, { credential }] of known) if (credential.id === id) known.delete(header)
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

const nounOf = { key: 'API key', client: 'token', person: 'token' } as const

/** Whether a look-up was refused because there is no such key or token. */
export function isGuess(error: unknown): boolean {
  return error instanceof DirectoryError && error.code === 'unauthenticated'
}

export function invalidToken(message: string): DirectoryError {
  return new DirectoryError({ ...refusal('unauthenticated', message), lack: { error: 'invalid_token' } })
}
