import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { userNotFound } from '../../directory/decision.ts'
import type { Directory, Result } from '../../directory/directory.ts'
import { DirectoryError } from '../../directory/errors.ts'
import { parseId } from '../../directory/user.ts'
import { addressOf } from '../address.ts'
import { type Contract, context, isUnder, markPending } from '../contract.ts'
import { sendList } from '../list.ts'
import { listAnswer, listSchema } from '../list-parameters.ts'
import { decodePreconditions, decodeWrite, entityTag, isNotModified } from '../request.ts'
import { answer, bodySchema, conditions, idSchema, userSchema } from '../schema.ts'
import { errorSchema, notFoundSchema, refuse } from './errors.ts'
import { encodeUser, properties, required } from './wire.ts'

/** The pet-adoption service: `/users` at the root and under `/adoption`. */
export function adoption({ publicUrl }: AdoptionOptions): Contract {
  return {
    name: 'adoption',
    knowsCredentials: false,
    owns: (_method, path) => isUnder(path, '/users', '/adoption'),
    refuse,
    routes(app, directory) {
      for (const prefix of ['', '/adoption']) routesAt(app, `${prefix}/users`, { directory, publicUrl })
    },
  }
}

export interface AdoptionOptions {
  /** What addresses in answers start with; undefined for what each request says. */
  readonly publicUrl: string | undefined
}

interface ById {
  Params: { id: string }
}

function routesAt(
  app: FastifyInstance,
  path: string,
  { directory, publicUrl }: AdoptionOptions & { readonly directory: Directory },
): void {
  const routes = {
    list: async (request: FastifyRequest, reply: FastifyReply) =>
      sendList(request, reply, { directory, publicUrl, properties, encode: encodeUser }),

    get: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const user = await directory.get(context(request), knownId(request))
      reply.header('etag', entityTag(user))
      return isNotModified(request, user) ? reply.code(304).send() : encodeUser(user)
    },

    enroll: async (request: FastifyRequest, reply: FastifyReply) => {
      const result = await directory.create(context(request), decodeWrite(request, { properties, required }))
      reply.code(201).header('location', addressOf(publicUrl, `${path}/${result.user.id}`))
      return sendUser(reply, result)
    },

    update: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const id = knownId(request)
      return sendUser(
        reply,
        await directory.update(context(request), { ...decodeWrite(request, { properties, id }), id }),
      )
    },

    erase: async (request: FastifyRequest<ById>) => {
      await directory.erase(context(request), { ...decodePreconditions(request), id: knownId(request) })
      return {}
    },
  }

  for (const [slash, hide] of [
    ['', false],
    ['/', true],
  ] as const) {
    const all = `${path}${slash}`
    const one = `${path}/:id${slash}`
    app.get(all, { schema: { ...docs.list, hide } }, routes.list)
    app.post(all, { schema: { ...docs.enroll, hide } }, routes.enroll)
    app.get(one, { schema: { ...docs.get, hide } }, routes.get)
    app.patch(one, { schema: { ...docs.update, hide } }, routes.update)
    app.put(one, { schema: { ...docs.put, hide } }, routes.update)
    app.delete(one, { schema: { ...docs.erase, hide } }, routes.erase)
  }
}

function sendUser(reply: FastifyReply, result: Result) {
  const { user } = result
  reply.header('etag', entityTag(user))
  markPending(reply, result)
  return encodeUser(user)
}

/** An id that can not be one names nobody: 404, as for one that does not exist. */
function knownId(request: FastifyRequest<ById>): number {
  const id = parseId(request.params.id)
  if (id === undefined) throw new DirectoryError(userNotFound)
  return id
}

const user = userSchema(properties)
const params = { type: 'object', properties: { id: idSchema }, required: ['id'] }
const tags = ['adoption']
const refused = { '4xx': errorSchema, '5xx': errorSchema }
const missing = { 404: notFoundSchema, ...refused }
const ifMatch = conditions({ 'If-Match': 'Only if the user is still at this ETag' })
const ifNoneMatch = conditions({ 'If-None-Match': 'Only if the user is not at this ETag any more (304)' })
const changed = {
  tags,
  params,
  headers: ifMatch,
  body: bodySchema(properties),
  response: { 200: answer('The user as updated', user), ...missing },
}

const docs = {
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
    response: { 200: answer('The user', user), ...missing },
  },
  enroll: {
    summary: 'Enroll a user',
    tags,
    body: bodySchema(properties, { required: true }),
    response: { 201: answer('The user as enrolled', user, true), ...refused },
  },
  update: { summary: 'Update user properties', ...changed },
  put: {
    summary: 'Update user properties, for clients that edit with PUT; what is left out is kept',
    ...changed,
  },
  erase: {
    summary: 'Delete a user',
    tags,
    params,
    headers: ifMatch,
    response: { 200: { type: 'object', additionalProperties: false, description: 'Deleted' }, ...missing },
  },
}
