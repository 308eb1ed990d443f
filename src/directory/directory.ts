import type { Actor } from './actor.ts'
import { allow, seen } from './asking.ts'
import { createAvatars } from './avatars.ts'
import { aborted } from './batch.ts'
import type { Change } from './change.ts'
import type { Command, Create, Import, Lifecycle, Once, Replace, SetPassword, Update } from './command.ts'
import { type Count, type Counted, isWrongCount, noCounters } from './counters.ts'
import { decide, named } from './decide.ts'
import { decideCount } from './decide-count.ts'
import type { Decision } from './decision.ts'
import { createEmailChanges, isPendingIn } from './email-changes.ts'
import type { EmailRules } from './email-requests.ts'
import { DirectoryError, type Refusal, refusal } from './errors.ts'
import type { Rules } from './field-types.ts'
import { createReading } from './reading.ts'
import { begun, comesFirst, recall, replay, type Told, wholeOf } from './receipt.ts'
import { createRunning } from './running.ts'
import { type Settings, usualSettings } from './settings.ts'
import { maxBatch, type Outcome, type Store } from './store.ts'
import type { User } from './user.ts'

/** What a use case needs to know of the request: who asks, and the id under which it is logged. */
export interface Context {
  readonly actor: Actor
  readonly requestId: string
}

export interface Dependencies {
  readonly store: Store
  readonly rules: Rules
  /** Milliseconds since 1970, UTC. */
  readonly now: () => number
  readonly newChangeId: () => string
  readonly newUid: () => string
  /** Left out, no address can be confirmed: keys set them at once, and people can not. */
  readonly emails?: EmailRules
  /** Called when what was committed may have brought a mail that is to be sent. */
  readonly onMail?: () => void
}

type Own = 'kind' | 'actor' | 'requestId' | 'changeId' | 'at' | 'uid'
type Asked<C extends Command> = Omit<C, Own>

/** A user as it stands after the command, and what it took to get there; for a preview, as it would stand. */
export interface Result {
  readonly user: User
  readonly outcome: 'created' | 'changed' | 'unchanged'
  /** The request came before, with the same idempotency key: this is what came of it then. */
  readonly replayed?: true
  /** The address that was sent waits to be confirmed, and the user has the old one. */
  readonly pending?: true
  /** Of a preview: old and new value of each field that would change. */
  readonly fields?: Change['fields']
}

/** The counters as they are after the change; for a preview, as they would be. */
export type CountResult = Exclude<Counted, { outcome: 'refused' }>

/** One operation of a batch. */
export type Operation =
  | ({ readonly kind: 'create' } & Omit<Asked<Create>, 'id'>)
  | ({ readonly kind: 'update' } & Asked<Update>)

/** What became of one operation of a batch; where one was refused, nothing was kept of any. */
export type BatchResult = Result | { readonly outcome: 'refused'; readonly refusal: Refusal }

/**
 * The use cases. Every method rejects with a DirectoryError: `unauthenticated` or `forbidden` where
 * policy.ts says so, `not_found` for who is not there to be seen, `invalid` with every problem at
 * once, `precondition_failed`, `conflict` naming the taken fields, `unavailable`.
 */
export type Directory = ReturnType<typeof createDirectory>

export function createDirectory({ store, rules, now, newChangeId, newUid, emails, onMail }: Dependencies) {
  const circumstances = ({ actor, requestId }: Context) => ({
    actor,
    requestId,
    changeId: newChangeId(),
    at: now(),
  })

  const running = createRunning()

  async function change(command: Command): Promise<Result> {
    const work = () =>
      // What is wrong already changes nothing, so it need not wait its turn among the writes.
      isWrong(command) ? judgeOnly(command) : store.change(command)
    const outcome = await (isOnce(command) ? alone([command], work) : work())
    if (outcome.outcome === 'committed' && mayMail(command)) onMail?.()
    return result(command, outcome)
  }

  /** Nothing else that has the same idempotency key runs in this node at the same time. */
  async function alone<T>(commands: readonly Command[], work: () => Promise<T>): Promise<T> {
    for (const command of commands) {
      const clash = isOnce(command) && running.clash(command.once)
      if (!clash) continue
      const decision = await judge(command)
      throw new DirectoryError(comesFirst(decision) ? decision.refusal : clash)
    }
    return running.during(
      commands.filter(isOnce).map(({ once }) => once),
      work,
    )
  }

  const { confirmed, ...emailChanges } = createEmailChanges({
    store,
    rules: emails,
    now,
    newChangeId,
    change,
  })

  async function judge(command: Command): Promise<Decision> {
    const current = command.id === undefined ? undefined : await store.get(command.id)
    return decide(current, named(command, command.id ?? 1), rules)
  }

  async function judgeOnly(command: Command): Promise<Outcome> {
    const decision = await judge(command)
    if (decision.outcome === 'commit') throw new Error('a command with problems was accepted')
    if (!isOnce(command) || comesFirst(decision)) return decision
    const whole = wholeOf(command.once)
    const started = whole && recall(await store.receipt(whole), whole, command.at)
    if (started?.outcome === 'refused') return started
    const known = recall(await store.receipt(command.once), command.once, command.at)
    return known === undefined ? decision : replay(known)
  }

  /** @throws DirectoryError `idempotency_mismatch` */
  function told(known: ReturnType<typeof recall>): Told | undefined {
    if (known?.outcome === 'refused') throw new DirectoryError(known.refusal)
    return known
  }

  async function changeAll(commands: readonly Command[]): Promise<readonly Outcome[]> {
    const wrong = new Map<Command, Outcome>()
    for (const command of commands) if (isWrong(command)) wrong.set(command, await judgeOnly(command))
    const refused = [...wrong.values()].some(({ outcome }) => outcome === 'refused')
    return refused ? commands.map((command) => wrong.get(command) ?? aborted) : store.changeAll(commands)
  }

  async function changeCounters(count: Count): Promise<Counted> {
    if (!isWrongCount(count)) return store.counters.change(count)
    const { id, once } = count
    const [user, counters, receipt] = await Promise.all([
      store.get(id),
      store.counters.get([id]),
      once && store.receipt(once),
    ])
    return decideCount(count, { user, counters: counters.get(id) ?? noCounters, receipt }).outcome
  }

  function update(context: Context, asked: Asked<Update>): Promise<Result> {
    const carryOut = (all: Asked<Update>) => change({ ...all, ...circumstances(context), kind: 'update' })
    return asked.patch.email === undefined ? carryOut(asked) : confirmed(context, asked, carryOut)
  }

  return {
    ...createReading(store),
    ...createAvatars({ store, now, update }),

    /** Makes a user under an id of the allocator's. */
    create: (context: Context, asked: Omit<Asked<Create>, 'id'>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'create', uid: newUid() }),

    /** As `create`, and asks whoever reads the address by mail whether it is theirs. */
    register: (context: Context, asked: Omit<Asked<Create>, 'id' | 'confirm'>): Promise<Result> => {
      const confirm = emailChanges.welcome()
      return change({ ...asked, ...circumstances(context), confirm, kind: 'create', uid: newUid() })
    },

    /** Changes exactly the fields that the patch names. */
    update,

    /** Sets the fields that the contract's whole representation consists of; with `upsert`, makes the user where nobody ever was. */
    replace(context: Context, asked: Asked<Replace>): Promise<Result> {
      const carryOut = (all: Asked<Replace>) =>
        change({ ...all, ...circumstances(context), kind: 'replace', uid: newUid() })
      return asked.patch.email === undefined ? carryOut(asked) : confirmed(context, asked, carryOut)
    },

    /** Gives a user another password. Whether the caller knows the current one is for the contract to ask. */
    setPassword: (context: Context, asked: Asked<SetPassword>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'password' }),

    /** Hides a user; the claims stay reserved. */
    remove: (context: Context, asked: Asked<Lifecycle>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'remove' }),

    /** Brings a removed user back. */
    restore: (context: Context, asked: Asked<Lifecycle>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'restore' }),

    /** Forgets a user: values, claims, and the values in the change log. The id is never used again. */
    erase: (context: Context, asked: Asked<Lifecycle>): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'erase' }),

    /**
     * Puts somebody from another directory in place; `unchanged` where they are here already.
     * @param asked with the uid for a new user, where it is not left to chance
     */
    import: (context: Context, asked: Asked<Import> & { readonly uid?: string }): Promise<Result> =>
      change({ ...asked, ...circumstances(context), kind: 'import', uid: asked.uid ?? newUid() }),

    /**
     * Carries out all operations or none, each on what the ones before it leave.
     * @returns what became of each, in their order
     */
    async batch(context: Context, operations: readonly Operation[]): Promise<readonly BatchResult[]> {
      if (operations.length > maxBatch) throw new DirectoryError(batchTooLong)
      const ready = await emailChanges.prepareAll(context, operations)
      const commands = ready.asked.map((operation): Command => {
        const asked = { ...operation, ...circumstances(context) }
        return asked.kind === 'create' ? { ...asked, uid: newUid() } : asked
      })
      const outcomes = await emailChanges.counted(
        ready.sends,
        () => alone(commands, () => changeAll(commands)),
        (all, { at }) => wasCommitted(all[at]),
      )
      if (commands.some((command, n) => wasCommitted(outcomes[n]) && mayMail(command))) onMail?.()
      return commands.map((command, n) => {
        const outcome = outcomes[n] as Outcome
        return outcome.outcome === 'refused' ? outcome : result(command, outcome)
      })
    },

    /**
     * Does the work of a request that is more or other than one command: while it runs, nothing else that
     * has its idempotency key does in this node. Who may ask is settled before.
     * @param work gets what is kept of the request, where it came before
     * @throws DirectoryError `in_progress`, or `idempotency_mismatch` where the key is another request's
     */
    async exclusively<T>(once: Once | undefined, work: (known?: Told) => Promise<T>): Promise<T> {
      if (once === undefined) return work()
      const clash = running.clash(once)
      if (clash) throw new DirectoryError(clash)
      return running.during([once], async () => work(told(recall(await store.receipt(once), once, now()))))
    },

    /** Whether a request was carried out, so that its repetition only tells what came of it. */
    isDone: async (once: Once): Promise<boolean> =>
      recall(await store.receipt(once), once, now()) !== undefined,

    /**
     * Keeps that a request has begun, before it does what it is safe to do again.
     * @param about what it makes or ends
     * @returns what that was when the request came for the first time
     * @throws DirectoryError `idempotency_mismatch`
     */
    async begin(once: Once, about: string): Promise<string> {
      const at = now()
      const kept = told(recall(await store.begin(begun(once, at, about)), once, at))
      return kept?.outcome === 'begun' && kept.about !== null ? kept.about : about
    },

    /** Sets and increments counters of a user, all that are named or none. */
    async count({ actor }: Context, asked: Omit<Count, 'kind' | 'at'>): Promise<CountResult> {
      allow(actor, 'count', asked.id)
      const count: Count = { ...asked, kind: 'count', at: now() }
      const clash = isOnce(count) && running.clash(count.once)
      if (clash) throw new DirectoryError(clash)
      const work = () => changeCounters(count)
      const counted = await (isOnce(count) ? running.during([count.once], work) : work())
      if (counted.outcome === 'refused') throw new DirectoryError(counted.refusal)
      return counted
    },

    /** Addresses that are replaced once they are confirmed. */
    emailChanges,

    /**
     * Sets those that are named. What may be set to what, the caller has judged.
     * @returns all, as they are with that
     */
    async set({ actor }: Context, id: number, settings: Partial<Settings>): Promise<Settings> {
      allow(actor, 'update', id)
      seen(await store.get(id))
      const before = await store.settings.get(id)
      if (Object.keys(settings).length > 0) await store.settings.set(id, settings)
      return { ...usualSettings, ...before, ...settings }
    },
  }
}

function result(command: Command, outcome: Outcome): Result {
  switch (outcome.outcome) {
    case 'refused':
      throw new DirectoryError(outcome.refusal)
    case 'previewed': {
      const { user, change } = outcome
      const what = change === null ? 'unchanged' : change.kind === 'created' ? 'created' : 'changed'
      return { user, outcome: what, ...pendingIn(command, user), fields: change?.fields ?? {} }
    }
    case 'unchanged':
    case 'committed': {
      const { user, replayed } = outcome
      const what =
        outcome.outcome === 'unchanged' ? 'unchanged' : isNew(command, user) ? 'created' : 'changed'
      return { user, outcome: what, ...pendingIn(command, user), ...(replayed && { replayed }) }
    }
  }
}

function wasCommitted(outcome: Outcome | undefined): boolean {
  return outcome?.outcome === 'committed' && !outcome.replayed
}

function pendingIn(command: Command, user: User): Pick<Result, 'pending'> {
  return 'patch' in command && isPendingIn(command.patch, user) ? { pending: true } : {}
}

function isNew(command: Command, { version }: User): boolean {
  const { kind } = command
  if (kind === 'import') return version === 1 || (version === 3 && command.vacated !== undefined)
  return kind === 'create' || (kind === 'replace' && version === 1)
}

const batchTooLong = refusal('invalid', `A batch may have at most ${maxBatch} operations`)

/** Whether the unit of a command can have mails in it. */
function mayMail(command: Command): boolean {
  if ('patch' in command && command.kind !== 'import')
    return command.confirm !== undefined || command.atOnce !== undefined
  return command.kind === 'password' || command.kind === 'email_change'
}

/** A preview is not carried out, so there is nothing to do only once. */
function isOnce<C extends Pick<Command, 'once' | 'dryRun'>>(command: C): command is C & { once: Once } {
  return command.once !== undefined && !command.dryRun
}

function isWrong(command: Command): boolean {
  if (command.problems?.length) return true
  return 'patch' in command && Object.values(command.patch).some((value) => isDeeper(value, 2))
}

/** No field's value is deeper than a list of flat objects; a store that writes one down as text would recurse. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1))
}
