/** Who asks, and through which contract: plain data, made by `access/` and kept with every change. */
export type Scope = 'read' | 'write' | 'admin'

export interface Actor {
  readonly kind: 'anonymous' | 'key' | 'client' | 'person' | 'operator'
  /** Names a key, an OAuth client or a person for the change log: by the id of each. */
  readonly id: string | null
  readonly scopes: readonly Scope[]
  /** The contract that the request came through, or `operator` for the command line. */
  readonly contract: string
  /** The operator's own backend speaks for the person, by a token that it signed itself. */
  readonly vouched?: true
}
