import { randomBytes, randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { createApp } from './app.ts'
import type { Config } from './config.ts'
import { addDemoPeople, lendPassword, revokeDemoKey, writeDemoCredentials } from './demo.ts'
import { expireEmailChanges } from './directory/email-changes.ts'
import { openStore, whereabouts } from './stores.ts'
import { keepTidy } from './tidy.ts'

export interface Service {
  /** Where it listens, with the port that it really has. */
  readonly url: string
  /** Stops accepting, finishes what was accepted, and lets go of the store. */
  readonly close: () => Promise<void>
}

export interface ServiceOptions {
  readonly config: Config
  readonly demo: boolean
  readonly log: Logger
  /** Called when the store can not go on: the process should end. */
  readonly onFatal: (error: Error) => void
}

/** Milliseconds that a stop gives requests under way. */
const stopPatience = 10_000

/** Starts everything in the order in which it depends on each other. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { demo, log, onFatal } = options
  const config = demo ? withSecret(options.config) : options.config
  const onWarning = (warning: string, err?: Error) => log.warn({ err }, warning)
  const store = await openStore(config, { onFatal, onWarning })
  let abandon: (() => Promise<unknown>) | undefined
  try {
    let served = store
    if (demo) {
      const added = await addDemoPeople(store, { roles: config.roles })
      const { file, password } = await writeDemoCredentials(store, config)
      served = await lendPassword(store, password)
      log.info({ added, file }, 'demo: sample people')
    } else {
      await revokeDemoKey(store)
    }
    const app = await createApp({ config, store: served, log })
    abandon = () => app.close()
    const url = await app.listen({ host: config.host, port: config.port })
    log.info({ url, docs: `${url}/docs`, data: whereabouts(config) }, 'ready')
    const expireChanges = (at: number) => expireEmailChanges(store, { at, newChangeId: randomUUID })
    const tidying = [keepTidy(store, Date.now), keepTidy({ expire: expireChanges }, Date.now)]
    return {
      url,
      close: async () => {
        for (const endTidying of tidying) endTidying()
        // A connection whose last answer leaves while we stop would stay open until its client lets go.
        const sweep = setInterval(() => app.server.closeIdleConnections(), 50)
        // A request that never arrives whole was not accepted.
        const cut = setTimeout(() => app.server.closeAllConnections(), stopPatience)
        await app.close()
        clearInterval(sweep)
        clearTimeout(cut)
        await store.close()
      },
    }
  } catch (error) {
    await abandon?.()
    await store.close()
    throw error
  }
}

/** Tokens of the demo are made for it alone, unless there is a secret that others know. */
function withSecret(config: Config): Config {
  return config.jwtSecret === undefined
    ? { ...config, jwtSecret: randomBytes(32).toString('base64url') }
    : config
}
