import { randomUUID } from 'node:crypto'
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { maxId } from '../directory/user.ts'
import { type Credential, invalidToken, type Recogniser } from './authenticate.ts'
import type { People } from './people.ts'

/**
 * JWTs that an operator's own backend makes for people, with a secret that it shares with Roster (RFC
 * 7519): signed with HS256 and nothing else, and good for the community contract alone, whose
 * documentation they follow. They have the claims `user_id` (an integer), `token_type` (`access`), `exp`,
 * `iat` (in seconds) and `jti`; whatever else is in them means nothing.
 */
export interface SharedSecretTokens extends Recogniser {
  /**
   * What a token says, where its signature, claims and times are right; of the person nothing is asked.
   * Rejects with a DirectoryError `unauthenticated`.
   */
  readonly verify: (token: string) => Promise<SharedSecretToken>
}

export interface SharedSecretToken {
  readonly userId: number
  /** Milliseconds since 1970, UTC. */
  readonly issuedAt: number
  readonly expiresAt: number
}

export interface SharedSecretOptions {
  /** At least 32 bytes. */
  readonly secret: string
  readonly people: People
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
}

/** Milliseconds by which the clock of the backend may be ahead. */
const skew = 60_000

/** As text, times in milliseconds are in the year 55,000; they are no seconds. */
const lastSecond = 100_000_000_000

export function createSharedSecretTokens({ secret, people, now }: SharedSecretOptions): SharedSecretTokens {
  const key = new TextEncoder().encode(secret)

  /** @returns the token, expired or not */
  async function read(token: string): Promise<SharedSecretToken> {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['HS256'],
      currentDate: new Date(now()),
    }).catch((error: unknown) => {
      if (error instanceof errors.JWTExpired) return error
      throw invalidToken('The token is not signed as it must be, or can not be read')
    })
    return toToken(payload, now())
  }

  return {
    recognises: (token) => algorithmOf(token) === 'HS256',

    async verify(token) {
      const read_ = await read(token)
      if (read_.expiresAt <= now()) throw invalidToken('The token has expired')
      return read_
    },

    async find(token): Promise<Credential> {
      const { userId, issuedAt, expiresAt } = await read(token)
      const ended = await people.endOf(userId, issuedAt)
      const id = String(userId)
      const person = { kind: 'person', id, scopes: ['read', 'write'] } as const
      return { ...person, expiresAt, ended, contract: 'community', vouched: true }
    },
  }
}

function toToken({ user_id, token_type, exp, iat, jti }: JWTPayload, at: number): SharedSecretToken {
  if (typeof user_id !== 'number' || !Number.isSafeInteger(user_id) || user_id < 1 || user_id > maxId)
    throw invalidToken('The token must have user_id, an integer')
  if (token_type !== 'access') throw invalidToken('The token must have token_type, and it must be access')
  if (!isSeconds(exp) || !isSeconds(iat)) throw invalidToken('The token must have exp and iat, in seconds')
  if (iat * 1000 > at + skew) throw invalidToken('The token was issued in the future')
  if (!isName(jti)) throw invalidToken('The token must have jti')
  return { userId: user_id, issuedAt: iat * 1000, expiresAt: exp * 1000 }
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value < lastSecond
}

/** A text by the standard, and a number in what the community's documentation shows. */
function isName(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && value !== '')
}

/** What a JWT says of how it is signed; undefined for what is no JWT. */
export function algorithmOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).alg
  } catch {
    return undefined
  }
}

/** Makes a token for a person, as a backend that knows the secret does. */
export function signSharedSecretToken(
  secret: string,
  { userId, issuedAt, expiresAt }: SharedSecretToken,
): Promise<string> {
  const claims = { user_id: userId, token_type: 'access', jti: randomUUID() }
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt(Math.floor(issuedAt / 1000))
    .setExpirationTime(Math.floor(expiresAt / 1000))
    .sign(new TextEncoder().encode(secret))
}
