import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Client, Clients, NewClient } from '../../access/oauth-clients.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { otherRequest } from '../../directory/receipt.ts'
import { readJsonObject } from '../body.ts'
import { sendPreview } from './answer.ts'
import { conditionsOf } from './counters.ts'
import { isPlainJson } from './decode.ts'
import { refuseIfWrong } from './keys.ts'
import { decodeOptions } from './options.ts'
import type { ById } from './users.ts'
import { encodeTime } from './wire.ts'

/** `/v1/clients`: OAuth clients, for those who hold a key with the scope `admin`. */
export function createClientRoutes(clients: Clients) {
  /** A client that this request has not made was made by another with its idempotency key. */
  async function refuseOther(
    { actor }: FastifyRequest,
    error: unknown,
    id: string | undefined,
    asked: NewClient,
  ): Promise<never> {
    if (!(error instanceof DirectoryError) || error.code !== 'conflict') throw error
    const made = (await clients.list(actor)).find((one) => one.id === id)
    if (made !== undefined && !isLike(made, asked)) throw new DirectoryError(otherRequest)
    throw error
  }

  return {
    list: async (request: FastifyRequest) => ({
      data: (await clients.list(request.actor)).map(encodeClient),
    }),

    /** The only answer that shows the secret. It is kept nowhere, so a repetition is told which client was made. */
    create: async (request: FastifyRequest, reply: FastifyReply) => {
      const body = readJsonObject(request, isPlainJson, 'application/json')
      const { dryRun, once, problems: others } = decodeOptions(request)
      const asked: object = 'object' in body ? body.object : {}
      const wrong = 'object' in body ? unknownIn(asked) : [body.problem]
      refuseIfWrong(request, [...others, ...conditionsOf(request), ...wrong])
      const id = once && `client_${hash('sha256', `${once.actor}\n${once.key}`, 'hex').slice(0, 16)}`
      const { client, secret } = await clients
        .create(request.actor, asked, { id, dryRun })
        .catch((error: unknown) => refuseOther(request, error, id, asked))
      if (dryRun) return sendPreview(reply, { dry_run: true, status: 201, client: encodeClient(client) })
      reply.code(201).header('location', `/v1/clients/${client.id}`).header('cache-control', 'no-store')
      return { ...encodeClient(client), client_secret: secret }
    },

    revoke: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { dryRun, problems } = decodeOptions(request)
      refuseIfWrong(request, [...problems, ...conditionsOf(request)])
      const { id } = request.params
      if (dryRun) {
        const client = (await clients.list(request.actor)).find((one) => one.id === id)
        if (client === undefined) throw new DirectoryError(refusal('not_found', 'Client not found'))
        return sendPreview(reply, { dry_run: true, status: 204, client: encodeClient(client) })
      }
      await clients.revoke(request.actor, id)
      return reply.code(204).send()
    },
  }
}

function isLike(
  made: Client,
  { name, scopes, redirect_uris = [], public: isPublic = false }: NewClient,
): boolean {
  const wanted = new Set(scopes as readonly unknown[])
  return (
    made.name === String(name).normalize('NFC') &&
    made.scopes.every((scope) => wanted.has(scope)) &&
    made.scopes.length === wanted.size &&
    made.isPublic === isPublic &&
    JSON.stringify(made.redirectUris) === JSON.stringify(redirect_uris)
  )
}

const known = ['name', 'scopes', 'redirect_uris', 'public']

function unknownIn(body: object): Problem[] {
  return Object.keys(body)
    .filter((name) => !known.includes(name))
    .slice(0, 50)
    .map((name) => ({
      property: name.slice(0, 100),
      message: `is not known here; known are ${known.join(', ')}`,
    }))
}

export function encodeClient({ id, name, scopes, redirectUris, isPublic, createdAt, revokedAt }: Client) {
  return {
    client_id: id,
    name,
    scopes,
    redirect_uris: redirectUris,
    public: isPublic,
    created_at: encodeTime(createdAt),
    revoked_at: revokedAt === null ? null : encodeTime(revokedAt),
  }
}
