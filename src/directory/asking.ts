import type { Actor } from './actor.ts'
import { userNotFound } from './decision.ts'
import { DirectoryError } from './errors.ts'
import { type Action, permit } from './policy.ts'
import { isVisible, type User } from './user.ts'

/** @throws DirectoryError where the actor may not do this */
export function allow(actor: Actor, action: Action, userId: number | undefined): void {
  const permission = permit(actor, action, userId)
  if ('refusal' in permission) throw new DirectoryError(permission.refusal)
}

/** @throws DirectoryError `not_found` for who is not there to be seen */
export function seen(user: User | undefined): User {
  if (user === undefined || !isVisible(user)) throw new DirectoryError(userNotFound)
  return user
}
