import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { expiryOf, type Keys, type NewKey } from '../../access/keys.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import type { ApiKey } from '../../directory/key.ts'
import { lackOfScope } from '../../directory/policy.ts'
import { otherRequest } from '../../directory/receipt.ts'
import { readJsonObject } from '../body.ts'
import { sendPreview } from './answer.ts'
import { conditionsOf } from './counters.ts'
import { isPlainJson } from './decode.ts'
import { decodeOptions } from './options.ts'
import type { ById } from './users.ts'
import { encodeTime } from './wire.ts'

/** `/v1/keys`: API keys, for those who hold one with the scope `admin`. */
export function createKeyRoutes(keys: Keys) {
  /** A key that this request has not made was made by another with its idempotency key. */
  async function refuseOther(
    { actor }: FastifyRequest,
    error: unknown,
    id: string | undefined,
    asked: NewKey,
  ): Promise<never> {
    if (!(error instanceof DirectoryError) || error.code !== 'conflict') throw error
    const made = (await keys.list(actor)).find((one) => one.id === id)
    if (made !== undefined && !isLike(made, asked)) throw new DirectoryError(otherRequest)
    throw error
  }

  return {
    list: async (request: FastifyRequest) => ({ data: (await keys.list(request.actor)).map(encodeKey) }),

    /** The only answer that shows the secret. It is kept nowhere, so a repetition is told which key was made. */
    create: async (request: FastifyRequest, reply: FastifyReply) => {
      const body = readJsonObject(request, isPlainJson, 'application/json')
      const { dryRun, once, problems: others } = decodeOptions(request)
      const asked: object = 'object' in body ? body.object : {}
      const wrong = 'object' in body ? unknownIn(asked) : [body.problem]
      refuseIfWrong(request, [...others, ...conditionsOf(request), ...wrong])
      const id = once && `key_${hash('sha256', `${once.actor}\n${once.key}`, 'hex').slice(0, 16)}`
      const { key, secret } = await keys
        .create(request.actor, asked, { id, dryRun })
        .catch((error: unknown) => refuseOther(request, error, id, asked))
      if (dryRun) return sendPreview(reply, { dry_run: true, status: 201, key: encodeKey(key) })
      reply.code(201).header('location', `/v1/keys/${key.id}`).header('cache-control', 'no-store')
      return { ...encodeKey(key), secret }
    },

    revoke: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { dryRun, problems } = decodeOptions(request)
      refuseIfWrong(request, [...problems, ...conditionsOf(request)])
      const { id } = request.params
      if (dryRun) {
        const key = (await keys.list(request.actor)).find((one) => one.id === id)
        if (key === undefined) throw new DirectoryError(refusal('not_found', 'API key not found'))
        return sendPreview(reply, { dry_run: true, status: 204, key: encodeKey(key) })
      }
      await keys.revoke(request.actor, id)
      return reply.code(204).send()
    },
  }
}

function isLike(made: ApiKey, { name, scopes, expires_at }: NewKey): boolean {
  const wanted = new Set(scopes as readonly unknown[])
  return (
    made.name === String(name).normalize('NFC') &&
    made.scopes.every((scope) => wanted.has(scope)) &&
    made.scopes.length === wanted.size &&
    made.expiresAt === expiryOf(expires_at)
  )
}

const known = ['name', 'scopes', 'expires_at']

function unknownIn(body: object): Problem[] {
  return Object.keys(body)
    .filter((name) => !known.includes(name))
    .slice(0, 50)
    .map((name) => ({
      property: name.slice(0, 100),
      message: `is not known here; known are ${known.join(', ')}`,
    }))
}

/** 403 comes before 400. */
export function refuseIfWrong({ actor }: FastifyRequest, problems: readonly Problem[]): void {
  if (problems.length === 0) return
  throw new DirectoryError(
    lackOfScope(actor, 'admin') ?? refusal('invalid', 'The request is not valid', problems),
  )
}

function encodeKey(key: ApiKey) {
  const time = (at: number | null) => (at === null ? null : encodeTime(at))
  return {
    id: key.id,
    name: key.name,
    scopes: key.scopes,
    created_at: encodeTime(key.createdAt),
    expires_at: time(key.expiresAt),
    revoked_at: time(key.revokedAt),
    last_used_at: time(key.lastUsedAt),
  }
}
