import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Creation, requireAdmin } from '../../access/keys.ts'
import type { Actor } from '../../directory/actor.ts'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { addressOf } from '../address.ts'
import { readJsonObject } from '../body.ts'
import { conditionsOf } from '../request.ts'
import { sendPreview } from './answer.ts'
import { isPlainJson } from './decode.ts'
import { decodeOptions } from './options.ts'
import type { ById } from './users.ts'

export interface CredentialOptions {
  readonly directory: Directory
  /** What addresses in answers start with; undefined for paths alone. */
  readonly publicUrl: string | undefined
}

/** One kind of what lets programs in: API keys, OAuth clients. */
export interface Kind<T extends { readonly id: string }> {
  /** `key` */
  readonly noun: string
  readonly notFound: string
  /** The properties that one can be made with. */
  readonly known: readonly string[]
  readonly list: (actor: Actor) => Promise<readonly T[]>
  /** Rejects with `conflict` where the id that it shall have is taken. */
  readonly create: (
    actor: Actor,
    asked: object,
    creation: Creation,
  ) => Promise<{ readonly made: T; readonly secret: string | null }>
  readonly revoke: (actor: Actor, id: string) => Promise<unknown>
  readonly encode: (one: T) => object
  /** What its secret is called. */
  readonly secretName: string
}

/**
 * Made, listed and revoked by those who hold the scope `admin`. Where a request has an idempotency key it
 * is kept, before anything is done, what it makes or revokes: it may end there, and goes on when it is
 * repeated.
 */
export function createCredentialRoutes<T extends { readonly id: string }>(
  { directory, publicUrl }: CredentialOptions,
  { noun, notFound, known, list, create, revoke, encode, secretName }: Kind<T>,
) {
  async function find(actor: Actor, id: string): Promise<T> {
    const found = (await list(actor)).find((one) => one.id === id)
    if (found === undefined) throw new DirectoryError(refusal('not_found', notFound))
    return found
  }

  return {
    list: async ({ actor }: FastifyRequest) => ({ data: (await list(actor)).map(encode) }),

    /** The only answer that shows the secret. It is kept nowhere, so a repetition is told what was made: 409. */
    create: async (request: FastifyRequest, reply: FastifyReply) => {
      const { actor } = request
      requireAdmin(actor)
      const body = readJsonObject(request, isPlainJson, 'application/json')
      const { dryRun, once, problems } = decodeOptions(request)
      const asked: object = 'object' in body ? body.object : {}
      const wrong = 'object' in body ? unknownIn(asked, known) : [body.problem]
      const { made, secret } = await directory.exclusively(once, async (kept) => {
        refuseIfWrong([...problems, ...conditionsOf(request), ...wrong])
        if (once === undefined) return create(actor, asked, { dryRun })
        const tried = kept === undefined ? (await create(actor, asked, { dryRun: true })).made.id : ''
        return create(actor, asked, { id: await directory.begin(once, tried) })
      })
      if (dryRun) return sendPreview(reply, { dry_run: true, status: 201, [noun]: encode(made) })
      const location = addressOf(publicUrl, `/v1/${noun}s/${made.id}`)
      reply.code(201).header('location', location).header('cache-control', 'no-store')
      return { ...encode(made), [secretName]: secret }
    },

    revoke: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { actor, params } = request
      requireAdmin(actor)
      const { dryRun, once, problems } = decodeOptions(request)
      const { one, isRepeated } = await directory.exclusively(once, async (kept) => {
        refuseIfWrong([...problems, ...conditionsOf(request)])
        const found = await find(actor, params.id)
        if (once !== undefined) await directory.begin(once, found.id)
        if (!dryRun) await revoke(actor, found.id)
        return { one: found, isRepeated: kept !== undefined }
      })
      if (dryRun) return sendPreview(reply, { dry_run: true, status: 204, [noun]: encode(one) })
      if (isRepeated) reply.header('idempotency-replayed', 'true')
      return reply.code(204).send()
    },
  }
}

function unknownIn(body: object, known: readonly string[]): Problem[] {
  return Object.keys(body)
    .filter((name) => !known.includes(name))
    .slice(0, 50)
    .map((name) => ({
      property: name.slice(0, 100),
      message: `is not known here; known are ${known.join(', ')}`,
    }))
}

function refuseIfWrong(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new DirectoryError(refusal('invalid', 'The request is not valid', problems))
}
