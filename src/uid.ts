import { randomBytes } from 'node:crypto'

const letters = '0123456789abcdefghijklmnopqrstuvwxyz'

export const newUid = () => newName('usr_')
export const newEmailChangeId = () => newName('emc_')

/** A prefix and 16 random characters: 82 bits. */
function newName(prefix: string): string {
  let uid = prefix
  while (uid.length < 20) {
    // 252 is the largest multiple of 36 below 256: each letter is as likely as the next.
    for (const byte of randomBytes(24)) if (byte < 252 && uid.length < 20) uid += letters[byte % 36]
  }
  return uid
}
