import type { FastifyRequest } from 'fastify'
import type { Scope } from '../../directory/actor.ts'
import { noCounters } from '../../directory/counters.ts'
import { userNotFound } from '../../directory/decision.ts'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, refusal } from '../../directory/errors.ts'
import { lackOfScope, permit } from '../../directory/policy.ts'
import { isVisible, parseId, type User } from '../../directory/user.ts'
import { originOf } from '../address.ts'
import { context } from '../contract.ts'
import type { Pictures, Shown } from './wire.ts'

export interface ById {
  Params: { id: string }
}

export interface PeopleOptions {
  readonly directory: Directory
  /** Where pictures are, for a caller who finds the service at an address. */
  readonly picturesAt: (origin: string) => Pictures
  /** What addresses start with; undefined for what each request says. */
  readonly publicUrl: string | undefined
}

/** Who is meant, who asks, and what they may see: the questions that all routes have. */
export function createPeople({ directory, picturesAt, publicUrl }: PeopleOptions) {
  // Addresses stay relative where the request says no host.
  const origin = (request: FastifyRequest) => originOf(request, publicUrl) ?? ''

  /**
   * Everything that is needed to show some people, in one query for all of them.
   * @param did what they are shown after: who may update all of somebody is shown what came of it
   */
  async function show(
    request: FastifyRequest,
    users: readonly User[],
    did: 'view' | 'update' = 'view',
  ): Promise<readonly Shown[]> {
    const of = context(request)
    const counters =
      users.length === 0
        ? new Map()
        : await directory.counters(
            of,
            users.map(({ id }) => id),
          )
    const pictures = picturesAt(origin(request))
    return users.map((user) => ({
      user,
      counters: counters.get(user.id) ?? noCounters,
      seesAll: seesAll(request, user.id, did),
      pictures,
    }))
  }

  const self = {
    /**
     * The person that the address names, who must be the one who asks.
     * @throws DirectoryError `unauthenticated`, `not_found` where there is nobody, `forbidden` for anybody else
     */
    async own(request: FastifyRequest<ById>): Promise<number> {
      const person = personOf(request)
      const id = knownId(request)
      if (id === person) return id
      if (!isVisible(await directory.view(context(request), id))) throw new DirectoryError(userNotFound)
      throw new DirectoryError(refusal('forbidden', 'A user can only update their personal data'))
    },

    /**
     * The same, for what the record itself does not judge: who is blocked is `forbidden`.
     * @param read `basis` where who may not update the record is `forbidden` too
     */
    async active(request: FastifyRequest<ById>, read: 'basis' | 'view' = 'view'): Promise<number> {
      const id = await self.own(request)
      const user = await directory[read](context(request), id)
      if (user.status === 'blocked') throw new DirectoryError(accountBlocked)
      return id
    },
  }

  return {
    ...self,
    originOf: origin,
    pictures: (request: FastifyRequest) => picturesAt(origin(request)),
    show,
    showOne: async (request: FastifyRequest, user: User, did?: 'update') =>
      (await show(request, [user], did))[0] as Shown,
  }
}

export type People = ReturnType<typeof createPeople>

/**
 * The person who asks.
 * @throws DirectoryError `unauthenticated` for nobody in particular, `forbidden` for who is no person
 */
export function personOf({ actor }: FastifyRequest): number {
  if (actor.kind === 'anonymous') throw new DirectoryError(credentialsNeeded)
  const id = actor.kind === 'person' ? parseId(actor.id ?? '') : undefined
  if (id === undefined)
    throw new DirectoryError(refusal('forbidden', 'This is for people, and an API key or a service is none'))
  return id
}

/**
 * For what is not public, and yet not about the caller.
 * @throws DirectoryError `unauthenticated` for nobody in particular, `forbidden` for who has not the scope
 */
export function requireScope({ actor }: FastifyRequest, scope: Scope): void {
  if (actor.kind === 'anonymous') throw new DirectoryError(credentialsNeeded)
  const lack = lackOfScope(actor, scope)
  if (lack !== undefined) throw new DirectoryError(lack)
}

export const accountBlocked = refusal('forbidden', 'This account is blocked')

export const credentialsNeeded = refusal('unauthenticated', 'Authentication credentials were not provided')

/** An id that can not be one names nobody: 404, as for one that does not exist. */
export function knownId(request: FastifyRequest<ById>): number {
  const id = parseId(request.params.id)
  if (id === undefined) throw new DirectoryError(userNotFound)
  return id
}

function seesAll({ actor }: FastifyRequest, id: number, action: 'view' | 'update'): boolean {
  const permission = permit(actor, action, id)
  return 'fields' in permission && permission.fields.has('date_of_birth')
}
