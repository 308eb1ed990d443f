import { S3mini } from 's3mini'
import { unavailable } from '../directory/errors.ts'
import type { PictureFiles } from './files.ts'
import { fileName, pictureType, sizes } from './formats.ts'

export interface BucketOptions {
  readonly bucket: string
  /** What all keys begin with, without a slash at either end; may be empty. */
  readonly prefix: string
  /** Of the service, without the bucket. */
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string | undefined
  readonly secretAccessKey: string | undefined
  /** Milliseconds that one request may take. */
  readonly patience?: number
}

const names = [...new Set(Object.values(sizes).flat())].map(fileName)

/**
 * Pictures in a bucket of Amazon S3 or of whatever speaks like it. A put is acknowledged when it is kept,
 * and nobody refers to a picture before all of its files are.
 */
export function keepInBucket({ bucket, prefix, endpoint, region, ...options }: BucketOptions): PictureFiles {
  const { accessKeyId = '', secretAccessKey = '', patience = 10_000 } = options
  const s3 = new S3mini({
    ...{ accessKeyId, secretAccessKey, region },
    // The bucket in the path: every service knows it, and a name with dots needs no certificate of its own.
    endpoint: `${endpoint}/${bucket}`,
    requestAbortTimeout: patience,
  })
  const key = (picture: string, file: string) => `${prefix === '' ? '' : `${prefix}/`}${picture}/${file}`

  return {
    async put(picture, files) {
      try {
        await Promise.all(
          [...files].map(([name, bytes]) =>
            s3.putObject(key(picture, name), Buffer.from(bytes), pictureType),
          ),
        )
      } catch (error) {
        throw unavailable('The picture can not be stored now', error)
      }
    },
    async get(picture, file) {
      try {
        const bytes = await s3.getObjectArrayBuffer(key(picture, file))
        return bytes === null ? undefined : new Uint8Array(bytes)
      } catch (error) {
        throw unavailable('The picture can not be read now', error)
      }
    },
    async remove(picture) {
      await Promise.all(names.map((name) => s3.deleteObject(key(picture, name))))
    },
  }
}
