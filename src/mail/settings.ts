import { isEmail } from '../directory/field-types.ts'
import type { Sender } from './message.ts'

/**
 * The mail server of a setting. Says nothing of what it was given: it may hold a password.
 * @throws Error saying what would be right
 */
export function smtpUrl(text: string): string | undefined {
  if (text === '') return undefined
  const url = URL.parse(text)
  if (url === null || !/^smtps?:$/.test(url.protocol) || !isAuthority(url) || !isDecodable(url)) {
    throw new Error('must be like smtp://user:password@host:587, with special characters percent-encoded')
  }
  return text
}

/** A host, with both of user and password or neither, and nothing else. */
function isAuthority({ hostname, username, password, pathname, search, hash }: URL): boolean {
  const isBare = (pathname === '' || pathname === '/') && search + hash === ''
  return hostname !== '' && isBare && (username === '') === (password === '')
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}

/**
 * An address, or a name and an address (RFC 5322, section 3.4).
 * @throws Error saying what would be right
 */
export function mailFrom(text: string): Sender | undefined {
  if (text === '') return undefined
  const [, name = '', address = text] = /^([^<>]*)<([^<>]+)>$/.exec(text) ?? []
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
  if (!isEmail(address) || /[\x00-\x1f\x7f]/.test(name)) {
    throw new Error('must be like Example <accounts@example.com>')
  }
  return { name: name.trim().replace(/^"(.*)"$/, '$1'), address }
}
