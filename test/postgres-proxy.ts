import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands before the server, and breaks one connection over the statement that has a certain text in it, or silences all. */
export async function createProxy(serverUrl: string, when: 'before' | 'after' | 'late') {
  const { hostname, port } = new URL(serverUrl)
  let text: string | undefined
  let undelivered: { readonly server: Socket; readonly bytes: Buffer } | undefined
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = connect({ host: hostname, port: Number(port || 5432) })
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    let breaking = false
    client.on('data', (bytes) => {
      if (text === undefined || !bytes.includes(text)) return server.write(bytes)
      text = undefined
      breaking = true
      if (when === 'after') return server.write(bytes)
      if (when === 'late') undelivered = { server, bytes: Buffer.from(bytes) }
      else server.destroy()
      return client.destroy()
    })
    server.on('data', (bytes) => (breaking ? client.destroy() : client.write(bytes)))
    client.on('close', () => when !== 'late' && server.destroy())
    server.on('close', () => client.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    close: async () => {
      proxy.close()
      for (const socket of sockets) socket.destroy()
    },
    host: `127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    breakOver: (part: string) => {
      text = part
    },
    /** Connections that are open carry nothing from now on, without a word; those that are made later do. */
    silence: () => {
      for (const socket of sockets) socket.pause()
    },
    broken: () => text === undefined,
    /** Lets the server read at last what it was sent, and waits until it has dealt with it. */
    deliver: async () => {
      if (undelivered === undefined) return
      const { server, bytes } = undelivered
      undelivered = undefined
      // It may have lost patience with a transaction that did not go on.
      if (server.destroyed) return
      // Terminate, so that the server hangs up once it is through.
      server.write(Buffer.concat([bytes, Buffer.from([0x58, 0, 0, 0, 4])]))
      await once(server, 'close')
    },
  }
}
