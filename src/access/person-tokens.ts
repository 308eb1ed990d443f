import { randomBytes } from 'node:crypto'
import type { Document, DocumentStore } from '../directory/document.ts'
import { parseId } from '../directory/user.ts'
import { type Credential, hashOf, invalidToken, type Recogniser } from './authenticate.ts'
import type { People } from './people.ts'

export interface PersonTokensOptions {
  readonly documents: Pick<DocumentStore, 'put' | 'find'>
  readonly people: People
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
}

/**
 * Tokens for people who have shown that they read an account's mail, where no client of OAuth stands in
 * between: good for an hour, and through the community's contract, which gives them. Kept of one is the SHA-256.
 */
export interface PersonTokens extends Recogniser {
  readonly issue: (userId: number) => Promise<IssuedToken>
}

export interface IssuedToken {
  readonly token: string
  readonly scopes: readonly string[]
  /** In seconds. */
  readonly expiresIn: number
}

const kind = 'PersonToken'
const scopes = ['read', 'write'] as const
/** Seconds. */
const life = 3_600
const shape = /^rt_[\w-]{43}$/

export function createPersonTokens({ documents, people, now }: PersonTokensOptions): PersonTokens {
  return {
    async issue(userId) {
      const token = `rt_${randomBytes(32).toString('base64url')}`
      const createdAt = now()
      const document: Document = {
        ...{ kind, id: hashOf(token), payload: {}, userId },
        ...{ createdAt, expiresAt: createdAt + life * 1000, usedAt: null, group: null, alias: null },
      }
      await documents.put(document)
      return { token, scopes, expiresIn: life }
    },

    recognises: (token) => shape.test(token),

    async find(token): Promise<Credential> {
      const document = await documents.find(kind, hashOf(token))
      const id = parseId(String(document?.userId ?? ''))
      if (document === undefined || id === undefined) throw invalidToken('There is no such token')
      const ended = await people.endOf(id, document.createdAt)
      const { expiresAt } = document
      return { kind: 'person', id: String(id), scopes, expiresAt, ended, contract: 'community' }
    },
  }
}
