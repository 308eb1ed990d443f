import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import type { Config } from './config.ts'
import { DirectoryError } from './directory/errors.ts'
import type { Store } from './directory/store.ts'
import { joinStore } from './stores.ts'
import { UsageError } from './user-command.ts'

/** What `roster key` and `roster client` have in common. */

/** What one is made with, whatever it is. */
export const common = { name: { type: 'string' }, scopes: { type: 'string' } } as const

interface Known<O extends ParseArgsOptionsConfig> {
  readonly noun: string
  readonly usage: string
  /** Those of `create`, which no other command has. */
  readonly options: O & typeof common
  /** Commands of its own, which take nothing. */
  readonly others?: readonly string[]
}

/**
 * @param args what follows the noun
 * @throws UsageError saying what would be right
 */
export function parseCommand<const O extends ParseArgsOptionsConfig>(
  args: readonly string[],
  { noun, usage, options, others = [] }: Known<O>,
) {
  try {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options })
    const { name, scopes } = values as { readonly name?: string; readonly scopes?: string }
    const [verb = '', id, ...more] = positionals
    const isBare = Object.keys(values).length === 0
    if (verb === 'create' && id === undefined) {
      if (name === undefined || scopes === undefined) throw new UsageError('--name and --scopes are needed')
      return { verb: 'create', name, scopes: scopes.split(','), values } as const
    }
    if (id === undefined && isBare) {
      if (verb === 'list') return { verb: 'list' } as const
      if (others.includes(verb)) return { verb: 'other', name: verb } as const
    }
    if (verb === 'revoke' && id !== undefined && more.length === 0 && isBare)
      return { verb: 'revoke', id } as const
    throw new UsageError(`This is no command of roster ${noun}`)
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
  }
}

/**
 * Does something in the store that the settings name.
 * @param options what is called otherwise on the command line than its property
 * @throws Error in words for the terminal
 */
export async function inStore(
  config: Config,
  options: Readonly<Record<string, string>>,
  work: (store: Store) => Promise<void>,
): Promise<void> {
  const store = await joinStore(config, {
    onFatal: (error) => {
      throw error
    },
    onWarning: (warning) => process.stderr.write(`roster: ${warning}\n`),
  })
  try {
    await work(store)
  } catch (error) {
    throw error instanceof DirectoryError ? new Error(describe(error, options)) : error
  } finally {
    await store.close()
  }
}

/** The options as they were given, not the properties that they became. */
function describe({ message, problems }: DirectoryError, options: Readonly<Record<string, string>>): string {
  const lines = problems.map(
    ({ property = '', message: wrong }) => `  --${options[property] ?? property} ${wrong}`,
  )
  return [message, ...lines].join('\n')
}

export function print(told: object): void {
  process.stdout.write(`${JSON.stringify(told)}\n`)
}

export function say(told: string): void {
  process.stderr.write(`${told}\n`)
}

export const isoTime = (at: number | null) => (at === null ? null : new Date(at).toISOString())
