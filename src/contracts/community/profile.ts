import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Directory } from '../../directory/directory.ts'
import { afterCommit, DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import type { FieldName } from '../../directory/fields.ts'
import { pictureKinds } from '../../directory/picture.ts'
import type { User } from '../../directory/user.ts'
import type { Pictures } from '../../media/pictures.ts'
import { context } from '../contract.ts'
import { createPictureUpdate } from '../pictures.ts'
import { decodePreconditions, entityTag } from '../request.ts'
import { decodeEdit, decodeFlag, type Edit, isPicture, tellIgnored } from './decode.ts'
import { accountBlocked, type ById, knownId, type People, personOf } from './people.ts'
import { receive, streamed } from './pictures.ts'
import { encodeCounters, encodeMe, encodeUser } from './wire.ts'

export interface ProfileOptions {
  readonly directory: Directory
  readonly people: People
  readonly pictures: Pictures
}

/** One person: shown to everybody, edited and removed by themselves. */
export function createProfile({ directory, people, pictures }: ProfileOptions) {
  const update = createPictureUpdate({ directory, pictures })

  async function send(request: FastifyRequest, reply: FastifyReply, user: User, did?: 'update') {
    // Counters have no version, and others see less, so nothing is ever answered with 304.
    reply.header('etag', entityTag(user))
    return encodeUser(await people.showOne(request, user, did))
  }

  /** @throws DirectoryError `forbidden` for who is blocked */
  async function self(request: FastifyRequest): Promise<User> {
    const user = await directory.get(context(request), personOf(request))
    if (user.status === 'blocked') throw new DirectoryError(accountBlocked)
    return user
  }

  /** Pictures come as files; what was read as an address may be sent back. */
  async function judgePictures(
    request: FastifyRequest,
    id: number,
    { pictures: sent }: Edit,
  ): Promise<Problem[]> {
    if (sent.size === 0) return []
    const user = await directory.view(context(request), id)
    const shown = people.pictures(request)
    return [...sent]
      .filter(([name, value]) => shown[name](user) !== value)
      .map(([property]) => ({ property, message: isPicture }))
  }

  const edit =
    (required: readonly FieldName[]) => async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      // Nobody's files are taken who may not change anything.
      const brings = streamed.test(request.headers['content-type'] ?? '')
      const id = await (brings ? people.active(request, 'basis') : people.own(request))
      const { problems: wrong, ...preconditions } = decodePreconditions(request)
      const from = [request, reply] as const
      return receive(from, pictures, pictureKinds, async ({ fields, pictures: came, problems: unfit }) => {
        const sent = decodeEdit(fields)
        const problems = [...wrong, ...sent.problems, ...unfit, ...(await judgePictures(request, id, sent))]
        for (const kind of came.keys())
          if (sent.patch[kind] !== undefined || sent.pictures.has(kind))
            problems.push({ property: kind, message: 'is one picture, and must be sent once' })
        const asked = { ...preconditions, id, patch: sent.patch, required, problems, showsDerived: true }
        const { user } = await update(context(request), asked, came)
        tellIgnored(reply, sent.ignored)
        return afterCommit(send(request, reply, user, 'update'))
      })
    }

  /** Of somebody who was removed already there is more to be said than that nobody is there. */
  async function removed(request: FastifyRequest, id: number, error: unknown): Promise<never> {
    if (!(error instanceof DirectoryError) || error.code !== 'not_found') throw error
    await directory.view(context(request), id)
    const problem = { property: 'body', message: 'names a user who is already soft deleted' }
    throw new DirectoryError(refusal('invalid', 'The user is already soft deleted', [problem]))
  }

  return {
    get: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const user = await directory.view(context(request), knownId(request))
      return { ...(await send(request, reply, user)), can_send_pm_to: false }
    },

    me: async (request: FastifyRequest, reply: FastifyReply) => {
      const user = await self(request)
      reply.header('etag', entityTag(user))
      return encodeMe(await people.showOne(request, user))
    },

    myAvatar: async (request: FastifyRequest) => ({
      avatar: people.pictures(request).avatar(await self(request)),
    }),

    /** What a client that has just signed in wants to know. */
    signIn: async (request: FastifyRequest) => {
      const { id, ext_id, username, role, tags } = encodeMe(
        await people.showOne(request, await self(request)),
      )
      return { id, ext_id, username, role, tags: tags.map((tag) => tag.id) }
    },

    counters: async (request: FastifyRequest<ById>) => {
      const user = await directory.view(context(request), knownId(request))
      return encodeCounters((await people.showOne(request, user)).counters)
    },

    update: edit([]),
    replace: edit(['username']),

    remove: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const id = request.actor.scopes.includes('admin') ? knownId(request) : await people.own(request)
      const hard = decodeFlag((request.query as { hard?: unknown }).hard)
      const { problems: wrong, ...preconditions } = decodePreconditions(request)
      const isFlag = { property: 'hard', location: 'query', message: 'must be 1 or 0' } as const
      const problems = hard === undefined ? [...wrong, isFlag] : wrong
      const asked = { ...preconditions, id, problems }
      if (hard) await directory.erase(context(request), { ...asked, removedToo: true })
      else await directory.remove(context(request), asked).catch((error) => removed(request, id, error))
      return reply.code(204).send()
    },
  }
}
