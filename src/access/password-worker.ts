import { hash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { hashRawSync, hashSync } from '@node-rs/argon2'

/** A thread of the pool in passwords.ts: one task after the other. */
export interface HashingTask {
  readonly text: string
  /** Left out, a random one is made and told with the hash. */
  readonly salt?: string
}

export interface HashingReply {
  readonly hash: string
}

/** Argon2id, which is the default, at what OWASP recommends at least: 19 MiB, 2 passes, 1 lane. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

parentPort?.on('message', ({ text, salt }: HashingTask) => {
  const reply: HashingReply = {
    hash:
      salt === undefined
        ? hashSync(text, cost)
        : hashRawSync(text, { ...cost, salt: hash('sha256', salt, 'buffer') }).toString('hex'),
  }
  parentPort?.postMessage(reply)
})
