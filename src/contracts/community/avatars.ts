import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ListedAvatar } from '../../directory/avatars.ts'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { parseId } from '../../directory/user.ts'
import type { Pictures } from '../../media/pictures.ts'
import { context } from '../contract.ts'
import { picturePath } from '../pictures.ts'
import { conditionsOf, decodePreconditions } from '../request.ts'
import { readFields, tellIgnored } from './decode.ts'
import { decodePage, linker, neighbours } from './pages.ts'
import { accountBlocked, type People, personOf } from './people.ts'
import { receive } from './pictures.ts'
import { encodeTime } from './wire.ts'

export interface AvatarRoutesOptions {
  readonly directory: Directory
  readonly people: People
  readonly pictures: Pictures
}

/** The list that the caller chooses the avatar from. */
export function createAvatarRoutes({ directory, people, pictures }: AvatarRoutesOptions) {
  /** @param read as the directory is asked for who may change the list, or is shown it */
  async function owner(request: FastifyRequest, read: 'basis' | 'view' = 'basis'): Promise<number> {
    const id = personOf(request)
    const user = await directory[read](context(request), id)
    if (user.status === 'blocked') throw new DirectoryError(accountBlocked)
    return id
  }

  const encode = (
    request: FastifyRequest,
    user: number,
    { id, primary, picture, uploadedAt }: ListedAvatar,
  ) => ({
    id,
    primary,
    avatar: `${people.originOf(request)}${picturePath(picture, 256)}`,
    date_uploaded: encodeTime(uploadedAt),
    user,
  })

  /** Which one is meant, and under which conditions. */
  async function asked(request: FastifyRequest, reply: FastifyReply) {
    const id = await owner(request)
    const { problems: wrong, ...preconditions } = decodePreconditions(request)
    const { avatarId, ignored, problems } = await decodeId(request)
    refuseWrong([...wrong, ...problems])
    tellIgnored(reply, ignored)
    return { ...preconditions, id, avatarId }
  }

  return {
    list: async (request: FastifyRequest) => {
      const id = await owner(request, 'view')
      const all = await directory.avatars(context(request), id)
      const page = decodePage(request.query as Parameters<typeof decodePage>[0])
      const shown = all.slice(page.offset, page.offset + page.limit)
      const link = linker(people.originOf(request), request.url)
      return {
        ...neighbours(page, { total: all.length }, link),
        results: shown.map((avatar) => encode(request, id, avatar)),
      }
    },

    add: async (request: FastifyRequest, reply: FastifyReply) => {
      // Nobody's files are taken who may not change anything.
      const id = await owner(request)
      return receive([request, reply], pictures, ['avatar'], async ({ fields, pictures: came, problems }) => {
        const given = came.get('avatar')
        const found = [...conditionsOf(request), ...fields.problems, ...problems]
        if (given === undefined && found.length === 0) found.push({ property: 'avatar', message: isMissing })
        refuseWrong(found)
        if (given === undefined) throw new Error('a picture that is not there was not missed')
        const rendered = await pictures.render('avatar', given.file)
        if ('problem' in rendered)
          return refuseWrong([{ property: given.property, message: rendered.problem }])
        const picture = await pictures.keep(id, 'avatar', rendered.files)
        const added = await directory.addAvatar(context(request), id, picture)
        tellIgnored(
          reply,
          [...fields.values.keys()].filter((name) => !own.has(name)),
        )
        reply.code(201)
        return encode(request, id, added)
      })
    },

    choose: async (request: FastifyRequest, reply: FastifyReply) => {
      await directory.chooseAvatar(context(request), await asked(request, reply))
      return reply.code(204).send()
    },

    remove: async (request: FastifyRequest, reply: FastifyReply) => {
      await directory.removeAvatar(context(request), await asked(request, reply))
      return reply.code(204).send()
    },
  }
}

const own: ReadonlySet<string> = new Set(['avatar', 'avatar_base64'])

const isMissing = 'is required: a picture, as a file or in avatar_base64'

function refuseWrong(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new DirectoryError(refusal('invalid', 'The request is not valid', problems))
}

/** `avatar_id`, in the query, in a form or in JSON: documents and clients have it in different places. */
async function decodeId(request: FastifyRequest) {
  const { values, several, problems: wrong } = await readFields(request)
  const problems = [...wrong]
  const property = 'avatar_id'
  const { avatar_id: inQuery } = request.query as { avatar_id?: unknown }
  const sent = [inQuery, values.get(property)].filter((value) => value !== undefined)
  const ids = new Set(
    sent.map((value) =>
      typeof value === 'string' || typeof value === 'number' ? parseId(String(value)) : undefined,
    ),
  )
  const [id] = ids
  if (sent.length === 0 && wrong.length === 0) problems.push({ property, message: 'is required' })
  else if (ids.size > 1 || several.has(property))
    problems.push({ property, message: 'must be one id, given once' })
  else if (id === undefined && wrong.length === 0)
    problems.push({ property, message: 'must be the id of an avatar' })
  const ignored = [...values.keys()].filter((name) => name !== property)
  return { avatarId: id ?? 0, ignored, problems }
}
