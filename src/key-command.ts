import { parseArgs } from 'node:util'
import { createKeys, type Keys } from './access/keys.ts'
import type { Config } from './config.ts'
import type { Actor } from './directory/actor.ts'
import { DirectoryError } from './directory/errors.ts'
import type { ApiKey } from './directory/key.ts'
import { joinStore } from './stores.ts'
import { UsageError } from './user-command.ts'

export const keyUsage = `  roster key create --name NAME --scopes read,write [--expires 90d]
                            make an API key, and print it this once; scopes are read, write
                            and admin, and a key expires after so many days, on a date, or never
  roster key list           every key, a line of JSON each
  roster key revoke ID      make a key worthless, within a second
`

/** The operator at the machine may do everything. */
const operator: Actor = {
  kind: 'operator',
  id: null,
  scopes: ['read', 'write', 'admin'],
  contract: 'operator',
}

type Command =
  | { readonly verb: 'create'; readonly name: string; readonly scopes: string; readonly expires?: string }
  | { readonly verb: 'list' }
  | { readonly verb: 'revoke'; readonly id: string }

/**
 * @param args what follows `roster key`
 * @param readConfig called once the arguments make sense
 * @throws Error in words for the terminal
 */
export async function runKeyCommand(args: readonly string[], readConfig: () => Config): Promise<void> {
  const command = parse(args)
  const store = await joinStore(readConfig(), {
    onFatal: (error) => {
      throw error
    },
    onWarning: (warning) => process.stderr.write(`roster: ${warning}\n`),
  })
  try {
    await run(createKeys({ store: store.keys, now: Date.now }), command)
  } catch (error) {
    throw error instanceof DirectoryError ? new Error(describe(error)) : error
  } finally {
    await store.close()
  }
}

function parse(args: readonly string[]): Command {
  const options = {
    name: { type: 'string' },
    scopes: { type: 'string' },
    expires: { type: 'string' },
  } as const
  try {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options })
    const { name, scopes, expires } = values
    const [verb, id, ...more] = positionals
    const given = Object.keys(values).length
    if (verb === 'create' && id === undefined) {
      if (name === undefined || scopes === undefined) throw new UsageError('--name and --scopes are needed')
      return { verb, name, scopes, ...(expires !== undefined && { expires }) }
    }
    if (verb === 'list' && id === undefined && given === 0) return { verb }
    if (verb === 'revoke' && id !== undefined && more.length === 0 && given === 0) return { verb, id }
    throw new UsageError('This is no command of roster key')
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${keyUsage}`)
  }
}

async function run(keys: Keys, command: Command): Promise<void> {
  switch (command.verb) {
    case 'create': {
      const { name, scopes, expires } = command
      const asked = { name, scopes: scopes.split(','), expires_at: expires && timeOf(expires) }
      const { key, secret } = await keys.create(operator, asked)
      const until = key.expiresAt === null ? '' : `, until ${new Date(key.expiresAt).toISOString()}`
      process.stderr.write(`${key.id} for ${key.scopes.join(', ')}${until}; it is not shown again:\n`)
      return void process.stdout.write(`${secret}\n`)
    }
    case 'list':
      for (const key of await keys.list(operator)) process.stdout.write(`${JSON.stringify(shown(key))}\n`)
      return
    case 'revoke':
      await keys.revoke(operator, command.id)
      return void process.stderr.write(`${command.id} is revoked\n`)
  }
}

/** So many days from now; anything else as it is. */
function timeOf(expires: string): string {
  const [, days] = /^([1-9]\d{0,4})d$/.exec(expires) ?? []
  return days === undefined ? expires : new Date(Date.now() + Number(days) * 86_400_000).toISOString()
}

function shown({ id, name, scopes, createdAt, expiresAt, revokedAt, lastUsedAt }: ApiKey) {
  const time = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  return {
    id,
    name,
    scopes,
    created_at: time(createdAt),
    expires_at: time(expiresAt),
    revoked_at: time(revokedAt),
    last_used_at: time(lastUsedAt),
  }
}

/** The options as they were given, not the properties that they became. */
function describe({ message, problems }: DirectoryError): string {
  const options: Readonly<Record<string, string>> = { expires_at: '--expires' }
  const lines = problems.map(
    ({ property = '', message: wrong }) => `  ${options[property] ?? `--${property}`} ${wrong}`,
  )
  return [message, ...lines].join('\n')
}
