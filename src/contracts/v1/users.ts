import type { FastifyReply, FastifyRequest } from 'fastify'
import { faultOfPassword } from '../../access/password-rule.ts'
import type { Passwords } from '../../access/passwords.ts'
import type { Context, Directory, Result } from '../../directory/directory.ts'
import { type Code, DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import type { FieldName } from '../../directory/fields.ts'
import { lackOfScope } from '../../directory/policy.ts'
import { parseId, type User } from '../../directory/user.ts'
import { addressOf } from '../address.ts'
import { readJsonObject } from '../body.ts'
import { context } from '../contract.ts'
import { decodePreconditions, entityTag, isNotModified } from '../request.ts'
import { previewOf, sendPreview, sendUser } from './answer.ts'
import { type DecodedBody, decodeBody, decodeUpdate, isPlainJson, patchTypes } from './decode.ts'
import { type Ids, thisOne } from './ids.ts'
import { decodeOptions, decodeOptionsSlowly, markReplay } from './options.ts'
import { encodeUser, properties } from './wire.ts'

export interface ById {
  Params: { id: string }
}

export interface UsersOptions {
  readonly directory: Directory
  readonly ids: Ids
  readonly passwords: Passwords
  /** What addresses in answers start with; undefined for paths alone. */
  readonly publicUrl: string | undefined
}

/** Create, read, update and delete, as page 002 and its siblings have them. */
export function createUsers({ directory, ids, passwords, publicUrl }: UsersOptions) {
  async function show(request: FastifyRequest, reply: FastifyReply, user: User) {
    reply.header('etag', entityTag(user))
    return isNotModified(request, user) ? reply.code(304).send() : encodeUser(user)
  }

  return {
    get: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { id: uid } = request.params
      return show(request, reply, thisOne(await directory.get(context(request), await ids(uid)), uid))
    },

    /** The caller's own user: a person has one, a key has none. */
    me: async (request: FastifyRequest, reply: FastifyReply) => {
      const { kind, id } = request.actor
      const own = kind === 'person' ? parseId(id ?? '') : undefined
      if (own === undefined) throw new DirectoryError(lackOfScope(request.actor, 'read') ?? noPerson)
      return show(request, reply, await directory.get(context(request), own))
    },

    update: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { id: uid } = request.params
      const known = ids(uid)
      const decoded = decodeUpdate(request, { properties, types: patchTypes, uid })
      const options = decodeOptions(request)
      const asked = {
        ...decoded,
        ...options,
        problems: joined(options.problems, decoded.problems),
        id: typeof known === 'number' ? known : await known,
        called: uid,
      }
      return sendUser(reply, await directory.update(context(request), asked), encodeUser)
    },

    create: async (request: FastifyRequest, reply: FastifyReply) => {
      const { ifMatch, ifNoneMatch, problems: wrong } = decodePreconditions(request)
      const body = readJsonObject(request, isPlainJson, 'application/json')
      const decoded: DecodedNew =
        'object' in body ? decodeNew(body.object) : { patch: {}, problems: [body.problem] }
      const options = decodeOptions(request)
      const problems = [...wrong, ...options.problems, ...decoded.problems]
      const needed = 'object' in body ? required : []
      const asked = { patch: decoded.patch, required: needed, problems, ifMatch, ifNoneMatch }
      const isKeyed = options.once !== undefined
      const tried = await tryCreate(directory, context(request), asked, isKeyed)
      if (options.dryRun && tried !== undefined) return sendUser(reply, tried, encodeUser)
      const { once } = await decodeOptionsSlowly(request, passwords)
      const password = await hashSound(passwords, decoded.password, problems)
      const result = await directory.create(context(request), { ...asked, password, once })
      reply.code(201).header('location', addressOf(publicUrl, `/v1/users/${result.user.uid}`))
      return sendUser(reply, result, encodeUser)
    },

    erase: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { problems, ...preconditions } = decodePreconditions(request)
      const options = decodeOptions(request)
      const { id: called } = request.params
      const id = await ids(called)
      const all = joined(problems, options.problems)
      const asked = { ...preconditions, ...options, problems: all, id, called }
      const result = await directory.erase(context(request), asked)
      if (result.fields !== undefined) {
        const before = await directory.basis(context(request), id)
        return sendPreview(reply, previewOf(result, encodeUser, before))
      }
      markReplay(reply, result)
      return reply.code(204).send()
    },
  }
}

const noPerson = refusal(
  'not_found',
  'An API key is not a user; GET /v1/users/{user_id} shows the user with that id',
)

export const required: readonly FieldName[] = ['email', 'username']

interface DecodedNew extends DecodedBody {
  /** Well-formed, unless there are problems. */
  readonly password?: string
}

/** The body of a user to be made: with a password, and the role `user` where it says nothing else. */
export function decodeNew(body: object): DecodedNew {
  const { password, ...rest } = body as { readonly password?: unknown }
  const { patch, problems } = decodeBody(rest, properties, undefined)
  const withRole = Object.hasOwn(patch, 'role') ? patch : { ...patch, role: 'user' }
  const wrong = judgePassword(password)
  if (wrong !== undefined) return { patch: withRole, problems: [...problems, wrong] }
  return { patch: withRole, problems, password: String(password) }
}

/** What is wrong with a password that somebody shall have. */
function judgePassword(value: unknown): Problem | undefined {
  const message = faultOfPassword(value)
  return message === undefined ? undefined : { property: 'password', message }
}

/** The hash of a password, but of none that comes with problems: nothing is made of such a request. */
export async function hashSound(
  passwords: Pick<Passwords, 'hash'>,
  password: string | undefined,
  problems: readonly Problem[],
): Promise<string | undefined> {
  return problems.length > 0 ? undefined : passwords.hash(password ?? '')
}

/** Refusals that what is kept under an idempotency key comes before. */
const comeAfterReceipts: readonly Code[] = ['invalid', 'precondition_failed', 'conflict']

/**
 * What would come of a creation. Hashing is dear, so this is seen before.
 * @param isKeyed whether there may be something under its key: from itself, and then it conflicts with
 *   what it made the first time, or from another request
 * @returns nothing where that is still to be seen
 */
export async function tryCreate(
  directory: Directory,
  of: Context,
  asked: Parameters<Directory['create']>[1],
  isKeyed: boolean,
): Promise<Result | undefined> {
  try {
    return await directory.create(of, { ...asked, dryRun: true })
  } catch (error) {
    if (isKeyed && error instanceof DirectoryError && comeAfterReceipts.includes(error.code)) return undefined
    throw error
  }
}

export function joined(some: readonly Problem[], others: readonly Problem[]): readonly Problem[] {
  if (some.length === 0) return others
  return others.length === 0 ? some : [...some, ...others]
}
