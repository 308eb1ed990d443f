import { vi } from 'vitest'
import { run } from '../src/command-line.ts'
import { readConfig } from '../src/config.ts'
import { openStore } from '../src/stores.ts'
import { type Ended, environment, type RunOptions, temporaryFolder } from './process.ts'

/**
 * As `run` of a process, but in this one, which is three times as quick: for what a command does and
 * says. How a process begins and ends is for others to show.
 */
export async function runHere(
  args: readonly string[],
  options: Pick<RunOptions, 'folder' | 'env'>,
): Promise<Ended> {
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += text
      return true
    })
  // It listens for a reader who goes, of whom there is none here.
  vi.spyOn(process.stdout, 'on').mockReturnThis()
  const { env } = process
  process.env = { ...environment(options), NODE_COMPILE_CACHE: env.NODE_COMPILE_CACHE }
  try {
    await run(args)
    return { code: Number(process.exitCode ?? 0), signal: null, ...said }
  } finally {
    process.env = env
    process.exitCode = undefined
    vi.restoreAllMocks()
  }
}

/** A folder with a directory in which nobody is. */
export async function emptyDirectory(): Promise<string> {
  const folder = temporaryFolder()
  const fail = (problem: Error | string) => {
    throw new Error('The store is not well', { cause: problem })
  }
  const store = await openStore({ ...readConfig({}), folder }, { onFatal: fail, onWarning: fail })
  await store.close()
  return folder
}
