import { isUtf8 } from 'node:buffer'
import type { Import } from '../directory/command.ts'
import type { Problem } from '../directory/errors.ts'
import { catalogue, type FieldName, fieldNames } from '../directory/fields.ts'
import { countMembers } from '../directory/json-text.ts'
import { maxImportedId, parseId, type Status } from '../directory/user.ts'
import { parseCells } from './csv.ts'

/** One person as a file has them, in the directory's words. */
export interface Row {
  readonly id?: number
  readonly source: Import['source']
  readonly patch: Import['patch']
}

export interface Unsound {
  readonly id?: number
  readonly problems: readonly Problem[]
}

export interface RowsOptions {
  /** Names of contracts, besides the directory's own, with the fields that they stand for. */
  readonly spellings: Readonly<Record<string, FieldName>>
  /** Told of every property that is not known; whether it is to be left out. */
  readonly onUnknown: (name: string) => boolean
}

type Target = FieldName | 'id' | keyof Import['source']

const own = ['id', 'uid', 'status', 'created_at', 'updated_at'] as const

export function createRows({ spellings, onUnknown }: RowsOptions) {
  const targets = new Map<string, Target>([
    ...Object.entries(spellings),
    ...[...own, ...fieldNames].map((name) => [name, name] as const),
  ])

  function fromEntries(entries: Iterable<readonly [name: string, value: unknown]>): Row | Unsound {
    const problems: Problem[] = []
    const values = new Map<Target, unknown>()
    for (const [name, value] of entries) {
      const target = targets.get(name)
      if (target === undefined) {
        if (!onUnknown(name)) problems.push({ property: name.slice(0, 100), message: 'is not known here' })
      } else if (values.has(target))
        problems.push({ property: name, message: `gives ${target} a second time` })
      else values.set(target, value)
    }
    const id = toId(values.get('id'), problems)
    const source = toSource(values, problems)
    const patch: { [F in FieldName]?: unknown } = {}
    for (const [target, value] of values)
      if (isField(target)) patch[target] = checked(target, value, problems)
    const named = id === undefined ? {} : { id }
    return problems.length > 0 ? { ...named, problems } : { ...named, source, patch }
  }

  return {
    /** The names that mean something. */
    known: [...targets.keys()],

    fromJson(bytes: Buffer): Row | Unsound {
      const read = readObject(bytes)
      return 'problem' in read ? wrong(read.problem) : fromEntries(Object.entries(read.object))
    },

    /** @param header the first record of the file */
    fromCsv(header: readonly string[]): (bytes: Buffer) => Row | Unsound {
      const columns = header.map((name) => [name, targets.get(name)] as const)
      return (bytes) => {
        if (!isUtf8(bytes)) return wrong(notUtf8)
        const cells = parseCells(bytes.toString())
        if ('problem' in cells) return wrong(cells.problem)
        if (cells.length !== columns.length)
          return wrong(`has ${cells.length} cells, and the header has ${columns.length}`)
        return fromEntries(
          columns.map(([name, target], at) => [name, fromCell(target, cells[at] ?? null)] as const),
        )
      }
    },
  }
}

export const notUtf8 = 'is not UTF-8; convert the file, for instance with iconv -f LATIN1 -t UTF-8'

function wrong(message: string): Unsound {
  return { problems: [{ property: 'the row', message }] }
}

function isField(target: Target): target is FieldName {
  return target in catalogue
}

function readObject(bytes: Buffer): { readonly object: object } | { readonly problem: string } {
  if (!isUtf8(bytes)) return { problem: notUtf8 }
  const text = bytes.toString()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { problem: 'is not valid JSON' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { problem: 'is not a JSON object' }
  const isWhole = countMembers(text) === Object.keys(value).length
  return isWhole ? { object: value } : { problem: 'names a property twice' }
}

/** Newer json-servers write ids as strings; one that is no number names nobody here. */
function toId(value: unknown, problems: Problem[]): number | undefined {
  if (value === undefined || value === null) return undefined
  const id = parseId(typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '')
  if (id === undefined) problems.push({ property: 'id', message: 'must be a whole number from 1 on' })
  else if (id > maxImportedId) problems.push({ property: 'id', message: `must be at most ${maxImportedId}` })
  return id
}

const statuses: readonly string[] = ['active', 'blocked', 'deleted', 'erased'] satisfies Status[]

function toSource(values: ReadonlyMap<Target, unknown>, problems: Problem[]): Import['source'] {
  const source: { -readonly [N in keyof Import['source']]: Import['source'][N] } = {}
  const [uid, status] = [values.get('uid') ?? undefined, values.get('status') ?? undefined]
  if (typeof uid === 'string') source.uid = uid
  else if (uid !== undefined) problems.push({ property: 'uid', message: 'must be a string' })
  if (typeof status === 'string' && statuses.includes(status)) source.status = status as Status
  else if (status !== undefined)
    problems.push({ property: 'status', message: `must be one of ${statuses.join(', ')}` })
  for (const name of ['created_at', 'updated_at'] as const) {
    const value = values.get(name) ?? undefined
    if (value === undefined) continue
    const time = toTime(value)
    if (time !== undefined) source[name] = time
    else problems.push({ property: name, message: 'must be a time like 2026-01-31T12:00:00.000Z' })
  }
  return source
}

function toTime(value: unknown): number | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  if (typeof value !== 'string') return undefined
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/.test(value)) return undefined
  const time = Date.parse(value)
  return Number.isNaN(time) ? undefined : time
}

/** An object is judged here, before it could be sent anywhere: there is no telling how deep it is. */
function checked(name: FieldName, value: unknown, problems: Problem[]): unknown {
  if (typeof value !== 'object' || value === null) return value
  const parsed = catalogue[name].parse(value, { roles: [], at: 0 })
  if (!('problem' in parsed)) return value
  problems.push({ field: name, message: parsed.problem })
  return undefined
}

/** Fields for which an empty text is a value. */
const mayBeEmpty = new Set<Target>(
  fieldNames.filter((name) => 'value' in catalogue[name].parse('', { roles: [], at: 0 })),
)

/** What a cell says, in the type of its field; what can not be read is left as text, for the catalogue to judge. */
function fromCell(target: Target | undefined, cell: string | null): unknown {
  if (cell === null || target === undefined) return cell
  if (cell === '' && !mayBeEmpty.has(target)) return null
  if (target === 'created_at' || target === 'updated_at') return /^\d+$/.test(cell) ? Number(cell) : cell
  if (!isField(target)) return cell
  switch (catalogue[target].schema.type) {
    case 'boolean':
      return cell === 'true' ? true : cell === 'false' ? false : cell
    case 'array':
      try {
        return JSON.parse(cell)
      } catch {
        return cell
      }
    default:
      return cell
  }
}
