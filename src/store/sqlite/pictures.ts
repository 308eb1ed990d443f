import type { DatabaseSync } from 'node:sqlite'
import type { Avatar, NotedPicture, PictureStore } from '../../directory/picture.ts'
import { pictureStatements as statements, toAvatar } from '../sql/pictures.ts'

/** What the writer can be asked to do with pictures. */
export type PictureTask = { readonly kind: 'picture' } & (
  | { readonly verb: 'note' | 'addAvatar'; readonly noted: NotedPicture }
  | { readonly verb: 'renew'; readonly picture: string; readonly at: number }
  | { readonly verb: 'giveUp'; readonly unusedSince: number; readonly at: number }
  | { readonly verb: 'removed' | 'postpone'; readonly pictures: readonly string[]; readonly at: number }
  | { readonly verb: 'removeAvatar'; readonly userId: number; readonly id: number; readonly at: number }
)

export interface PictureDone {
  readonly outcome: 'picture'
  /** Whether there was something to be done. */
  readonly done: boolean
  readonly avatar?: Avatar
}

const listed = 'SELECT value FROM json_each(?1)'
const besides = '(SELECT count(*) FROM avatars WHERE user_id = ?2 AND added = 1 AND picture <> ?1)'

/** The writer's side: runs a task inside the transaction under way. */
export function createPictureWriter(db: DatabaseSync): (task: PictureTask) => PictureDone {
  const note = db.prepare(statements.note)
  const renew = db.prepare(statements.renew)
  const notLater = db.prepare(statements.notLater)
  const keepUsed = db.prepare(statements.keepUsed)
  const giveUp = db.prepare(statements.giveUp)
  const forget = db.prepare(statements.forget)
  const removed = db.prepare(statements.removed(listed))
  const postponed = db.prepare(statements.postponed(listed))
  const addAvatar = db.prepare(statements.addAvatar('', besides))
  const released = db.prepare(statements.released)
  const removeAvatar = db.prepare(statements.removeAvatar(''))

  return (task) => {
    switch (task.verb) {
      case 'note': {
        const { picture, userId, at } = task.noted
        return { outcome: 'picture', done: note.get(picture, userId, at) !== undefined }
      }
      case 'renew':
        return { outcome: 'picture', done: (renew.get(task.picture, task.at)?.given_up_at ?? null) === null }
      case 'giveUp':
        notLater.run(task.at)
        keepUsed.run(task.unusedSince)
        giveUp.run(task.unusedSince, task.at)
        return { outcome: 'picture', done: Number(forget.run(task.unusedSince).changes) > 0 }
      case 'removed':
        return {
          outcome: 'picture',
          done: Number(removed.run(JSON.stringify(task.pictures), task.at).changes) > 0,
        }
      case 'postpone':
        return {
          outcome: 'picture',
          done: Number(postponed.run(JSON.stringify(task.pictures), task.at).changes) > 0,
        }
      case 'addAvatar': {
        const { picture, userId, at } = task.noted
        const row = addAvatar.get(picture, userId, at)
        return row === undefined
          ? { outcome: 'picture', done: false }
          : { outcome: 'picture', done: true, avatar: toAvatar(row) }
      }
      case 'removeAvatar':
        released.run(task.userId, task.id, task.at)
        return { outcome: 'picture', done: Number(removeAvatar.run(task.userId, task.id).changes) > 0 }
    }
  }
}

/**
 * Pictures for a process that may not write itself.
 * @param db a connection for reading
 * @param run hands a task to the writer
 */
export function createPictureStore(
  db: DatabaseSync,
  run: (task: PictureTask) => Promise<PictureDone>,
): PictureStore {
  const givenUp = db.prepare(statements.givenUp)
  const avatars = db.prepare(statements.avatars)
  return {
    note: async (noted) => (await run({ kind: 'picture', verb: 'note', noted })).done,
    renew: async (picture, at) => (await run({ kind: 'picture', verb: 'renew', picture, at })).done,
    async giveUp(unusedSince, at) {
      await run({ kind: 'picture', verb: 'giveUp', unusedSince, at })
      return givenUp.all(at).map(({ id }) => String(id))
    },
    removed: async (pictures, at) => void (await run({ kind: 'picture', verb: 'removed', pictures, at })),
    postpone: async (pictures, until) =>
      void (await run({ kind: 'picture', verb: 'postpone', pictures, at: until })),
    avatars: async (userId) => avatars.all(userId).map(toAvatar),
    addAvatar: async (noted) => (await run({ kind: 'picture', verb: 'addAvatar', noted })).avatar,
    removeAvatar: async (userId, id, at) =>
      void (await run({ kind: 'picture', verb: 'removeAvatar', userId, id, at })),
  }
}
