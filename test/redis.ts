import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Redis } from 'ioredis'

/** Redis for tests: one that all tests share, each under a prefix of its own, and a way to it that a test may break. */
export interface TestRedis {
  readonly host: string
  readonly port: number
  /** Ends it, where it was started for the tests. */
  readonly close: () => void
}

/**
 * The Redis at TEST_REDIS_URL or 127.0.0.1:6379 where one answers, else one that is started.
 * @returns why there is none, in words
 * @throws Error where the tests must not be left out (CI)
 */
export async function findRedis(): Promise<TestRedis | string> {
  const { hostname: host, port } = new URL(process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379')
  const there = { host, port: Number(port || 6379), close: () => {} }
  if (await answers(there)) return there
  const reason = `no Redis answers at ${host}:${there.port}, and there is no redis-server to start`
  const started = await startRedis()
  if (started === undefined && process.env.CI) throw new Error(reason)
  return started ?? reason
}

async function startRedis(): Promise<TestRedis | undefined> {
  const port = await freePort()
  const child = spawn('redis-server', ['--port', `${port}`, '--save', '', '--appendonly', 'no'], {
    stdio: 'ignore',
  })
  const failed = new Promise<boolean>((resolve) => child.once('error', () => resolve(true)))
  const redis = { host: '127.0.0.1', port, close: () => void child.kill('SIGKILL') }
  process.once('exit', redis.close)
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    const ready = await Promise.race([failed, answers(redis).then((is) => (is ? 'ready' : pause()))])
    if (ready === 'ready') return redis
    if (ready === true) return undefined
  }
  throw new Error('redis-server does not get ready')
}

const pause = () => new Promise<undefined>((resolve) => setTimeout(resolve, 25, undefined))

async function answers({ host, port }: Pick<TestRedis, 'host' | 'port'>): Promise<boolean> {
  const options = {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: 1_000,
    commandTimeout: 1_000,
  }
  const client = new Redis(port, host, options)
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.ping()) === 'PONG'
  } catch {
    return false
  } finally {
    client.disconnect()
  }
}

/** What all keys of a test begin with. */
export function newPrefix(): string {
  return `roster-test-${randomBytes(8).toString('hex')}:`
}

export interface Line {
  readonly url: string
  /** Breaks every connection, and lets none be made. */
  readonly cut: () => Promise<void>
  /** Lets connections be made again. */
  readonly mend: () => Promise<void>
  /** Keeps connections, and lets nothing through. */
  readonly freeze: () => void
  readonly thaw: () => void
  readonly close: () => Promise<void>
}

/** A line to Redis that a test may break. */
export async function lineTo({ host, port: target }: TestRedis, prefix: string): Promise<Line> {
  const sockets = new Set<Socket>()
  const port = await freePort()
  let frozen = false
  let server: Server | undefined

  function serve(socket: Socket): void {
    const onward = connect({ host, port: target })
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(from)
      from.on('data', (chunk) => to.write(chunk))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      if (frozen) from.pause()
    }
  }

  async function mend(): Promise<void> {
    server = createServer(serve)
    await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve))
  }

  async function cut(): Promise<void> {
    const ended = new Promise((resolve) => server?.close(resolve))
    for (const socket of sockets) socket.destroy()
    await ended
  }

  await mend()
  return {
    url: `redis://127.0.0.1:${port}/?keyPrefix=${encodeURIComponent(prefix)}`,
    cut,
    mend,
    freeze: () => {
      frozen = true
      for (const socket of sockets) socket.pause()
    },
    thaw: () => {
      frozen = false
      for (const socket of sockets) socket.resume()
    },
    close: cut,
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
