import { randomUUID } from 'node:crypto'
import type { Actor } from '../../directory/actor.ts'
import type { Change } from '../../directory/change.ts'
import type {
  Circumstances,
  Command,
  Create,
  Import,
  Lifecycle,
  Replace,
  SetPassword,
  Update,
} from '../../directory/command.ts'
import type { Patch } from '../../directory/patch.ts'
import type { Filter } from '../../directory/query.ts'
import type { Outcome, Store } from '../../directory/store.ts'
import type { User } from '../../directory/user.ts'

/** What every store must do, whatever it is made of. An adapter supplies the rest by a fixture. */
export interface Fixture {
  /** Fresh and empty, with `rules`. */
  readonly store: Store
  /** Closes the store if it is still open, and opens what it left behind. */
  readonly reopen: () => Promise<Store>
  /** Every row of the change log, in the log's order. */
  readonly readLog: () => Promise<readonly Change[]>
  /** What is kept beside users and log, in the order of what it is about. */
  readonly readAside: () => Promise<Aside>
  /** Closes whatever is open and removes everything. */
  readonly dispose: () => Promise<void>
}

export interface Aside {
  readonly receipts: readonly { readonly key: string; readonly userId: number }[]
  /** Whose counters there are. */
  readonly counters: readonly number[]
  readonly passwords: readonly (readonly [userId: number, hash: string])[]
}

export const rules = { roles: ['user', 'admin'] } as const

export type Given = () => Fixture

const ann: Actor = {
  kind: 'operator',
  id: 'ann',
  scopes: ['read', 'write', 'admin'],
  contract: 'operator',
}

let made = 0

function circumstances(): Circumstances {
  made++
  return {
    actor: ann,
    requestId: `request-${made}`,
    changeId: randomUUID(),
    at: Date.UTC(2026, 0, 1) + made,
  }
}

const newUid = () => `usr_${randomUUID().replaceAll('-', '').slice(0, 16)}`

export function create(patch: Patch, more: Partial<Create> = {}): Create {
  return { ...circumstances(), kind: 'create', uid: newUid(), patch, ...more }
}

export function importing(id: number | undefined, patch: Patch, more: Partial<Import> = {}): Import {
  const { kind: _, id: __, ...made } = create(patch)
  return { ...made, kind: 'import', ...(id !== undefined && { id }), source: {}, update: false, ...more }
}

export function update(id: number, patch: Patch, more: Partial<Update> = {}): Update {
  return { ...circumstances(), kind: 'update', id, patch, ...more }
}

export function replace(id: number, patch: Patch, more: Partial<Replace> = {}): Replace {
  return { ...circumstances(), kind: 'replace', id, uid: newUid(), upsert: true, patch, ...more }
}

export function lifecycle(kind: Lifecycle['kind'], id: number): Lifecycle {
  return { ...circumstances(), kind, id }
}

export function setPassword(id: number, password: string, more: Partial<SetPassword> = {}): SetPassword {
  return { ...circumstances(), kind: 'password', id, password, ...more }
}

export function all(store: Store, commands: readonly Command[]): Promise<Outcome[]> {
  return Promise.all(commands.map(store.change))
}

/** All at once, as `all`. */
export function many(store: Store, count: number, make: (n: number) => Command): Promise<Outcome[]> {
  return all(store, times(count, make))
}

export async function committed(store: Store, command: Command): Promise<User> {
  const outcome = await store.change(command)
  if (outcome.outcome !== 'committed') throw new Error(`not committed: ${JSON.stringify(outcome)}`)
  return outcome.user
}

export async function present(store: Store, id: number): Promise<User> {
  const user = await store.get(id)
  if (user === undefined) throw new Error(`there is no user ${id}`)
  return user
}

export async function everybody(store: Store, filters: readonly Filter[] = []): Promise<User[]> {
  const found: User[] = []
  for (let after: number | undefined = 0; after !== undefined; ) {
    const { users, next }: Awaited<ReturnType<Store['page']>> = await store.page({ after, filters })
    found.push(...users)
    after = next
  }
  return found
}

export function codeOf(outcome: Outcome | undefined): string | undefined {
  return outcome?.outcome === 'refused' ? outcome.refusal.code : undefined
}

export function takenFields(outcome: Outcome | undefined): (string | undefined)[] {
  if (codeOf(outcome) !== 'conflict' || outcome?.outcome !== 'refused') return ['no conflict']
  return outcome.refusal.problems.map(({ field }) => field).toSorted()
}

export function idsOf(outcomes: readonly Outcome[]): number[] {
  return outcomes.flatMap((outcome) => (outcome.outcome === 'committed' ? [outcome.user.id] : []))
}

export function blank(fields: Change['fields']): Change['fields'] {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, [null, null]]))
}

/** @param make is given 1, 2, 3 … */
export function times<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => make(n + 1))
}

export function range(count: number): number[] {
  return times(count, (n) => n)
}
