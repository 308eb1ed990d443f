import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import type { PictureStore } from './directory/picture.ts'
import { createCollector } from './media/collector.ts'
import { isUnplaced, keepOnDisk } from './media/disk.ts'
import type { PictureFiles } from './media/files.ts'
import { createFinder, createPictures } from './media/pictures.ts'
import { createRenderer } from './media/renderer.ts'
import { keepInBucket } from './media/s3.ts'
import { createSpool, isSpooled } from './media/spool.ts'
import { sweep } from './media/sweep.ts'
import { keepTidy } from './tidy.ts'

/** What takes, keeps and removes pictures, put together as the settings ask. */
export function startPictures(config: Config, store: PictureStore, log: Logger) {
  const uploads = join(resolve(config.folder), 'uploads')
  const files = filesOf(config)
  const renderer = createRenderer()
  const spool = createSpool({ folder: uploads, maxBytes: config.maxPicture })
  const onFailure = (pictures: number, err: unknown) =>
    log.warn({ pictures, err }, 'files of pictures could not be removed; it is tried again in an hour')
  const told = new Set<string>()
  const onLeft = (path: string, err: unknown) => {
    // It is looked at every minute.
    if (!told.has(path)) log.warn({ path, err }, 'what is left of an upload could not be removed')
    told.add(path)
  }
  const tidying = [
    createCollector({ store, files, onFailure }),
    (at: number) => sweep(uploads, isSpooled, at, onLeft),
    ...(config.media === undefined ? [(at: number) => sweep(folderOf(config), isUnplaced, at, onLeft)] : []),
  ].map((expire) => keepTidy({ expire }, Date.now))
  if (config.databaseUrl !== undefined && config.media === undefined)
    log.warn(
      { folder: folderOf(config) },
      'pictures are kept in a folder: where there are several nodes, all of them must share it, or ROSTER_MEDIA must name a bucket',
    )
  return {
    pictures: createPictures({ store, files, renderer, spool, now: Date.now }),
    async close() {
      for (const endTidying of tidying) endTidying()
      await renderer.close()
    },
  }
}

/** Finds pictures that are here, for those who only refer to some. */
export function findPictures(config: Config, store: PictureStore): ReturnType<typeof createFinder> {
  return createFinder({ store, files: filesOf(config), now: Date.now })
}

function filesOf({ media, accessKeyId, secretAccessKey, ...config }: Config): PictureFiles {
  return media === undefined
    ? keepOnDisk(folderOf(config))
    : keepInBucket({ ...media, accessKeyId, secretAccessKey })
}

function folderOf({ folder }: Pick<Config, 'folder'>): string {
  return join(resolve(folder), 'media')
}
