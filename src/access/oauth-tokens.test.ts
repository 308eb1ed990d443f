import { describe, expect, test } from 'vitest'
import type { Credentials } from '../directory/credentials.ts'
import type { Document } from '../directory/document.ts'
import { createAuthenticator, hashOf } from './authenticate.ts'
import { recogniseKeys } from './keys.ts'
import { createAdapter } from './oauth-adapter.ts'
import { recogniseAccessTokens } from './oauth-tokens.ts'
import { createPeople } from './people.ts'
import { createPersonTokens } from './person-tokens.ts'

/**
 * Somebody's tokens are ended while something is being made from what was good a moment ago: here the
 * moments are put in order by hand.
 */

const at = Date.UTC(2026, 0, 1)
const token = 'x'.repeat(43)

function documentOf(over: Partial<Document> & Pick<Document, 'kind' | 'id'>): Document {
  const none = { expiresAt: null, usedAt: null, group: null, alias: null, userId: null }
  return { payload: {}, createdAt: at, ...none, ...over, id: hashOf(over.id) }
}

/** @param validFrom since when what was issued to the person counts */
function given(documents: readonly Document[], validFrom: number) {
  const find = async (kind: string, id: string) =>
    documents.find((document) => document.kind === kind && document.id === id)
  const credentials: Credentials = { status: 'active', password: null, tokensValidFrom: validFrom }
  const people = createPeople(async () => credentials)
  const client = {
    ...{ id: 'client_a', name: 'A', scopes: ['read'] as const, redirectUris: [], isPublic: true },
    ...{ createdAt: 0, revokedAt: null, secretHash: null },
  }
  const clients = { find: async () => client }
  return { documents: { find } as never, clients, people, now: () => at }
}

describe('an access token that was made after all of the person’s were ended', () => {
  const access = documentOf({
    ...{ kind: 'AccessToken', id: token, group: 'g', userId: 1, createdAt: at + 2_000 },
    payload: { clientId: 'client_a', accountId: '1', scope: 'read' },
  })

  test.for([
    ['of what was allowed before is worth nothing', at, 'The token has been ended'],
    ['of what was allowed after is good', at + 1_500, undefined],
  ] as const)('%s', async ([, allowedAt, ended]) => {
    const grant = documentOf({ kind: 'Grant', id: 'g', group: 'g', userId: 1, createdAt: allowedAt })
    const { find } = recogniseAccessTokens(given([access, grant], at + 1_000))
    expect((await find(token)).ended).toBe(ended)
  })
})

describe('an access token of whatever characters', () => {
  test.for(['rk_', 'rt_', 'ey_', '___'])('is known as one where it begins with %s', async (start) => {
    const token = start.padEnd(43, 'x')
    const kept = documentOf({
      ...{ kind: 'ClientCredentials', id: token },
      payload: { clientId: 'client_a', scope: 'read' },
    })
    const sources = given([kept], at)
    const { authenticate } = createAuthenticator({
      recognisers: [
        recogniseKeys({ find: async () => undefined }),
        recogniseAccessTokens(sources),
        createPersonTokens(sources),
      ],
      used: async () => {},
      now: () => at,
    })
    const headers = { authorization: `Bearer ${token}` }
    const raw = { method: 'GET', headers, rawHeaders: [], socket: { remoteAddress: '' } }
    expect(await authenticate({ raw, ip: '192.0.2.1' }, 'v1')).toMatchObject({
      kind: 'client',
      id: 'client_a',
    })
  })
})

describe('what is kept of a sign-in', () => {
  const session = (createdAt: number, loginTs: number) =>
    documentOf({ kind: 'Session', id: 's', userId: 1, createdAt, payload: { accountId: '1', loginTs } })
  const interaction = (signedAt: number) =>
    documentOf({
      ...{ kind: 'Interaction', id: 's', createdAt: at - 60_000 },
      payload: { result: { login: { accountId: '1', signed: { userId: 1, at: signedAt } } } },
    })

  test.for<[title: string, document: Document, isGood: boolean]>([
    ['that was not gone on with before the end is over', interaction(at - 1), false],
    ['that began before the end, and succeeded after it, is good', interaction(at), true],
    ['whose session got a new name after the end is over', session(at + 5_000, at / 1000 - 1), false],
    ['that is younger than the end is good', session(at + 5_000, at / 1000), true],
  ])('%s', async ([, document, isGood]) => {
    const { find } = createAdapter(given([document], at))(document.kind)
    expect((await find('s')) !== undefined).toBe(isGood)
  })
})
