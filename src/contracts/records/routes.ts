import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { userNotFound } from '../../directory/decision.ts'
import type { Directory, Result } from '../../directory/directory.ts'
import { DirectoryError, type Problem } from '../../directory/errors.ts'
import { maxId, parseId } from '../../directory/user.ts'
import { addressOf } from '../address.ts'
import { type Contract, context, isUnder, markPending } from '../contract.ts'
import { sendList } from '../list.ts'
import { listAnswer, listSchema } from '../list-parameters.ts'
import { decodePreconditions, decodeWrite, entityTag, isNotModified } from '../request.ts'
import { answer, bodySchema, conditions, idSchema, userSchema } from '../schema.ts'
import { errorSchema, refuse } from './errors.ts'
import { encodeUser, maxLength, properties, required } from './wire.ts'

export interface RecordsOptions {
  /** Whether PUT makes a user under an id that never named anybody. */
  readonly upsert: boolean
  /** What addresses in answers start with; undefined for what each request says. */
  readonly publicUrl: string | undefined
}

/** The records service: `PUT /users?id=` at the root, everything at `/records/users`. */
export function records(options: RecordsOptions): Contract {
  return {
    name: 'records',
    knowsCredentials: false,
    owns: (method, path) => isUnder(path, '/records') || (method === 'PUT' && /^\/users\/?$/.test(path)),
    refuse,
    routes(app, directory) {
      for (const slash of ['', '/']) {
        const hide = slash !== ''
        const handlers = createHandlers(directory, options)
        app.put(`/users${slash}`, { schema: { ...docs.replaceByQuery, hide } }, handlers.replaceByQuery)
        routesAt(app, slash, handlers)
      }
    },
  }
}

const path = '/records/users'

interface ById {
  Params: { id: string }
}

interface ByQuery {
  Querystring: { id?: string | string[] }
}

function routesAt(app: FastifyInstance, slash: string, handlers: ReturnType<typeof createHandlers>): void {
  const hide = slash !== ''
  const all = `${path}${slash}`
  const one = `${path}/:id${slash}`
  app.get(all, { schema: { ...docs.list, hide } }, handlers.list)
  app.post(all, { schema: { ...docs.create, hide } }, handlers.create)
  app.put(all, { schema: { ...docs.replaceByQuery, hide } }, handlers.replaceByQuery)
  app.get(one, { schema: { ...docs.get, hide } }, handlers.get)
  app.put(one, { schema: { ...docs.replace, hide } }, handlers.replace)
  app.patch(one, { schema: { ...docs.update, hide } }, handlers.update)
  app.delete(one, { schema: { ...docs.erase, hide } }, handlers.erase)
}

function createHandlers(directory: Directory, { upsert, publicUrl }: RecordsOptions) {
  async function replace(request: FastifyRequest, reply: FastifyReply, addressed: Addressed) {
    const decoded = decodeWrite(request, { properties, required, id: addressed.id })
    const problems = [...addressed.problems, ...decoded.problems]
    const asked = { ...decoded, problems, id: addressed.id, maxLength, upsert, invalidFirst: true }
    const result = await directory.replace(context(request), asked)
    if (result.outcome === 'created')
      reply.code(201).header('location', addressOf(publicUrl, `${path}/${result.user.id}`))
    return sendUser(reply, result)
  }

  return {
    replaceByQuery: async (request: FastifyRequest<ByQuery>, reply: FastifyReply) =>
      replace(request, reply, userNamed(request.query.id, 'query')),

    replace: async (request: FastifyRequest<ById & ByQuery>, reply: FastifyReply) =>
      replace(request, reply, addressInPath(request)),

    list: async (request: FastifyRequest, reply: FastifyReply) =>
      sendList(request, reply, { directory, publicUrl, properties, encode: encodeUser }),

    get: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const user = await directory.get(context(request), knownId(request))
      reply.header('etag', entityTag(user))
      return isNotModified(request, user) ? reply.code(304).send() : encodeUser(user)
    },

    create: async (request: FastifyRequest, reply: FastifyReply) => {
      const asked = { ...decodeWrite(request, { properties, required }), maxLength }
      const result = await directory.create(context(request), asked)
      reply.code(201).header('location', addressOf(publicUrl, `${path}/${result.user.id}`))
      return sendUser(reply, result)
    },

    update: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { id, problems } = userNamed(request.params.id, 'path')
      const decoded = decodeWrite(request, { properties, id })
      const asked = {
        ...decoded,
        problems: [...problems, ...decoded.problems],
        id,
        maxLength,
        invalidFirst: true,
      }
      return sendUser(reply, await directory.update(context(request), asked))
    },

    erase: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      await directory.erase(context(request), { ...decodePreconditions(request), id: knownId(request) })
      return reply.send()
    },
  }
}

function sendUser(reply: FastifyReply, result: Result) {
  const { user } = result
  reply.header('etag', entityTag(user))
  markPending(reply, result)
  return encodeUser(user)
}

/** GET and DELETE document no 400: an id that can not be one names nobody. */
function knownId(request: FastifyRequest<ById>): number {
  const id = parseId(request.params.id)
  if (id === undefined) throw new DirectoryError(userNotFound)
  return id
}

/** Which user a request is about; with a problem, the id is nobody's, and all else is still judged. */
interface Addressed {
  readonly id: number
  readonly problems: readonly Problem[]
}

function userNamed(text: string | string[] | undefined, location: 'path' | 'query'): Addressed {
  const wrong = (message: string) => ({ id: nobody, problems: [{ property: 'id', location, message }] })
  if (text === undefined) return wrong('is required')
  if (Array.isArray(text)) return wrong('must be given once')
  const id = parseId(text)
  return id === undefined ? wrong(`must be a whole number from 1 to ${maxId}`) : { id, problems: [] }
}

/** The id may be said twice, if it is the same. */
function addressInPath({ params, query }: FastifyRequest<ById & ByQuery>): Addressed {
  const address = userNamed(params.id, 'path')
  if (query.id === undefined || query.id === params.id) return address
  const message = 'differs from the id in the path'
  return { id: nobody, problems: [...address.problems, { property: 'id', location: 'query', message }] }
}

const nobody = 0

const user = userSchema(properties)
const wholeBody = bodySchema(properties, { required: true, maxLength })
const params = { type: 'object', properties: { id: idSchema }, required: ['id'] }
const querystring = { type: 'object', properties: { id: idSchema }, required: ['id'] }
const tags = ['records']
const refused = { '4xx': errorSchema, '5xx': errorSchema }
const ifMatch = conditions({ 'If-Match': 'Only if the user is still at this ETag' })
const ifNoneMatch = conditions({ 'If-None-Match': 'Only if the user is not at this ETag any more (304)' })
const replacement = {
  summary: 'Replace a user, or make one',
  tags,
  headers: conditions({
    'If-Match': 'Only if the user is still at this ETag; `*`: only replace',
    'If-None-Match': '`*`: only create',
  }),
  body: wholeBody,
  response: {
    200: answer('The user as replaced', user),
    201: answer('The user as created', user, true),
    ...refused,
  },
}

const docs = {
  replaceByQuery: { querystring, ...replacement },
  replace: { params, ...replacement },
  list: {
    summary: 'List users',
    tags,
    querystring: listSchema(properties),
    response: { 200: listAnswer(user), ...refused },
  },
  get: {
    summary: 'Get a user',
    tags,
    params,
    headers: ifNoneMatch,
    response: { 200: answer('The user', user), ...refused },
  },
  create: {
    summary: 'Create a user',
    tags,
    body: wholeBody,
    response: { 201: answer('The user as created', user, true), ...refused },
  },
  update: {
    summary: 'Update some properties of a user',
    tags,
    params,
    headers: ifMatch,
    body: bodySchema(properties, { maxLength }),
    response: { 200: answer('The user as updated', user), ...refused },
  },
  erase: {
    summary: 'Delete a user',
    tags,
    params,
    headers: ifMatch,
    response: { 200: { type: 'null', description: 'Deleted; the body is empty' }, ...refused },
  },
}
