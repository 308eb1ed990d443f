/**
 * Pictures of people, as the directory knows them: by a reference, which the fields `avatar` and `cover`
 * hold. The files are elsewhere (media/), and are there before anything refers to them.
 */

export const pictureKinds = ['avatar', 'cover'] as const

export type PictureKind = (typeof pictureKinds)[number]

/** A picture that is about to be stored, or about to be referred to again. */
export interface NotedPicture {
  /** Of a user's own: no two users share one, and it never names another picture. */
  readonly picture: string
  readonly userId: number
  /** Milliseconds since 1970, UTC. */
  readonly at: number
}

/** One of the pictures that a person can choose their avatar from. */
export interface Avatar {
  readonly id: number
  readonly picture: string
  /** Milliseconds since 1970, UTC. */
  readonly uploadedAt: number
}

/**
 * Which pictures there are, and whose. A picture is in use while its user's record or list of avatars has
 * it; since when it is not, is kept, and nothing is given up before it has been unused for long enough.
 */
export interface PictureStore {
  /**
   * Says that a picture is wanted, before its files are written and before anything refers to it: from
   * then on it is safe for as long as one that has just become unused.
   * @returns false where it was given up: its files are being removed, and it takes another reference
   */
  readonly note: (noted: NotedPicture) => Promise<boolean>
  /**
   * Makes a picture safe anew, as `note` does, if it was noted before. One that never was is safe anyway, as
   * nothing is given up that was not noted, and stays so.
   * @returns false where it was given up
   */
  readonly renew: (picture: string, at: number) => Promise<boolean>
  /**
   * Gives up pictures, a few at once, that have been unused since a time or longer: their references are
   * not used again until their files have been gone for as long, so that nobody can still be removing them.
   * @returns those whose files are to be removed, with those of earlier calls that `removed` was not told of,
   * a few at once; none that are postponed
   */
  readonly giveUp: (unusedSince: number, at: number) => Promise<readonly string[]>
  /** Says that the files of pictures are gone. */
  readonly removed: (pictures: readonly string[], at: number) => Promise<void>
  /** Has pictures that were given up wait, so that others are given before them. */
  readonly postpone: (pictures: readonly string[], until: number) => Promise<void>
  /** The list of somebody: what was added, and what the record has, in the order in which they came. */
  readonly avatars: (userId: number) => Promise<readonly Avatar[]>
  /**
   * Adds a noted picture to the list of somebody who is to be seen; one that is in it stays as it is.
   * @returns undefined where there is nobody, or the list is full
   */
  readonly addAvatar: (noted: NotedPicture) => Promise<Avatar | undefined>
  /** Removes one from somebody's list; what the record has stays in it. */
  readonly removeAvatar: (userId: number, id: number, at: number) => Promise<void>
}

/** Pictures that may be added to one list. */
export const maxAvatars = 100
