import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Passwords } from '../../access/passwords.ts'
import type { Directory } from '../../directory/directory.ts'
import { afterCommit, DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import type { FieldName } from '../../directory/fields.ts'
import type { Patch } from '../../directory/patch.ts'
import { addressOf } from '../address.ts'
import { context } from '../contract.ts'
import { decodePreconditions, entityTag } from '../request.ts'
import { readFields, readTexts, type Sent, tellIgnored } from './decode.ts'
import { judgePassword } from './password.ts'
import { type People, requireScope } from './people.ts'
import { encodeAccount, encodeUser, properties } from './wire.ts'

export interface AccountOptions {
  /** What addresses in answers start with; undefined for paths alone. */
  readonly publicUrl: string | undefined
  readonly directory: Directory
  readonly people: People
  readonly passwords: Pick<Passwords, 'hash'>
  /**
   * Rejects with a DirectoryError `unauthenticated` for a token that the backend of the community has not
   * signed, or that has expired; undefined where no backend signs tokens.
   */
  readonly verifyToken: ((token: string) => Promise<unknown>) | undefined
}

/** Accounts, for administrators; and whether a token is one. */
export function createAccount({ directory, people, passwords, verifyToken, publicUrl }: AccountOptions) {
  return {
    create: async (request: FastifyRequest, reply: FastifyReply) => {
      requireScope(request, 'admin')
      const { problems: wrong, ...preconditions } = decodePreconditions(request)
      const { patch, password, ignored, problems } = decodeNew(await readFields(request))
      const asked = { ...preconditions, patch, required, problems: [...wrong, ...problems] }
      // Hashing is dear, so first it is seen whether it is worth it.
      await directory.create(context(request), { ...asked, dryRun: true })
      const made = { ...asked, password: await passwords.hash(password) }
      const { user } = await directory.register(context(request), made)
      tellIgnored(reply, ignored)
      const location = addressOf(publicUrl, `/api/v2/user/${user.id}/`)
      reply.code(201).header('location', location).header('etag', entityTag(user))
      return encodeUser(await afterCommit(people.showOne(request, user)))
    },

    search: async (request: FastifyRequest) => {
      requireScope(request, 'admin')
      const { kind, value } = decodeSearch(request.query as Query)
      // Who was removed keeps their names, and this is how it is found out who has one.
      const user = await directory.find(context(request), kind, value, { removedToo: true })
      return encodeAccount(await people.showOne(request, user))
    },

    verifyToken: async (request: FastifyRequest) => {
      const { texts, problems } = await readTexts(request, ['token'])
      if (texts.token === undefined)
        throw new DirectoryError(refusal('invalid', 'The request is not valid', problems))
      if (verifyToken === undefined) throw new DirectoryError(noTokens)
      await verifyToken(texts.token)
      return {}
    },
  }
}

const noTokens = refusal('unauthenticated', 'There are no such tokens here: ROSTER_JWT_SECRET is not set')

const required: readonly FieldName[] = ['username', 'email']

/** What an account can be made with: what its owner could set later, and what only services may. */
const creatable: Readonly<Record<string, FieldName>> = {
  ...properties,
  email: 'email',
  ext_id: 'ext_id',
  role: 'role',
  company_name: 'company_name',
  company_role: 'company_role',
}

function decodeNew({ values, several, problems }: Sent) {
  const patch: { [F in FieldName]?: unknown } = {}
  const ignored: string[] = []
  const found: Problem[] = [...problems]
  for (const [name, value] of values) {
    if (name === 'password') continue
    const field = Object.hasOwn(creatable, name) ? creatable[name] : undefined
    if (field === undefined) ignored.push(name)
    else if (several.has(name)) found.push({ property: name, message: 'must be given once' })
    else if (value === '') patch[field] = null
    else patch[field] = name === 'ext_id' && Number.isSafeInteger(value) ? String(value) : value
  }
  const password = values.get('password')
  const problem = several.has('password') ? 'must be given once' : judgePassword(password)
  if (problem !== undefined) found.push({ property: 'password', message: problem })
  return {
    patch: patch as Patch,
    password: typeof password === 'string' ? password : '',
    ignored,
    problems: found,
  }
}

type Query = Readonly<Record<string, string | readonly string[]>>

/** Exactly one of `username`, `email`, or `ext_id` together with `provider`, which can only be `external`. */
function decodeSearch(query: Query) {
  const one = (name: string) => (typeof query[name] === 'string' ? query[name] : undefined)
  const given = ['username', 'email', 'ext_id'].filter((name) => query[name] !== undefined)
  const [kind] = given
  const value = kind === undefined ? undefined : one(kind)
  const isPair = (kind === 'ext_id') === (query.provider !== undefined)
  if (given.length !== 1 || value === undefined || !isPair) {
    const message = 'must have exactly one of username, email, or ext_id together with provider'
    throw new DirectoryError(refusal('invalid', message, [{ property: 'body', message }]))
  }
  if (kind === 'ext_id' && one('provider') !== 'external')
    throw new DirectoryError(
      refusal('invalid', 'The provider is not known', [
        { property: 'provider', location: 'query', message: 'must be external: no other is known here' },
      ]),
    )
  return { kind: kind as 'username' | 'email' | 'ext_id', value }
}
