import { type Avatar, maxAvatars } from '../../directory/picture.ts'

/** The statements about pictures, in the words that both databases know: `?1` stands for a parameter. */

/** Pictures that are looked at in one go. */
const atOnce = 1_000

const due = `unused_since <= ?1 AND id IN (
  SELECT id FROM pictures WHERE unused_since <= ?1 ORDER BY unused_since LIMIT ${atOnce})`

const isUsed = `(
  EXISTS (SELECT 1 FROM users WHERE users.id = pictures.user_id AND pictures.id IN (avatar, cover))
  OR EXISTS (SELECT 1 FROM avatars WHERE avatars.user_id = pictures.user_id AND picture = pictures.id))`

export const pictureStatements = {
  /** Picture, user, time. */
  note: `INSERT INTO pictures (id, user_id, unused_since) VALUES (?1, ?2, ?3)
    ON CONFLICT (id) DO UPDATE SET unused_since = excluded.unused_since
    WHERE pictures.given_up_at IS NULL RETURNING id`,
  /** Picture, time. */
  renew: `UPDATE pictures SET unused_since = CASE WHEN given_up_at IS NULL THEN CAST(?2 AS bigint) END
    WHERE id = ?1 RETURNING given_up_at`,
  /** Now. A time that an import has set may be any. */
  notLater: 'UPDATE pictures SET unused_since = ?1 WHERE unused_since > ?1',
  /** Since when. What an erasure has given up (0) is not used, though the record may be read as it was before. */
  keepUsed: `UPDATE pictures SET unused_since = NULL WHERE unused_since > 0 AND ${due} AND ${isUsed}`,
  /** Since when, and now. */
  giveUp: `UPDATE pictures SET given_up_at = ?2, unused_since = NULL WHERE ${due} AND NOT ${isUsed}`,
  /** Since when. */
  forget: 'DELETE FROM pictures WHERE given_up_at IS NOT NULL AND removed_at <= ?1',
  /** Now. */
  givenUp: `SELECT id FROM pictures WHERE given_up_at <= ?1 AND removed_at IS NULL
    ORDER BY given_up_at LIMIT ${atOnce}`,
  /** A list of pictures in JSON, and now. */
  removed: (pictures: string) =>
    `UPDATE pictures SET removed_at = ?2 WHERE given_up_at IS NOT NULL AND id IN (${pictures})`,
  /** A list of pictures in JSON, and until when. */
  postponed: (pictures: string) =>
    `UPDATE pictures SET given_up_at = ?2 WHERE given_up_at IS NOT NULL AND id IN (${pictures})`,
  /** User. */
  avatars: 'SELECT id, picture, uploaded_at FROM avatars WHERE user_id = ?1 ORDER BY id',
  /** Picture, user, time. How many were added besides is to be counted once the owner is locked. */
  addAvatar: (lock: string, besides: string) => `WITH owner AS (
      SELECT id FROM users WHERE id = ?2 AND status IN ('active', 'blocked') ${lock}
    )
    INSERT INTO avatars (user_id, picture, added, uploaded_at)
    SELECT owner.id, ?1, 1, ?3 FROM owner
    WHERE ${besides} < ${maxAvatars}
    ON CONFLICT (user_id, picture) DO UPDATE SET added = 1 RETURNING id, picture, uploaded_at`,
  /** User, id. What the record has stays. */
  removeAvatar: (lock: string) => `WITH owner AS (SELECT avatar FROM users WHERE id = ?1 ${lock})
    DELETE FROM avatars WHERE user_id = ?1 AND id = ?2
    AND picture IS DISTINCT FROM (SELECT avatar FROM owner)`,
  /** User, id, now. */
  released: `UPDATE pictures SET unused_since = ?3 WHERE given_up_at IS NULL
    AND id = (SELECT picture FROM avatars WHERE user_id = ?1 AND id = ?2)`,
} as const

export function toAvatar(row: Readonly<Record<string, unknown>>): Avatar {
  return { id: Number(row.id), picture: String(row.picture), uploadedAt: Number(row.uploaded_at) }
}
