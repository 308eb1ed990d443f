/** Who asks, and through which contract: plain data, made by `access/` and kept with every change. */
export type Scope = 'read' | 'write' | 'admin'

export interface Actor {
  readonly kind: 'anonymous' | 'key' | 'person' | 'operator'
  /** Names a key or a person for the change log: the key's id, or the person's. */
  readonly id: string | null
  readonly scopes: readonly Scope[]
  /** The contract that the request came through, or `operator` for the command line. */
  readonly contract: string
}
