import type { PictureStore } from '../../directory/picture.ts'
import { pictureStatements as statements, toAvatar } from '../sql/pictures.ts'
import type { Parameter, Run } from './pool.ts'

/** What is said as `?1` there is `$1` here. */
const numbered = (text: string) => text.replaceAll('?', '$')

// The user's row stands for the list: an erasure waits for it, or is waited for.
const addAvatar = statements.addAvatar('FOR NO KEY UPDATE', 'avatars_besides(owner.id, ?1)')
const removeAvatar = statements.removeAvatar('FOR NO KEY UPDATE')
const listed = 'SELECT jsonb_array_elements_text(?1::text::jsonb)'
const removed = statements.removed(listed)
const postponed = statements.postponed(listed)

/**
 * Pictures. What writes here does the same however often it is done, so it is tried again like what reads.
 * @param run runs a statement, again where it fails for a reason that passes
 */
export function createPictureStore(run: Run): PictureStore {
  const read = (text: string, parameters: readonly Parameter[]) =>
    run({ text: numbered(text), parameters, prepare: true })
  const write = (text: string, parameters: readonly Parameter[]) =>
    run({ text: numbered(text), parameters, prepare: true, lane: 'write' })
  return {
    note: async ({ picture, userId, at }) => (await write(statements.note, [picture, userId, at])).length > 0,
    async renew(picture, at) {
      const [row] = await write(statements.renew, [picture, at])
      return (row?.given_up_at ?? null) === null
    },
    async giveUp(unusedSince, at) {
      await write(statements.notLater, [at])
      await write(statements.keepUsed, [unusedSince])
      await write(statements.giveUp, [unusedSince, at])
      await write(statements.forget, [unusedSince])
      return (await read(statements.givenUp, [at])).map(({ id }) => String(id))
    },
    removed: async (pictures, at) => void (await write(removed, [JSON.stringify(pictures), at])),
    postpone: async (pictures, until) => void (await write(postponed, [JSON.stringify(pictures), until])),
    avatars: async (userId) => (await read(statements.avatars, [userId])).map(toAvatar),
    async addAvatar({ picture, userId, at }) {
      const [row] = await write(addAvatar, [picture, userId, at])
      return row && toAvatar(row)
    },
    async removeAvatar(userId, id, at) {
      await write(statements.released, [userId, id, at])
      await write(removeAvatar, [userId, id])
    },
  }
}
