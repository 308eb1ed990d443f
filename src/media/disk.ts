import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { unavailable } from '../directory/errors.ts'
import type { PictureFiles } from './files.ts'

/**
 * Pictures in a folder, one folder each, under the first two digits of their references. They are
 * written elsewhere, synced and then moved into place, so what is there is whole.
 */
export function keepOnDisk(folder: string): PictureFiles {
  const shelf = (picture: string) => join(folder, picture.slice(0, 2))
  const place = (picture: string) => join(shelf(picture), picture)
  const beside = () => join(folder, `new-${randomUUID()}`)
  let ready: Promise<void> | undefined

  async function prepare(): Promise<void> {
    await makeFolder(folder)
    await sweep(folder)
  }

  async function write(picture: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    ready ??= prepare().catch((error: unknown) => {
      ready = undefined
      throw error
    })
    await ready
    const made = beside()
    try {
      await mkdir(made, { mode: 0o700 })
      for (const [name, bytes] of files) await writeFile(join(made, name), bytes)
      await sync(made)
      if (await makeFolder(shelf(picture))) await sync(folder)
      await rename(made, place(picture)).catch(ignore('ENOTEMPTY', 'EEXIST'))
      await sync(shelf(picture))
    } finally {
      // It is not there any more where it was moved.
      await rm(made, { recursive: true, force: true })
    }
  }

  return {
    put: async (picture, files) => {
      try {
        await write(picture, files)
      } catch (error) {
        throw unavailable('The picture can not be stored now', error)
      }
    },
    get: async (picture, file) => readFile(join(place(picture), file)).catch(ignore('ENOENT')),
    async remove(picture) {
      const gone = beside()
      await rename(place(picture), gone).catch(ignore('ENOENT'))
      await rm(gone, { recursive: true, force: true })
    },
  }
}

function ignore(...codes: readonly string[]): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (!codes.includes(error.code ?? '')) throw error
    return undefined
  }
}

async function writeFile(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A name is on disk when its folder is (fsync(2)). */
async function sync(folder: string): Promise<void> {
  const opened = await open(folder, 'r')
  try {
    await opened.sync()
  } finally {
    await opened.close()
  }
}

/** @returns whether it was not there */
async function makeFolder(path: string): Promise<boolean> {
  return (await mkdir(path, { recursive: true, mode: 0o700 })) !== undefined
}

/** Milliseconds after which a folder is one that a killed process has left behind. */
const leftAfter = 3_600_000

async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith('new-')) continue
    const path = join(folder, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (mtimeMs < Date.now() - leftAfter) await rm(path, { recursive: true, force: true })
  }
}
