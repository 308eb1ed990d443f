import { chmodSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  type Code,
  DirectoryError,
  outcomeUnknown,
  type Problem,
  unavailable,
} from '../../directory/errors.ts'
import type { Done, Task } from './group.ts'

/**
 * How commands of the command line reach the process that owns the folder: a socket in it that only
 * its user may open. Tasks of the writer's go one way and answers come back in the same order, each a
 * line of JSON; a caller may send on without waiting for answers.
 */
const socketPath = (folder: string) => join(folder, 'control.sock')

/** Hands a task to the writer. */
export type Send = (task: Task) => Promise<Done>

type Answer = { readonly outcome: Done } | { readonly error: Failure }

interface Failure {
  readonly code: Code
  readonly message: string
  readonly problems: readonly Problem[]
  /** For the operator's eyes, such as that the disk is full. */
  readonly cause?: string
}

export interface Control {
  /** Takes no more tasks, and resolves when the answers to the others have left. */
  readonly close: () => Promise<void>
}

/** Tasks of one connection that are under way, about: no more are read until there are fewer, so that others get their turn. */
const window = 256
/** Milliseconds that a caller may take to read the last answers. */
const patience = 5_000

/** The owner's side. Nobody else can be listening, so a socket that is there was left by a process that died. */
export async function listen(folder: string, send: Send): Promise<Control> {
  const path = socketPath(folder)
  rmSync(path, { force: true })
  const connections = new Set<() => void>()
  const server = createServer((socket) => {
    const end = serve(socket, send)
    connections.add(end)
    socket.once('close', () => connections.delete(end))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const end of connections) end()
      }),
  }
}

/** @returns a function that ends the connection, once the answers have left */
function serve(socket: Socket, send: Send): () => void {
  const write = createWriting(socket)
  let underWay = 0
  let last: Promise<unknown> = Promise.resolve()
  const goOn = () => {
    if (underWay < window && !socket.writableNeedDrain) socket.resume()
  }
  socket.on('error', () => socket.destroy())
  socket.on('drain', goOn)
  onLines(socket, (line) => {
    underWay++
    const reply = answer(line, send)
    last = last.then(async () => {
      write(JSON.stringify(await reply))
      underWay--
      goOn()
    })
    if (underWay >= window) socket.pause()
  })
  return () => {
    socket.pause()
    const unread = setTimeout(() => socket.destroy(), patience)
    socket.once('close', () => clearTimeout(unread))
    last.then(() => socket.resume().end())
  }
}

async function answer(line: string, send: Send): Promise<Answer> {
  try {
    return { outcome: await send(JSON.parse(line) as Task) }
  } catch (error) {
    if (!(error instanceof DirectoryError))
      return { error: { code: 'internal', message: String(error), problems: [] } }
    const { code, message, problems, cause } = error
    return {
      error: { code, message, problems, ...(cause instanceof Error && { cause: cause.message }) },
    }
  }
}

export interface Connection {
  readonly send: Send
  readonly close: () => void
}

/** The command line's side. @throws Error saying why, where no owner can be reached */
export async function connect(folder: string): Promise<Connection> {
  const socket = await open(folder)
  const write = createWriting(socket)
  /** Those who wait for an answer, in the order in which it comes. */
  let waiting: PromiseWithResolvers<Done>[] = []
  let taken = 0
  let ended = false
  onLines(socket, (line) => {
    const { resolve, reject } = waiting[taken++] as PromiseWithResolvers<Done>
    const reply = JSON.parse(line) as Answer
    if ('outcome' in reply) resolve(reply.outcome)
    else reject(new DirectoryError(reply.error, { cause: reply.error.cause }))
    if (taken >= window) {
      waiting = waiting.slice(taken)
      taken = 0
    }
  })
  socket.once('close', () => {
    ended = true
    for (const { reject } of waiting.slice(taken)) reject(outcomeUnknown())
  })
  return {
    send: async (task) => {
      if (ended) throw unavailable('The server has stopped')
      const one = Promise.withResolvers<Done>()
      waiting.push(one)
      write(JSON.stringify(task))
      return one.promise
    },
    close: () => socket.end(),
  }
}

function open(folder: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath(folder))
    socket.once('connect', () => resolve(socket))
    // Later on its end is told by `close`, which follows.
    socket.on('error', ({ code, message }: NodeJS.ErrnoException) =>
      reject(new Error(code === 'EINVAL' ? 'its path is too long for one' : message)),
    )
  })
}

/** Writes lines; those of one turn of the event loop leave together. */
function createWriting(socket: Socket): (line: string) => void {
  let corked = false
  return (line) => {
    if (socket.destroyed) return
    if (!corked) {
      corked = true
      socket.cork()
      process.nextTick(() => {
        corked = false
        socket.uncork()
      })
    }
    socket.write(`${line}\n`)
  }
}

function onLines(socket: Socket, take: (line: string) => void): void {
  let rest = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    lines.forEach(take)
  })
}
