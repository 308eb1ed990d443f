import { isUtf8 } from 'node:buffer'
import type { FastifyRequest } from 'fastify'
import type { Problem } from '../directory/errors.ts'
import { countMembers } from '../directory/json-text.ts'

/** Reading the body of a request as JSON. Nothing here throws: what is wrong is a problem to be told. */
export type ReadJson = { readonly value: unknown; readonly text: string } | { readonly problem: Problem }

/** A media type in lower case, where its character set is UTF-8 or not said (RFC 9110, section 8.3). */
const mediaType =
  /^\s*([\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+)\s*(?:;\s*charset\s*=\s*(?:"utf-8"|utf-8)\s*)?;?\s*$/i

/** The media type of a request, or undefined where it has none, or none in UTF-8. */
export function typeOf({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined {
  const type = headers['content-type']
  if (type === undefined || type === 'application/json') return type
  // None is that long, and looking at thousands of spaces takes a second.
  if (type.length > 255) return undefined
  return mediaType.exec(type)?.[1]?.toLowerCase()
}

/**
 * Reads the body as the JSON of one of the media types, in UTF-8.
 * @param said what is told where the type is another
 */
export function readJson(
  request: FastifyRequest,
  accepts: (type: string) => boolean,
  said: string,
): ReadJson {
  const problem = badHeader(request, accepts, said)
  if (problem !== undefined) return { problem }
  const bytes = request.body
  if (!(bytes instanceof Buffer) || bytes.length === 0) return wrong('must be JSON, and is empty')
  if (!isUtf8(bytes)) return wrong('must be valid UTF-8')
  const text = bytes.toString()
  try {
    return { value: JSON.parse(text), text }
  } catch (error) {
    const at = /position (\d+)/.exec(String(error))?.[1]
    return wrong(`must be valid JSON${at === undefined ? '' : `, and breaks at position ${at}`}`)
  }
}

/** Reads the body as one JSON object. */
export function readJsonObject(
  request: FastifyRequest,
  accepts: (type: string) => boolean,
  said: string,
): { readonly object: object; readonly text: string } | { readonly problem: Problem } {
  const read = readJson(request, accepts, said)
  if ('problem' in read) return read
  const { value, text } = read
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return wrong('must be a JSON object')
  // JSON.parse keeps the last of two members with one name: a value would be lost without a word.
  if (countMembers(text) !== Object.keys(value).length) return wrong('must not name a property twice')
  return { object: value, text }
}

export function wrong(message: string): { readonly problem: Problem } {
  return { problem: { property: 'body', message } }
}

/** A body that is not what it is taken for is not read: neither as another type nor as it was packed. */
export function badHeader(
  request: Pick<FastifyRequest, 'headers'>,
  accepts: (type: string) => boolean,
  said: string,
): Problem | undefined {
  const location = 'header'
  const { headers } = request
  const type = typeOf(request)
  if (type === undefined || !accepts(type)) {
    return { property: 'Content-Type', location, message: `must be ${said}` }
  }
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    return { property: 'Content-Encoding', location, message: 'must be left out' }
  }
  if (
    headers['transfer-encoding'] !== undefined &&
    headers['transfer-encoding'].toLowerCase() !== 'chunked'
  ) {
    return { property: 'Transfer-Encoding', location, message: 'must be chunked' }
  }
  return undefined
}

/** Whether a body is not read for its type or its coding: a header is wrong then, and no property of that name. */
export function isUnread(problems: readonly Problem[]): boolean {
  return problems.some((problem) => {
    const { property, location } = { location: undefined, ...problem }
    return location === 'header' && (property === 'Content-Type' || property === 'Content-Encoding')
  })
}
