import { timingSafeEqual } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Actor, Scope } from '../directory/actor.ts'
import type { Document, DocumentStore } from '../directory/document.ts'
import { DirectoryError, type Problem, refusal } from '../directory/errors.ts'
import { hashOf } from './authenticate.ts'
import { isLoopbackAddress } from './door.ts'
import { type Creation, isName, madeBefore, randomText, requireAdmin, scopes } from './keys.ts'

/** An OAuth client, without what is secret of it. Times are milliseconds since 1970, UTC. */
export interface Client {
  /** `client_…`: names the client in requests, in the change log, in lists and to be revoked. */
  readonly id: string
  readonly name: string
  /** The most that it may be given. */
  readonly scopes: readonly Scope[]
  /**
   * Where people are sent back to, to the letter. A client with such is for people, who sign in and let it
   * act for them; one without is a service, which acts for itself.
   */
  readonly redirectUris: readonly string[]
  /** It can keep no secret, as an app on a phone or in a browser, and has to use PKCE (RFC 7636). */
  readonly isPublic: boolean
  readonly createdAt: number
  readonly revokedAt: number | null
}

/** What a client is to be, as it came in: judged here. */
export interface NewClient {
  readonly name?: unknown
  /** A list of `read`, `write` and `admin`. */
  readonly scopes?: unknown
  readonly redirect_uris?: unknown
  readonly public?: unknown
}

export interface ClientsOptions {
  readonly documents: DocumentStore
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  /** Told of a client that has been revoked, so that this process need not wait to hear of it. */
  readonly onRevoked?: (id: string) => void
}

/** A client, and what is kept of its secret: null where it has none. */
export interface KnownClient extends Client {
  readonly secretHash: string | null
}

/**
 * The use cases of OAuth clients. They need the scope `admin`, which stands for every other. Every method
 * rejects with a DirectoryError: `unauthenticated`, `forbidden`, `invalid` with every problem at once,
 * `not_found`, `conflict`, `unavailable`, `outcome_unknown`.
 */
export type Clients = ReturnType<typeof createClients>

export function createClients({ documents, now, onRevoked }: ClientsOptions) {
  return {
    /**
     * Makes a client. The secret is told this once, and null where it has none.
     * Rejects with `conflict` where there is a client with the id already.
     */
    async create(
      actor: Actor,
      asked: NewClient,
      { id, dryRun }: Creation = {},
    ): Promise<{ readonly client: Client; readonly secret: string | null }> {
      requireAdmin(actor)
      if (id !== undefined && (await documents.find(kind, id)) !== undefined)
        throw new DirectoryError(madeBefore(`the client ${id}`))
      const judged = judge(asked)
      const secret = judged.isPublic ? null : `rcs_${randomText(40)}`
      const client: KnownClient = {
        ...judged,
        id: id ?? `client_${randomText(16, '0123456789abcdefghijklmnopqrstuvwxyz')}`,
        createdAt: now(),
        revokedAt: null,
        secretHash: secret === null ? null : hashOf(secret),
      }
      if (dryRun) return { client, secret }
      await documents.put(toDocument(client), id !== undefined)
      if (id !== undefined && !isDeepStrictEqual(await documents.find(kind, id), toDocument(client)))
        throw new DirectoryError(madeBefore(`the client ${id}`))
      return { client, secret }
    },

    /** Every client, revoked ones too, in the order in which they were made. */
    async list(actor: Actor): Promise<readonly Client[]> {
      requireAdmin(actor)
      return (await documents.list(kind)).map(toClient)
    },

    /** Makes a client worthless, with all that it was given, on every node within a second. */
    async revoke(actor: Actor, id: string): Promise<Client> {
      requireAdmin(actor)
      const found = await documents.find(kind, id)
      if (found === undefined) throw new DirectoryError(refusal('not_found', 'Client not found'))
      const client = toClient(found)
      if (client.revokedAt !== null) return client
      const revoked = { ...client, revokedAt: now() }
      await documents.put(toDocument(revoked))
      onRevoked?.(id)
      return revoked
    },

    /** For the authorization server: undefined where there is none, or no longer. */
    async find(id: string): Promise<KnownClient | undefined> {
      const found = await documents.find(kind, id)
      const client = found === undefined ? undefined : toClient(found)
      return client?.revokedAt === null ? client : undefined
    },
  }
}

/** Whether a secret is the one that only its hash is kept of; the time it takes tells nothing. */
export function isSecret(secret: string, hash: string): boolean {
  const given = Buffer.from(hashOf(secret))
  const kept = Buffer.from(hash)
  return given.length === kept.length && timingSafeEqual(given, kept)
}

const kind = 'Client'

function toDocument({ id, createdAt, ...payload }: KnownClient): Document {
  const none = { expiresAt: null, usedAt: null, group: null, alias: null, userId: null }
  return { ...none, kind, id, createdAt, payload: { ...payload } }
}

function toClient({ id, createdAt, payload }: Document): KnownClient {
  return { ...(payload as unknown as Omit<KnownClient, 'id' | 'createdAt'>), id, createdAt }
}

type Judged = Pick<Client, 'name' | 'scopes' | 'redirectUris' | 'isPublic'>

function judge({ name, scopes: wanted, redirect_uris = [], public: isPublic = false }: NewClient): Judged {
  const problems: Problem[] = []
  const wrong = (property: string, message: string) => problems.push({ property, message })
  if (!isName(name)) wrong('name', 'must be a text of 1 to 100 characters, none of them a control')
  const known = Array.isArray(wanted) ? scopes.filter((scope) => wanted.includes(scope)) : []
  if (known.length === 0 || !Array.isArray(wanted) || !wanted.every((scope) => known.includes(scope)))
    wrong('scopes', `must be a list of ${scopes.join(', ')}, and not empty`)
  const uris = Array.isArray(redirect_uris) ? redirect_uris : []
  if (uris !== redirect_uris || uris.length > 20)
    wrong('redirect_uris', 'must be a list of at most 20 addresses')
  if (!uris.every(isRedirectUri))
    wrong(
      'redirect_uris',
      'must be https addresses, http ones of this machine, or of an app’s own scheme like com.example.app:/back, without a fragment',
    )
  else if (!uris.every(isWeb) && !uris.every(isOfApp))
    wrong(
      'redirect_uris',
      'must, beside an app’s own scheme, be https addresses elsewhere, or http ones of localhost, 127.0.0.1 or [::1]',
    )
  if (typeof isPublic !== 'boolean') wrong('public', 'must be true or false')
  if (isPublic === true && uris.length === 0) wrong('redirect_uris', 'is needed by a public client')
  // Whoever signs in at such a client would become an administrator.
  if (known.includes('admin') && uris.length > 0)
    wrong('scopes', 'must not have admin where there are redirect_uris: people never get it')
  if (problems.length > 0 || !isName(name))
    throw new DirectoryError(refusal('invalid', 'The client can not be made like this', problems))
  const redirectUris = uris.map(String)
  return { name: name.normalize('NFC'), scopes: known, redirectUris, isPublic: isPublic === true }
}

/** RFC 6749, section 3.1.2, and RFC 8252, section 7: where a code can be sent without others seeing it. */
function isRedirectUri(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 500 || !/^[\x21-\x7e]+$/.test(value)) return false
  const url = URL.parse(value)
  if (url === null || value.includes('#') || url.username + url.password !== '') return false
  if (url.protocol === 'https:') return url.hostname !== ''
  if (url.protocol === 'http:') return isLoopbackAddress(url.hostname.replace(/^\[|\]$/g, ''))
  // RFC 8252, section 7.1: a domain of the app's, backwards; so it is none that browsers know.
  return /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+:$/.test(url.protocol)
}

export function isWeb(redirectUri: string): boolean {
  return /^https?:/.test(redirectUri)
}

/** Whether a client with an own scheme, which is a native application, can have it (OpenID Connect Registration 1.0, section 2). */
function isOfApp(redirectUri: string): boolean {
  const { protocol, hostname } = new URL(redirectUri)
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  return protocol === 'http:' ? isHere : !isHere
}
