import { mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import type { Deliver } from './deliver.ts'
import { toNodemailer } from './message.ts'

/** Writes mails into a folder, each into a file that mail programs open (RFC 5322), for its owner only. */
export function deliverToFolder(folder: string): Deliver {
  const transport = createTransport({ streamTransport: true, buffer: true, newline: 'unix' })
  return async (message) => {
    const { message: bytes } = await transport.sendMail(toNodemailer(message))
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const name = `${message.date.toISOString().replaceAll(':', '-')}-${message.id}.eml`
    const path = join(folder, name)
    const file = await open(`${path}.part`, 'w', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.part`, path)
    // A name is on disk when its folder is (fsync(2)).
    const opened = await open(folder, 'r')
    try {
      await opened.sync()
    } finally {
      await opened.close()
    }
  }
}
