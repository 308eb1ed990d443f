import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { Actor } from '../directory/actor.ts'
import { DirectoryError, type Problem, refusal } from '../directory/errors.ts'

/**
 * The door of the contracts whose pages know no credentials, for those who bring none. It is closed
 * unless it was opened on purpose, and open to this machine only unless that was meant too. Whoever
 * brings an API key does not pass through here: a page that a browser was tricked into loading has none.
 */
export type Openness = 'never' | 'loopback' | 'always'

export interface DoorOptions {
  readonly open: Openness
  /** Origins that may call from a browser, besides loopback ones where the door is open to loopback. */
  readonly origins: readonly string[]
}

export type Knock = Pick<IncomingMessage, 'method' | 'headers'> & {
  readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>
}

const howToOpen =
  'An API key is needed, as Authorization: Bearer; roster key create makes one. Start Roster with ROSTER_OPEN_CONTRACTS=loopback to open this contract to this machine without one, or with --demo to try it out'

const forwardingHeaders = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
]

/**
 * @returns who is let in through a contract
 * @throws DirectoryError `unauthenticated` where the door is closed; `misdirected` for a foreign Host
 *   (DNS rebinding, RFC 9110 section 15.5.20); `forbidden` for peers, proxies and origins from elsewhere
 */
export function createDoor({ open, origins }: DoorOptions): (knock: Knock, contract: string) => Actor {
  return (knock, contract) => {
    if (open === 'never') throw new DirectoryError(refusal('unauthenticated', howToOpen))
    if (open === 'loopback') requireLoopback(knock, origins)
    return { kind: 'anonymous', id: null, scopes: ['read', 'write'], contract }
  }
}

function requireLoopback({ method, headers, socket }: Knock, origins: readonly string[]): void {
  if (!isLoopbackPeer(socket.remoteAddress ?? '')) {
    throw refused('forbidden', 'Only this machine may use this contract')
  }
  if (!isLoopbackAuthority(headers.host ?? '')) {
    throw refused('misdirected', 'This contract answers to localhost, 127.0.0.1 and [::1] only', 'Host')
  }
  for (const name of forwardingHeaders) {
    if (headers[name] !== undefined) {
      throw refused('forbidden', 'This contract is open to this machine only, not through a proxy', name)
    }
  }
  const { origin } = headers
  if (origin !== undefined && method !== 'GET' && method !== 'HEAD' && !isAllowedOrigin(origin, origins)) {
    throw refused(
      'forbidden',
      'Pages of this origin may not write; ROSTER_CORS_ORIGINS lists those that may',
      'Origin',
    )
  }
}

function refused(code: 'forbidden' | 'misdirected', message: string, header?: string): DirectoryError {
  const problems: Problem[] = header === undefined ? [] : [{ property: header, location: 'header', message }]
  return new DirectoryError(refusal(code, message, problems))
}

/** Whether the browser's page may call, where loopback pages may. */
export function isAllowedOrigin(origin: string, listed: readonly string[]): boolean {
  if (listed.includes(origin)) return true
  const url = URL.parse(origin)
  return (
    url !== null && /^https?:$/.test(url.protocol) && url.origin === origin && isLoopbackName(url.hostname)
  )
}

/** Whether the Host of a request names this machine. */
const isLoopbackAuthority = remembered((host) => isLoopbackName(host.replace(/:\d+$/, '')))

const isLoopbackPeer = remembered(isLoopbackAddress)

/** Judges again only what is not what was judged last: most requests come from where the one before came. */
function remembered(judge: (text: string) => boolean): (text: string) => boolean {
  let [last, verdict] = ['', judge('')]
  return (text) => {
    if (text !== last) [last, verdict] = [text, judge(text)]
    return verdict
  }
}

function isLoopbackName(name: string): boolean {
  return name === '127.0.0.1' || name === '[::1]' || name.toLowerCase() === 'localhost'
}

/** Whether only this machine can reach an address to listen on, or a peer is this machine. */
export function isLoopbackAddress(address: string): boolean {
  if (address === 'localhost' || address === '::1') return true
  const v4 = address.startsWith('::ffff:') ? address.slice(7) : address
  return isIP(v4) === 4 && v4.startsWith('127.')
}

/** Whether it is known who answers at an address: keys that came over a network in the clear would be anybody's. */
export function isSafeUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.username + url.password + url.hash !== '') return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackAddress(url.hostname))
}
