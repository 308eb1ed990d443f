import type { EventEmitter } from 'node:events'
import type { JWK } from 'jose'
import type { KoaContextWithOIDC, Provider } from 'oidc-provider'
import type { Credentials } from '../directory/credentials.ts'
import type { DocumentStore } from '../directory/document.ts'
import { parseId } from '../directory/user.ts'
import { createAdapter } from './oauth-adapter.ts'
import { type Clients, isSecret } from './oauth-clients.ts'
import { published, type SigningKeys } from './oauth-keys.ts'
import * as oidc from './oidc.ts'
import type { People } from './people.ts'

export interface AuthorizationServerOptions {
  readonly documents: DocumentStore
  readonly clients: Pick<Clients, 'find'>
  readonly people: People
  readonly credentials: (id: number) => Promise<Credentials | undefined>
  readonly signingKeys: { readonly get: () => Promise<SigningKeys> }
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  /** Where callers find the service, without a slash at the end: the issuer. */
  readonly issuer: () => string
  /** What people are shown where something is wrong and no client can be told. */
  readonly showError: (error: {
    readonly error: string
    readonly error_description?: string | undefined
  }) => string
  /** What people are asked who are about to sign out, and what they are told when they have. */
  readonly showSignOut: (asked: SigningOut) => Promise<string>
  readonly showSignedOut: (isStillSignedIn: boolean) => string
  /** Told of what went wrong here, and with which request: the one that `x-request-id` names. */
  readonly onError: (error: unknown, requestId: string | undefined) => void
}

export interface SigningOut {
  /** The form that does it, without what it is sent by. */
  readonly form: string
  readonly userId: number
  /** The name of the client that they come from, where that is known. */
  readonly client: string | undefined
}

/** The authorization server (RFC 6749, OpenID Connect Core 1.0), by `oidc-provider`. */
export interface AuthorizationServer {
  /** As it is to answer now, with the keys that sign now. */
  readonly provider: () => Promise<Provider>
  /** What signs the cookies and forms of sign-ins under way. */
  readonly secret: () => Promise<string>
}

/** Seconds that things last. */
export const lifetimes = {
  AccessToken: 3_600,
  ClientCredentials: 3_600,
  AuthorizationCode: 60,
  RefreshToken: 2_592_000,
  IdToken: 3_600,
  Interaction: 3_600,
  /** How long one who has signed in need not do so again, since they were last sent here. */
  Session: 43_200,
  /** How long tokens can be refreshed on what a person has allowed; in a new session they are asked anew. */
  Grant: 31_536_000,
} as const

/** Milliseconds after which the keys are looked up again: they are rotated from outside of this process. */
const keysFresh = 1_000

export function createAuthorizationServer(options: AuthorizationServerOptions): AuthorizationServer {
  let current: { readonly provider: Provider; readonly identity: string } | undefined
  let keys: { readonly found: SigningKeys; readonly at: number } | undefined
  let finding: Promise<SigningKeys> | undefined

  async function keysNow(): Promise<SigningKeys> {
    const at = options.now()
    if (keys !== undefined && at - keys.at < keysFresh && at >= keys.at) return keys.found
    finding ??= options.signingKeys.get().finally(() => {
      finding = undefined
    })
    try {
      keys = { found: await finding, at }
    } catch (error) {
      // Those that are known do, while the store is away: what needs it besides is told.
      if (keys === undefined) throw error
    }
    return keys.found
  }

  return {
    async provider() {
      const signing = await keysNow()
      const jwks = published(signing, options.now())
      const identity = [options.issuer(), ...jwks.map(({ kid }) => kid)].join(' ')
      if (current?.identity !== identity)
        current = { provider: createProvider(options, jwks, signing.cookieSecret), identity }
      return current.provider
    },
    secret: async () => (await keysNow()).cookieSecret,
  }
}

/** Where a person signs in and allows. */
export const signInPath = '/oauth/sign-in'

function createProvider(options: AuthorizationServerOptions, keys: JWK[], cookieSecret: string): Provider {
  const issuer = options.issuer()
  const base = new URL(issuer).pathname.replace(/\/$/, '')
  const provider = new oidc.Provider(issuer, {
    adapter: createAdapter(options),
    jwks: { keys: keys as never },
    cookies: { keys: [cookieSecret] },
    routes: {
      authorization: '/oauth/authorize',
      token: '/oauth/token',
      revocation: '/oauth/revoke',
      introspection: '/oauth/introspect',
      jwks: '/oauth/jwks',
      userinfo: '/oauth/userinfo',
      end_session: '/oauth/sign-out',
    },
    scopes: ['openid', 'read', 'write', 'admin'],
    claims: { openid: ['sub'] },
    responseTypes: ['code'],
    allowOmittingSingleRegisteredRedirectUri: false,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
    // Without a state it is the verifier that ties the answer to whoever asked.
    pkce: {
      required: ({ oidc }, client) => client.clientAuthMethod === 'none' || oidc.params?.state === undefined,
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      // RFC 7662, section 4: nobody learns about others' tokens, services of the operator's own excepted.
      introspection: {
        enabled: true,
        // What a client was given that has been revoked is worth nothing, whoever asks.
        allowedPolicy: async (_ctx, { clientId, scope }, token) =>
          clientId === token.clientId ||
          (scope?.split(' ').includes('admin') === true &&
            (await options.clients.find(token.clientId ?? '')) !== undefined),
      },
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => client.clientId === token.clientId,
      },
      clientCredentials: { enabled: true },
      pushedAuthorizationRequests: { enabled: false },
      resourceIndicators: { enabled: false },
      // OpenID Connect RP-Initiated Logout 1.0.
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: async (ctx, form) => {
          const userId = parseId(ctx.oidc.session?.accountId ?? '') ?? 0
          ctx.body = await options.showSignOut({ form, userId, client: ctx.oidc.client?.clientName })
        },
        // The client is told here only where the session is kept.
        postLogoutSuccessSource: async (ctx) => {
          ctx.type = 'html'
          ctx.body = options.showSignedOut(ctx.oidc.client !== undefined)
        },
      },
      userinfo: { enabled: true },
    },
    ttl: lifetimes,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    expiresWithSession: async () => false,
    interactions: { url: (_ctx, { uid }) => `${base}${signInPath}/${uid}`, policy: askingPolicy() },
    findAccount: async (_ctx, accountId) => {
      const known = await options.credentials(parseId(accountId) ?? 0)
      return known?.status === 'active' ? { accountId, claims: async () => ({ sub: accountId }) } : undefined
    },
    renderError: async (ctx, out) => {
      ctx.type = 'html'
      ctx.body = options.showError(out)
    },
    // Roster's own rule about origins has been applied (server/cors.ts).
    clientBasedCORS: () => true,
  })
  // What a client is reached by says how secure the connection is; see contracts/oauth/exchange.ts.
  provider.proxy = true
  setOwnRules(provider)
  provider.use(signNobodyOut)
  const failed = (error: unknown, ctx: KoaContextWithOIDC | undefined) =>
    options.onError(error, ctx?.get('x-request-id'))
  provider.on('server_error', (ctx: KoaContextWithOIDC, error: unknown) => failed(error, ctx))
  // Else it is written to the console.
  const koa: EventEmitter = provider
  koa.on('error', failed)
  return provider
}

/**
 * When people are asked: as usual and, since any program of a machine can listen there, each time that a
 * code is to go to this machine and needs no secret (RFC 8252, section 8.6).
 */
function askingPolicy() {
  const { base, Check } = oidc.interactionPolicy
  const policy = base()
  const check = new Check('this_machine', 'anybody may listen there', 'interaction_required', ({ oidc }) => {
    const isOnMachine = String(oidc.params?.redirect_uri).startsWith('http:')
    return isOnMachine && oidc.client?.clientAuthMethod === 'none' && oidc.result?.consent === undefined
  })
  policy.get('consent')?.checks.add(check)
  return policy
}

/** Who is not signed in is led on at once: nothing is asked, so nothing has to be kept until it is answered. */
async function signNobodyOut(ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> {
  await next()
  const { route, session, params } = ctx.oidc ?? {}
  if (route !== 'end_session' || ctx.status !== 200 || session?.accountId !== undefined) return
  const client = params?.post_logout_redirect_uri
  const uri = new URL(String(client ?? ctx.oidc.urlFor('end_session_success')))
  if (client !== undefined && params?.state !== undefined) uri.searchParams.set('state', String(params.state))
  ctx.remove('set-cookie')
  ctx.status = 303
  ctx.redirect(uri.href)
}

/**
 * Secrets are kept as hashes, so what a client sends is hashed before it is compared. And addresses are
 * compared to the letter, their ports on this machine too.
 */
function setOwnRules({ Client }: Provider): void {
  type Registered = Readonly<
    Record<'redirectUris' | 'postLogoutRedirectUris', readonly string[]> & { clientSecret?: string }
  >
  Object.assign(Client.prototype, {
    compareClientSecret(this: Registered, secret: string): boolean {
      return this.clientSecret !== undefined && isSecret(secret, this.clientSecret)
    },
    redirectUriAllowed(this: Registered, uri: string): boolean {
      return this.redirectUris.includes(uri)
    },
    postLogoutRedirectUriAllowed(this: Registered, uri: string): boolean {
      return this.postLogoutRedirectUris.includes(uri)
    },
  })
}
