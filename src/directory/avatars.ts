import { allow, seen } from './asking.ts'
import type { Basis, Preconditions } from './command.ts'
import type { Context, Result } from './directory.ts'
import { afterCommit, DirectoryError, refusal } from './errors.ts'
import { whileOutdated } from './outdated.ts'
import type { Patch } from './patch.ts'
import { type Avatar, maxAvatars } from './picture.ts'
import type { Store } from './store.ts'
import type { User } from './user.ts'

/** A picture of somebody's list, and whether the record has it. */
export interface ListedAvatar extends Avatar {
  readonly primary: boolean
}

type Asked = 'read' | 'update'

interface Changing extends Preconditions {
  readonly id: number
  readonly patch: Patch
  readonly basis?: Basis
}

export interface AvatarsOptions {
  readonly store: Pick<Store, 'get' | 'pictures'>
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly update: (context: Context, asked: Changing) => Promise<Result>
}

const noAvatar = refusal('not_found', 'There is no such avatar in the list')

/** The use cases of the list that people choose their avatar from. */
export function createAvatars({ store, now, update }: AvatarsOptions) {
  async function owner({ actor }: Context, id: number, action: Asked = 'update'): Promise<User> {
    allow(actor, action, id)
    return seen(await store.get(id))
  }

  async function find(context: Context, id: number, avatarId: number): Promise<ListedAvatar> {
    const found = (await list(context, id)).find((avatar) => avatar.id === avatarId)
    if (found === undefined) throw new DirectoryError(noAvatar)
    return found
  }

  async function list(context: Context, id: number, action?: Asked): Promise<readonly ListedAvatar[]> {
    const { avatar: own } = await owner(context, id, action)
    return (await store.pictures.avatars(id)).map((avatar) => ({
      ...avatar,
      primary: avatar.picture === own,
    }))
  }

  return {
    /** All of them, in the order in which they came. */
    avatars: (context: Context, id: number) => list(context, id, 'read'),

    /** Adds a picture that has been stored. The record stays as it is. */
    async addAvatar(context: Context, id: number, picture: string): Promise<ListedAvatar> {
      const { avatar: own } = await owner(context, id)
      const added = await store.pictures.addAvatar({ picture, userId: id, at: now() })
      if (added !== undefined) return { ...added, primary: added.picture === own }
      await owner(context, id)
      const message = `is one too many: there may be ${maxAvatars} in the list`
      throw new DirectoryError(refusal('invalid', 'The list is full', [{ property: 'avatar', message }]))
    },

    /** Has the record show one of them. */
    async chooseAvatar(context: Context, { avatarId, ...asked }: AvatarAsked): Promise<Result> {
      const { picture } = await find(context, asked.id, avatarId)
      return update(context, { ...asked, patch: { avatar: picture } })
    },

    /** Removes one of them, from the record too where it has it. */
    async removeAvatar(context: Context, { avatarId, ...asked }: AvatarAsked): Promise<void> {
      // Another may be chosen meanwhile, which is to stay.
      await whileOutdated('avatar', async () => {
        const { picture, primary } = await find(context, asked.id, avatarId)
        const patch = primary ? { avatar: null } : {}
        return update(context, { ...asked, patch, ...(primary && { basis: { avatar: picture } }) })
      })
      await afterCommit(store.pictures.removeAvatar(asked.id, avatarId, now()))
    },
  }
}

export interface AvatarAsked extends Preconditions {
  readonly id: number
  readonly avatarId: number
}
