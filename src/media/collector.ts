import type { PictureStore } from '../directory/picture.ts'
import type { PictureFiles } from './files.ts'

export interface CollectorOptions {
  readonly store: Pick<PictureStore, 'giveUp' | 'removed'>
  readonly files: Pick<PictureFiles, 'remove'>
  /** Milliseconds that a picture is kept which nothing refers to any more. */
  readonly grace?: number
}

const day = 86_400_000

/**
 * Removes the files of pictures that have been unused for a day: those that were replaced, and those of
 * uploads that came to nothing. Of somebody who was erased, at once.
 * @returns does a few, and tells how many; 0 when none is left
 */
export function createCollector({ store, files, grace = day }: CollectorOptions) {
  return async (at: number): Promise<number> => {
    const pictures = await store.giveUp(at - grace, at)
    // One whose files can not be removed now is given again next time, and holds up no other.
    const gone = await Promise.all(
      pictures.map((picture) =>
        files.remove(picture).then(
          () => [picture],
          () => [],
        ),
      ),
    )
    const removed = gone.flat()
    if (removed.length > 0) await store.removed(removed, at)
    return removed.length
  }
}
