import type { Server } from 'node:net'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { createApp } from './app.ts'
import type { Config } from './config.ts'
import { addDemoPeople, writeDemoCredentials } from './demo.ts'
import { listen } from './store/sqlite/control.ts'
import { openSqlite } from './store/sqlite/store.ts'

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

/** Starts everything in the order in which it depends on each other. */
export async function startService({ config, demo, log, onFatal }: ServiceOptions): Promise<Service> {
  const folder = resolve(config.folder)
  const store = await openSqlite({ folder, rules: { roles: config.roles }, onFatal })
  let control: Server | undefined
  try {
    control = await listen(folder, store.change).catch((error: Error) => {
      log.warn({ err: error }, 'no control socket: commands that write need the server stopped')
      return undefined
    })
    if (demo) {
      await addDemoPeople(store, { roles: config.roles })
      log.info({ file: writeDemoCredentials(folder) }, 'demo: sample people and credentials are ready')
    }
    const app = await createApp({ config, store, log })
    const url = await app.listen({
      host: config.host,
      port: config.port,
      listenTextResolver: (at) => `listening at ${at}`,
    })
    log.info({ url, docs: `${url}/docs`, data: join(folder, 'roster.db') }, 'ready')
    return {
      url,
      close: async () => {
        control?.close()
        // A connection whose last answer leaves while we stop would stay open until its client lets go.
        const sweep = setInterval(() => app.server.closeIdleConnections(), 50)
        await app.close()
        clearInterval(sweep)
        await store.close()
      },
    }
  } catch (error) {
    control?.close()
    await store.close()
    throw error
  }
}
