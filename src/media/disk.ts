import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { unavailable } from '../directory/errors.ts'
import type { PictureFiles } from './files.ts'

/**
 * Pictures in a folder, one folder each, under the first two digits of their references. They are
 * written elsewhere, synced and then moved into place, so what is there is whole.
 *
 * What makes one last is a sync of each file for its bytes, of the folder that they are in for their names, and,
 * once that is moved, of the shelf for its name. Where it was moved from is left out: a move is on disk whole or
 * not at all, wherever there is a journal. Shelves stay, so their own names are synced when a process first uses them.
 */
export function keepOnDisk(folder: string): PictureFiles {
  const shelf = (picture: string) => join(folder, picture.slice(0, 2))
  const place = (picture: string) => join(shelf(picture), picture)
  const beside = () => join(folder, `${beginning}${randomUUID()}`)
  /** Folders whose own names are on disk: this process has synced what they are in since they were there. */
  const settled = new Set<string>()

  /** A name that is there may be new all the same: made by another that is under way, or by a process that was killed. */
  async function settle(made: string): Promise<void> {
    if (settled.has(made)) return
    await sync(dirname(made))
    settled.add(made)
  }

  async function write(picture: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const isNew = (await mkdir(shelf(picture), { recursive: true, mode: 0o700 })) !== undefined
    if (isNew) settled.clear()
    const made = beside()
    try {
      await mkdir(made, { mode: 0o700 })
      for (const [name, bytes] of files) await writeFile(join(made, name), bytes)
      await sync(made)
      await rename(made, place(picture)).catch(ignore('ENOTEMPTY', 'EEXIST'))
      await sync(shelf(picture))
      await settle(shelf(picture))
      await settle(folder)
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
      // Or it would be back after a power cut, with nobody left to look for it.
      await sync(shelf(picture)).catch(ignore('ENOENT'))
    },
  }
}

const beginning = 'new-'

/** Whether a folder of this name is one that was not in place yet, or not any more. */
export function isUnplaced(name: string): boolean {
  return name.startsWith(beginning)
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
