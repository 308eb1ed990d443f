import type { Adapter, AdapterPayload, ClientMetadata } from 'oidc-provider'
import type { Document, DocumentStore } from '../directory/document.ts'
import { isPassing } from '../directory/errors.ts'
import { parseId } from '../directory/user.ts'
import { hashOf } from './authenticate.ts'
import { type Clients, isWeb, type KnownClient } from './oauth-clients.ts'
import { errors, temporarilyUnavailable } from './oidc.ts'
import type { People } from './people.ts'
import type { Signed } from './sign-in.ts'

export interface AdapterOptions {
  readonly documents: DocumentStore
  readonly clients: Pick<Clients, 'find'>
  readonly people: People
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
}

/**
 * Keeps what `oidc-provider` makes in the store, so that all nodes share it. The names of codes, tokens
 * and sessions are what is secret about them: kept is the SHA-256 of each.
 *
 * What was issued to somebody before their tokens were ended, or who is gone, is not found.
 */
export function createAdapter(options: AdapterOptions): (kind: string) => Adapter {
  return (kind) => tellingOutages(kind === 'Client' ? clientAdapter(options) : documentAdapter(kind, options))
}

function tellingOutages(adapter: Adapter): Adapter {
  const tell =
    <A extends unknown[], R>(method: (...args: A) => Promise<R>) =>
    async (...args: A) =>
      method(...args).catch((error: unknown): never => {
        throw isPassing(error) ? temporarilyUnavailable(error) : error
      })
  return {
    upsert: tell(adapter.upsert),
    find: tell(adapter.find),
    findByUid: tell(adapter.findByUid),
    findByUserCode: tell(adapter.findByUserCode),
    consume: tell(adapter.consume),
    destroy: tell(adapter.destroy),
    revokeByGrantId: tell(adapter.revokeByGrantId),
  }
}

function documentAdapter(kind: string, { documents, people, now }: AdapterOptions): Adapter {
  async function alive(document: Document | undefined): Promise<Document | undefined> {
    const proof = document && proofOf(document)
    if (proof === undefined) return document
    const end = await people.endOf(proof.userId, proof.at)
    return end === undefined ? document : undefined
  }

  return {
    async upsert(id, { jti: _, consumed, ...payload }, expiresIn) {
      // Whoever has not signed in could have as many kept as they like.
      if (kind === 'Session' && payload.accountId === undefined) return
      const createdAt = now()
      await documents.put({
        kind,
        id: hashOf(id),
        payload: withoutCookie(payload),
        createdAt,
        expiresAt: expiresIn === undefined ? null : createdAt + expiresIn * 1000,
        usedAt: consumed ? createdAt : null,
        group: payload.grantId ?? (kind === 'Grant' ? id : null),
        alias: kind === 'Session' ? (payload.uid ?? null) : null,
        userId: parseId(payload.accountId ?? '') ?? null,
      })
    },

    async find(id) {
      const document = await alive(await documents.find(kind, hashOf(id)))
      return document && { ...toPayload(document), jti: id }
    },

    async findByUid(uid) {
      const document = await alive(await documents.findByAlias(kind, uid))
      return document && toPayload(document)
    },

    findByUserCode: async () => undefined,

    /**
     * RFC 6749, section 10.5, and RFC 9700, section 4.14.2: what is used twice is in two hands, so nothing
     * of its family is good any more, also where both came at the same moment.
     */
    async consume(id) {
      if (await documents.use(kind, hashOf(id), now())) return
      const document = await documents.find(kind, hashOf(id))
      if (typeof document?.group === 'string') await documents.removeGroup(document.group)
      throw new errors.InvalidGrant('it was used before')
    },

    destroy: (id) => documents.remove(kind, hashOf(id)),

    revokeByGrantId: (grant) => documents.removeGroup(grant),
  }
}

/**
 * Whom a document lets in, and when they have shown that it is them: what they have ended since ends it
 * too. Undefined where it lets nobody in.
 */
function proofOf({ kind, userId, createdAt, payload }: Document): Signed | undefined {
  // A sign-in that was not gone on with is as good later as it was then, and no better.
  if (kind === 'Interaction')
    return (payload.result as { login?: { signed?: Signed } } | undefined)?.login?.signed
  if (userId === null) return undefined
  // Each step gives a session a new name, and so a new beginning; its sign-in is told in whole seconds.
  const { loginTs } = payload
  const signedAt = typeof loginTs === 'number' ? loginTs * 1000 + 999 : createdAt
  return { userId, at: Math.min(createdAt, signedAt) }
}

/** The name of the session, which nothing asks for there, is what is secret about it. */
function withoutCookie({ session, ...payload }: AdapterPayload): Document['payload'] {
  if (typeof session !== 'object') return payload
  const { cookie: _, ...rest } = session as { readonly cookie?: string }
  return { ...payload, session: rest }
}

function toPayload({ payload, usedAt }: Document): AdapterPayload {
  return { ...payload, ...(usedAt !== null && { consumed: Math.floor(usedAt / 1000) }) }
}

function clientAdapter({ clients }: AdapterOptions): Adapter {
  const refuse = async () => {
    throw new Error('clients are made by Roster itself')
  }
  return {
    async find(id) {
      const client = await clients.find(id)
      return client && toMetadata(client)
    },
    findByUid: async () => undefined,
    findByUserCode: async () => undefined,
    upsert: refuse,
    consume: refuse,
    destroy: refuse,
    revokeByGrantId: refuse,
  }
}

/** A client in the words of RFC 7591, section 2; in the place of its secret is what is kept of it. */
function toMetadata({ id, name, scopes, redirectUris, isPublic, secretHash }: KnownClient): ClientMetadata {
  const isForPeople = redirectUris.length > 0
  return {
    client_id: id,
    client_name: name,
    redirect_uris: [...redirectUris],
    post_logout_redirect_uris: [...redirectUris],
    grant_types: isForPeople ? ['authorization_code', 'refresh_token'] : ['client_credentials'],
    response_types: isForPeople ? ['code'] : [],
    token_endpoint_auth_method: isPublic ? 'none' : 'client_secret_basic',
    application_type: redirectUris.every(isWeb) ? 'web' : 'native',
    scope: [...scopes, ...(isForPeople ? ['openid'] : [])].join(' '),
    ...(secretHash !== null && { client_secret: secretHash }),
  }
}
