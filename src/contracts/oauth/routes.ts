import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AuthorizationServer } from '../../access/oauth-server.ts'
import { DirectoryError, refusal } from '../../directory/errors.ts'
import { type Contract, isUnder } from '../contract.ts'
import { formOf, policyOf } from '../html.ts'
import { refuse } from './errors.ts'
import { baseOf, exchange } from './exchange.ts'
import { type RecoveryOptions, recoveryRoutes } from './recovery.ts'
import { askAnew, createSignInRoutes, type SignInOptions } from './sign-in.ts'

export interface OauthOptions extends SignInOptions, RecoveryOptions {
  readonly server: AuthorizationServer
  /** Counts a sign-in that an address begins. Rejects with a DirectoryError `rate_limited`. */
  readonly admitSignIn: (ip: string) => Promise<unknown>
}

/**
 * The endpoints of the authorization server. Their addresses are known with and without a slash at the end,
 * and `/oauth/revoke_token` is another name of `/oauth/revoke`.
 */
const endpoints: readonly (readonly [method: 'GET' | 'POST', url: string, known?: string])[] = [
  ['GET', '/oauth/authorize'],
  ['GET', '/oauth/authorize/:uid'],
  ['POST', '/oauth/token'],
  ['POST', '/oauth/revoke'],
  ['POST', '/oauth/revoke_token', '/oauth/revoke'],
  ['POST', '/oauth/introspect'],
  ['GET', '/oauth/jwks'],
  ['GET', '/oauth/sign-out'],
  ['POST', '/oauth/sign-out/confirm'],
  ['GET', '/oauth/sign-out/success'],
  ['GET', '/oauth/userinfo'],
  ['POST', '/oauth/userinfo'],
  ['GET', '/.well-known/oauth-authorization-server'],
  ['GET', '/.well-known/openid-configuration'],
]

/** OAuth 2.0 and OpenID Connect: where credentials come from. */
export function oauth(options: OauthOptions): Contract {
  return {
    name: 'oauth',
    knowsCredentials: false,
    givesCredentials: true,
    owns: (_method, path) => isUnder(path, '/oauth', '/.well-known'),
    refuse,
    routes(app) {
      for (const [method, url, known] of endpoints)
        for (const slash of ['', '/'])
          app.route({
            method,
            url: `${url}${slash}`,
            schema: { hide: true },
            handler: answerer(options, known ?? url),
          })
      // OpenID Connect Core 1.0, section 3.1.2.1: it may be asked by a form, too. A form of another site
      // brings no cookies; the address that it leads to does, and says the same.
      for (const slash of ['', '/'])
        app.post(`/oauth/authorize${slash}`, { schema: { hide: true } }, async (request, reply) => {
          const asked = formOf(request) ?? new URLSearchParams()
          judgeQuery(`${asked}`)
          return askAnew(request, reply, options.publicUrl, asked)
        })
      signInRoutes(app, options)
      recoveryRoutes(app, options)
    },
  }
}

/** @param name of the endpoint, which is asked for by it however the address was spelled */
function answerer({ server, admitSignIn, publicUrl }: OauthOptions, name: string) {
  const begins = name === '/oauth/authorize'
  return async (request: FastifyRequest<{ Params: { uid?: string } }>, reply: FastifyReply) => {
    const { uid } = request.params
    if (uid === '') return reply.callNotFound()
    const [, query] = request.url.split(/\?(.*)/s, 2)
    judgeQuery(query ?? '')
    if (begins) await admitSignIn(request.ip)
    const path = name.replace(':uid', encodeURIComponent(uid ?? ''))
    const asked = `${path}${query === undefined ? '' : `?${query}`}`
    const provider = await server.provider()
    const { status, headers, body } = await exchange(request, {
      callback: provider.callback(),
      path: asked,
      base: baseOf(request, publicUrl),
      headers: { 'content-security-policy': policyOf({}) },
    })
    for (const [name, value] of Object.entries(headers)) {
      // Which origins may call is decided in one place, and never by repeating what was sent.
      if (value !== undefined && !/^(access-control-|vary$|content-length$)/.test(name))
        reply.header(name, value)
    }
    if (status === 503) reply.header('retry-after', '1')
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'same-origin')
    return reply.code(status).send(body.length === 0 ? undefined : body)
  }
}

/** Characters of a query as it is sent: enough for whatever clients keep in `state`. */
const maxQuery = 4_096

/**
 * What is asked is kept while the person signs in.
 * @throws DirectoryError `invalid` where it can not be
 */
function judgeQuery(query: string): void {
  const problems = [...new URLSearchParams(query)]
    .filter(([, value]) => value.includes('\0'))
    .map(([property]) => ({ property, message: 'must not have a NUL in it' }))
  if (query.length > maxQuery)
    problems.push({ property: 'query', message: `must have at most ${maxQuery} characters` })
  if (problems.length > 0) throw new DirectoryError(refusal('invalid', 'This can not be asked', problems))
}

function signInRoutes(app: FastifyInstance, options: OauthOptions): void {
  const signIn = createSignInRoutes(options)
  const schema = { hide: true }
  app.get('/oauth/sign-in/:uid', { schema }, signIn.show)
  app.post('/oauth/sign-in/:uid', { schema }, signIn.submit)
}
