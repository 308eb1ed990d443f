import { type Client, createClients } from './access/oauth-clients.ts'
import { createSigningKeys } from './access/oauth-keys.ts'
import type { Config } from './config.ts'
import { common, inStore, isoTime, parseCommand, print, say } from './credential-command.ts'
import { operator } from './operator.ts'

export const clientUsage = `  roster client create --name NAME --scopes read,write [--redirect-uri URI …] [--public]
                            make an OAuth client, and print it with its secret this once: with
                            addresses to send people back to, for people; without, for a service
  roster client list        every client, a line of JSON each
  roster client revoke ID   make a client worthless with all that it was given, within a second
  roster client rotate-keys make a new key to sign with; the one before is known for another day
`

const options = {
  ...common,
  'redirect-uri': { type: 'string', multiple: true },
  public: { type: 'boolean' },
} as const

/**
 * @param args what follows `roster client`
 * @param readConfig called once the arguments make sense
 * @throws Error in words for the terminal
 */
export async function runClientCommand(args: readonly string[], readConfig: () => Config): Promise<void> {
  const others = ['rotate-keys']
  const command = parseCommand(args, { noun: 'client', usage: clientUsage, options, others })
  await inStore(readConfig(), { redirect_uris: 'redirect-uri' }, async ({ documents }) => {
    const clients = createClients({ documents, now: Date.now })
    if (command.verb === 'create') {
      const { name, scopes, values } = command
      const asked = {
        name,
        scopes,
        redirect_uris: values['redirect-uri'] ?? [],
        public: values.public ?? false,
      }
      const { client, secret } = await clients.create(operator, asked)
      if (secret !== null) say('The secret is not shown again:')
      print({ client_id: client.id, ...(secret !== null && { client_secret: secret }) })
    } else if (command.verb === 'revoke') {
      await clients.revoke(operator, command.id)
      say(`${command.id} is revoked`)
    } else if (command.verb === 'other') {
      say(`${await createSigningKeys({ documents, now: Date.now }).rotate()} signs from in two minutes on`)
    } else for (const client of await clients.list(operator)) print(shown(client))
  })
}

function shown({ id, name, scopes, redirectUris, isPublic, createdAt, revokedAt }: Client) {
  return {
    client_id: id,
    name,
    scopes,
    redirect_uris: redirectUris,
    public: isPublic,
    created_at: isoTime(createdAt),
    revoked_at: isoTime(revokedAt),
  }
}
