import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose'
import type { Document, DocumentStore } from '../directory/document.ts'
import { randomText } from './keys.ts'

/** What an authorization server signs with, shared by all nodes. Times are milliseconds since 1970, UTC. */
export interface SigningKeys {
  /** The oldest first. */
  readonly keys: readonly SigningKey[]
  /** Signs the cookies of sign-ins under way. */
  readonly cookieSecret: string
}

interface SigningKey {
  readonly jwk: JWK
  /** It is published at once and signs from then on. */
  readonly from: number
}

/** Milliseconds: every node has published a new key by then. */
const announcement = 120_000
/** Milliseconds that a key is still published after another has taken its place: what it signed lasts an hour. */
const retirement = 86_400_000

export interface SigningKeysOptions {
  readonly documents: DocumentStore
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
}

export function createSigningKeys({ documents, now }: SigningKeysOptions) {
  const find = async () => (await documents.find(kind, id))?.payload as SigningKeys | undefined

  return {
    /** The keys, made where there are none; of nodes that start at once all have those of the first. */
    async get(): Promise<SigningKeys> {
      const found = await find()
      if (found !== undefined) return found
      const made: SigningKeys = { keys: [await newKey(now())], cookieSecret: randomText(43) }
      await documents.put(toDocument(made, now()), true)
      return (await find()) ?? made
    },

    /**
     * Makes a new key, which signs from in two minutes on. The one before stays known for a day.
     * @returns the id of the new key
     */
    async rotate(): Promise<string> {
      const { keys, cookieSecret } = await this.get()
      const at = now()
      const made = await newKey(at + announcement)
      await documents.put(toDocument({ keys: [...unretired(keys, at), made], cookieSecret }, at))
      return String(made.jwk.kid)
    },
  }
}

/** The keys to be published, the one that signs now first. */
export function published({ keys }: SigningKeys, now: number): JWK[] {
  const known = unretired(keys, now)
  const begun = known.filter(({ from }) => from <= now).toReversed()
  const next = known.filter(({ from }) => from > now)
  return [...begun, ...next].map(({ jwk }) => ({ ...jwk }))
}

/** Those whose place another has taken no longer than a day ago, and the others. */
function unretired(keys: readonly SigningKey[], now: number): SigningKey[] {
  return keys.filter((_, n) => (keys[n + 1]?.from ?? now) > now - retirement)
}

// Every client has to know RS256 (OpenID Connect Core 1.0, section 15.1).
async function newKey(from: number): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true })
  const jwk = await exportJWK(privateKey)
  return { jwk: { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: 'RS256', use: 'sig' }, from }
}

const kind = 'SigningKeys'
const id = 'current'

function toDocument(keys: SigningKeys, createdAt: number): Document {
  const none = { expiresAt: null, usedAt: null, group: null, alias: null, userId: null }
  return { ...none, kind, id, createdAt, payload: { ...keys } }
}
