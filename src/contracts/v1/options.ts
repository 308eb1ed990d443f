import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Passwords } from '../../access/passwords.ts'
import type { Once } from '../../directory/command.ts'
import type { Problem } from '../../directory/errors.ts'

/** What every write may ask besides itself: to be only tried (`?dry_run=true`), and to be done once (`Idempotency-Key`). */
export interface Options {
  readonly dryRun?: true
  readonly once?: Once
  readonly problems: readonly Problem[]
}

const none: Options = { problems: [] }

/**
 * Reads what the query and the header ask. What the key stands for is kept as a hash that is quick to make.
 * @param body what stands for the body where that is no longer there
 */
export function decodeOptions(request: FastifyRequest, body: string | Buffer = bytesOf(request)): Options {
  const { key, ...options } = readOptions(request)
  return key === undefined ? options : { ...options, once: onceOf(request, key, body) }
}

/**
 * As decodeOptions, for requests with a password in them. A slow hash of the request is kept then, so
 * that the password can not be guessed from it.
 */
export async function decodeOptionsSlowly(
  request: FastifyRequest,
  passwords: Pick<Passwords, 'fingerprint'>,
): Promise<Options> {
  const { key, ...options } = readOptions(request)
  if (key === undefined) return options
  const { actor, text } = identityOf(request)
  const hash = await passwords.fingerprint(`${text}${bytesOf(request).toString('base64')}`, `${actor} ${key}`)
  return { ...options, once: { actor, key, hash } }
}

function readOptions(request: FastifyRequest): Options & { readonly key?: string } {
  const problems: Problem[] = []
  const dryRun = decodeDryRun(request, problems)
  const key = decodeKey(request, problems)
  // What is only tried uses no key up.
  if (dryRun) return { dryRun, problems }
  if (key !== undefined) return { key, problems }
  return problems.length === 0 ? none : { problems }
}

function onceOf(request: FastifyRequest, key: string, body: string | Buffer): Once {
  const { actor, text } = identityOf(request)
  return { actor, key, hash: createHash('sha256').update(text).update(body).digest('hex') }
}

/** Says that an answer is the one that was given when the request came for the first time. */
export function markReplay(
  reply: FastifyReply,
  { replayed }: { readonly replayed?: true | undefined },
): void {
  if (replayed) reply.header('idempotency-replayed', 'true')
}

function decodeDryRun(request: FastifyRequest, problems: Problem[]): true | undefined {
  const query = request.query as Readonly<Record<string, unknown>>
  let dryRun: true | undefined
  for (const property in query) {
    const location = 'query'
    if (property !== 'dry_run') {
      const message = `Unknown parameter: ${property.slice(0, 100)}`
      problems.push({ property: property.slice(0, 100), location, message })
    } else if (query.dry_run === 'true') dryRun = true
    else problems.push({ property, location, message: 'Must be true, or be left out' })
  }
  return dryRun
}

// draft-ietf-httpapi-idempotency-key-header-07, section 2.1: a string of RFC 8941, section 3.3.3. Bare
// tokens are what most clients send, so they are taken for what stands in a string.
const string = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/
const bare = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/

function decodeKey({ headers }: FastifyRequest, problems: Problem[]): string | undefined {
  const sent = headers['idempotency-key']
  if (sent === undefined) return undefined
  const text = Array.isArray(sent) ? sent.join(', ') : sent
  const quoted = string.exec(text)?.[1]?.replaceAll(/\\(["\\])/g, '$1')
  const key = quoted ?? (bare.test(text) ? text : '')
  if (key.length >= 1 && key.length <= 255) return key
  const message = 'must be one string of 1 to 255 ASCII characters, with or without quotes'
  problems.push({ property: 'Idempotency-Key', location: 'header', message })
  return undefined
}

/** Who asks, and what for, the body left out. */
function identityOf({ method, url, headers, actor: { kind, id } }: FastifyRequest) {
  const conditions = [headers['content-type'], headers['if-match'], headers['if-none-match']]
  const text = `${JSON.stringify([method, url, ...conditions.map((value) => value ?? null)])}\n`
  return { actor: `${kind}:${id}`, text }
}

function bytesOf({ body }: FastifyRequest): Buffer {
  return body instanceof Buffer ? body : Buffer.alloc(0)
}
