import type { Status } from './user.ts'

/** What decides whether somebody may come in as a user: kept beside the record, and never shown. */
export interface Credentials {
  readonly status: Status
  /** Its Argon2id hash, in the PHC format; null where the user has none. */
  readonly password: string | null
  /** Milliseconds since 1970, UTC: what was issued to the user before is worth nothing. 0 where nothing was ever ended. */
  readonly tokensValidFrom: number
}
