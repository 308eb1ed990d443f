import type { Actor } from './actor.ts'
import { claim } from './claims.ts'
import type { Once, Update } from './command.ts'
import type { Context, Result } from './directory.ts'
import {
  type AtOnce,
  type Confirm,
  confirmersFor,
  type EmailChangeMode,
  type Secrets,
  stateAt,
  undoableFor,
} from './email-change.ts'
import type { Patch } from './patch.ts'
import { recall } from './receipt.ts'
import type { Store } from './store.ts'
import type { User } from './user.ts'

/** How e-mail changes go here. */
export interface EmailRules {
  readonly mode: EmailChangeMode
  readonly newId: () => string
  readonly newSecret: () => string
  /**
   * Counts a mail to an address that is asked for in a user's name; rejects with a DirectoryError
   * `rate_limited` where there were too many.
   * @returns takes it back, where none was sent
   */
  readonly admit: (userId: number, address: string) => Promise<() => Promise<void>>
}

export interface EmailRequestsOptions {
  readonly store: Pick<Store, 'get' | 'find' | 'receipt' | 'emailChanges'>
  readonly rules: EmailRules | undefined
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
}

export interface RequestOptions {
  readonly always?: boolean
  /** The caller brings the token to the person. */
  readonly isHandedOut?: boolean | undefined
}

interface Prepared extends Pick<Update, 'confirm' | 'atOnce'> {
  readonly sends: readonly Send[]
}

/** A mail that may go to an address in a user's name. */
interface Send {
  readonly id: number
  readonly email: string
  /** Which of several operations it is for. */
  readonly at: number
}

/**
 * What a request that sets an address needs before it is a command: whose word it takes, and leave to send the
 * mails that ask for it.
 */
export function createEmailRequests({ store, rules, now }: EmailRequestsOptions) {
  async function isTaken(actor: Actor, id: number, email: string): Promise<boolean> {
    // A person is not told who is here; nor does it take longer where somebody is.
    if (actor.kind === 'person') return false
    const holder = await store.find(claim('email', email))
    return holder !== undefined && holder.id !== id
  }

  /**
   * Does something that may send mails in users' names, unless there were too many.
   * @param wasSent whether one of them was
   */
  async function counted<T>(
    sends: readonly Send[],
    work: () => Promise<T>,
    wasSent: (result: T, send: Send) => boolean,
  ): Promise<T> {
    const takeBack = new Map<Send, () => Promise<void>>()
    try {
      for (const send of sends) takeBack.set(send, await needed().admit(send.id, send.email))
      const result = await work()
      for (const send of sends) if (wasSent(result, send)) takeBack.delete(send)
      return result
    } finally {
      for (const give of takeBack.values()) await give()
    }
  }

  /**
   * What it takes to have an address confirmed that a patch sets; nothing where it is set at once.
   * @param always whether a confirmation is what is asked for
   */
  async function prepare(
    { actor }: Context,
    { id, patch, dryRun }: Pick<Update, 'id' | 'patch' | 'dryRun'>,
    { always = false, isHandedOut }: RequestOptions = {},
  ): Promise<Prepared> {
    if (rules === undefined) return { sends: [] }
    const by = confirmersFor(actor, rules.mode) ?? (always ? 'new' : undefined)
    if (by === undefined) return { atOnce: await atOnceFor(id, patch.email, rules), sends: [] }
    const confirm: Confirm = {
      by,
      id: rules.newId(),
      secrets: secretsFrom(rules),
      isAll: always,
      isHandedOut,
    }
    const { email } = patch
    if (typeof email !== 'string') return { confirm, sends: [] }
    const user = await store.get(id)
    if (user === undefined || user.email === email.normalize()) return { confirm, sends: [] }
    const known = always ? undefined : await pendingTo(email, user)
    const all = { ...confirm, known, isTaken: await isTaken(actor, id, email) }
    return { confirm: all, sends: known === undefined && !dryRun ? [{ id, email, at: 0 }] : [] }
  }

  /**
   * An address that is there for less than the time in which it can be undone is no owner's to go back to: somebody
   * may be putting right what was taken with it.
   */
  async function atOnceFor(id: number, email: unknown, { newId, newSecret }: EmailRules): Promise<AtOnce> {
    const own = { id: newId(), undoSecret: newSecret() }
    const user = typeof email === 'string' ? await store.get(id) : undefined
    if (user?.email_verified !== true || user.email === email) return { ...own, backTo: null }
    const last = await store.emailChanges.lastConfirmed(id)
    const replaced = last?.newEmail === user.email ? last.oldEmail : null
    const isNew = replaced !== null && now() < (last?.endedAt ?? 0) + undoableFor
    return { ...own, backTo: isNew ? null : user.email }
  }

  /** The same for the operations of a batch. */
  async function prepareAll<O extends { readonly kind: string; readonly patch: Patch }>(
    context: Context,
    operations: readonly (O | (O & Pick<Update, 'kind' | 'id' | 'dryRun' | 'once'>))[],
  ) {
    const sends: Send[] = []
    const asked: ((typeof operations)[number] & Pick<Update, 'confirm' | 'atOnce'>)[] = []
    for (const [at, operation] of operations.entries()) {
      if (!('id' in operation) || operation.patch.email === undefined) {
        asked.push(operation)
        continue
      }
      const { sends: own, ...prepared } = await prepare(context, operation)
      if (!(await isRepeated(operation.once))) sends.push(...own.map((send) => ({ ...send, at })))
      asked.push({ ...operation, ...prepared })
    }
    return { asked, sends }
  }

  /** Has an address confirmed first that the actor does not set at once. */
  async function confirmed<A extends Pick<Update, 'id' | 'patch' | 'dryRun' | 'once'>>(
    context: Context,
    asked: A,
    carryOut: (asked: A & Pick<Update, 'confirm' | 'atOnce'>) => Promise<Result>,
    options?: RequestOptions,
  ): Promise<Result> {
    const { sends, ...prepared } = await prepare(context, asked, options)
    const wasSent = ({ user, replayed }: Result) => user.email_change === prepared.confirm?.id && !replayed
    const all = { ...asked, ...prepared }
    const due = await wouldSend(sends, asked.once, () => carryOut({ ...all, dryRun: true, once: undefined }))
    return counted(due, () => carryOut(all), wasSent)
  }

  /** Whether a request with a key is told what came of it before, so that nothing is sent. */
  async function isRepeated(once: Once | undefined): Promise<boolean> {
    return once !== undefined && recall(await store.receipt(once), once, now()) !== undefined
  }

  /**
   * The mails to be counted before something is done: none where nothing will be. What is refused is refused for
   * what it is, however many mails there were.
   */
  async function wouldSend(
    sends: readonly Send[],
    once: Once | undefined,
    preview: () => Promise<Result>,
  ): Promise<readonly Send[]> {
    if (sends.length === 0 || (await isRepeated(once))) return []
    await preview()
    return sends
  }

  /** The change that would come of it again. */
  async function pendingTo(email: string, { email_change }: User): Promise<string | undefined> {
    const pending = email_change === null ? undefined : await store.emailChanges.get(email_change)
    const isSame = pending?.newEmail === email.normalize() && stateAt(pending, now()) === 'pending'
    return isSame ? pending.id : undefined
  }

  function needed(): EmailRules {
    if (rules === undefined) throw new Error('this directory has no rules for e-mail changes')
    return rules
  }

  return { isTaken, prepareAll, counted, confirmed, wouldSend, needed }
}

/** Fresh ones. */
export function secretsFrom({ newSecret }: EmailRules): Secrets {
  return { new: newSecret(), old: newSecret() }
}
