import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { variantsOf, withoutCase } from '../../directory/caseless.ts'
import { callerGone, DirectoryError, unavailable } from '../../directory/errors.ts'
import type { FieldName } from '../../directory/fields.ts'
import { conditionOf, kindOf, type Listing, type ListQuery, type Sortable } from '../../directory/query.ts'
import type { User } from '../../directory/user.ts'
import { isQuick } from '../sql/cost.ts'
import { createLists, holders, type Sql } from '../sql/list.ts'
import { type Counting, countingOf, createKept, type LogRow } from '../sql/totals.ts'
import { createLogTail } from './log-tail.ts'
import type { Row, Statement } from './pool.ts'
import { columns, toUser } from './rows.ts'

/** Text is compared by its bytes, which is by code points, whatever the database's own order is. */
export const lists = createLists({
  column: (name) => (kindOf(name) === 'text' ? `${name} COLLATE "C"` : name),
  contains: (name, part) => {
    const variants = variantsOf(part)
    const [others, firsts] = [variants.map(([, ...rest]) => rest), variants.map(([first]) => first)]
    const from = others.flat().join('')
    const to = others.flatMap((rest, i) => rest.map(() => firsts[i])).join('')
    const text = `translate(${name}::text, ?::text, ?::text)`
    return { sql: `strpos(${text}, ?::text) > 0`, values: [from, to, withoutCase(part)] }
  },
})

/** A statement with its parameters numbered, as PostgreSQL wants them. */
export function numbered(text: string, { values }: Pick<Sql, 'values'>): Statement {
  let number = 0
  return { text: text.replaceAll('?', () => `$${++number}`), parameters: values }
}

type Read = (statement: Statement) => Promise<readonly Row[]>

/** Lists that look at everybody at a time: the others leave connections for everything else. */
const mostAtOnce = 2
/** Those that may wait; the next one is turned away. */
const mostWaiting = 64
/** Milliseconds that such a one may take. */
const longest = 15_000

/** Statements that each connection keeps. */
const mostTexts = 200

/** Numbers of the log that are looked at rather than counting anew. */
const farthest = 70_000
/** Milliseconds that a total is kept right by the log; a failover may have taken back what the log said. */
const oldest = 600_000

/** A total as of a snapshot. */
interface Counted {
  readonly total: number
  readonly snapshot: string
  /** Every row of the log up to here was in the snapshot. */
  readonly settled: number
  /** Milliseconds since 1970, UTC. */
  readonly countedAt: number
}

const besides: ReadonlySet<Sortable> = new Set(['phone'])

/** Reads lists: those that an index leads to at once, the others a few at a time. */
export function createListReader(read: Read) {
  const tail = createLogTail(read)
  const totals = createKept<Counted>()
  /** Counts under way, by what they are of and how long they may take. */
  const underWay = new Map<string, Promise<Counted>>()
  const texts = new Set<string>()
  const waiting = new Set<PromiseWithResolvers<void>>()
  let reading = 0

  /** Planning a list that an index leads to takes longer than reading it, so what comes again is planned once. */
  function kept(statement: Statement): Statement {
    const { text } = statement
    const isKnown = texts.has(text)
    if (!isKnown && texts.size < mostTexts) texts.add(text)
    return isKnown ? { ...statement, prepare: true } : statement
  }

  /** @throws DirectoryError `unavailable` when too many wait already, or nobody waits for it any more */
  async function inTurn<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (reading >= mostAtOnce) await turn(signal)
    else reading++
    try {
      return await work()
    } catch (error) {
      // What the database is too busy for, or away, is not found out by one after the other.
      if (error instanceof DirectoryError) {
        for (const { reject } of waiting) reject(error)
        waiting.clear()
      }
      throw error
    } finally {
      const [next] = waiting
      if (next === undefined) reading--
      else waiting.delete(next)
      next?.resolve()
    }
  }

  function turn(signal: AbortSignal | undefined): Promise<void> {
    if (waiting.size >= mostWaiting) return Promise.reject(unavailable('Too many lists are waiting'))
    const one = Promise.withResolvers<void>()
    waiting.add(one)
    // What nobody waits for any more is not read.
    signal?.addEventListener('abort', () => {
      if (waiting.delete(one)) one.reject(callerGone())
    })
    return one.promise
  }

  /** Both are of the moment of their statement. */
  async function list(query: ListQuery, more: Partial<Statement>): Promise<Listing> {
    const few = fewOf(query)
    const users: User[] = []
    for (const part of lists.page(query, few)) {
      const page = part(users.length)
      const select = kept(numbered(`SELECT ${columns.join(', ')} FROM users ${page.sql}`, page))
      users.push(...(await read({ ...select, ...more })).map(toUser))
      if (users.length >= query.limit) break
    }
    return { users, total: query.count ? await totalOf(query, few, more) : undefined }
  }

  function fewOf({ filters }: ListQuery): readonly Sql[] {
    return filters.flatMap((filter) => holders(conditionOf(filter)) ?? [])
  }

  async function totalOf(query: ListQuery, few: readonly Sql[], more: Partial<Statement>): Promise<number> {
    const counting = few.length > 0 ? undefined : countingOf(query)
    if (counting === undefined) return (await count(lists.where(query, few), more)).total
    // Who would be given longer does not fail with who is given less.
    const name = `${counting.key} ${more.answerWithin}`
    const before = underWay.get(name)
    for (;;) {
      const known = await upToDate(counting)
      if (known !== undefined) return known
      const others = underWay.get(name)
      // One that was under way already may have been begun before something that was acknowledged by then.
      if (others === undefined || others !== before)
        return (await (others ?? begin(counting, name, query, more))).total
      await others.catch(() => {})
    }
  }

  /** Counts, for all who ask for the same before it is done: many are not to do so all at once. */
  function begin({ key }: Counting, name: string, query: ListQuery, more: Partial<Statement>) {
    const work = async () => {
      try {
        // Before it is counted, so that what is not settled by then is told of afterwards.
        const { settled } = await tail.look()
        const counted = { ...(await count(lists.where(query), more)), settled, countedAt: Date.now() }
        totals.set(key, counted)
        return counted
      } finally {
        underWay.delete(name)
      }
    }
    const counted = work()
    underWay.set(name, counted)
    return counted
  }

  /** The total that is kept, after what the log tells; undefined where it has to be counted. */
  async function upToDate({ key, fields, adjusted }: Counting): Promise<number | undefined> {
    const known = totals.get(key)
    if (known === undefined || Date.now() - known.countedAt > oldest) return undefined
    const { newest, settled } = await tail.look()
    if (newest - known.settled > farthest) return undefined
    const { rows, snapshot } = await newsSince(known, fields)
    const total = adjusted(known.total, rows)
    if (total !== undefined) totals.set(key, { ...known, total, snapshot, settled })
    return total
  }

  async function count(where: Sql, more: Partial<Statement>) {
    const text = `SELECT count(*) AS total, pg_current_snapshot()::text AS snapshot FROM users WHERE ${where.sql}`
    const [row] = await read({ ...kept(numbered(text, where)), ...more })
    return { total: Number(row?.total), snapshot: String(row?.snapshot) }
  }

  /** What was committed since a snapshot that may say something of these fields, or of who is to be seen. */
  async function newsSince({ settled, snapshot }: Counted, fields: readonly FieldName[]) {
    const text = `SELECT snapshot::text, kind, fields FROM pg_current_snapshot() AS snapshot
      LEFT JOIN changes ON seq > $1 AND NOT pg_visible_in_snapshot(tx, $2::text::pg_snapshot)
        AND (kind <> 'updated' OR fields ?| $3::text[])`
    const parameters = [settled, snapshot, `{${[...fields, 'status'].join()}}`]
    const rows = await read({ text, parameters, prepare: true })
    const told = rows.filter(({ kind }) => kind !== null) as unknown as LogRow[]
    return { rows: told, snapshot: String(rows[0]?.snapshot) }
  }

  /** As one text: so many rows would each be an object. */
  async function idsOf(query: ListQuery): Promise<Float64Array> {
    const found: number[] = []
    for (const part of lists.page(query, fewOf(query))) {
      const page = part(found.length)
      const text = `SELECT array_to_string(ARRAY(SELECT id FROM users ${page.sql}), ',') AS ids`
      const [row] = await read({ ...numbered(text, page), answerWithin: longest })
      await readIds(String(row?.ids), found)
    }
    return Float64Array.from(found)
  }

  return {
    async list(query: ListQuery, signal?: AbortSignal): Promise<Listing> {
      if (signal?.aborted) throw callerGone()
      if (isQuick(query, besides)) return list(query, {})
      return inTurn(() => list(query, { answerWithin: longest }), signal)
    },

    async listIds(query: ListQuery, signal?: AbortSignal): Promise<Float64Array> {
      if (signal?.aborted) throw callerGone()
      return inTurn(() => idsOf(query), signal)
    },
  }
}

/** Characters, some 5 ms of work. */
const atOnce = 1_000_000

/** Takes ids from a text with commas between them, a part in each turn of the event loop: there may be millions. */
async function readIds(text: string, into: number[]): Promise<void> {
  let id = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code !== comma) id = id * 10 + code - zero
    else {
      into.push(id)
      id = 0
    }
    if (at % atOnce === atOnce - 1) await turnOfTheLoop()
  }
  if (text !== '') into.push(id)
}

const [comma, zero] = [44, 48]
