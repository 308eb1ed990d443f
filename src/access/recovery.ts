import { randomBytes, randomUUID } from 'node:crypto'
import { claim } from '../directory/claims.ts'
import type { Credentials } from '../directory/credentials.ts'
import type { Directory } from '../directory/directory.ts'
import type { Document } from '../directory/document.ts'
import { DirectoryError, type Problem, refusal } from '../directory/errors.ts'
import { isEmail } from '../directory/field-types.ts'
import type { Taken } from '../directory/mail.ts'
import { whileOutdated } from '../directory/outdated.ts'
import type { Store } from '../directory/store.ts'
import type { User } from '../directory/user.ts'
import { take } from './attempts.ts'
import { hashOf } from './authenticate.ts'
import { subjectOf } from './limits.ts'
import type { Passwords } from './passwords.ts'
import type { Count, Rate } from './windows.ts'

export interface RecoveryOptions {
  readonly store: Pick<Store, 'get' | 'find' | 'credentials' | 'documents' | 'outbox'>
  readonly directory: Pick<Directory, 'setPassword'>
  readonly passwords: Pick<Passwords, 'hash'>
  /** Makes what counts under a name: in memory, or shared by nodes. */
  readonly counting: (name: string, rate: Rate) => Count
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  /** Called when there is a mail to be sent. */
  readonly onMail: () => void
}

export interface Reset {
  /** What the link in the mail has. */
  readonly token: string
  readonly password: string
  /** What is wrong with the password: told to whoever has a good token, and keeps the token good. */
  readonly fault: string | undefined
  readonly ip: string
  readonly requestId: string
  /** The contract that it comes through, for the change log. */
  readonly contract: string
}

/** How often it may be asked for: from an IP address, and for an e-mail address, whether anybody has it or not. */
export const recoveryLimits = {
  ofAddress: { quota: 20, seconds: 900 },
  ofEmail: { quota: 5, seconds: 3_600 },
  ofTokens: { quota: 30, seconds: 300 },
} as const

/** Milliseconds for which a link is good, and for which it is tried to send the mail. */
const tokenLife = 3_600_000

const kind = 'Recovery'

/**
 * Gives people who have forgotten their password another one, by a link that is mailed to the address in
 * their record. It is good once, for an hour, and until the password or the address changes; kept of it is the
 * SHA-256.
 */
export function createRecovery(options: RecoveryOptions) {
  const { store, directory, passwords, counting, now, onMail } = options
  const ofAddress = counting('recovery-address', recoveryLimits.ofAddress)
  const ofEmail = counting('recovery-email', recoveryLimits.ofEmail)
  const ofTokens = counting('recovery-token', recoveryLimits.ofTokens)

  /** Whom a link is for, as they are now; undefined where it is worth nothing, or not any more. */
  async function ownerOf(token: string): Promise<User | undefined> {
    const found = await store.documents.find(kind, hashOf(token))
    if (found === undefined || found.userId === null || (found.expiresAt ?? 0) <= now()) return undefined
    // The record first: a password that is changed after this makes a version that is not the one read here.
    const user = await store.get(found.userId)
    const known = await store.credentials(found.userId)
    if (user === undefined || user.email === null || known?.status !== 'active') return undefined
    const { address, state } = found.payload
    return address === markOf(user.email) && state === stateOf(known) ? user : undefined
  }

  async function reset({ token, password, fault, requestId, contract }: Reset): Promise<User> {
    let hash: string | undefined
    // Somebody may change the record meanwhile: perhaps by this link, which is worth nothing then.
    return whileOutdated('version', async () => {
      const user = await ownerOf(token)
      if (user === undefined) throw new DirectoryError(endedLink)
      if (fault !== undefined)
        throw new DirectoryError(refusal('invalid', 'The request is not valid', [weak(fault)]))
      hash ??= await passwords.hash(password)
      const actor = { kind: 'person', id: String(user.id), scopes: ['write'], contract } as const
      const basis = { version: user.version }
      const asked = { id: user.id, password: hash, basis, provesEmail: true }
      return (await directory.setPassword({ actor, requestId }, asked)).user
    })
  }

  return {
    /**
     * Has a link mailed to whoever has the address. What is done here is the same whether anybody has it:
     * that is looked up when the mail is sent (`linkFor`).
     * @throws DirectoryError `invalid` for what is no address; `rate_limited`; `unavailable`
     */
    async request(address: string, ip: string): Promise<void> {
      const to = address.slice(0, 1_000).normalize('NFC')
      if (to.length > 254 || !isEmail(to)) throw new DirectoryError(noAddress)
      await take(
        [ofAddress, subjectOf(ip), recoveryLimits.ofAddress],
        [ofEmail, markOf(to), recoveryLimits.ofEmail],
      )
      const at = now()
      const about = { to, userId: null, at, expiresAt: at + tokenLife, values: {} }
      await store.outbox.add({ id: randomUUID(), kind: 'recover_password', ...about })
      onMail()
    },

    /** Makes the link for a mail that was asked for; undefined where there is nobody to send it to. */
    async linkFor({ to }: Pick<Taken, 'to'>): Promise<{ user: User; token: string } | undefined> {
      const user = await store.find(claim('email', to))
      const known = user && (await store.credentials(user.id))
      if (user === undefined || user.email === null || known?.status !== 'active') return undefined
      const token = randomBytes(32).toString('base64url')
      const createdAt = now()
      const rest = { usedAt: null, group: null, alias: null, userId: user.id }
      const document: Document = {
        ...{ kind, id: hashOf(token), payload: { address: markOf(user.email), state: stateOf(known) } },
        ...{ createdAt, expiresAt: createdAt + tokenLife, ...rest },
      }
      await store.documents.put(document)
      return { user, token }
    },

    /** The address of whom a link is for; undefined where it is worth nothing, and no password is to be asked for. */
    addressOf: async (token: string): Promise<string | undefined> =>
      (await ownerOf(token))?.email ?? undefined,

    /**
     * Gives the link's owner another password, which ends the link and all that was issued to them. Their
     * address is verified by that: the link was mailed there.
     * @returns them as they are now
     * @throws DirectoryError `not_found` where the link is worth nothing; `invalid` for the password;
     * `rate_limited` after too many worthless links; `unavailable`
     */
    async reset(asked: Reset): Promise<User> {
      const forgive = await take([ofTokens, subjectOf(asked.ip), recoveryLimits.ofTokens])
      let isGuess = false
      try {
        return await reset(asked)
      } catch (error) {
        isGuess = error instanceof DirectoryError && error.code === 'not_found'
        throw error
      } finally {
        if (!isGuess) await forgive()
      }
    },
  }
}

export type Recovery = ReturnType<typeof createRecovery>

/** Tells addresses apart without being one. */
function markOf(address: string): string {
  return hashOf(claim('email', address).key)
}

/**
 * What a link is good for: until there is another password, or all that was issued has ended. Times are not
 * compared, since each node has a clock of its own.
 */
function stateOf({ password, tokensValidFrom }: Credentials): string {
  return hashOf(`${tokensValidFrom} ${password ?? ''}`)
}

const noAddress = refusal('invalid', 'The request is not valid', [
  { field: 'email', message: 'must be an e-mail address like name@example.com' },
])

const endedLink = refusal('not_found', 'The link is not good, or not any more')

const weak = (message: string): Problem => ({ property: 'password', message })
