import { parseArgs } from 'node:util'
import { type Client, type Clients, createClients } from './access/oauth-clients.ts'
import { createSigningKeys } from './access/oauth-keys.ts'
import type { Config } from './config.ts'
import type { Actor } from './directory/actor.ts'
import { DirectoryError } from './directory/errors.ts'
import { joinStore } from './stores.ts'
import { UsageError } from './user-command.ts'

export const clientUsage = `  roster client create --name NAME --scopes read,write [--redirect-uri URI …] [--public]
                            make an OAuth client, and print it with its secret this once: with
                            addresses to send people back to, for people; without, for a service
  roster client list        every client, a line of JSON each
  roster client revoke ID   make a client worthless with all that it was given, within a second
  roster client rotate-keys make a new key to sign with; the one before is known for another day
`

/** The operator at the machine may do everything. */
const operator: Actor = {
  kind: 'operator',
  id: null,
  scopes: ['read', 'write', 'admin'],
  contract: 'operator',
}

type Command =
  | {
      readonly verb: 'create'
      readonly name: string
      readonly scopes: string
      readonly uris: readonly string[]
      readonly isPublic: boolean
    }
  | { readonly verb: 'list' | 'rotate-keys' }
  | { readonly verb: 'revoke'; readonly id: string }

/**
 * @param args what follows `roster client`
 * @param readConfig called once the arguments make sense
 * @throws Error in words for the terminal
 */
export async function runClientCommand(args: readonly string[], readConfig: () => Config): Promise<void> {
  const command = parse(args)
  const store = await joinStore(readConfig(), {
    onFatal: (error) => {
      throw error
    },
    onWarning: (warning) => process.stderr.write(`roster: ${warning}\n`),
  })
  const { documents } = store
  try {
    if (command.verb === 'rotate-keys') {
      const id = await createSigningKeys({ documents, now: Date.now }).rotate()
      process.stderr.write(`${id} signs from in two minutes on\n`)
    } else await run(createClients({ documents, now: Date.now }), command)
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
    'redirect-uri': { type: 'string', multiple: true },
    public: { type: 'boolean' },
  } as const
  try {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options })
    const { name, scopes, 'redirect-uri': uris = [], public: isPublic = false } = values
    const [verb, id, ...more] = positionals
    const given = Object.keys(values).length
    if (verb === 'create' && id === undefined) {
      if (name === undefined || scopes === undefined) throw new UsageError('--name and --scopes are needed')
      return { verb, name, scopes, uris, isPublic }
    }
    if ((verb === 'list' || verb === 'rotate-keys') && id === undefined && given === 0) return { verb }
    if (verb === 'revoke' && id !== undefined && more.length === 0 && given === 0) return { verb, id }
    throw new UsageError('This is no command of roster client')
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${clientUsage}`)
  }
}

async function run(clients: Clients, command: Exclude<Command, { verb: 'rotate-keys' }>): Promise<void> {
  switch (command.verb) {
    case 'create': {
      const { name, scopes, uris, isPublic } = command
      const asked = { name, scopes: scopes.split(','), redirect_uris: uris, public: isPublic }
      const { client, secret } = await clients.create(operator, asked)
      if (secret !== null) process.stderr.write('The secret is not shown again:\n')
      const told = { client_id: client.id, ...(secret !== null && { client_secret: secret }) }
      return void process.stdout.write(`${JSON.stringify(told)}\n`)
    }
    case 'list':
      for (const client of await clients.list(operator))
        process.stdout.write(`${JSON.stringify(shown(client))}\n`)
      return
    case 'revoke':
      await clients.revoke(operator, command.id)
      return void process.stderr.write(`${command.id} is revoked\n`)
  }
}

function shown({ id, name, scopes, redirectUris, isPublic, createdAt, revokedAt }: Client) {
  const time = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  return {
    client_id: id,
    name,
    scopes,
    redirect_uris: redirectUris,
    public: isPublic,
    created_at: time(createdAt),
    revoked_at: time(revokedAt),
  }
}

/** The options as they were given, not the properties that they became. */
function describe({ message, problems }: DirectoryError): string {
  const options: Readonly<Record<string, string>> = { redirect_uris: '--redirect-uri' }
  const lines = problems.map(
    ({ property = '', message: wrong }) => `  ${options[property] ?? `--${property}`} ${wrong}`,
  )
  return [message, ...lines].join('\n')
}
