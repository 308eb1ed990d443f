import { isText } from './query.ts'

/**
 * What the authorization server keeps: clients, grants, sessions, codes and tokens, each a document that
 * only it understands. Times are milliseconds since 1970, UTC.
 */
export interface Document {
  readonly kind: string
  /** Unique within its kind. What is secret about a name is hashed by then. */
  readonly id: string
  /** No text of it has a NUL or half a character in it: PostgreSQL could not keep it. */
  readonly payload: Readonly<Record<string, unknown>>
  /** Stays what it was when the document is put again. */
  readonly createdAt: number
  /** Null for what stays until it is removed. */
  readonly expiresAt: number | null
  /** When it was used, if it was: once only. */
  readonly usedAt: number | null
  /** Those of a group can be removed together. */
  readonly group: string | null
  /** Another name, by which it is found within its kind. */
  readonly alias: string | null
  /** Whom it is about: it goes when they are erased. */
  readonly userId: number | null
}

/**
 * Where documents are kept. What a method resolves with is on disk, and every node sees it. All may reject
 * with a DirectoryError `unavailable`; those that write with `outcome_unknown` too.
 */
export interface DocumentStore {
  /**
   * Keeps a document, in place of the one that has its kind and id, should there be one; whether that was
   * used stays known.
   * @param onlyIfNew leaves the one that is there instead
   */
  readonly put: (document: Document, onlyIfNew?: boolean) => Promise<void>
  /** Expired or not, used or not, as long as it is there. */
  readonly find: (kind: string, id: string) => Promise<Document | undefined>
  readonly findByAlias: (kind: string, alias: string) => Promise<Document | undefined>
  /** Those of a kind that never expire, in the order in which they were made. */
  readonly list: (kind: string) => Promise<readonly Document[]>
  /**
   * Marks a document as used; of all who try, on whatever node, one succeeds.
   * @returns whether this is the one
   */
  readonly use: (kind: string, id: string, at: number) => Promise<boolean>
  readonly remove: (kind: string, id: string) => Promise<void>
  readonly removeGroup: (group: string) => Promise<void>
}

/**
 * Milliseconds that an expired document is still known: long enough to tell that it has expired, or that
 * it is used a second time.
 */
export const documentRest = 3_600_000

/**
 * A payload as stores keep it.
 * @throws Error where it has a text that not every store can keep
 */
export function encodePayload({ kind, payload }: Document): string {
  return JSON.stringify(payload, (_name, value: unknown) => {
    if (typeof value !== 'string' || isText(value)) return value
    throw new Error(`a ${kind} must not have a NUL or half a character in its texts`)
  })
}
