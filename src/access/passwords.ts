import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { unavailable } from '../directory/errors.ts'
import type { HashingReply, HashingTask } from './password-worker.ts'

/**
 * Hashes passwords with Argon2id (RFC 9106), in threads of its own: it is slow on purpose, and neither
 * the event loop nor libuv's pool, which files and DNS wait for, is to be kept by it.
 */
export interface Passwords {
  /** A hash with a salt of its own, in the PHC format. Rejects with a DirectoryError `unavailable` when too many wait. */
  readonly hash: (password: string) => Promise<string>
  /** Whether this is the password that a hash was made of; null for who has none. As slow, whatever comes of it. */
  readonly verify: (password: string, hash: string | null) => Promise<boolean>
  /** As slow, but the same each time for the same salt: tells texts with a password in them apart. */
  readonly fingerprint: (text: string, salt: string) => Promise<string>
  readonly close: () => Promise<void>
}

export interface PasswordsOptions {
  readonly threads?: number
  /** How many may wait for a thread. */
  readonly maxWaiting?: number
}

interface Waiting {
  readonly task: HashingTask
  readonly resolve: (hash: string) => void
  readonly reject: (error: Error) => void
}

/** Half of the processors, since the others have requests to answer. */
const half = Math.min(4, Math.max(1, Math.floor(availableParallelism() / 2)))

export function createPasswords({ threads = half, maxWaiting = 256 }: PasswordsOptions = {}): Passwords {
  const waiting: Waiting[] = []
  const idle: Worker[] = []
  const busy = new Map<Worker, Waiting>()
  let closed = false
  let decoy: Promise<string> | undefined

  function start(): Worker {
    const worker = new Worker(new URL('./password-worker.ts', import.meta.url))
    // A process that has nothing else to do need not wait for threads that have nothing to do either.
    worker.unref()
    worker.on('message', ({ hash }: HashingReply) => {
      const done = busy.get(worker)
      busy.delete(worker)
      idle.push(worker)
      done?.resolve(hash)
      next()
    })
    worker.on('error', (error) => {
      const failed = busy.get(worker)
      busy.delete(worker)
      failed?.reject(unavailable('The password could not be hashed', error))
      next()
    })
    return worker
  }

  function next(): void {
    const task = waiting[0]
    if (task === undefined) return
    const worker = idle.pop() ?? (busy.size < threads ? start() : undefined)
    if (worker === undefined) return
    waiting.shift()
    busy.set(worker, task)
    worker.postMessage(task.task)
    next()
  }

  function run(task: HashingTask): Promise<string> {
    if (closed) return Promise.reject(unavailable('The service is closing'))
    if (waiting.length >= maxWaiting) {
      return Promise.reject(unavailable('Too many passwords are waiting to be hashed'))
    }
    return new Promise((resolve, reject) => {
      waiting.push({ task, resolve, reject })
      next()
    })
  }

  /** What is verified against for those who have no password: a hash that is as slow as any. */
  function nobodys(): Promise<string> {
    decoy ??= run({ text: 'nobody has this password' }).catch((error: unknown) => {
      decoy = undefined
      throw error
    })
    return decoy
  }

  return {
    // RFC 8265, section 4.2.2: composed, so that it is the same from every keyboard.
    hash: (password) => run({ text: password.normalize('NFC') }),
    async verify(password, hash) {
      const decoy = await nobodys()
      const verdict = await run({ text: password.normalize('NFC'), against: hash ?? decoy })
      return verdict === 'right' && hash !== null
    },
    fingerprint: (text, salt) => run({ text, salt }),
    async close() {
      closed = true
      for (const { reject } of waiting.splice(0)) reject(unavailable('The service is closing'))
      for (const { reject } of busy.values()) reject(unavailable('The service is closing'))
      await Promise.all([...idle, ...busy.keys()].map((worker) => worker.terminate()))
    },
  }
}
