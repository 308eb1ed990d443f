import type { Actor } from './directory/actor.ts'

/** The operator at the machine may do everything; the change log says that it was the operator. */
export const operator: Actor = {
  kind: 'operator',
  id: null,
  scopes: ['read', 'write', 'admin'],
  contract: 'operator',
}
