import type { Actor } from './actor.ts'
import { allow, seen } from './asking.ts'
import { claim } from './claims.ts'
import type { ChangeEmail, Once, Request, Update } from './command.ts'
import { uselessToken } from './decide-email.ts'
import type { Context, Result } from './directory.ts'
import {
  type AtOnce,
  type Confirm,
  changeIdIn,
  confirmersFor,
  type EmailChange,
  type EmailChangeMode,
  type Proof,
  proofOf,
  type Secrets,
  stateAt,
  tokenOf,
  undoableFor,
} from './email-change.ts'
import { DirectoryError, refusal } from './errors.ts'
import { whileOutdated } from './outdated.ts'
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

export interface EmailChangesOptions {
  readonly store: Pick<Store, 'get' | 'find' | 'receipt' | 'emailChanges'>
  readonly rules: EmailRules | undefined
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly newChangeId: () => string
  /** Carries a command out, for what it comes to. */
  readonly change: (command: ChangeEmail | Update) => Promise<Result>
}

/** One step of a change that is there. */
export interface RequestAsked extends Request {
  readonly id: number
  /** As sent; what is no address is `invalid`. */
  readonly email: unknown
  /** The caller is told the token, to bring it to the person; whether it is mailed there as well. */
  readonly handsOut?: { readonly mailed: boolean } | undefined
}

export interface EmailStepAsked extends Request {
  readonly id: number
  readonly changeId: string
}

/** What somebody shows who has read a mail, and what it has to be about where that is said. */
export interface Shown {
  readonly token: string
  readonly userId?: number
  readonly changeId?: string
  readonly email?: string
}

/** What a mail's token can do now. */
export interface Peeked {
  readonly proof: Proof
  /** Whether the address is the user's already, and all there is to do is to confirm it. */
  readonly isOwn: boolean
  readonly change: EmailChange
}

/** Whoever has this change in hand, and its state as it is to be shown; undefined in a preview of a new one. */
export type StepResult = Result & { readonly change: EmailChange | undefined }

/** The use cases of e-mail changes. They reject as those of the directory do. */
export function createEmailChanges({
  store,
  rules,
  now,
  newChangeId,
  change: carryOut,
}: EmailChangesOptions) {
  const secrets = ({ newSecret }: EmailRules): Secrets => ({ new: newSecret(), old: newSecret() })
  const shown = (change: EmailChange): EmailChange => ({ ...change, state: stateAt(change, now()) })

  /** The user first: whatever happens in between makes another version of them, and is noticed. */
  async function read(id: number, changeId: string) {
    const user = await store.get(id)
    const change = await store.emailChanges.get(changeId)
    return { user, change: change?.userId === id ? change : undefined }
  }

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
    const confirm: Confirm = { by, id: rules.newId(), secrets: secrets(rules), isAll: always, isHandedOut }
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

  /** Decides a step on the user and the change as they are, again where others come first. */
  async function take(
    of: Pick<ChangeEmail, 'actor' | 'requestId'> & Request,
    id: number,
    changeId: string,
    { missing, stepOn }: { missing: DirectoryError; stepOn: (change: EmailChange) => Promise<Step> },
  ): Promise<Result> {
    return whileOutdated('version', async () => {
      const { user, change } = await read(id, changeId)
      if (user === undefined || change === undefined) throw missing
      const basis = { version: user.version }
      const step = await stepOn(change)
      const own = { changeId: newChangeId(), at: now() }
      return carryOut({ ...of, ...own, kind: 'email_change', id, change, basis, step })
    })
  }

  async function step(
    { actor, requestId }: Context,
    { id, changeId, ...request }: EmailStepAsked,
    stepOn: (change: EmailChange) => Promise<Step>,
    send?: { readonly email?: string },
  ): Promise<StepResult> {
    allow(actor, 'change_email', id)
    const { user, change } = await read(id, changeId)
    seen(user)
    if (change === undefined) throw changeNotFound()
    const sends =
      send === undefined || request.dryRun ? [] : [{ id, email: send.email ?? change.newEmail, at: 0 }]
    const of = { ...request, actor, requestId }
    const preview = { ...of, dryRun: true, once: undefined }
    const due = await wouldSend(sends, request.once, () =>
      take(preview, id, changeId, { missing: changeNotFound(), stepOn }),
    )
    const result = await counted(
      due,
      () => take(of, id, changeId, { missing: changeNotFound(), stepOn }),
      ({ outcome, replayed }) => outcome === 'changed' && !replayed,
    )
    const after = await store.emailChanges.get(changeId)
    return { ...result, change: after && shown(after) }
  }

  /** By a token that somebody was sent. */
  async function prove(
    { requestId, contract }: Anonymous,
    { token, userId, changeId: said, email }: Shown,
    stepOn: (change: EmailChange) => Promise<Step>,
  ): Promise<StepResult> {
    const useless = new DirectoryError(uselessToken)
    const found = await findBy(token)
    if (found === undefined) throw useless
    const isMeant =
      (userId === undefined || userId === found.userId) &&
      (said === undefined || said === found.id) &&
      (email === undefined || claim('email', email).key === claim('email', found.newEmail).key)
    if (!isMeant) throw useless
    const actor: Actor = { kind: 'anonymous', id: null, scopes: [], contract }
    const result = await take({ actor, requestId }, found.userId, found.id, { missing: useless, stepOn })
    const after = await store.emailChanges.get(found.id)
    return { ...result, change: after && shown(after) }
  }

  async function findBy(token: string): Promise<EmailChange | undefined> {
    const changeId = changeIdIn(token)
    return changeId === undefined ? undefined : store.emailChanges.get(changeId)
  }

  function needed(): EmailRules {
    if (rules === undefined) throw new Error('this directory has no rules for e-mail changes')
    return rules
  }

  async function peek(token: string): Promise<Peeked | undefined> {
    const change = await findBy(token)
    const user = change && (await store.get(change.userId))
    const proof = change && user && proofOf(change, user, token, now())
    if (change === undefined || proof === undefined) return undefined
    return { proof, change, isOwn: user?.email === change.newEmail }
  }

  return {
    prepareAll,
    counted,
    confirmed,
    peek,

    /** What it takes to have the address of somebody new confirmed. */
    welcome: (): Confirm => ({ by: 'new', id: needed().newId(), secrets: secrets(needed()) }),

    /** Those of a user, the latest first. */
    async list({ actor }: Context, id: number): Promise<readonly EmailChange[]> {
      allow(actor, 'read', id)
      seen(await store.get(id))
      return (await store.emailChanges.list(id)).map(shown)
    },

    async get({ actor }: Context, id: number, changeId: string): Promise<EmailChange> {
      allow(actor, 'read', id)
      const { user, change } = await read(id, changeId)
      seen(user)
      if (change === undefined) throw changeNotFound()
      return shown(change)
    },

    /**
     * Asks for a change, which is confirmed whatever the setting is; one that is pending is cancelled.
     * @returns with the token, where the caller brings it to the person
     */
    async request(context: Context, asked: RequestAsked): Promise<StepResult & { readonly token?: string }> {
      const { id, email, handsOut, ...request } = asked
      allow(context.actor, 'change_email', id)
      if (handsOut && !context.actor.vouched) throw new Error('only the operator’s backend is handed tokens')
      const patch = { email }
      let token: string | undefined
      const result = await confirmed(
        context,
        { ...request, id, patch, required: request.problems?.length ? [] : (['email'] as const) },
        ({ confirm, ...all }) => {
          if (handsOut && confirm !== undefined) token = tokenOf(confirm.id, confirm.secrets.new)
          const { actor, requestId } = context
          const own = { actor, requestId, changeId: newChangeId(), at: now() }
          return carryOut({ ...all, ...own, kind: 'update', confirm })
        },
        { always: true, isHandedOut: handsOut && !handsOut.mailed },
      )
      const { email_change } = result.user
      const change = email_change === null ? undefined : await store.emailChanges.get(email_change)
      return { ...result, change: change && shown(change), ...(token !== undefined && { token }) }
    },

    /**
     * To another address: a new mail goes there, and what was confirmed is to be confirmed anew.
     * @param asked with the address as sent
     */
    correct(context: Context, asked: EmailStepAsked & { readonly email: unknown }): Promise<StepResult> {
      const { email, ...request } = asked
      const stepOn = async (): Promise<Step> => {
        const taken = typeof email === 'string' && (await isTaken(context.actor, asked.id, email))
        return { do: 'correct', email, secrets: secrets(needed()), isTaken: taken }
      }
      return step(context, request, stepOn, typeof email === 'string' ? { email } : undefined)
    },

    /** Sends the mails once more that ask for a confirmation; those sent before are worth nothing then. */
    resend: (context: Context, asked: EmailStepAsked): Promise<StepResult> =>
      step(context, asked, async () => ({ do: 'resend', secrets: secrets(needed()) }), {}),

    cancel: (context: Context, asked: EmailStepAsked): Promise<StepResult> =>
      step(context, asked, async () => ({ do: 'cancel' })),

    /**
     * Confirms by what was mailed; the address changes with the last word that is needed.
     * Rejects with `invalid` where the token is good for nothing, with `conflict` where somebody else has
     * the address by now: whoever is told so reads its mail.
     */
    confirm: (context: Anonymous, { token, ...bound }: Shown): Promise<StepResult> =>
      prove(context, { token, ...bound }, async () => ({
        ...{ do: 'confirm', token, undoSecret: needed().newSecret() },
      })),

    /** Puts the old address back, by what was mailed there, and ends what was issued since. Rejects as `confirm`. */
    revert: (context: Anonymous, { token, ...bound }: Shown): Promise<StepResult> =>
      prove(context, { token, ...bound }, async () => ({ do: 'revert', token })),

    /** Whether a token can confirm a change of this user now. */
    async isUsable(userId: number, token: string): Promise<boolean> {
      const found = await peek(token)
      return found !== undefined && found.proof !== 'undo' && found.change.userId === userId
    },
  }
}

type Step = ChangeEmail['step']

/** Whoever has been sent a mail needs no more to be let in than what it says. */
export interface Anonymous {
  readonly requestId: string
  readonly contract: string
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

const changeNotFound = () => new DirectoryError(refusal('not_found', 'E-mail change not found'))

/** Whether an address that a patch sets waits to be confirmed, after what came of it. */
export function isPendingIn(patch: Patch, { email, email_change }: User): boolean {
  const sent = patch.email
  return typeof sent === 'string' && typeof email_change === 'string' && sent.normalize() !== email
}

/** Changes that are ended at once, at most. */
const mostExpired = 50

/**
 * Ends changes whose time is over: a committed change of the user each, which the log explains.
 * @returns how many
 */
export async function expireEmailChanges(
  store: Pick<Store, 'get' | 'change' | 'emailChanges'>,
  { at, newChangeId }: { readonly at: number; readonly newChangeId: () => string },
): Promise<number> {
  let count = 0
  for (const { id: changeId, userId: id } of await store.emailChanges.due(at, mostExpired)) {
    const user = await store.get(id)
    const change = await store.emailChanges.get(changeId)
    if (user === undefined || change === undefined) continue
    const basis = { version: user.version }
    const by = { actor: service, requestId: 'tidy', changeId: newChangeId(), at }
    // Whoever comes first, another node or the person, has made it not pending any more.
    const { outcome } = await store.change({
      ...by,
      ...{ kind: 'email_change', id, change, basis, step: { do: 'expire' } },
    })
    if (outcome === 'committed') count++
  }
  return count
}

const service: Actor = { kind: 'operator', id: null, scopes: ['write'], contract: 'operator' }
