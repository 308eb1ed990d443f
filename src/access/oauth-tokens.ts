import type { Scope } from '../directory/actor.ts'
import type { Document, DocumentStore } from '../directory/document.ts'
import { parseId } from '../directory/user.ts'
import { type Credential, hashOf, invalidToken, type Recogniser } from './authenticate.ts'
import { scopes } from './keys.ts'
import type { Clients } from './oauth-clients.ts'
import type { People } from './people.ts'

export interface TokensOptions {
  readonly documents: Pick<DocumentStore, 'find'>
  readonly clients: Pick<Clients, 'find'>
  readonly people: People
}

/** What the authorization server's access tokens look like: 256 random bits. */
const shape = /^[\w-]{43}$/

/**
 * Knows the access tokens of Roster's own authorization server. They say nothing by themselves, so that
 * what was revoked is refused within a second on every node: the store is asked, and what it says is
 * remembered as long as of an API key.
 */
export function recogniseAccessTokens({ documents, clients, people }: TokensOptions): Recogniser {
  async function endOf({ group, userId, createdAt }: Document): Promise<string | undefined> {
    const grant = group === null ? undefined : await documents.find('Grant', hashOf(group))
    // A token that was being made while its family was revoked, or while all of the person's were ended.
    if (group !== null && grant === undefined) return 'The token has been revoked'
    const since = Math.min(createdAt, grant?.createdAt ?? createdAt)
    return userId === null ? undefined : people.endOf(userId, since)
  }

  return {
    recognises: (token) => shape.test(token),

    async find(token): Promise<Credential> {
      const id = hashOf(token)
      const [ofPerson, ofClient] = await Promise.all([
        documents.find('AccessToken', id),
        documents.find('ClientCredentials', id),
      ])
      const document = ofPerson ?? ofClient
      if (document === undefined) throw invalidToken('There is no such token, or it has been revoked')
      const { clientId, accountId, scope } = document.payload
      const [client, end] = await Promise.all([clients.find(String(clientId)), endOf(document)])
      const ended = client === undefined ? 'The client has been revoked' : end
      const granted = String(scope ?? '').split(' ')
      const allowed = scopes.filter((one) => granted.includes(one) && client?.scopes.includes(one))
      const { expiresAt } = document
      if (ofPerson === undefined)
        return { kind: 'client', id: String(clientId), scopes: allowed, expiresAt, ended }
      const person = parseId(String(accountId))
      if (person === undefined) throw new Error('an access token of a person must name the person')
      return { kind: 'person', id: String(person), scopes: allowed.filter(isForPeople), expiresAt, ended }
    },
  }
}

/** `admin` is given to keys and clients, never to whoever signs in at one. */
function isForPeople(scope: Scope): boolean {
  return scope !== 'admin'
}
