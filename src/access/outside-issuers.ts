import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'
import type { Scope } from '../directory/actor.ts'
import { type ClaimKind, claim } from '../directory/claims.ts'
import { unavailable } from '../directory/errors.ts'
import type { Store } from '../directory/store.ts'
import { type Credential, invalidToken, type Recogniser } from './authenticate.ts'
import { isSafeUrl } from './door.ts'
import type { People } from './people.ts'
import { algorithmOf } from './shared-secret.ts'

/** An issuer of JWTs that is believed. */
export interface Issuer {
  /** What `iss` has to be, to the letter. */
  readonly url: string
  /** What `aud` has to have. */
  readonly audience: string
  /** By which of their unique values `sub` names people: of those that they can not change themselves. */
  readonly person: Extract<ClaimKind, 'ext_id' | 'uid'>
  /** What comes before `sub` in that value, so that issuers do not name the people of others. */
  readonly prefix?: string
  /** Where its keys are; left out, its discovery document says. */
  readonly jwks?: string
}

export interface OutsideIssuersOptions {
  readonly issuers: readonly Issuer[]
  readonly store: Pick<Store, 'find'>
  readonly people: People
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly fetch?: typeof globalThis.fetch
  /** Told of keys that could not be fetched. */
  readonly onOutage?: (issuer: string, error: unknown) => void
}

/** Signatures only: with a shared secret, whoever knows a public key could make tokens (RFC 8725, section 2.1). */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

/** Milliseconds by which the clock of an issuer may be ahead. */
const skew = 60_000

/**
 * Knows the JWTs of issuers outside (RFC 7519, RFC 9068): signed with a key that the issuer publishes, for
 * this audience, for now, and about somebody who is here. Of the scopes in `scope` or `scp`, `read` and
 * `write` count; `admin` never does.
 */
export function recogniseOutsideTokens(options: OutsideIssuersOptions): Recogniser {
  const { store, people, now } = options
  const issuers = new Map(
    options.issuers.map((issuer) => [issuer.url, { issuer, keys: createKeySet(issuer, options) }]),
  )

  return {
    recognises: (token) => algorithms.includes(algorithmOf(token) ?? ''),

    async find(token): Promise<Credential> {
      const known = issuers.get(toldBy(token).iss ?? '')
      if (known === undefined) throw invalidToken('The token is of an issuer that is not known here')
      const { issuer, keys } = known
      const { payload, expired } = await verify(token, issuer, keys, now())
      const { iat, exp } = payload
      const sub: unknown = payload.sub
      if (typeof sub !== 'string' || sub === '' || iat === undefined || exp === undefined)
        throw invalidToken('The token must have sub, a text, and iat and exp')
      if (iat * 1000 > now() + skew) throw invalidToken('The token was issued in the future')
      const user = await store.find(claim(issuer.person, `${issuer.prefix ?? ''}${sub}`))
      if (user === undefined) throw invalidToken('The token is about nobody who is here')
      const ended = expired ? 'The token has expired' : await people.endOf(user.id, iat * 1000)
      return { kind: 'person', id: String(user.id), scopes: scopesOf(payload), expiresAt: exp * 1000, ended }
    },
  }
}

/** What a token says that nobody has vouched for yet. */
function toldBy(token: string): JWTPayload {
  try {
    return decodeJwt(token)
  } catch {
    return {}
  }
}

async function verify(token: string, { url, audience }: Issuer, keys: KeySet, at: number) {
  const check = (set: Keys['keys']) =>
    verifyByAny(token, set, { algorithms, issuer: url, audience, currentDate: new Date(at) })
  try {
    const { payload } = await check((await keys.get()).keys).catch(async (error: unknown) => {
      // The issuer may have a new key by now.
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      const renewed = await keys.renew()
      return check(renewed.keys).catch((stillError: unknown) => {
        const isKeyless = stillError instanceof errors.JWKSNoMatchingKey
        const issuedAt = Number(toldBy(token).iat) * 1000
        // What is signed was published before: of a token that is older than the keys it would be here.
        if (isKeyless && renewed.at < issuedAt && issuedAt <= at + skew) throw unavailable(noKeys)
        throw stillError
      })
    })
    return { payload, expired: false }
  } catch (error) {
    if (error instanceof errors.JWTExpired) return { payload: error.payload, expired: true }
    if (error instanceof errors.JWTClaimValidationFailed) throw invalidToken(faultOf(error, audience))
    if (error instanceof errors.JOSEError) throw invalidToken('The token is not signed as it must be')
    throw error
  }
}

/** By a key that can not be used nothing is signed: of one of RSA with less than 2,048 bits jose throws a TypeError. */
function verifyBy(token: string, key: CryptoKey | Keys['keys'], options: JWTVerifyOptions) {
  return jwtVerify(token, key, options).catch((cause: unknown) => {
    if (cause instanceof errors.JOSEError) throw cause
    throw new errors.JWSSignatureVerificationFailed('the key can not be used', { cause })
  })
}

/**
 * RFC 7515, section 4.1.4: a token need not say which key it is signed with; then it may be any that fits.
 * Rejects with JWKSNoMatchingKey where there is none.
 */
async function verifyByAny(token: string, keys: Keys['keys'], options: JWTVerifyOptions) {
  const isNone = (error: unknown) => error instanceof errors.JWSSignatureVerificationFailed
  try {
    return await verifyBy(token, keys, options)
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) {
      for await (const key of error)
        try {
          return await verifyBy(token, key, options)
        } catch (error) {
          if (!isNone(error)) throw error
        }
    } else if (!isNone(error) || decodeProtectedHeader(token).kid !== undefined) throw error
    throw new errors.JWKSNoMatchingKey()
  }
}

/** What is wrong with a claim of a token whose signature is right. */
function faultOf({ claim, reason }: errors.JWTClaimValidationFailed, audience: string): string {
  if (claim === 'aud') return `The token must be for the audience ${audience}, which aud has to name`
  return reason === 'invalid' ? `In the token ${claim} must be a number` : 'The token is not valid yet'
}

function scopesOf({ scope, scp }: JWTPayload): Scope[] {
  const told = [scope, scp].flat().filter((one) => typeof one === 'string')
  const all = told.flatMap((text) => text.split(' '))
  return (['read', 'write'] as const).filter((one) => all.includes(one))
}

/** Keys, and when they began to be fetched, in milliseconds since 1970, UTC. */
interface Keys {
  readonly keys: ReturnType<typeof createLocalJWKSet>
  readonly at: number
}

interface KeySet {
  readonly get: () => Promise<Keys>
  /** Fetches them anew, unless that was tried a moment ago or fails: then those that are here. */
  readonly renew: () => Promise<Keys>
}

const noKeys = 'The keys of the issuer can not be had now'

/** Milliseconds after which keys are fetched again, beside the requests that go on with those that are here. */
const fresh = 600_000
/** Milliseconds for which keys are used while their issuer can not be asked. */
const trusted = 86_400_000
/** Milliseconds between attempts, so that tokens with made-up keys do not become a flood. */
const pause = 30_000

/** RFC 9110, section 15.4: of these Location is where to ask next. */
const redirecting: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** How often one is led on, at most. */
const mostLed = 5

/** The keys of an issuer: fetched once for all who need them, and kept through an outage of the issuer. */
function createKeySet(
  issuer: Issuer,
  { now, fetch = globalThis.fetch, onOutage }: OutsideIssuersOptions,
): KeySet {
  let known: Keys | undefined
  let triedAt = Number.NEGATIVE_INFINITY
  let fetching: Promise<Keys> | undefined

  /** Each address on the way is judged: whoever is between here and one in the clear could lead anywhere. */
  async function read(address: string, led = 0, signal = AbortSignal.timeout(5_000)): Promise<unknown> {
    if (!isSafeUrl(address)) throw new Error(`${address} is not https, or no plain address`)
    const answer = await fetch(address, {
      signal,
      redirect: 'manual',
      headers: { accept: 'application/json' },
    })
    const to = redirecting.has(answer.status) ? answer.headers.get('location') : null
    if (to !== null && led < mostLed) {
      await answer.body?.cancel()
      return read(new URL(to, address).href, led + 1, signal)
    }
    if (!answer.ok) throw new Error(`${address} answered ${answer.status}`)
    return answer.json()
  }

  async function fetchKeys(): Promise<Keys> {
    const at = now()
    const found = issuer.jwks ?? (await discover())
    known = { keys: createLocalJWKSet((await read(found)) as JSONWebKeySet), at }
    return known
  }

  async function discover(): Promise<string> {
    const document = (await read(`${issuer.url.replace(/\/$/, '')}/.well-known/openid-configuration`)) as {
      readonly issuer?: unknown
      readonly jwks_uri?: unknown
    }
    // OpenID Connect Discovery 1.0, section 4.3.
    if (document.issuer !== issuer.url) throw new Error(`${issuer.url} says that it is another issuer`)
    return String(document.jwks_uri)
  }

  function start(): Promise<Keys> {
    triedAt = now()
    fetching ??= fetchKeys()
      .catch((error: unknown) => {
        onOutage?.(issuer.url, error)
        throw error
      })
      .finally(() => {
        fetching = undefined
      })
    return fetching
  }

  async function renew(): Promise<Keys> {
    const usable = known !== undefined && now() - known.at < trusted ? known : undefined
    if (now() - triedAt < pause && fetching === undefined) {
      if (usable !== undefined) return usable
      throw unavailable(noKeys)
    }
    return start().catch((error: unknown) => {
      if (usable !== undefined) return usable
      throw unavailable(noKeys, error)
    })
  }

  return {
    async get() {
      if (known === undefined || now() - known.at >= trusted) return renew()
      if (now() - known.at >= fresh && now() - triedAt >= pause) start().catch(() => {})
      return known
    },
    renew,
  }
}
