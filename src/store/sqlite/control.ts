import { chmodSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
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
 * its user may open, one task of the writer's and one answer per connection, each a line of JSON.
 */
const socketPath = (folder: string) => join(folder, 'control.sock')

/** Hands a task to the writer. */
export type Send = (task: Task) => Promise<Done>

type Answer =
  | { readonly outcome: Done }
  | {
      readonly error: { readonly code: Code; readonly message: string; readonly problems: readonly Problem[] }
    }

/** The owner's side. Nobody else can be listening, so a socket that is there was left by a process that died. */
export async function listen(folder: string, send: Send): Promise<Control> {
  const path = socketPath(folder)
  rmSync(path, { force: true })
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.setTimeout(patience, () => socket.destroy())
    createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY }).once('line', (line) => {
      answer(line, send).then((reply) => socket.end(`${JSON.stringify(reply)}\n`))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
  return {
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

export interface Control {
  /** Takes no more commands, and resolves when the answers to the others have left. */
  readonly close: () => Promise<void>
}

/** Milliseconds that a connection may say nothing. */
const patience = 5_000

async function answer(line: string, send: Send): Promise<Answer> {
  try {
    return { outcome: await send(JSON.parse(line) as Task) }
  } catch (error) {
    const { code, message, problems } =
      error instanceof DirectoryError
        ? error
        : { code: 'internal' as const, message: String(error), problems: [] }
    return { error: { code, message, problems } }
  }
}

/** The command line's side: undefined where no owner listens. */
export async function connect(folder: string): Promise<Send | undefined> {
  const probe = await open(folder)
  if (probe === undefined) return undefined
  probe.destroy()
  return async (task) => {
    const socket = await open(folder)
    if (socket === undefined) throw unavailable('The server has stopped')
    socket.write(`${JSON.stringify(task)}\n`)
    const line = await firstLine(socket)
    if (line === undefined) throw outcomeUnknown()
    const reply = JSON.parse(line) as Answer
    if ('error' in reply) throw new DirectoryError(reply.error)
    return reply.outcome
  }
}

function open(folder: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath(folder))
    socket.once('connect', () => resolve(socket))
    socket.once('error', () => resolve(undefined))
  })
}

async function firstLine(socket: Socket): Promise<string | undefined> {
  for await (const line of createInterface({ input: socket })) return line
  return undefined
}
