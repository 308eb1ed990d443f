import { isUtf8 } from 'node:buffer'
import type { Readable } from 'node:stream'
import { Readable as Source } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Busboy, type BusboyInstance } from '@fastify/busboy'
import { DirectoryError, type Problem, refusal } from '../directory/errors.ts'

/** Reading the forms that browsers send. Nothing here throws: what is wrong is a problem to be told. */
export interface Form {
  /** Names and values as they were sent, in their order; a name may come again. */
  readonly fields: readonly (readonly [name: string, value: string])[]
}

/** A part of a form that has a file name. */
export interface FilePart {
  readonly name: string
  readonly filename: string
  /** As its sender says it is. */
  readonly type: string
  readonly bytes: Readable
}

/**
 * Takes a file while the form is read: it must read or drain the bytes, and tells what is wrong with it.
 * What it rejects with ends the reading, and a DirectoryError is what the request is answered with.
 */
export type TakeFile = (part: FilePart) => Promise<Problem | undefined>

export interface MultipartOptions {
  /** Bytes that a field may have whose name is this, where it is not the usual. */
  readonly valueBytes?: (name: string) => number | undefined
  /** Bytes of all, where the body is a stream; more is `too_large`. */
  readonly maxBytes?: number
  /** Bytes of what is held in memory, the values of all fields; more is `too_large`. */
  readonly maxText?: number
}

export type ReadForm = Form | { readonly problem: Problem }

const most = { parts: 100, valueBytes: 65_536, nameBytes: 200, headers: 10, headerBytes: 4_096 } as const

const fault = (message: string): { readonly problem: Problem } => ({ problem: { property: 'body', message } })

const tooMany = fault(`must have at most ${most.parts} fields`)

/**
 * Reads `application/x-www-form-urlencoded` (URL Standard, section 5.1), but strictly: what is no sound
 * percent-encoding of UTF-8 is not guessed at.
 */
export function readUrlencoded(body: Buffer): ReadForm {
  if (!isUtf8(body)) return fault('must be valid UTF-8')
  const text = body.toString()
  // No name of a field begins like that, and curl sends JSON as a form to whoever forgets its type.
  if (/^\s*["[{]/.test(text)) return fault('is no form, as Content-Type says it is, but looks like JSON')
  if (/^--/.test(text)) return fault('is no form of this type, but looks like multipart/form-data')
  const pairs = text.split('&').filter((pair) => pair !== '')
  if (pairs.length > most.parts) return tooMany
  const fields: [string, string][] = []
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const name = decodePart(at < 0 ? pair : pair.slice(0, at))
    const value = decodePart(at < 0 ? '' : pair.slice(at + 1))
    if (name === undefined || value === undefined) return fault('must have sound percent-encoding, of UTF-8')
    if (Buffer.byteLength(name) > most.nameBytes)
      return fault(`must have names of at most ${most.nameBytes} bytes`)
    fields.push([name, value])
  }
  return { fields }
}

function decodePart(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

/**
 * Reads `multipart/form-data` (RFC 7578) as it comes. A part with a file name is a file, any other a
 * field in UTF-8.
 * @param contentType the header of the request, which tells the boundary
 * @throws DirectoryError where the body is too large, or `takeFile` does
 */
export async function readMultipart(
  contentType: string,
  body: Buffer | Readable,
  takeFile: TakeFile,
  { valueBytes = () => undefined, maxBytes = Infinity, maxText = Infinity }: MultipartOptions = {},
): Promise<ReadForm> {
  let parser: BusboyInstance
  try {
    parser = createParser(contentType)
  } catch {
    return fault('must be in parts, between boundaries that Content-Type tells')
  }
  const failing = new AbortController()
  const limitOf = (name: string) => valueBytes(name) ?? most.valueBytes
  const found = collect(parser, takeFile, { limitOf, maxText }, (error) => failing.abort(error))
  const delimiters = createDelimiterCount(contentType)
  const source = body instanceof Buffer ? Source.from([body]) : body
  try {
    await pipeline(source, bounded(maxBytes, delimiters.look), parser, { signal: failing.signal })
  } catch (error) {
    const cause: unknown = failing.signal.aborted ? failing.signal.reason : error
    if (cause instanceof DirectoryError) throw cause
    if (!delimiters.sawAny()) return { fields: [] }
    return fault('must be a whole form of parts between the boundaries that Content-Type tells')
  }
  const { fields, problem, parts } = await found()
  // A part is read before it is stored, so what a taker failed at may be known only now.
  failing.signal.throwIfAborted()
  if (problem !== undefined) return { problem }
  // The parser passes over what is no part of a form and says nothing.
  return parts === delimiters.count()
    ? { fields }
    : fault('must consist of parts that are fields of a form, with names')
}

/** Passes bytes on, up to a limit, and shows them to somebody. */
function bounded(maxBytes: number, look: (chunk: Buffer) => void) {
  return async function* (source: AsyncIterable<Buffer>) {
    let size = 0
    for await (const chunk of source) {
      size += chunk.length
      if (size > maxBytes) throw new DirectoryError(tooLarge)
      look(chunk)
      yield chunk
    }
  }
}

const tooLarge = refusal('too_large', 'The request is too large', [
  { property: 'body', message: 'is too large' },
])

function createParser(contentType: string): BusboyInstance {
  return new Busboy({
    headers: { 'content-type': contentType },
    // Bytes, of every part: a field in no UTF-8 is refused rather than repaired.
    isPartAFile: () => true,
    preservePath: true,
    limits: {
      parts: most.parts,
      headerPairs: most.headers,
      headerSize: most.headerBytes,
    },
  })
}

interface Limits {
  readonly limitOf: (name: string) => number
  readonly maxText: number
}

function collect(
  parser: BusboyInstance,
  takeFile: TakeFile,
  { limitOf, maxText }: Limits,
  fail: (error: unknown) => void,
) {
  const fields: [string, string][] = []
  const problems: Problem[] = []
  const work: Promise<void>[] = []
  let parts = 0
  let text = 0
  const hold = (size: number) => {
    text += size
    if (text > maxText) throw new DirectoryError(tooLarge)
  }
  parser.on('partsLimit', () => problems.push(tooMany.problem))
  parser.on('file', (name: string | undefined, bytes, filename: string | undefined, encoding, type) => {
    parts++
    // Who reads it hears of it too; until then nobody would.
    bytes.on('error', () => {})
    const at = fields.length
    const isFile = filename !== undefined
    if (!isFile) fields.push([name ?? '', ''])
    const done = isFile
      ? takeFile({ name: name ?? '', filename, type, bytes })
      : readField({ name, bytes, encoding }, limitOf(name ?? ''), hold).then((read) => {
          if ('problem' in read) return read.problem
          fields[at] = [name ?? '', read.value]
          return undefined
        })
    const judged = done.then((problem) => {
      if (problem !== undefined) problems.push(problem)
    })
    // A form that breaks off breaks its last part off too, and is refused as a whole.
    work.push(judged.catch(fail))
  })
  return async () => {
    await Promise.all(work)
    return { fields, problem: problems[0], parts }
  }
}

type ReadField = { readonly value: string } | { readonly problem: Problem }

interface FieldPart {
  readonly name: string | undefined
  readonly bytes: Readable
  readonly encoding: string
}

async function readField(
  { name, bytes, encoding }: FieldPart,
  limit: number,
  hold: (size: number) => void,
): Promise<ReadField> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bytes) {
    size += (chunk as Buffer).length
    if (size > limit) continue
    hold((chunk as Buffer).length)
    chunks.push(chunk as Buffer)
  }
  if (name === undefined || name === '') return fault('must have a name for every part')
  const wrong = (message: string) => ({ problem: { property: name.slice(0, 100), message } })
  if (Buffer.byteLength(name) > most.nameBytes) return wrong('has too long a name')
  if (size > limit) return wrong(`must have at most ${limit} bytes`)
  if (!/^(7bit|8bit|binary)$/.test(encoding)) return wrong('must have no Content-Transfer-Encoding')
  const value = Buffer.concat(chunks)
  return isUtf8(value) ? { value: value.toString() } : wrong('must be valid UTF-8')
}

/** Counts the delimiters that begin a part, in bytes that come in pieces. */
function createDelimiterCount(contentType: string) {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType) ?? []
  const delimiter = Buffer.from(`\r\n--${quoted ?? plain ?? ''}`, 'latin1')
  let count = 0
  let over = false
  let any = false
  // The first delimiter may stand at the beginning, without a line before it.
  let rest = Buffer.from('\r\n')
  return {
    count: () => count,
    sawAny: () => any,
    look(chunk: Buffer): void {
      any ||= chunk.length > 0
      if (over) return
      const bytes = Buffer.concat([rest, chunk])
      let from = 0
      for (let at = bytes.indexOf(delimiter); at >= 0; at = bytes.indexOf(delimiter, from)) {
        const end = at + delimiter.length
        // What follows tells the last one.
        if (bytes.length < end + 2) break
        from = end
        if (bytes[end] === 0x2d && bytes[end + 1] === 0x2d) {
          over = true
          return
        }
        count++
      }
      rest = bytes.subarray(Math.max(from, bytes.length - delimiter.length - 1))
    },
  }
}
