import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { type Authenticator, createAuthenticator } from './access/authenticate.ts'
import { createConfirmation } from './access/confirmation.ts'
import { createDoor, isAllowedOrigin } from './access/door.ts'
import { createEmailLimits, newSecret } from './access/email-limits.ts'
import { createGate } from './access/gate.ts'
import { createKeys, recogniseKeys } from './access/keys.ts'
import { createLimits } from './access/limits.ts'
import { createMisses } from './access/misses.ts'
import { recogniseOutsideTokens } from './access/outside-issuers.ts'
import { createPasswords } from './access/passwords.ts'
import { createPeople } from './access/people.ts'
import { createPersonTokens } from './access/person-tokens.ts'
import { createRecovery } from './access/recovery.ts'
import { createSharedSecretTokens } from './access/shared-secret.ts'
import { countInMemory, type Rate } from './access/windows.ts'
import { createAuthorization, localUrl } from './authorization.ts'
import type { Config } from './config.ts'
import { admit, createCharge } from './contracts/admit.ts'
import { adoption } from './contracts/adoption/routes.ts'
import { community } from './contracts/community/routes.ts'
import type { Contract } from './contracts/contract.ts'
import { email } from './contracts/email/routes.ts'
import { records } from './contracts/records/routes.ts'
import { v1 } from './contracts/v1/routes.ts'
import { createDirectory } from './directory/directory.ts'
import type { Store } from './directory/store.ts'
import type { Pace } from './mail/sender.ts'
import { createMailing } from './mailing.ts'
import { startPictures } from './pictures.ts'
import { readBodies } from './server/bodies.ts'
import { allowOrigins } from './server/cors.ts'
import { collectRoutes, refuseOtherMethods } from './server/methods.ts'
import { observe } from './server/observe.ts'
import { document } from './server/openapi.ts'
import { operate } from './server/operations.ts'
import { servePictures } from './server/pictures.ts'
import { createServer } from './server/server.ts'
import { newEmailChangeId, newUid } from './uid.ts'

export interface AppOptions {
  readonly config: Config
  readonly store: Store
  readonly log: Logger
  /** How mails are sent, where that is not as usual. */
  readonly pace?: Partial<Pace>
}

/** The service, put together: everything that it consists of is named here. */
export async function createApp({ config, store, log, pace }: AppOptions): Promise<FastifyInstance> {
  const onMail = () => mailing.wake()
  const onLink = () => mailing.wakeLinks()
  const door = createDoor({ open: config.openContracts, origins: config.corsOrigins })
  const { limits, counting, shared } = await limit(config, log)
  const emailLimits = createEmailLimits(counting)
  const { admit: admitMail } = emailLimits
  const emails = { mode: config.emailChange, newId: newEmailChangeId, newSecret, admit: admitMail }
  const own = { now: Date.now, newChangeId: randomUUID, newUid, onMail, emails }
  const directory = createDirectory({ store, rules: config, ...own })
  const strangers = limits && { strangers: limits.strangers }
  const people = createPeople(store.credentials)
  const passwords = createPasswords()
  const { pictures, close: closePictures } = startPictures(config, store.pictures, log)
  const confirmation = createConfirmation({ store, passwords, counting })
  const recovery = createRecovery({ store, directory, passwords, counting, now: Date.now, onMail: onLink })
  const { publicUrl } = config
  const url = () => publicUrl ?? localUrl(app.server.address(), config.host)
  const { emailChanges } = directory
  const mailing = createMailing({ config, store, recovery, emailChanges, url, log, pace })
  const { clients, tokens, contract } = createAuthorization({
    ...{ store, people, passwords, recovery, counting, log },
    issuer: url,
    publicUrl,
    onRevoked: (id) => authenticator.forget(id),
  })
  const signed =
    config.jwtSecret === undefined
      ? undefined
      : createSharedSecretTokens({ secret: config.jwtSecret, people, now: Date.now })
  const outside = recogniseOutsideTokens({
    ...{ issuers: config.jwtIssuers, store, people, now: Date.now },
    onOutage: (issuer, err) => log.warn({ issuer, err }, 'the keys of an issuer could not be fetched'),
  })
  const personTokens = createPersonTokens({ documents: store.documents, people, now: Date.now })
  const known = [recogniseKeys(store.keys), ...(signed === undefined ? [] : [signed]), tokens]
  const recognisers = [...known, personTokens, outside]
  const { used } = store.keys
  const authenticator = createAuthenticator({ recognisers, used, now: Date.now, ...strangers })
  const gate = createGate({ authenticator, door, limits })
  const keys = createKeys({ store: store.keys, now: Date.now, onRevoked: authenticator.forget })
  // The last one answers for every address that no other owns.
  const contracts: readonly Contract[] = [
    records({ upsert: config.recordsUpsert, publicUrl }),
    community({
      ...{
        publicUrl,
        passwords,
        confirmation,
        emailLimits,
        recovery,
        tokens: personTokens,
        pictures,
      },
      verifyToken: signed?.verify,
    }),
    v1({
      ...{ keys, clients, passwords, confirmation, emailLimits, pictures },
      charge: createCharge(limits),
      publicUrl,
    }),
    contract,
    email({ limits: emailLimits }),
    adoption({ publicUrl }),
  ]

  const observed = observe(log)
  const app = createServer({
    contracts,
    log,
    observed,
    trustProxy: config.trustProxy,
  })
  allowOrigins(app, mayCall(config))
  await document(app, publicUrl)

  const routes = collectRoutes(app)
  for (const contract of contracts) {
    await app.register(async (scope) => {
      admit(scope, contract, gate)
      contract.routes(scope, directory)
    })
    const { name, openRoutes } = contract
    if (openRoutes === undefined) continue
    await app.register(async (scope) => {
      admit(scope, { name, knowsCredentials: false, givesCredentials: true }, gate)
      openRoutes(scope, directory)
    })
  }
  app.addHook('onListen', async () => mailing.start())
  app.addHook('onClose', mailing.close)
  servePictures(app, { pictures, misses: createMisses(Date.now) })
  app.addHook('onClose', passwords.close)
  app.addHook('onClose', closePictures)
  app.addHook('onClose', writeDownUses(authenticator, log))
  app.addHook('onClose', async () => shared?.close())
  const remarks = () => {
    const mail = mailing.remark()
    return {
      ...(shared && { rate_limits: shared.isAway() ? away : 'shared through Redis' }),
      ...(mail !== undefined && { mail }),
    }
  }
  operate(app, store, async () => (await observed.metrics()) + (await mailing.metrics()), remarks)
  refuseOtherMethods(app, routes)
  readBodies(app, config.maxBody)
  return app
}

/** Where the door is open to this machine, its pages may call; elsewhere those that the operator lists. */
function mayCall({ openContracts, corsOrigins }: Config): (origin: string) => boolean {
  return (origin) =>
    openContracts === 'loopback' ? isAllowedOrigin(origin, corsOrigins) : corsOrigins.includes(origin)
}

const away = 'Redis is away: each node counts for itself'

/** The limits of callers, where there are any, and what they are counted in: sign-ins have limits of their own in any case. */
async function limit({ rateLimit: rate, redisUrl: url, openContracts }: Config, log: Logger) {
  const shared = url === undefined ? undefined : await share(url, log)
  const counting = shared?.counting ?? ((_name: string, of: Rate) => countInMemory(of, Date.now))
  if (rate === undefined) return { limits: undefined, counting, shared }
  // Those whom only this machine's own door lets in are the operator's.
  const limits = createLimits({ rate, anonymous: openContracts !== 'loopback', counting })
  return { limits, counting, shared }
}

async function share(url: string, log: Logger) {
  // Its client takes 13 MB, which who has no Redis need not spend.
  const { countTogether } = await import('./access/redis.ts')
  return countTogether({
    url,
    now: Date.now,
    onAway: (reason) => log.warn({ reason }, `rate limits: ${away}`),
    onBack: () => log.info('rate limits: Redis is there, nodes count together'),
  })
}

/**
 * Writes down when keys were last used, now and then.
 * @returns does it for the last time
 */
function writeDownUses({ flush }: Authenticator, log: Logger): () => Promise<void> {
  const write = () => flush().catch((err: unknown) => log.warn({ err }, 'could not note when keys were used'))
  const timer = setInterval(write, 60_000).unref()
  return () => {
    clearInterval(timer)
    return write()
  }
}
