import type { PictureKind } from '../directory/picture.ts'

/** What pictures may be, and what is made of them. */

export const formats = ['jpeg', 'png', 'gif', 'webp', 'avif'] as const

export type Format = (typeof formats)[number]

/** What a sender may be told. */
export const formatNames = 'JPEG, PNG, GIF, WebP or AVIF'

export const mediaTypes = formats.map((format) => `image/${format}`)

/** Looked at before anything is decoded. */
export const mostPixels = 50_000_000
/** Of either side. */
export const longestSide = 32_768
export const mostFrames = 1_000
/** Of its samples, as they are decoded. */
export const mostBytes = 200_000_000
/** The same, of a picture that is held as a whole while it is decoded: one that comes in several passes. */
export const mostBytesAtOnce = 100_000_000

/** Of the files of a picture: squares of an avatar, and the longer side of a cover, at most. */
export const sizes = {
  avatar: [512, 256, 128, 64],
  cover: [1500, 640],
} as const satisfies Readonly<Record<PictureKind, readonly number[]>>

/** A picture as it is kept: its files by their names, `256.webp`. */
export type Files = ReadonlyMap<string, Uint8Array>

export function fileName(size: number): string {
  return `${size}.webp`
}

export const pictureType = 'image/webp'
