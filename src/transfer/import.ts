import { createHmac, randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type ClaimKind, claim } from '../directory/claims.ts'
import type { Context, Directory, Result } from '../directory/directory.ts'
import type { DocumentStore } from '../directory/document.ts'
import { DirectoryError, type Problem } from '../directory/errors.ts'
import { type PictureKind, pictureKinds } from '../directory/picture.ts'
import type { User } from '../directory/user.ts'
import type { Person } from './people.ts'
import type { Row } from './rows.ts'

/** Puts people from a file into a directory, many at a time, and tells of each who could not be. */

export type Clearable = 'email' | 'username'

export interface ImportOptions {
  readonly directory: Directory
  readonly context: Context
  /** Whether who is there already with other values is changed. */
  readonly update: boolean
  /** What a person goes without, rather than be rejected over it. */
  readonly clear: ReadonlySet<Clearable>
  /** Whether people go without pictures that are not here, rather than be rejected over them. */
  readonly clearPictures: boolean
  /** Whether a picture of somebody's is here, so that the record may refer to it. */
  readonly hasPicture: (userId: number, kind: PictureKind, picture: string) => Promise<boolean>
  /** Told of each picture that a record refers to once its row was carried out, also where it did so before. */
  readonly adoptPicture: (userId: number, picture: string) => Promise<void>
  /** As `importSecret` has it. */
  readonly secret: string
  /** The sample people who have made room, by their ids. */
  readonly vacated: Map<number, string>
  readonly onTold: (told: Told) => void
}

/** What is said of a row: that it was rejected, or what was left out of it. */
export interface Told {
  readonly line: number
  readonly id?: number
  readonly problems: readonly Problem[]
  readonly rejected: boolean
}

export interface Counts {
  created: number
  updated: number
  skipped: number
  rejected: number
}

type Settled = {
  readonly outcome: keyof Counts
  readonly told?: Omit<Told, 'line'>
}

/** Rows under way: enough to share syncs, few enough that others get their turn. */
const window = 256

interface UnderWay {
  readonly line: number
  readonly keys: readonly string[]
  readonly settled: Promise<Settled>
}

/**
 * @throws DirectoryError `unavailable` or `outcome_unknown` where the store can not go on, or what `people` throws;
 * by then all that became of other rows is counted and told
 */
export async function importPeople(
  people: AsyncIterable<Person>,
  counts: Counts,
  options: ImportOptions,
): Promise<void> {
  const underWay: UnderWay[] = []
  const keysUnderWay = new Set<string>()
  const put = createPut(options)
  /** Whether those under way have ids: all of them have, or none. */
  let haveIds: boolean | undefined

  async function finishOldest(): Promise<void> {
    const [oldest] = underWay
    if (oldest === undefined) return
    underWay.shift()
    const { outcome, told } = await oldest.settled
    for (const key of oldest.keys) keysUnderWay.delete(key)
    counts[outcome]++
    if (told !== undefined) options.onTold({ line: oldest.line, ...told })
  }

  async function begin(person: Person): Promise<void> {
    const keys = 'problems' in person ? [] : keysOf(person)
    // Of two rows that are after the same, the one that comes first in the file gets it.
    while (underWay.length >= window || keys.some((key) => keysUnderWay.has(key))) await finishOldest()
    if (!('problems' in person)) {
      // Which id a row without one is about is not known before, and may be that of one beside it.
      const hasId = person.id !== undefined
      while (hasId !== haveIds && underWay.length > 0) await finishOldest()
      haveIds = hasId
    }
    for (const key of keys) keysUnderWay.add(key)
    const settled =
      'problems' in person ? Promise.resolve(rejection(person.id, person.problems)) : put(person)
    // It is waited for in its turn.
    settled.catch(() => {})
    underWay.push({ line: person.line, keys, settled })
  }

  try {
    for await (const person of people) await begin(person)
    while (underWay.length > 0) await finishOldest()
  } catch (error) {
    while (underWay.length > 0) await finishOldest().catch(() => {})
    throw error
  }
}

function rejection(id: number | undefined, problems: readonly Problem[]): Settled {
  return { outcome: 'rejected', told: { ...(id !== undefined && { id }), problems, rejected: true } }
}

function keysOf({ id, patch, source: { uid } }: Row): string[] {
  const keys = (['email', 'username', 'ext_id', 'uid'] as const).flatMap((name) => {
    const value = name === 'uid' ? uid : patch[name]
    return typeof value === 'string' && value.length < 300 ? [`${name} ${claim(name, value).key}`] : []
  })
  return id === undefined ? keys : [`id ${id}`, ...keys]
}

function createPut(options: ImportOptions) {
  const { directory, context, update, clear, clearPictures, hasPicture, adoptPicture, secret, vacated } =
    options
  const given = createIdSet()

  /** What a row may be sent as: under the id of the person that it is found to be about, or without some values. */
  interface Attempt {
    readonly id?: number | undefined
    readonly without: readonly Clearable[]
    readonly left: readonly Problem[]
  }

  async function put(row: Row, attempt: Attempt = { id: row.id, without: [], left: [] }): Promise<Settled> {
    const { id, without, left } = attempt
    if (id === undefined && pictureKinds.some((kind) => typeof row.patch[kind] === 'string')) {
      // Only of whom the row is about can be told whether a picture is theirs.
      const settled = await putOver(row, () => true, attempt)
      if (settled !== undefined) return settled
    }
    const absent = await absentPictures(row, id)
    try {
      const result = await patiently(() => directory.import(context, asked(row, attempt, absent)))
      if (id !== undefined) vacated.delete(id)
      if (row.id === undefined) given.add(result.user.id)
      await adoptPictures(row, result.user)
      const problems = [...left, ...absent.map(isNotHere)]
      const told = { id: result.user.id, problems, rejected: false }
      return { outcome: outcomeOf(result), ...(problems.length > 0 && { told }) }
    } catch (error) {
      if (!(error instanceof DirectoryError) || !['invalid', 'conflict'].includes(error.code)) throw error
      const { problems } = error
      if (row.id === undefined && id === undefined) {
        const isTaken = (name: string) => problems.some(({ field }) => field === name)
        const settled = await putOver(row, isTaken, attempt)
        if (settled !== undefined) return settled
      }
      if (isOfAnother(row)) return rejection(id, [wasGiven, ...problems])
      const more = await clearableIn(row, error, id)
      if (more.length < problems.length) return rejection(id ?? row.id, problems)
      return put(row, { id, without: [...without, ...more], left: [...left, ...problems] })
    }
  }

  /**
   * Whether a row has the id of somebody whom a row before it is about that has none: whatever the file means
   * by that id, it is hardly the one that was given here.
   */
  function isOfAnother({ id }: Row): boolean {
    return id !== undefined && given.has(id)
  }

  /** What is to be cleared, of what is wrong: that which somebody else has, and a username that is none. */
  async function clearableIn(
    row: Row,
    { code, problems }: DirectoryError,
    id?: number,
  ): Promise<Clearable[]> {
    const names = [...clear].filter((name) => problems.some(({ field }) => field === name))
    if (code === 'invalid') return names.filter((name) => name === 'username')
    const holderOf = (name: Clearable) => find(name, String(row.patch[name]), { removedToo: true })
    const holders = await Promise.all(names.map(holderOf))
    return names.filter((_, n) => holders[n] !== undefined && holders[n].id !== id)
  }

  /** A reference alone shows nobody a picture; and a picture is of the person whose id its reference was made for. */
  async function absentPictures({ patch }: Row, id: number | undefined): Promise<readonly PictureKind[]> {
    const absent: PictureKind[] = []
    for (const kind of pictureKinds) {
      const picture = patch[kind]
      if (typeof picture !== 'string') continue
      const isHere = id !== undefined && (await patiently(() => hasPicture(id, kind, picture)))
      if (!isHere) absent.push(kind)
    }
    return absent
  }

  /**
   * Only now: a row that is rejected must not bring the files of its pictures under the rules by which they are
   * removed. Where an import ends before this, they are merely not removed until it is run again.
   */
  async function adoptPictures({ patch }: Row, user: User): Promise<void> {
    for (const kind of pictureKinds) {
      const picture = user[kind]
      if (typeof picture === 'string' && picture === patch[kind])
        await patiently(() => adoptPicture(user.id, picture))
    }
  }

  function asked(row: Row, { id, without }: Attempt, absent: readonly PictureKind[]) {
    const patch = { ...row.patch }
    for (const name of [...without, ...absent]) delete patch[name]
    const seat = id === undefined ? undefined : vacated.get(id)
    return {
      ...(id !== undefined && { id }),
      ...(row.id === undefined && id === undefined && { uid: uidOf(row, secret) }),
      ...(seat !== undefined && { vacated: seat }),
      patch,
      source: row.source,
      update: update && !isOfAnother(row),
      ...(!clearPictures && { problems: absent.map(isNotHere) }),
    }
  }

  /**
   * A row without an id is about whom an earlier run made of it, or who has its address.
   * @returns undefined where it is about somebody new
   */
  async function putOver(
    row: Row,
    mayBeTaken: (name: 'uid' | 'email') => boolean,
    { without, left }: Attempt,
  ): Promise<Settled | undefined> {
    const uid = row.source.uid ?? uidOf(row, secret)
    const { email } = row.patch
    const byUid = mayBeTaken('uid') ? await find('uid', uid, { removedToo: true }) : undefined
    if (byUid !== undefined && row.source.uid === undefined && !update) {
      // The very same row, whatever became of its person.
      given.add(byUid.id)
      return { outcome: 'skipped' }
    }
    const byEmail = byUid === undefined && mayBeTaken('email') && !without.includes('email')
    const holder = byEmail && typeof email === 'string' ? await find('email', email) : byUid
    if (holder === undefined) return undefined
    const settled = await put(row, { id: holder.id, without, left })
    // The address alone may be given up; then the row is about somebody new after all.
    return settled.outcome === 'rejected' && byUid === undefined && clear.has('email') ? undefined : settled
  }

  async function find(
    kind: ClaimKind,
    value: string,
    options?: { removedToo: true },
  ): Promise<User | undefined> {
    try {
      return await patiently(() => directory.find(context, kind, value, options))
    } catch (error) {
      if (error instanceof DirectoryError && error.code === 'not_found') return undefined
      throw error
    }
  }

  return put
}

const wasGiven = { property: 'id', message: 'is here that of a row before it, which names none' } as const

const isNotHere = (field: PictureKind) => ({ field, message: 'is no picture of theirs that is here' })

/** A bit for each, 32 in an entry: most were given one after the other, and there may be millions. */
function createIdSet() {
  const words = new Map<number, number>()
  const wordOf = (id: number) => words.get(Math.floor(id / 32)) ?? 0
  return {
    add: (id: number) => words.set(Math.floor(id / 32), wordOf(id) | (1 << (id % 32))),
    has: (id: number) => (wordOf(id) & (1 << (id % 32))) !== 0,
  }
}

function outcomeOf({ outcome }: Result): keyof Counts {
  return outcome === 'unchanged' ? 'skipped' : outcome === 'changed' ? 'updated' : 'created'
}

/** Milliseconds for which a store that can not take more is asked again. */
const patience = 5_000

async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + patience; ; ) {
    try {
      return await work()
    } catch (error) {
      const mayPass = error instanceof DirectoryError && error.code === 'unavailable'
      if (!mayPass || Date.now() >= until) throw error
      await pause(100)
    }
  }
}

/**
 * What uids of people who come without an id are made with: one for each directory, made where there is none,
 * so that they are known again on whatever machine the same row is imported.
 */
export async function importSecret(documents: DocumentStore, createdAt: number): Promise<string> {
  const name = { kind: 'ImportSecret', id: 'current' } as const
  const payload = { secret: randomBytes(32).toString('base64url') }
  const none = { expiresAt: null, usedAt: null, group: null, alias: null, userId: null }
  const found = await documents.find(name.kind, name.id)
  if (found === undefined) await documents.put({ ...none, ...name, createdAt, payload }, true)
  const secret = (found ?? (await documents.find(name.kind, name.id)))?.payload.secret
  if (typeof secret !== 'string')
    throw new Error('The secret that imports are known again by can not be read')
  return secret
}

const letters = '0123456789abcdefghijklmnopqrstuvwxyz'

/**
 * The uid of somebody who comes without an id: the same whenever the same row comes, so that it is
 * known again; and since the secret is in it, nobody can tell from a uid whether a guess at a row is right.
 */
function uidOf({ patch, source }: Row, secret: string): string {
  const text = JSON.stringify([Object.entries(patch).toSorted(), Object.entries(source).toSorted()])
  let uid = 'usr_'
  // 252 is the largest multiple of 36 below 256: each letter is as likely as the next.
  for (const byte of createHmac('sha512', secret).update(text).digest())
    if (byte < 252 && uid.length < 24) uid += letters[byte % 36]
  return uid
}
