import { availableParallelism } from 'node:os'
import type { Unit } from '../../directory/change.ts'
import type { Command, Create, Import } from '../../directory/command.ts'
import { decide } from '../../directory/decide.ts'
import { DirectoryError, unavailable } from '../../directory/errors.ts'
import type { Rules } from '../../directory/field-types.ts'
import type { Outcome, Store } from '../../directory/store.ts'
import { createSearching, isWorthPreparing } from '../search/thread.ts'
import { createBatches } from './batch.ts'
import { pause } from './connection.ts'
import { createCounterStore } from './counters.ts'
import { createCredentialReader } from './credentials.ts'
import { createDocumentStore, expiredDocuments } from './documents.ts'
import { createEmailChangeStore, endedEmailChanges } from './email-changes.ts'
import { createKeyStore } from './keys.ts'
import { createLanes } from './lanes.ts'
import { createOutbox } from './outbox.ts'
import { createPictureStore } from './pictures.ts'
import { createPool, patience, type Row, type Run } from './pool.ts'
import { prepare } from './prepare.ts'
import { createQueues, plan, type Waiting } from './queue.ts'
import { createBeginning, createReceiptReader, expiredReceipts, nameOf } from './receipts.ts'
import type { SearchOptions } from './search.ts'
import { createSettingStore } from './settings.ts'
import { createTimelines } from './timeline.ts'
import { createTransactions } from './transaction.ts'
import { createUnits } from './units.ts'
import { createWriting, type Written } from './writing.ts'

export interface PostgresOptions {
  /** postgres://user:password@host:port,host:port/database */
  readonly url: string
  readonly rules: Rules
  readonly onWarning: (warning: string) => void
  /** Connections, at most. */
  readonly connections?: number
}

/** What the machine can keep busy, and not so much that a few nodes use up what a server offers by default. */
function poolSize(): number {
  return Math.min(Math.max(4 * availableParallelism(), 12), 24)
}

/**
 * The directory in PostgreSQL, shared by any number of nodes.
 * @throws Error in words when the database can not be reached or used, or has a newer schema
 */
export async function openPostgres({
  url,
  rules,
  onWarning,
  connections = poolSize(),
}: PostgresOptions): Promise<Store> {
  const timelines = createTimelines()
  await prepare(url, timelines, onWarning)
  const pool = createPool(url, connections, timelines)
  const units = createUnits(pool)
  const writing = createWriting(units, () => pool.isFull('write'))
  const queues = createQueues(settle)
  const run: Run = (statement) => track(() => units.read(statement))
  const keys = createKeyStore(run)
  const settings = createSettingStore(run)
  const pictures = createPictureStore(run)
  const documents = createDocumentStore(run)
  const outbox = createOutbox(run)
  const emailChanges = createEmailChangeStore(run)
  const inTurn = createLanes()
  const transact = createTransactions(pool, units.committedOf)
  const changeAll = createBatches(units, transact, rules)
  const counters = createCounterStore(units.read, transact)
  const readReceipts = createReceiptReader(units.read)
  const begin = createBeginning(units.read)
  const readCredentials = createCredentialReader(units.read)
  const searching = createSearching(new URL('./search.ts', import.meta.url), { url } satisfies SearchOptions)
  const underWay = new Set<Promise<unknown>>()
  let closed: Promise<void> | undefined

  /**
   * Brings every command of a batch to its outcome.
   * @returns why nobody who wants to change this user can be served now, where that is so
   */
  async function settle(id: number, batch: readonly Waiting[]): Promise<DirectoryError | undefined> {
    let rest = batch
    try {
      while (rest.length > 0) rest = rest.slice(await settleSome(id, rest))
      return undefined
    } catch (error) {
      for (const { reject } of rest) reject(error)
      return isUnexpected(error) ? undefined : unavailable('The database is not available now', error)
    }
  }

  /**
   * Decides as many commands as go together and writes them, again while others are in the way.
   * @returns how many were settled
   * @throws where nothing was written of those that were not
   */
  async function settleSome(id: number, batch: readonly Waiting[]): Promise<number> {
    for (let tries = 0, until = 0; ; tries++) {
      const { units: planned, outcomes } = plan(await units.get(id), batch, rules)
      const together = batch.slice(0, outcomes.length)
      let written: Written
      try {
        written =
          planned.length === 0 ? 'done' : await (tries === 0 ? writing.together : writing.alone)(planned)
      } catch (error) {
        // A unit that can not be written for a reason that nobody expected fails alone.
        if (isUnexpected(error) && planned.length > 1) return settleSome(id, batch.slice(0, 1))
        for (const { reject } of together) reject(error)
        if (isUnexpected(error)) return together.length
        throw unavailable('The database is not available now', error)
      }
      if (written !== 'stale') {
        for (const [i, { resolve }] of together.entries()) {
          const outcome = outcomes[i] as Outcome
          // Only a unit that is alone in its batch can be refused, so this one is meant.
          resolve(written !== 'done' && outcome.outcome === 'committed' ? written : outcome)
        }
        return together.length
      }
      until ||= Date.now() + patience
      if (Date.now() > until) throw unavailable('Other nodes keep changing this user')
      if (tries > 0) await pause(tries)
    }
  }

  async function change(command: Command): Promise<Outcome> {
    if (command.once !== undefined || command.dryRun) {
      const alone = async () => (await changeAll([command]))[0] as Outcome
      return command.id === undefined || command.dryRun ? alone() : inTurn(command.id, alone)
    }
    if (command.kind === 'create') return create(command)
    if (command.kind !== 'import') return queues.add(command.id, command)
    if (command.id === undefined) return create(command)
    const outcome = await queues.add(command.id, command)
    if (outcome.outcome !== 'refused') await units.passed(command.id)
    return outcome
  }

  async function create(command: Create | Import): Promise<Outcome> {
    // What is refused anyway shall not use up an id.
    const decision = decide(undefined, { ...command, id: command.id ?? 1 }, rules)
    if (decision.outcome !== 'commit') return decision
    for (;;) {
      const id = command.id ?? (await units.nextId())
      const { unit } = decideNew({ ...command, id })
      const written = await writing.together([unit])
      if (written === 'done') return { outcome: 'committed', user: unit.user }
      if (written !== 'stale') return written
      if (command.id !== undefined) throw new Error('a new user needs an id that is free')
      await units.skipUsedIds(id)
    }
  }

  function decideNew(command: Create | Import): { readonly unit: Unit } {
    const decision = decide(undefined, command, rules)
    if (decision.outcome !== 'commit') throw new Error('the id must make no difference')
    return decision
  }

  /** Does what closing waits for. */
  function track<T>(work: () => Promise<T>): Promise<T> {
    if (closed !== undefined) return Promise.reject(unavailable('The store has been closed'))
    const promise = work()
    underWay.add(promise)
    const done = () => underWay.delete(promise)
    promise.then(done, done)
    return promise
  }

  async function expire(at: number): Promise<number> {
    const statements = [expiredReceipts(at), expiredDocuments(at), endedEmailChanges(at)]
    const gone = await Promise.all(statements.map((one) => units.read(one)))
    return gone.flat().length
  }

  async function close(): Promise<void> {
    await Promise.allSettled(underWay)
    await searching.close()
    await pool.close()
  }

  return {
    change: (command: Command) => track(() => change(command)),
    changeAll: (commands) => track(() => inTurn('batch', () => changeAll(commands))),
    receipt: (once) => track(async () => (await readReceipts([once])).get(nameOf(once))),
    begin: (receipt) => track(() => begin(receipt)),
    expire: (at) => track(() => expire(at)),
    counters: {
      get: (ids) => track(() => counters.get(ids)),
      change: (count) => track(() => inTurn(count.id, () => counters.change(count))),
    },
    get: (id) => track(() => units.get(id)),
    credentials: (id) => track(() => readCredentials(id)),
    find: (claim) => track(() => units.find(claim)),
    page: (query) => track(() => units.page(query)),
    keys,
    documents,
    outbox,
    pictures,
    emailChanges,
    settings,
    list: (query, signal) => track(() => units.list(query, signal)),
    listIds: (query, signal) => track(() => units.listIds(query, signal)),
    search: (query, signal) => track(() => searching.search(query, signal)),
    prepareSearch: () => {
      const found = track(() => units.read({ text: 'SELECT max(id) AS id FROM users', parameters: [] }))
      const prepare = ([row]: readonly Row[]) => {
        if (isWorthPreparing(Number(row?.id ?? 0))) searching.prepare()
      }
      // Where the database is away, the first search waits.
      found.then(prepare).catch(() => {})
    },
    ready: () => track(async () => void (await units.get(1))),
    close: () => {
      closed ??= close()
      return closed
    },
  }
}

function isUnexpected(error: unknown): boolean {
  return !(error instanceof DirectoryError)
}
