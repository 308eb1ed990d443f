import { createServer, type RequestListener } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'

/** The real json-server (0.17.4, a devDependency), to be compared with; it comes without types. */
interface JsonServer {
  readonly create: () => RequestListener & { readonly use: (...handlers: unknown[]) => void }
  readonly router: (state: State) => { readonly db: { readonly setState: (state: State) => void } }
}

interface State {
  readonly users: readonly object[]
}

export interface RunningJsonServer {
  readonly url: string
  /** Makes these its users. */
  readonly reset: (users: readonly object[]) => void
  readonly close: () => Promise<void>
}

export async function startJsonServer(): Promise<RunningJsonServer> {
  const { create, router } = createRequire(import.meta.url)('json-server') as JsonServer
  const users = router({ users: [] })
  const app = create()
  app.use(users)
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    reset: (people) => users.db.setState({ users: structuredClone(people) }),
    close: () =>
      new Promise((resolve, reject) => server.close((error) => (error ? reject(error) : resolve()))),
  }
}
