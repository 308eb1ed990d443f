import { Worker } from 'node:worker_threads'
import { outcomeUnknown, unavailable } from '../../directory/errors.ts'
import type { Rules } from '../../directory/field-types.ts'
import type { Outcome } from '../../directory/store.ts'
import type { UserCache } from './cache.ts'
import type { Done, Reply, Task } from './group.ts'
import { type PackedOutcome, unpackOutcome } from './rows.ts'
import type { FromWriter, ToWriter, WriterOptions } from './writer.ts'

/** Commands that may wait for the writer; the next one is turned away. */
const maxWaiting = 20_000

/**
 * Commands that go over as one message, at most: enough to spread its cost, few enough that the
 * writer works on the first ones while the rest of a burst is still being read.
 */
const batchSize = 16

interface Waiting {
  readonly kind: Task['kind']
  readonly resolve: (done: Done) => void
  readonly reject: (error: Error) => void
}

export interface ThreadOptions {
  readonly rules: Rules
  readonly onFatal: (error: Error) => void
  readonly maxPages?: number
  readonly path: string
  readonly cache: UserCache
}

/** What a group makes is gone after it, and need not spread out before that. */
const resourceLimits = { maxYoungGenerationSizeMb: 12 }

/** Starts the writer thread (writer.ts), and hands it what is to be done. */
export async function startWriter({ path, rules, onFatal, maxPages, cache }: ThreadOptions) {
  const workerData: WriterOptions = { path, rules, ...(maxPages !== undefined && { maxPages }) }
  const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData, resourceLimits })
  const started = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  /** What the writer has, in the order in which it will answer. */
  let sent: Waiting[] = []
  /** As JSON text. */
  let commands: string[] = []
  let waiting: Waiting[] = []
  let count = 0
  let running = false
  let closing = false
  let dead: Error | undefined
  let drained: (() => void) | undefined

  function flush(): void {
    if (waiting.length === 0) return
    sent.push(...waiting)
    post({ batch: `[${commands.join()}]` })
    commands = []
    waiting = []
  }

  function post(message: ToWriter): void {
    worker.postMessage(message)
  }

  function answer(replies: readonly Reply[]): void {
    const answered = sent.splice(0, replies.length)
    count -= answered.length
    for (const [i, { kind, resolve, reject }] of answered.entries()) {
      const reply = replies[i] as Reply
      switch (reply.outcome) {
        case 'committed':
        case 'unchanged':
        case 'previewed':
          resolve(learn(reply, kind))
          break
        case 'batch':
          resolve({ outcome: 'batch', outcomes: reply.outcomes.map((one) => learn(one, kind)) })
          break
        case 'refused':
        case 'counted':
        case 'key':
        case 'document':
        case 'setting':
        case 'outbox':
        case 'picture':
        case 'begun':
        case 'expired':
          resolve(reply)
          break
        case 'unavailable':
          reject(unavailable('The store can not write now', new Error(reply.reason)))
          break
        case 'failed':
          reject(new Error(`A command failed: ${reply.reason}`))
      }
    }
    if (count === 0) drained?.()
  }

  function learn(reply: PackedOutcome, kind: Task['kind']): Outcome {
    const outcome = unpackOutcome(reply)
    // What was told once may be out of date by now, and a preview never comes true.
    const stands = outcome.outcome === 'committed' || outcome.outcome === 'unchanged'
    // A million people on their way in would push out everybody who is asked for.
    if (stands && !outcome.replayed) (kind === 'import' ? cache.refresh : cache.put)(outcome.user)
    return outcome
  }

  function die(error: Error): void {
    if (dead !== undefined) return
    dead = error
    started.reject(error)
    const [begun, unsent] = [sent, waiting]
    sent = []
    commands = []
    waiting = []
    count = 0
    for (const { reject } of begun) reject(outcomeUnknown(error))
    for (const { reject } of unsent) reject(unavailable('The store has stopped', error))
    drained?.()
    if (running) onFatal(error)
  }

  worker.on('message', (message: FromWriter) => {
    if ('replies' in message) answer(JSON.parse(message.replies) as Reply[])
    else if ('fatal' in message) die(new Error(message.fatal))
    else started.resolve()
  })
  worker.on('error', (error: Error) => die(error))
  worker.on('exit', () => {
    ended.resolve()
    die(new Error('The writer has ended'))
  })
  await started.promise
  running = true

  function send(task: Task): Promise<Done> {
    return new Promise((resolve, reject) => {
      if (dead !== undefined) return reject(unavailable('The store has stopped', dead))
      if (closing) return reject(unavailable('The store has been closed'))
      if (count >= maxWaiting) return reject(unavailable('Too many updates are waiting'))
      const text = JSON.stringify(task)
      if (waiting.length === 0) setImmediate(flush)
      commands.push(text)
      waiting.push({ kind: task.kind, resolve, reject })
      count++
      if (waiting.length >= batchSize) flush()
    })
  }

  /** Takes no more commands, and resolves when none waits any more. */
  function drain(): Promise<void> {
    closing = true
    return new Promise((resolve) => {
      if (count === 0) resolve()
      else drained = resolve
    })
  }

  async function close(): Promise<void> {
    if (dead === undefined) {
      dead = new Error('closed')
      post({ close: true })
    }
    await ended.promise
  }

  return { send, drain, close, isAlive: () => dead === undefined }
}
