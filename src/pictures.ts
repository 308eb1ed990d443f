import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
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
export function startPictures(config: Config, store: PictureStore, log: Logger) {
  const folder = resolve(config.folder)
  const { media, accessKeyId, secretAccessKey } = config
  const files =
    media === undefined
      ? keepOnDisk(join(folder, 'media'))
      : keepInBucket({ ...media, accessKeyId, secretAccessKey })
  const renderer = createRenderer()
  const spool = createSpool({ folder: join(folder, 'uploads'), maxBytes: config.maxPicture })
  const onFailure = (pictures: number, err: unknown) =>
    log.warn({ pictures, err }, 'files of pictures could not be removed; it is tried again in an hour')
  const endCollecting = keepTidy({ expire: createCollector({ store, files, onFailure }) }, Date.now)
  if (config.databaseUrl !== undefined && media === undefined)
    log.warn(
      { folder: join(folder, 'media') },
      'pictures are kept in a folder: where there are several nodes, all of them must share it, or ROSTER_MEDIA must name a bucket',
    )
  return {
    pictures: createPictures({ store, files, renderer, spool, now: Date.now }),
    async close() {
      endCollecting()
      await renderer.close()
    },
  }
}
