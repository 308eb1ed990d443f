import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchema,
  RouteHandlerMethod,
} from 'fastify'
import type { Confirmation } from '../../access/confirmation.ts'
import type { EmailLimits } from '../../access/email-limits.ts'
import { createPasswordChange } from '../../access/password-change.ts'
import type { Pictures } from '../../media/pictures.ts'
import { addressOf } from '../address.ts'
import { type Contract, isUnder } from '../contract.ts'
import { type AccountOptions, createAccount } from './account.ts'
import { createAvatarRoutes } from './avatars.ts'
import { bodyTypes, requireJsonAccepted } from './decode.ts'
import { docs } from './docs.ts'
import { createEmail } from './email.ts'
import { refuse } from './errors.ts'
import { createMatch } from './match.ts'
import { createPassword } from './password.ts'
import { createPeople } from './people.ts'
import { picturesAt, streamed } from './pictures.ts'
import { createProfile } from './profile.ts'
import { createRecoveryRoutes, type RecoveryOptions } from './recovery.ts'
import { createSearch } from './search.ts'
import { createSettings } from './settings.ts'
import { createVerification } from './verification.ts'

export interface CommunityOptions {
  /** What addresses in answers start with; undefined for what each request says. */
  readonly publicUrl: string | undefined
  readonly passwords: AccountOptions['passwords']
  readonly confirmation: Confirmation
  readonly recovery: RecoveryOptions['recovery']
  readonly tokens: RecoveryOptions['tokens']
  readonly emailLimits: Pick<EmailLimits, 'tryToken'>
  readonly verifyToken: AccountOptions['verifyToken']
  readonly pictures: Pictures
}

/** The community's API, `/api/v2/…`. */
export function community(options: CommunityOptions): Contract {
  const { publicUrl, passwords, confirmation, emailLimits, recovery, tokens, pictures, verifyToken } = options
  return {
    name: 'community',
    knowsCredentials: true,
    showsPublic: true,
    owns: (_method, path) => isUnder(path, '/api', '/media'),
    refuse,
    routes(app, directory) {
      const people = createPeople({ directory, picturesAt, publicUrl })
      const profile = createProfile({ directory, people, pictures })
      const search = createSearch({ directory, people })
      const account = createAccount({ directory, people, passwords, verifyToken, publicUrl })
      const settings = createSettings({ directory, people })
      const change = createPasswordChange({ directory, passwords, confirmation })
      const password = createPassword({ people, change })
      const { recover, reset } = createRecoveryRoutes({ recovery, tokens })
      const verification = createVerification({ directory, limits: emailLimits, tokens })
      const email = createEmail({ directory, people, limits: emailLimits })
      const match = createMatch({ directory, people })
      const avatars = createAvatarRoutes({ directory, people, pictures })
      const add = adder(app, publicUrl)
      // Who uses this contract will search; who does not, need not have the memory for it.
      let isUsed = false
      app.addHook('onRequest', async () => {
        if (!isUsed) directory.prepareSearch()
        isUsed = true
      })

      add('GET', '/api/v2/user', docs.list, search.list)
      add('GET', '/api/v2/user/search', docs.search, search.search)
      add('GET', '/api/v2/user/autocomplete', docs.autocomplete, search.autocomplete)
      add('POST', '/api/v2/user/match', docs.match, match)
      add('GET', '/api/v2/user/me', docs.me, profile.me)
      add('GET', '/api/v2/user/me/avatar', docs.myAvatar, profile.myAvatar)
      add('GET', '/api/v2/user/avatar', docs.avatars, avatars.list)
      add('POST', '/api/v2/user/avatar', docs.addAvatar, avatars.add, streamed)
      add('PATCH', '/api/v2/user/avatar', docs.chooseAvatar, avatars.choose)
      add('DELETE', '/api/v2/user/avatar', docs.removeAvatar, avatars.remove)
      add('GET', '/api/v2/user/:id', docs.get, profile.get)
      add('PATCH', '/api/v2/user/:id', docs.update, profile.update, streamed)
      add('PUT', '/api/v2/user/:id', docs.replace, profile.replace, streamed)
      add('DELETE', '/api/v2/user/:id', docs.remove, profile.remove)
      add('GET', '/api/v2/user/:id/counters', docs.counters, profile.counters)
      add('GET', '/api/v2/user/:id/settings', docs.settings, settings.get)
      add('PATCH', '/api/v2/user/:id/settings', docs.updateSettings, settings.update)
      add('PATCH', '/api/v2/user/:id/change_password', docs.changePassword, password)
      add('PATCH', '/api/v2/user/:id/change_email', docs.changeEmail, email.change)
      add('POST', '/api/v2/user/:id/confirm_email', docs.confirmEmail, email.confirm)
      add('GET', '/api/v2/user/:id/check_email_token', docs.checkEmailToken, email.check)
      add('POST', '/api/v2/account/create', docs.createAccount, account.create)
      add('GET', '/api/v2/account/search', docs.searchAccount, account.search)
      add('POST', '/api/v2/account/verify', docs.verify, verification.verify)
      add('POST', '/api/v2/account/verify/validation_code', docs.checkCode, verification.check)
      add('POST', '/api/v2/account/recover', docs.recover, recover)
      add('POST', '/api/v2/account/reset', docs.reset, reset)
      add('POST', '/api/v2/jwt/verify_token', docs.verifyToken, account.verifyToken)
      add('POST', '/api/v2/sso/signin', docs.signIn, profile.signIn)
    },
  }
}

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

/** Adds a route. Its address ends with a slash; who reads without one is sent there, who writes finds nothing. */
function adder(app: FastifyInstance, publicUrl: string | undefined) {
  return <H extends (...args: never[]) => unknown>(
    method: Method,
    path: string,
    schema: FastifySchema,
    handler: H,
    streams?: RegExp,
  ): void => {
    app.route({
      method,
      url: `${path}/`,
      schema,
      config: {
        ...(method === 'PATCH' && { acceptPatch: bodyTypes }),
        ...(streams !== undefined && { streams }),
      },
      preHandler: (request, _reply, done) => {
        requireJsonAccepted(request)
        done()
      },
      handler: handler as unknown as RouteHandlerMethod,
    })
    if (method === 'GET')
      app.get(path, { schema: { hide: true }, config: { leadsOn: true } }, leadOn(publicUrl))
  }
}

/** 301, as frameworks that end addresses with slashes do. */
function leadOn(publicUrl: string | undefined) {
  return (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const [path = '', ...query] = request.url.split('?')
    return reply.redirect(addressOf(publicUrl, [`${path}/`, ...query].join('?')), 301)
  }
}
