import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { PictureFiles } from './files.ts'

/** What every place for the files of pictures must do. */
export function filesConformance(name: string, open: () => Promise<PictureFiles>): void {
  const reference = (text: string) => createHash('sha256').update(text).digest('hex')
  const bytes = (text: string) => new TextEncoder().encode(text)
  const pictureOf = (text: string) =>
    new Map([
      ['512.webp', bytes(`${text} large`)],
      ['64.webp', Buffer.alloc(200_000, text)],
    ])
  const read = async (files: PictureFiles, picture: string, file: string) => {
    const found = await files.get(picture, file)
    return found && Buffer.from(found).toString()
  }

  describe(`${name} as a place for pictures`, () => {
    test('has what was put there, byte for byte, also for whoever comes later', async () => {
      const picture = reference('ann')
      await (await open()).put(picture, pictureOf('ann'))
      const files = await open()
      expect(await read(files, picture, '512.webp')).toBe('ann large')
      expect(Buffer.from((await files.get(picture, '64.webp')) ?? '')).toEqual(Buffer.alloc(200_000, 'ann'))
    })

    test('has nothing else', async () => {
      const files = await open()
      await files.put(reference('bob'), pictureOf('bob'))
      expect(await files.get(reference('bob'), '128.webp')).toBeUndefined()
      expect(await files.get(reference('nobody'), '512.webp')).toBeUndefined()
    })

    test('takes the same again, also at once', async () => {
      const files = await open()
      const picture = reference('eve')
      await Promise.all([1, 2, 3, 4].map(() => files.put(picture, pictureOf('eve'))))
      await files.put(picture, pictureOf('eve'))
      expect(await read(files, picture, '512.webp')).toBe('eve large')
    })

    test('removes a picture and no other, and minds none that is not there', async () => {
      const files = await open()
      const [one, other] = [reference('one'), reference('other')]
      await files.put(one, pictureOf('one'))
      await files.put(other, pictureOf('other'))
      await Promise.all([files.remove(one), files.remove(one), files.remove(reference('none'))])
      expect(await files.get(one, '512.webp')).toBeUndefined()
      expect(await files.get(one, '64.webp')).toBeUndefined()
      expect(await read(files, other, '512.webp')).toBe('other large')
      await files.put(one, pictureOf('again'))
      expect(await read(files, one, '512.webp')).toBe('again large')
    })
  })
}
