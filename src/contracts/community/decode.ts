import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { catalogue, type FieldName } from '../../directory/fields.ts'
import type { Patch } from '../../directory/patch.ts'
import { type PictureKind, pictureKinds } from '../../directory/picture.ts'
import { badHeader, readJsonObject, typeOf } from '../body.ts'
import { type Form, type MultipartOptions, readMultipart, readUrlencoded, type TakeFile } from '../form.ts'
import { properties } from './wire.ts'

/** What a body says, of whatever type it is. Nothing here throws: what is wrong is a problem to be told. */
export interface Sent {
  /** By their names: what JSON has, or the texts of a form. */
  readonly values: ReadonlyMap<string, unknown>
  /** Names that a form gives more than once, or as a list (`name[]`). */
  readonly several: ReadonlySet<string>
  readonly isForm: boolean
  readonly problems: readonly Problem[]
}

export const bodyTypes = 'application/json, application/x-www-form-urlencoded, multipart/form-data'

/** What is done with the files of a form in parts. */
export interface TakingFiles extends MultipartOptions {
  readonly takeFile: TakeFile
}

/**
 * Reads a body. One that is empty says nothing, whatever type it declares: clients send that.
 * @param taking where files are not refused
 */
export async function readFields(request: FastifyRequest, taking?: TakingFiles): Promise<Sent> {
  const { body } = request
  if (body === undefined || (body instanceof Buffer && body.length === 0)) return sent(new Map())
  const type = mediaTypeOf(request)
  const wrong = badHeader(
    type === undefined ? request : withType(request, type),
    (one) => bodyTypes.split(', ').includes(one),
    `one of ${bodyTypes}`,
  )
  if (wrong !== undefined) return failed(wrong)
  if (type === 'application/json') return readJson(request)
  if (type === 'application/x-www-form-urlencoded') {
    const form = readUrlencoded(body as Buffer)
    return 'problem' in form ? failed(form.problem) : fromForm(form)
  }
  const files: Problem[] = []
  const takeFile: TakeFile = async (part) => {
    const problem = await (taking?.takeFile ?? refuseFile)(part)
    if (problem !== undefined) files.push(problem)
    return undefined
  }
  const header = request.headers['content-type'] ?? ''
  const form = await readMultipart(header, body as Buffer | Readable, takeFile, taking)
  return 'problem' in form ? failed(form.problem) : { ...fromForm(form), problems: files }
}

function sent(values: Sent['values'], isForm = false): Sent {
  return { values, several: new Set(), isForm, problems: [] }
}

function failed(problem: Problem): Sent {
  return { ...sent(new Map()), problems: [problem] }
}

/** The boundary of a form in parts is its own matter. */
function mediaTypeOf(request: FastifyRequest): string | undefined {
  const header = request.headers['content-type'] ?? ''
  return /^\s*multipart\/form-data\s*(?:;|$)/i.test(header) ? 'multipart/form-data' : typeOf(request)
}

function withType({ headers }: FastifyRequest, type: string): Pick<FastifyRequest, 'headers'> {
  return { headers: { ...headers, 'content-type': type } }
}

function readJson(request: FastifyRequest): Sent {
  const read = readJsonObject(request, (type) => type === 'application/json', bodyTypes)
  return 'object' in read ? sent(new Map(Object.entries(read.object))) : failed(read.problem)
}

function fromForm({ fields }: Form): Sent {
  const values = new Map<string, unknown>()
  const several = new Set<string>()
  for (const [name, value] of fields) {
    const [, listed] = /^(.+)\[[^\]]*\]$/s.exec(name) ?? []
    if (listed !== undefined) several.add(listed)
    else if (values.has(name)) several.add(name)
    values.set(listed ?? name, value)
  }
  return { ...sent(values, true), several }
}

export interface SentTexts<N extends string> {
  /** Those that are sound. */
  readonly texts: { readonly [K in N]?: string }
  /** Names that mean nothing here. */
  readonly ignored: readonly string[]
  /** Of each of the others there is one. */
  readonly problems: readonly Problem[]
}

/** The texts that a body must have, each of them once. */
export async function readTexts<N extends string>(
  request: FastifyRequest,
  names: readonly N[],
): Promise<SentTexts<N>> {
  const { values, several, problems } = await readFields(request)
  const isUnread = problems.length > 0
  const texts: { [K in N]?: string } = {}
  const found: Problem[] = [...problems]
  for (const name of isUnread ? [] : names) {
    const value = values.get(name)
    if (value === undefined || value === null || value === '')
      found.push({ property: name, message: 'is required' })
    else if (typeof value !== 'string' || several.has(name))
      found.push({ property: name, message: 'must be one string' })
    else texts[name] = value
  }
  const known: readonly string[] = names
  return { texts, ignored: [...values.keys()].filter((name) => !known.includes(name)), problems: found }
}

/** Drains it, so that the rest of the form is read. */
const refuseFile: TakeFile = async ({ name, bytes }) => {
  bytes.resume()
  return { property: name.slice(0, 100), message: 'must not be a file' }
}

export interface Edit {
  readonly patch: Patch
  /** What was sent for the pictures, as values and not as files. */
  readonly pictures: ReadonlyMap<PictureKind, string>
  /** Names that are read-only or not known. */
  readonly ignored: readonly string[]
  readonly problems: readonly Problem[]
}

/** What of a profile a body would change. */
export function decodeEdit({ values, several, isForm, problems }: Sent): Edit {
  const patch: { [F in FieldName]?: unknown } = {}
  const pictures = new Map<PictureKind, string>()
  const ignored: string[] = []
  const found: Problem[] = [...problems]
  for (const [name, value] of values) {
    const picture = pictureKinds.find((known) => known === name)
    const asText = pictureKinds.find((known) => name === `${known}_base64`)
    if (asText !== undefined) {
      // What is not empty is a picture, and has been taken.
      if (value === null || value === '') patch[asText] = null
    } else if (picture === undefined && !Object.hasOwn(properties, name)) ignored.push(name)
    else if (several.has(name)) found.push({ property: name, message: isOneValue })
    else if (picture !== undefined) {
      if (value === null || value === '') patch[picture] = null
      else if (typeof value === 'string') pictures.set(picture, value)
      else found.push({ property: name, message: isPicture })
    } else {
      const field = properties[name as keyof typeof properties]
      if (value === '' && catalogue[field].clear === 'never') found.push({ field, message: 'is required' })
      else patch[field] = value === '' && clears(field, isForm) ? null : value
    }
  }
  return { patch, pictures, ignored, problems: found }
}

const isOneValue = 'is one value, and must be given once'
export const isPicture = 'must be a picture, sent as a file in multipart/form-data, or empty to remove it'

/**
 * Whether an empty text stands for no value. A form can not say null, so there it does wherever a field
 * may be empty; in JSON, where an empty text is not a valid value anyway.
 */
function clears(field: FieldName, isForm: boolean): boolean {
  const { schema } = catalogue[field]
  return isForm || schema.enum !== undefined || Number(schema.minLength ?? 0) > 0
}

/** Whether a body or a query says yes: `1`, `true`, and what JSON has for them. Undefined for neither. */
export function decodeFlag(value: unknown): boolean | undefined {
  if (value === true || value === 1 || value === '1' || value === 'true') return true
  const isNo = value === undefined || value === null || value === '' || value === '0' || value === 'false'
  return isNo || value === false || value === 0 ? false : undefined
}

/** Names are told as far as they are useful: a header has to stay so short that every client takes it. */
const mostIgnored = { names: 50, bytes: 4_000 }

/** Says what was left alone: names in percent-encoding, so that none of them can be taken for two or end the header. */
export function tellIgnored(reply: FastifyReply, ignored: readonly string[]): void {
  if (ignored.length === 0) return
  const told: string[] = []
  let bytes = 0
  for (const name of ignored.slice(0, mostIgnored.names)) {
    const encoded = encodeURIComponent([...name.slice(0, 128)].slice(0, 64).join('').toWellFormed())
    bytes += encoded.length + 2
    if (bytes > mostIgnored.bytes) break
    told.push(encoded)
  }
  const left = ignored.length - told.length
  reply.header('roster-ignored', [...told, ...(left > 0 ? [`and%20${left}%20more`] : [])].join(', '))
}

/** Only JSON is spoken here (RFC 9110, section 12.5.1); who says nothing takes it. */
export function requireJsonAccepted({ headers: { accept } }: FastifyRequest): void {
  if (accept === undefined || accept.trim() === '') return
  const takes = accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const isJson = type === '*/*' || type === 'application/*' || type === 'application/json'
    return isJson && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })
  if (!takes) throw new DirectoryError(refusal('not_acceptable', 'Answers are application/json'))
}
