import { join, resolve } from 'node:path'
import type { Config } from './config.ts'
import type { PictureStore } from './directory/picture.ts'
import { createCollector } from './media/collector.ts'
import { keepOnDisk } from './media/disk.ts'
import { createPictures } from './media/pictures.ts'
import { createRenderer } from './media/renderer.ts'
import { keepInBucket } from './media/s3.ts'
import { createSpool } from './media/spool.ts'
import { keepTidy } from './tidy.ts'

/** What takes, keeps and removes pictures, put together as the settings ask. */
export function startPictures(config: Config, store: PictureStore) {
  const folder = resolve(config.folder)
  const { media, accessKeyId, secretAccessKey } = config
  const files =
    media === undefined
      ? keepOnDisk(join(folder, 'media'))
      : keepInBucket({ ...media, accessKeyId, secretAccessKey })
  const renderer = createRenderer()
  const spool = createSpool({ folder: join(folder, 'uploads'), maxBytes: config.maxPicture })
  const endCollecting = keepTidy({ expire: createCollector({ store, files }) }, Date.now)
  return {
    pictures: createPictures({ store, files, renderer, spool, now: Date.now }),
    async close() {
      endCollecting()
      await renderer.close()
    },
  }
}
