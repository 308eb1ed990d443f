import { type ClaimKind, domain } from './claims.ts'

/** The types that fields can have: how a value is recognised, put into its normal form, and documented. */

export type Value = string | number | boolean | readonly Tag[]

/** A label that administrators give to people. */
export interface Tag {
  readonly id: number
  readonly type: string
  readonly name: string
  readonly description: string
  readonly color: string
}

/** Whom a field's own rules know; who is what, is decided in policy.ts. */
export type Writer = 'self' | 'service' | 'admin'

/** What judging a value may depend on besides the value. */
export interface Rules {
  /** The values that `role` may take. */
  readonly roles: readonly string[]
  /** Whether who changes or removes somebody has to say which version they know. */
  readonly requireIfMatch?: boolean
}

interface Judging extends Rules {
  /** The time of the command, in milliseconds since 1970. */
  readonly at: number
  /** The limit of the contract where it is narrower than the field's, to be told with the problem. */
  readonly maxLength?: number | undefined
}

/** Either the value in its normal form, or what is wrong with it, said so that it can be put right. */
export type Parsed<V> = { readonly value: V } | { readonly problem: string }

export interface Field<V extends Value = Value> {
  readonly doc: string
  /** JSON Schema (2020-12) of a valid value, for documentation. */
  readonly schema: Readonly<Record<string, unknown>>
  readonly write: readonly Writer[]
  /** Whether null empties it: always, never, or only through the contracts named. */
  readonly clear: 'always' | 'never' | readonly string[]
  readonly claim?: ClaimKind
  /** Once it has a value, it keeps it. */
  readonly once?: true
  readonly parse: (value: unknown, judging: Judging) => Parsed<V>
}

export const everyone: readonly Writer[] = ['self', 'service', 'admin']

/** The characters of a text as a person counts them: code points, not UTF-16 units (RFC 8259, section 7). */
export function lengthOf(value: string): number {
  let length = 0
  for (const _ of value) length++
  return length
}

interface TextOptions {
  readonly min: number
  readonly max: number
  readonly lines?: true
  readonly write?: readonly Writer[]
  readonly clear?: Field['clear']
  readonly claim?: ClaimKind
  readonly once?: true
  readonly schema?: Readonly<Record<string, unknown>>
  readonly syntax?: (value: string, judging: Judging) => string | undefined
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
const controls = /[\x00-\x1f\x7f-\x9f]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: all but tab, line feed and carriage return
const controlsInLines = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/

export function text(doc: string, options: TextOptions): Field<string> {
  const { min, max, lines, write = everyone, clear = 'always', claim, once, schema, syntax } = options
  const forbidden = lines ? controlsInLines : controls
  return {
    doc,
    schema: { type: 'string', ...(min > 0 && { minLength: min }), maxLength: max, ...schema },
    write,
    clear,
    ...(claim && { claim }),
    ...(once && { once }),
    parse(sent, judging) {
      if (typeof sent !== 'string') return { problem: 'must be a string' }
      if (!sent.isWellFormed()) return { problem: 'must be well-formed Unicode, without lone surrogates' }
      if (forbidden.test(sent)) return { problem: 'must not have control characters' }
      // Nothing longer than this can be short enough after composition, so it need not be composed.
      if (sent.length > max * 8) return { problem: wrongSize(min, judging.maxLength ?? max) }
      const value = sent.normalize('NFC')
      const length = lengthOf(value)
      if (length < min || length > max) return { problem: wrongSize(min, judging.maxLength ?? max) }
      const problem = syntax?.(value, judging)
      return problem === undefined ? { value } : { problem }
    },
  }
}

function wrongSize(min: number, max: number): string {
  return `must have ${min === max ? max : `${min} to ${max}`} characters`
}

export function choice(doc: string, values: readonly string[], options: Pick<Field, 'clear'>): Field<string> {
  return {
    doc,
    schema: { type: 'string', enum: values },
    write: everyone,
    clear: options.clear,
    parse: (value) =>
      typeof value === 'string' && values.includes(value)
        ? { value }
        : { problem: `must be one of ${values.join(', ')}` },
  }
}

export function flag(
  doc: string,
  write: readonly Writer[],
  clear: Field['clear'] = 'always',
): Field<boolean> {
  return {
    doc,
    schema: { type: 'boolean' },
    write,
    clear,
    parse: (value) => (typeof value === 'boolean' ? { value } : { problem: 'must be true or false' }),
  }
}

export function coordinates(doc: string): Field<string> {
  return text(doc, {
    min: 3,
    max: 64,
    syntax: (value) =>
      areCoordinates(value)
        ? undefined
        : 'must be latitude,longitude like 44.49,11.34 (-90 to 90, -180 to 180)',
  })
}

export function media(doc: string): Field<string> {
  return text(doc, {
    min: 64,
    max: 64,
    schema: { pattern: '^[0-9a-f]{64}$' },
    syntax: (value) =>
      /^[0-9a-f]{64}$/.test(value) ? undefined : 'must be the SHA-256 of a picture, in lower-case hex',
  })
}

/**
 * One syntax for every contract, stricter than RFC 5321 where the field never uses the freedom:
 * a dot-atom of up to 64 characters (international ones allowed, RFC 6531), and a domain of two
 * or more labels, each at most 63 ASCII characters after UTS 46, the last not a number.
 */
export function isEmail(value: string): boolean {
  const match = /^([^\s@]{1,64})@([^\s@]+)$/u.exec(value)
  if (match === null) return false
  const [, local = '', host = ''] = match
  if (!/^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u.test(local))
    return false
  if (!/^[\p{L}\p{M}\p{N}.-]+$/u.test(host)) return false
  const labels = domain(host).split('.')
  if (labels.length < 2 || labels.join('.').length > 253) return false
  return (
    labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? '')
  )
}

const dayInMilliseconds = 86_400_000

export function isPastDate(value: string, at: number): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value)) return false
  const time = Date.parse(`${value}T00:00:00Z`)
  return time + dayInMilliseconds <= at && new Date(time).toISOString().startsWith(value)
}

export function isWebsite(value: string): boolean {
  const url = URL.parse(value)
  return url !== null && /^https?:\/\/[^/\\]/i.test(value) && !/\s/.test(value) && url.hostname !== ''
}

function areCoordinates(value: string): boolean {
  const match = /^(-?\d{1,3}(?:\.\d+)?),(-?\d{1,3}(?:\.\d+)?)$/.exec(value)
  return match !== null && Math.abs(Number(match[1])) <= 90 && Math.abs(Number(match[2])) <= 180
}

const tagKeys = ['id', 'type', 'name', 'description', 'color'] as const

export function parseTags(value: unknown): Parsed<readonly Tag[]> {
  const problem = 'must be a list of at most 100 tags, each with id, type, name, description and color'
  if (!Array.isArray(value) || value.length > 100) return { problem }
  const tags: Tag[] = []
  for (const tag of value as readonly unknown[]) {
    if (typeof tag !== 'object' || tag === null || Object.keys(tag).length !== tagKeys.length)
      return { problem }
    const { id, type, name, description, color } = tag as Record<keyof Tag, unknown>
    if (typeof id !== 'number' || !Number.isSafeInteger(id)) return { problem }
    const texts = [type, name, description, color].map((part) =>
      typeof part === 'string' && part.length <= 255 * 8 && part.isWellFormed() && !controls.test(part)
        ? part.normalize('NFC')
        : undefined,
    )
    if (!texts.every((part) => part !== undefined && lengthOf(part) <= 255)) return { problem }
    const [t = '', n = '', d = '', c = ''] = texts
    tags.push({ id, type: t, name: n, description: d, color: c })
  }
  return { value: tags }
}
