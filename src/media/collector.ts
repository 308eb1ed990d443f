import type { PictureStore } from '../directory/picture.ts'
import type { PictureFiles } from './files.ts'

export interface CollectorOptions {
  readonly store: Pick<PictureStore, 'giveUp' | 'removed' | 'postpone'>
  readonly files: Pick<PictureFiles, 'remove'>
  /** Milliseconds that a picture is kept which nothing refers to any more. */
  readonly grace?: number
  /** Told of what could not be removed: how many at once, and what was wrong with one of them. */
  readonly onFailure: (failed: number, error: unknown) => void
}

const day = 86_400_000
/** Milliseconds after which it is tried again to remove a picture. */
const again = 3_600_000
/** Pictures that are removed side by side; people wait for the same disk or bucket. */
const abreast = 8

/**
 * Removes the files of pictures that have been unused for a day: those that were replaced, and those of
 * uploads that came to nothing. Of somebody who was erased, at once.
 * @returns does a few, and tells how many; 0 when none is left that need not wait
 */
export function createCollector({ store, files, grace = day, onFailure }: CollectorOptions) {
  return async (at: number): Promise<number> => {
    const pictures = await store.giveUp(at - grace, at)
    const removed: string[] = []
    const failed: string[] = []
    let wrong: unknown
    const remove = (picture: string) =>
      files.remove(picture).then(
        () => void removed.push(picture),
        (error: unknown) => {
          failed.push(picture)
          wrong = error
        },
      )
    for (let from = 0; from < pictures.length; from += abreast)
      await Promise.all(pictures.slice(from, from + abreast).map(remove))
    if (removed.length > 0) await store.removed(removed, at)
    if (failed.length > 0) {
      // They hold up no others, however many they are.
      await store.postpone(failed, at + again)
      onFailure(failed.length, wrong)
    }
    return pictures.length
  }
}
