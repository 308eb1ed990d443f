import type { Scope } from '../../directory/actor.ts'
import type { Action } from '../../directory/policy.ts'

/** What each address is for, in the words of its refusals, and what it takes to be let through. */
interface Operation {
  /** As in "Insufficient permissions to delete user". */
  readonly words: string
  /** The row of directory/policy.ts that answers, the scope where there is none, or what was mailed. */
  readonly needs: { readonly action: Action } | { readonly scope: Scope } | typeof mailedToken
  /** Whether it writes fields, so that the caller's own ones matter. */
  readonly writes?: true
}

const mailedToken = { token: 'of a mail' } as const

/** Every operation of the contract, by method and route. */
export const operations = {
  'GET /v1/users': { words: 'list users', needs: { action: 'read' } },
  'POST /v1/users': { words: 'create user', needs: { action: 'create' }, writes: true },
  'POST /v1/users/batch': { words: 'change users', needs: { scope: 'write' }, writes: true },
  'GET /v1/users/:id': { words: 'read user', needs: { action: 'read' } },
  'PATCH /v1/users/:id': { words: 'update user', needs: { action: 'update' }, writes: true },
  'PUT /v1/users/:id/password': { words: 'change password', needs: { action: 'password' } },
  'GET /v1/users/:id/email-changes': { words: 'read e-mail changes', needs: { action: 'read' } },
  'POST /v1/users/:id/email-changes': { words: 'change the address', needs: { action: 'change_email' } },
  'GET /v1/users/:id/email-changes/:change_id': { words: 'read e-mail changes', needs: { action: 'read' } },
  'PATCH /v1/users/:id/email-changes/:change_id': {
    ...{ words: 'change the address', needs: { action: 'change_email' } },
  },
  'DELETE /v1/users/:id/email-changes/:change_id': {
    ...{ words: 'change the address', needs: { action: 'change_email' } },
  },
  'POST /v1/users/:id/email-changes/:change_id/resend': {
    ...{ words: 'change the address', needs: { action: 'change_email' } },
  },
  'POST /v1/users/:id/email-changes/:change_id/confirm': { words: 'confirm an address', needs: mailedToken },
  'POST /v1/users/:id/email-changes/:change_id/revert': { words: 'undo a change', needs: mailedToken },
  'DELETE /v1/users/:id': { words: 'delete user', needs: { action: 'erase' } },
  'PUT /v1/users/:id/avatar': { words: 'update avatar', needs: { action: 'update' } },
  'DELETE /v1/users/:id/avatar': { words: 'update avatar', needs: { action: 'update' } },
  'PUT /v1/users/:id/cover': { words: 'update cover', needs: { action: 'update' } },
  'DELETE /v1/users/:id/cover': { words: 'update cover', needs: { action: 'update' } },
  'GET /v1/users/:id/profile': { words: 'read profile', needs: { action: 'read' } },
  'PATCH /v1/users/:id/profile': { words: 'update profile', needs: { action: 'update' }, writes: true },
  'GET /v1/users/:id/counters': { words: 'read counters', needs: { action: 'read' } },
  'PATCH /v1/users/:id/counters': { words: 'update counters', needs: { action: 'count' } },
  'GET /v1/user': { words: 'read user', needs: { action: 'read' } },
  'GET /v1/keys': { words: 'manage keys', needs: { scope: 'admin' } },
  'POST /v1/keys': { words: 'manage keys', needs: { scope: 'admin' } },
  'DELETE /v1/keys/:id': { words: 'manage keys', needs: { scope: 'admin' } },
  'GET /v1/clients': { words: 'manage clients', needs: { scope: 'admin' } },
  'POST /v1/clients': { words: 'manage clients', needs: { scope: 'admin' } },
  'DELETE /v1/clients/:id': { words: 'manage clients', needs: { scope: 'admin' } },
} as const satisfies Readonly<Record<string, Operation>>

export type OperationName = keyof typeof operations

/** The operation at an address, if it is one. */
export function operationAt(method: string, path: string): Operation | undefined {
  const name = `${method === 'HEAD' ? 'GET' : method} ${path.replace(/\/$/, '')}`
  return Object.hasOwn(operations, name) ? operations[name as OperationName] : undefined
}
