import { randomBytes } from 'node:crypto'
import type { Actor, Scope } from '../directory/actor.ts'
import { DirectoryError, type Problem, type Refusal, refusal } from '../directory/errors.ts'
import type { ApiKey, KeyStore } from '../directory/key.ts'
import { lackOfScope } from '../directory/policy.ts'
import { hashOf, invalidToken, type Recogniser } from './authenticate.ts'

/** What a key is to be, as it came in: judged here. */
export interface NewKey {
  readonly name?: unknown
  /** A list of `read`, `write` and `admin`. */
  readonly scopes?: unknown
  /** A date or a time of ISO 8601, in the future; null or left out, the key does not expire. */
  readonly expires_at?: unknown
}

export interface Creation {
  /** The same for the same request, so that a repetition makes no second one; left out, it is random. */
  readonly id?: string | undefined
  /** Only judges; nothing is kept, and the secret is worth nothing. */
  readonly dryRun?: boolean | undefined
}

export interface KeysOptions {
  readonly store: KeyStore
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  /** Told of a key that has been revoked, so that this process need not wait to hear of it. */
  readonly onRevoked?: (id: string) => void
}

/**
 * The use cases of API keys. They need the scope `admin`, which stands for every other: so nobody makes
 * a key that may do more than they. Every method rejects with a DirectoryError: `unauthenticated`,
 * `forbidden`, `invalid` with every problem at once, `not_found`, `unavailable`, `outcome_unknown`.
 */
export type Keys = ReturnType<typeof createKeys>

export function createKeys({ store, now, onRevoked }: KeysOptions) {
  return {
    /**
     * Makes a key. The secret is told this once; what is kept of it can not be turned back into it.
     * Rejects with `conflict` where there is a key with the id already.
     */
    async create(
      actor: Actor,
      asked: NewKey,
      { id, dryRun }: Creation = {},
    ): Promise<{ readonly key: ApiKey; readonly secret: string }> {
      requireAdmin(actor)
      if (id !== undefined && (await store.list()).some((one) => one.id === id))
        throw new DirectoryError(madeBefore(`the API key ${id}`))
      const createdAt = now()
      const ownId = id ?? `key_${randomText(16, lowerCase)}`
      const { key, secret, hash } = newKey({ id: ownId, createdAt, ...judge(asked, createdAt) })
      if (dryRun) return { key, secret }
      await store.add(key, hash, id !== undefined)
      // Asked again after a connection was lost, the store may find the key that it added itself.
      if (id !== undefined && (await store.find(hash)) === undefined)
        throw new DirectoryError(madeBefore(`the API key ${id}`))
      return { key, secret }
    },

    /** Every key, revoked and expired ones too, in the order in which they were made. */
    async list(actor: Actor): Promise<readonly ApiKey[]> {
      requireAdmin(actor)
      return store.list()
    },

    /** Makes a key worthless, on every node within a second. A second time changes nothing. */
    async revoke(actor: Actor, id: string): Promise<ApiKey> {
      requireAdmin(actor)
      const key = await store.revoke(id, now())
      if (key === undefined) throw new DirectoryError(refusal('not_found', 'API key not found'))
      onRevoked?.(id)
      return key
    },
  }
}

/** What a secret looks like that was made here. */
const shape = /^rk_[0-9A-Za-z]{32}$/

/** Knows the bearer tokens that are API keys. */
export function recogniseKeys({ find }: Pick<KeyStore, 'find'>): Recogniser {
  return {
    // As a whole: an access token is random, and may begin with the same letters.
    recognises: (token) => shape.test(token),
    async find(secret) {
      const key = await find(hashOf(secret))
      if (key === undefined) throw invalidToken('There is no such API key')
      const { id, scopes, expiresAt, revokedAt } = key
      const ended = revokedAt === null ? undefined : 'The API key has been revoked'
      return { kind: 'key', id, scopes, expiresAt, ended }
    },
  }
}

/** A key with a secret: `rk_` and 32 random letters and digits, 190 bits. */
export function newKey(of: Pick<ApiKey, 'id' | 'name' | 'scopes' | 'createdAt' | 'expiresAt'>) {
  const secret = `rk_${randomText(32, lettersAndDigits)}`
  const key: ApiKey = { ...of, revokedAt: null, lastUsedAt: null }
  return { key, secret, hash: hashOf(secret) }
}

/** Its secret is gone, so all that can be told is which it is. */
export function madeBefore(what: string): Refusal {
  const message = `This request has made ${what} before. A secret is shown once and not kept: where it was lost, revoke this and make another`
  return refusal('conflict', message)
}

export function requireAdmin(actor: Actor): void {
  const refused = lackOfScope(actor, 'admin')
  if (refused !== undefined) throw new DirectoryError(refused)
}

export const scopes: readonly Scope[] = ['read', 'write', 'admin']

function judge(asked: NewKey, at: number): Pick<ApiKey, 'name' | 'scopes' | 'expiresAt'> {
  const { name, scopes: wanted, expires_at } = asked
  const problems: Problem[] = []
  if (!isName(name)) {
    problems.push({
      property: 'name',
      message: 'must be a text of 1 to 100 characters, none of them a control',
    })
  }
  const known = Array.isArray(wanted) ? scopes.filter((scope) => wanted.includes(scope)) : []
  if (known.length === 0 || !Array.isArray(wanted) || !wanted.every((scope) => known.includes(scope))) {
    problems.push({ property: 'scopes', message: `must be a list of ${scopes.join(', ')}, and not empty` })
  }
  const expiresAt = expiryOf(expires_at)
  if (expiresAt === undefined) {
    problems.push({ property: 'expires_at', message: 'must be a time like 2030-01-31T12:00:00Z, or a date' })
  } else if (expiresAt !== null && expiresAt <= at) {
    problems.push({ property: 'expires_at', message: 'must be in the future' })
  }
  if (problems.length > 0 || expiresAt === undefined || !isName(name)) {
    throw new DirectoryError(refusal('invalid', 'The key can not be made like this', problems))
  }
  return { name: name.normalize('NFC'), scopes: known, expiresAt }
}

/** What people call a key or a client: 1 to 100 characters. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && /^[^\p{Cc}\p{Cs}]{1,100}$/u.test(value) && value.trim() !== ''
}

/** When a key is to expire; null for never, undefined for what is no time. */
function expiryOf(value: unknown): number | null | undefined {
  return value === undefined || value === null ? null : parseTime(value)
}

const iso = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/

/** Milliseconds since 1970; undefined for what is no time. A date begins at midnight, UTC. */
function parseTime(value: unknown): number | undefined {
  const [text, day] = (typeof value === 'string' && iso.exec(value)) || []
  const time = Date.parse(text ?? '')
  // A day like 31 February is taken for one of March.
  const isDay = day !== undefined && new Date(`${day}T00:00:00Z`).toJSON()?.startsWith(day)
  return isDay && Number.isFinite(time) ? time : undefined
}

const lowerCase = '0123456789abcdefghijklmnopqrstuvwxyz'
const lettersAndDigits = `${lowerCase}ABCDEFGHIJKLMNOPQRSTUVWXYZ`

/** @param alphabet letters and digits where it says nothing else */
export function randomText(length: number, alphabet = lettersAndDigits): string {
  // The largest multiple: each letter is as likely as the next.
  const end = 256 - (256 % alphabet.length)
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < end && text.length < length) text += alphabet[byte % alphabet.length]
    }
  }
  return text
}
