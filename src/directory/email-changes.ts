import type { Actor } from './actor.ts'
import { allow, seen } from './asking.ts'
import { claim } from './claims.ts'
import type { ChangeEmail, Request, Update } from './command.ts'
import { uselessToken } from './decide-email.ts'
import type { Context, Result } from './directory.ts'
import {
  type Confirm,
  changeIdIn,
  confirmersFor,
  type EmailChange,
  type Proof,
  proofOf,
  stateAt,
  tokenOf,
} from './email-change.ts'
import { createEmailRequests, type EmailRules, secretsFrom } from './email-requests.ts'
import { afterCommit, DirectoryError, refusal } from './errors.ts'
import { whileOutdated } from './outdated.ts'
import type { Patch } from './patch.ts'
import type { Store } from './store.ts'
import type { User } from './user.ts'

export interface EmailChangesOptions {
  readonly store: Pick<Store, 'get' | 'find' | 'receipt' | 'emailChanges'>
  readonly rules: EmailRules | undefined
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly newChangeId: () => string
  /** Carries a command out, for what it comes to. */
  readonly change: (command: ChangeEmail | Update) => Promise<Result>
}

export interface RequestAsked extends Request {
  readonly id: number
  /** As sent; what is no address is `invalid`. */
  readonly email: unknown
  /** The caller is told the token, to bring it to the person; whether it is mailed there as well. */
  readonly handsOut?: { readonly mailed: boolean } | undefined
}

/** One step of a change that is there. */
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

/** Whoever has this change in hand, and its state as it is to be shown; undefined in a preview. */
export type StepResult = Result & { readonly change: EmailChange | undefined }

/** The use cases of e-mail changes. They reject as those of the directory do. */
export function createEmailChanges({
  store,
  rules,
  now,
  newChangeId,
  change: carryOut,
}: EmailChangesOptions) {
  const requests = createEmailRequests({ store, rules, now })
  const { isTaken, counted, confirmed, wouldSend, needed } = requests
  const shown = (change: EmailChange): EmailChange => ({ ...change, state: stateAt(change, now()) })

  /** The user first: whatever happens in between makes another version of them, and is noticed. */
  async function read(id: number, changeId: string) {
    const user = await store.get(id)
    const change = await store.emailChanges.get(changeId)
    return { user, change: change?.userId === id ? change : undefined }
  }

  /** Of a preview there is none: it would be told as it is, and not as it would be. */
  async function withChange(result: Result, changeId: string | null): Promise<StepResult> {
    if (result.fields !== undefined || changeId === null) return { ...result, change: undefined }
    const change = await afterCommit(store.emailChanges.get(changeId))
    return { ...result, change: change && shown(change) }
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
    return withChange(result, changeId)
  }

  /** By a token that somebody was sent. */
  async function prove(
    { requestId, contract, dryRun }: Anonymous,
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
    const result = await take({ actor, requestId, dryRun }, found.userId, found.id, {
      missing: useless,
      stepOn,
    })
    return withChange(result, found.id)
  }

  async function findBy(token: string): Promise<EmailChange | undefined> {
    const changeId = changeIdIn(token)
    return changeId === undefined ? undefined : store.emailChanges.get(changeId)
  }

  async function peek(token: string): Promise<Peeked | undefined> {
    const change = await findBy(token)
    const user = change && (await store.get(change.userId))
    const proof = change && user && proofOf(change, user, token, now())
    if (change === undefined || proof === undefined) return undefined
    return { proof, change, isOwn: user?.email === change.newEmail }
  }

  return {
    prepareAll: requests.prepareAll,
    counted,
    confirmed,
    peek,

    /** What it takes to have the address of somebody new confirmed. */
    welcome: (): Confirm => ({ by: 'new', id: needed().newId(), secrets: secretsFrom(needed()) }),

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
      return {
        ...(await withChange(result, result.user.email_change)),
        ...(token !== undefined && { token }),
      }
    },

    /**
     * To another address: a new mail goes there, and what was confirmed is to be confirmed anew, by those whose
     * word it would take if the actor asked for it now, and by those whose word it took.
     * @param asked with the address as sent
     */
    correct(context: Context, asked: EmailStepAsked & { readonly email: unknown }): Promise<StepResult> {
      const { email, ...request } = asked
      const stepOn = async (): Promise<Step> => {
        const taken = typeof email === 'string' && (await isTaken(context.actor, asked.id, email))
        const by = confirmersFor(context.actor, needed().mode) ?? 'new'
        return { do: 'correct', email, by, secrets: secretsFrom(needed()), isTaken: taken }
      }
      return step(context, request, stepOn, typeof email === 'string' ? { email } : undefined)
    },

    /** Sends the mails once more that ask for a confirmation; those sent before are worth nothing then. */
    resend: (context: Context, asked: EmailStepAsked): Promise<StepResult> =>
      step(context, asked, async () => ({ do: 'resend', secrets: secretsFrom(needed()) }), {}),

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
export interface Anonymous extends Pick<Request, 'dryRun'> {
  readonly requestId: string
  readonly contract: string
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
