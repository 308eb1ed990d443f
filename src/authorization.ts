import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { createClients } from './access/oauth-clients.ts'
import { createSigningKeys } from './access/oauth-keys.ts'
import { createAuthorizationServer } from './access/oauth-server.ts'
import { recogniseAccessTokens } from './access/oauth-tokens.ts'
import type { Passwords } from './access/passwords.ts'
import type { People } from './access/people.ts'
import type { Recovery } from './access/recovery.ts'
import { createSignIn, limitSignIns } from './access/sign-in.ts'
import type { Count, Rate } from './access/windows.ts'
import { errorPage } from './contracts/html.ts'
import { signOutPage } from './contracts/oauth/pages.ts'
import { oauth } from './contracts/oauth/routes.ts'
import { calledOf } from './contracts/oauth/sign-in.ts'
import type { Store } from './directory/store.ts'
import { withoutValues } from './server/refusals.ts'

export interface AuthorizationOptions {
  readonly store: Store
  readonly people: People
  readonly passwords: Passwords
  readonly recovery: Recovery
  readonly counting: (name: string, rate: Rate) => Count
  /** Where callers find the service, as far as it is known. */
  readonly issuer: () => string
  /** The same as the operator says; undefined where nobody said. */
  readonly publicUrl: string | undefined
  /** Told of what was revoked here. */
  readonly onRevoked: (id: string) => void
  readonly log: Logger
}

/** The authorization server, put together: its clients, its tokens, its endpoints and its pages. */
export function createAuthorization({
  store,
  people,
  passwords,
  recovery,
  counting,
  issuer,
  publicUrl,
  onRevoked,
  log,
}: AuthorizationOptions) {
  const { documents, credentials } = store
  const clients = createClients({ documents, now: Date.now, onRevoked })
  const server = createAuthorizationServer({
    ...{ documents, clients, people, credentials, issuer },
    signingKeys: createSigningKeys({ documents, now: Date.now }),
    now: Date.now,
    showError: ({ error, error_description }) =>
      errorPage('This did not work', error_description ?? error).html,
    showSignOut: async ({ form, userId, client }) =>
      signOutPage({ form, client, person: calledOf(await store.get(userId)) }).html,
    showSignedOut: (isStillSignedIn) =>
      errorPage(
        isStillSignedIn ? 'You are still signed in' : 'You are signed out',
        'You can close this page.',
      ).html,
    onError: (error, reqId) =>
      log.error({ reqId, err: withoutValues(error) }, 'the authorization server failed'),
  })
  const signIn = createSignIn({ store, passwords, counting, now: Date.now })
  return {
    clients,
    tokens: recogniseAccessTokens({ documents, clients, people }),
    contract: oauth({
      ...{ server, signIn, recovery, publicUrl },
      admitSignIn: limitSignIns(counting),
      userOf: store.get,
    }),
  }
}

/** Where the service is found, as far as it knows: on this machine. */
export function localUrl(address: AddressInfo | string | null, host: string): string {
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}
