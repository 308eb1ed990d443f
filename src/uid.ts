import { randomBytes } from 'node:crypto'

const letters = '0123456789abcdefghijklmnopqrstuvwxyz'

/** `usr_` and 16 random characters: 82 bits. */
export function newUid(): string {
  let uid = 'usr_'
  while (uid.length < 20) {
    // 252 is the largest multiple of 36 below 256: each letter is as likely as the next.
    for (const byte of randomBytes(24)) if (byte < 252 && uid.length < 20) uid += letters[byte % 36]
  }
  return uid
}
