import { hash } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { hashRawSync, hashSync, verifySync } from '@node-rs/argon2'

/** A thread of the pool in passwords.ts: one task after the other. */
export interface HashingTask {
  readonly text: string
  /** Left out, a random one is made and told with the hash. */
  readonly salt?: string
  /** A hash that the text is to be compared with; what comes of it is `right` or `wrong`. */
  readonly against?: string
}

export interface HashingReply {
  readonly hash: string
}

/** Argon2id, which is the default, at what OWASP recommends at least: 19 MiB, 2 passes, 1 lane. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/**
 * A hash keeps a processor for 20 ms. Whoever else has something to do comes first, as far as the system
 * can tell threads apart: Linux can (setpriority(2)), and elsewhere it stays as it is. Not the lowest, so
 * that sign-ins go on, slowly, where all processors are busy.
 */
const niceness = 15

function standBack(): void {
  try {
    const [pid, , thread] = readlinkSync('/proc/thread-self').split('/')
    if (pid === String(process.pid)) setPriority(Number(thread), niceness)
  } catch {
    // There is no such link, or it may not be: then threads share alike.
  }
}

function work({ text, salt, against }: HashingTask): string {
  if (against !== undefined) return verifySync(against, text) ? 'right' : 'wrong'
  if (salt === undefined) return hashSync(text, cost)
  return hashRawSync(text, { ...cost, salt: hash('sha256', salt, 'buffer') }).toString('hex')
}

standBack()
parentPort?.on('message', (task: HashingTask) => {
  const reply: HashingReply = { hash: work(task) }
  parentPort?.postMessage(reply)
})
