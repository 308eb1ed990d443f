import type { FastifyContextConfig, FastifyInstance, FastifySchema, RouteHandlerMethod } from 'fastify'
import type { Confirmation } from '../../access/confirmation.ts'
import type { EmailLimits } from '../../access/email-limits.ts'
import type { Keys } from '../../access/keys.ts'
import type { Clients } from '../../access/oauth-clients.ts'
import type { Passwords } from '../../access/passwords.ts'
import { pictureKinds } from '../../directory/picture.ts'
import type { Pictures } from '../../media/pictures.ts'
import type { Charge } from '../admit.ts'
import { type Contract, isUnder } from '../contract.ts'
import { createBatch } from './batch.ts'
import { clientsAs } from './clients.ts'
import { createCounters } from './counters.ts'
import { createCredentialRoutes } from './credentials.ts'
import { patchTypes } from './decode.ts'
import { docs } from './docs.ts'
import { createEmailChangeRoutes } from './email-changes.ts'
import { emailChangeDocs } from './email-changes-docs.ts'
import { refuse } from './errors.ts'
import { createIds } from './ids.ts'
import { keysAs } from './keys.ts'
import { createList } from './list.ts'
import { createPassword } from './password.ts'
import { createPictureRoutes, streamed } from './pictures.ts'
import { createProfile, profileTypes } from './profile.ts'
import { createUsers } from './users.ts'

export interface V1Options {
  readonly keys: Keys
  readonly clients: Clients
  readonly passwords: Passwords
  readonly confirmation: Confirmation
  readonly pictures: Pictures
  /** Counts a request as several. */
  readonly charge: Charge
  readonly emailLimits: Pick<EmailLimits, 'tryToken'>
  /** What links start with, without a slash at the end; undefined for what each request says. */
  readonly publicUrl: string | undefined
}

/** The platform API, `/v1/…`. */
export function v1(options: V1Options): Contract {
  const { keys, clients, passwords, confirmation, emailLimits, pictures, charge, publicUrl } = options
  return {
    name: 'v1',
    knowsCredentials: true,
    owns: (_method, path) => isUnder(path, '/v1'),
    refuse,
    routes(app, directory) {
      const ids = createIds(directory)
      const users = createUsers({ directory, ids, passwords, publicUrl })
      const password = createPassword({ directory, ids, passwords, confirmation })
      const profile = createProfile({ directory, ids })
      const counters = createCounters({ directory, ids })
      const emailChanges = createEmailChangeRoutes({ directory, ids, limits: emailLimits, publicUrl })
      const batch = createBatch({ directory, ids, passwords, charge })
      const picture = createPictureRoutes({ directory, ids, pictures, publicUrl })
      const keyRoutes = createCredentialRoutes({ directory, publicUrl }, keysAs(keys))
      const clientRoutes = createCredentialRoutes({ directory, publicUrl }, clientsAs(clients))
      const add = adder(app)

      add('GET', '/v1/users', docs.list, createList({ directory, publicUrl }))
      add('POST', '/v1/users', docs.create, users.create)
      add('GET', '/v1/users/:id', docs.get, users.get)
      add('PATCH', '/v1/users/:id', docs.update, users.update, { acceptPatch: patchTypes })
      add('DELETE', '/v1/users/:id', docs.erase, users.erase)
      add('PUT', '/v1/users/:id/password', docs.changePassword, password)
      for (const kind of pictureKinds) {
        add('PUT', `/v1/users/:id/${kind}`, docs.putPicture(kind), picture.put(kind), { streams: streamed })
        add('DELETE', `/v1/users/:id/${kind}`, docs.removePicture(kind), picture.remove(kind))
      }
      add('GET', '/v1/users/:id/profile', docs.getProfile, profile.get)
      add('PATCH', '/v1/users/:id/profile', docs.updateProfile, profile.update, { acceptPatch: profileTypes })
      add('GET', '/v1/users/:id/counters', docs.getCounters, counters.get)
      add('PATCH', '/v1/users/:id/counters', docs.updateCounters, counters.update, {
        acceptPatch: patchTypes,
      })
      add('GET', changes, emailChangeDocs.list, emailChanges.list)
      add('POST', changes, emailChangeDocs.request, emailChanges.request)
      add('GET', change, emailChangeDocs.get, emailChanges.get)
      add('PATCH', change, emailChangeDocs.correct, emailChanges.correct, { acceptPatch: 'application/json' })
      add('DELETE', change, emailChangeDocs.cancel, emailChanges.cancel)
      add('POST', `${change}/resend`, emailChangeDocs.resend, emailChanges.resend)
      add('POST', '/v1/users/batch', docs.batch, batch)
      add('GET', '/v1/keys', docs.listKeys, keyRoutes.list)
      add('POST', '/v1/keys', docs.createKey, keyRoutes.create)
      add('DELETE', '/v1/keys/:id', docs.revokeKey, keyRoutes.revoke)
      add('GET', '/v1/clients', docs.listClients, clientRoutes.list)
      add('POST', '/v1/clients', docs.createClient, clientRoutes.create)
      add('DELETE', '/v1/clients/:id', docs.revokeClient, clientRoutes.revoke)
      add('GET', '/v1/user', docs.me, users.me)
    },
    openRoutes(app, directory) {
      const ids = createIds(directory)
      const emailChanges = createEmailChangeRoutes({ directory, ids, limits: emailLimits, publicUrl })
      const add = adder(app)
      add('POST', `${change}/confirm`, emailChangeDocs.confirm, emailChanges.confirm)
      add('POST', `${change}/revert`, emailChangeDocs.revert, emailChanges.revert)
    },
  }
}

const changes = '/v1/users/:id/email-changes'
const change = `${changes}/:change_id`

/** Adds a route, with and without a slash at the end. */
function adder(app: FastifyInstance) {
  return <H extends (...args: never[]) => unknown>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: string,
    schema: FastifySchema,
    handler: H,
    config: FastifyContextConfig = {},
  ): void => {
    for (const slash of ['', '/']) {
      app.route({
        method,
        url: `${url}${slash}`,
        schema: { ...schema, hide: slash !== '' },
        config,
        handler: handler as unknown as RouteHandlerMethod,
      })
    }
  }
}
