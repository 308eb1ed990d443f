import { createKeys } from './access/keys.ts'
import type { Config } from './config.ts'
import { common, inStore, isoTime, parseCommand, print, say } from './credential-command.ts'
import type { ApiKey } from './directory/key.ts'
import { operator } from './operator.ts'

export const keyUsage = `  roster key create --name NAME --scopes read,write [--expires 90d]
                            make an API key, and print it this once; scopes are read, write
                            (which is shown whom it writes) and admin; a key expires after so
                            many days, on a date, or never
  roster key list           every key, a line of JSON each
  roster key revoke ID      make a key worthless, within a second
`

const options = { ...common, expires: { type: 'string' } } as const

/**
 * @param args what follows `roster key`
 * @param readConfig called once the arguments make sense
 * @throws Error in words for the terminal
 */
export async function runKeyCommand(args: readonly string[], readConfig: () => Config): Promise<void> {
  const command = parseCommand(args, { noun: 'key', usage: keyUsage, options })
  await inStore(readConfig(), { expires_at: 'expires' }, async ({ keys: store }) => {
    const keys = createKeys({ store, now: Date.now })
    if (command.verb === 'create') {
      const { name, scopes, values } = command
      const expires_at = values.expires && timeOf(values.expires)
      const { key, secret } = await keys.create(operator, { name, scopes, expires_at })
      const until = key.expiresAt === null ? '' : `, until ${isoTime(key.expiresAt)}`
      say(`${key.id} for ${key.scopes.join(', ')}${until}; it is not shown again:`)
      process.stdout.write(`${secret}\n`)
    } else if (command.verb === 'revoke') {
      await keys.revoke(operator, command.id)
      say(`${command.id} is revoked`)
    } else for (const key of await keys.list(operator)) print(shown(key))
  })
}

/** So many days from now; anything else as it is. */
function timeOf(expires: string): string {
  const [, days] = /^([1-9]\d{0,4})d$/.exec(expires) ?? []
  return days === undefined ? expires : new Date(Date.now() + Number(days) * 86_400_000).toISOString()
}

function shown({ id, name, scopes, createdAt, expiresAt, revokedAt, lastUsedAt }: ApiKey) {
  return {
    id,
    name,
    scopes,
    created_at: isoTime(createdAt),
    expires_at: isoTime(expiresAt),
    revoked_at: isoTime(revokedAt),
    last_used_at: isoTime(lastUsedAt),
  }
}
