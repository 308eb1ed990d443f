import type { Scope } from './actor.ts'

/**
 * An API key, without what is secret of it. Times are milliseconds since 1970, UTC.
 * It works while it is neither revoked nor past its expiry.
 */
export interface ApiKey {
  /** `key_…`: names the key in the change log, in lists and to be revoked. */
  readonly id: string
  /** For people to tell keys apart: 1–100 characters. */
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly revokedAt: number | null
  /** To the minute or so: uses are gathered and written down together. */
  readonly lastUsedAt: number | null
}

/**
 * Where API keys are kept: by the SHA-256 of their secret, which the store never sees. What a method
 * resolves with is on disk. All may reject with a DirectoryError `unavailable`; those that write with
 * `outcome_unknown` too.
 */
export interface KeyStore {
  /**
   * Adds a key, in place of the one that has its id, should there be one.
   * @param onlyIfNew leaves that one as it is instead
   */
  readonly add: (key: ApiKey, hash: string, onlyIfNew?: boolean) => Promise<void>
  /** All keys, revoked and expired ones too, in the order in which they were made. */
  readonly list: () => Promise<readonly ApiKey[]>
  /** The key with this hash, whether it works or not. */
  readonly find: (hash: string) => Promise<ApiKey | undefined>
  /** The key as it is afterwards; a second time leaves the time of the first. Undefined where there is none. */
  readonly revoke: (id: string, at: number) => Promise<ApiKey | undefined>
  /** Notes when keys were last used, by their ids; a later time that is known already stays. */
  readonly used: (times: ReadonlyMap<string, number>) => Promise<void>
}
