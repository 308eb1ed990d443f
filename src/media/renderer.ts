import { type ChildProcess, fork } from 'node:child_process'
import { Socket } from 'node:net'
import { availableParallelism, setPriority } from 'node:os'
import { callerGone, unavailable } from '../directory/errors.ts'
import type { RenderReply, RenderTask } from './render-process.ts'

/**
 * Decodes and re-encodes pictures in processes of their own. Not threads: a decoder that a picture
 * brings down takes nobody along, libuv's pool, which files and DNS wait for, is left alone, and the
 * memory goes back when the process does.
 */
export interface Renderer {
  /**
   * Rejects with a DirectoryError `unavailable` when too many wait, or nothing can be decoded now.
   * @param gone tells that nobody waits for it any more; then it rejects too, if it has not begun
   */
  readonly render: (task: RenderTask, gone?: AbortSignal) => Promise<RenderReply>
  /** The processes that there are now. */
  readonly pids: () => readonly number[]
  readonly close: () => Promise<void>
}

export interface RendererOptions {
  readonly processes?: number
  /** How many may wait for a process. */
  readonly maxWaiting?: number
  /** Milliseconds that one picture may take. */
  readonly patience?: number
  /** Milliseconds without work after which a process ends. */
  readonly idleTime?: number
}

interface Job extends PromiseWithResolvers<RenderReply> {
  readonly task: RenderTask
}

/** The others have requests to answer. */
const half = Math.min(4, Math.max(1, Math.floor(availableParallelism() / 2)))

/** How nice the processes are (POSIX): requests come first. */
const niceness = 10

/** Characters of the last that a process said, for the log. */
const mostSaid = 2_000

export function createRenderer(options: RendererOptions = {}): Renderer {
  const { processes = half, maxWaiting = 200, patience = 30_000, idleTime = 10_000 } = options
  const waiting = new Set<Job>()
  const idle = new Map<ChildProcess, NodeJS.Timeout>()
  const busy = new Map<ChildProcess, (cause: Error) => void>()
  const all = new Set<ChildProcess>()
  let closed = false

  function next(): void {
    const [job] = waiting
    if (job === undefined) return
    const [child] = idle.keys()
    if (child === undefined && all.size >= processes) return
    waiting.delete(job)
    work(child ?? start(), job)
    next()
  }

  function start(): ChildProcess {
    const child = fork(new URL('./render-process.ts', import.meta.url), {
      serialization: 'advanced',
      execArgv: [],
      // One thread for it, and nothing of what this process was told.
      env: { UV_THREADPOOL_SIZE: '1', MALLOC_ARENA_MAX: '2' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    all.add(child)
    let said = ''
    const { stderr } = child
    stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-mostSaid)
    })
    // It holds this process up no more than its child does.
    if (stderr instanceof Socket) stderr.unref()
    // One that can not be started has an error and no end.
    child.once('error', (error) => ended(child, error))
    child.once('close', (code, signal) =>
      ended(child, new Error(`The decoder ended with ${signal ?? code}: ${said.trim()}`)),
    )
    try {
      if (child.pid !== undefined) setPriority(child.pid, niceness)
    } catch {
      // It ended already, or the system does not let it: it works all the same.
    }
    return child
  }

  function ended(child: ChildProcess, cause: Error): void {
    if (!all.delete(child)) return
    child.kill('SIGKILL')
    letGo(child)
    const fail = busy.get(child)
    busy.delete(child)
    fail?.(cause)
    next()
  }

  function letGo(child: ChildProcess): void {
    clearTimeout(idle.get(child))
    idle.delete(child)
  }

  /** Before it has ended nobody may give it work. */
  function end(child: ChildProcess): void {
    letGo(child)
    child.kill('SIGKILL')
  }

  function work(child: ChildProcess, { task, resolve, reject }: Job): void {
    letGo(child)
    child.ref()
    child.channel?.ref()
    let late = false
    const timer = setTimeout(() => {
      late = true
      // An answer now would have it given more work.
      child.off('message', answer)
      child.kill('SIGKILL')
    }, patience)
    const answer = (reply: RenderReply) => {
      clearTimeout(timer)
      busy.delete(child)
      idle.set(child, setTimeout(end, idleTime, child).unref())
      // A process that has nothing else to do need not wait for ones that have nothing to do either.
      child.unref()
      child.channel?.unref()
      resolve(reply)
      next()
    }
    busy.set(child, (cause) => {
      clearTimeout(timer)
      child.off('message', answer)
      // What brings the decoder down would do so again.
      if (late) resolve({ problem: 'takes too long to be decoded' })
      else if (child.signalCode !== null && !closed) resolve({ problem: 'can not be decoded' })
      else reject(unavailable('Pictures can not be decoded now', cause))
    })
    child.once('message', answer)
    // Where it was not started there is nothing to send with, and its error is on its way.
    if (child.pid !== undefined)
      child.send(task, (error) => {
        if (error !== null) child.kill('SIGKILL')
      })
  }

  return {
    async render(task, gone) {
      if (closed) throw unavailable('The service is closing')
      if (gone?.aborted) throw callerGone()
      if (waiting.size >= maxWaiting) throw unavailable('Too many pictures are waiting to be decoded')
      const job: Job = { task, ...Promise.withResolvers<RenderReply>() }
      waiting.add(job)
      gone?.addEventListener('abort', () => {
        if (waiting.delete(job)) job.reject(callerGone())
      })
      next()
      return job.promise
    },
    pids: () => [...all].flatMap(({ pid }) => pid ?? []),
    async close() {
      closed = true
      for (const { reject } of waiting) reject(unavailable('The service is closing'))
      waiting.clear()
      const started = [...all].filter(({ pid }) => pid !== undefined)
      const over = started.map((child) => new Promise((resolve) => child.once('exit', resolve)))
      for (const child of started) {
        child.ref()
        child.kill('SIGKILL')
      }
      await Promise.all(over)
    },
  }
}
