import type { Keys } from '../../access/keys.ts'
import type { ApiKey } from '../../directory/key.ts'
import type { Kind } from './credentials.ts'
import { encodeTime } from './wire.ts'

/** `/v1/keys`: API keys. */
export function keysAs(keys: Keys): Kind<ApiKey> {
  return {
    noun: 'key',
    notFound: 'API key not found',
    known: ['name', 'scopes', 'expires_at'],
    list: keys.list,
    create: async (actor, asked, creation) => {
      const { key, secret } = await keys.create(actor, asked, creation)
      return { made: key, secret }
    },
    revoke: keys.revoke,
    encode: encodeKey,
    secretName: 'secret',
  }
}

function encodeKey(key: ApiKey) {
  const time = (at: number | null) => (at === null ? null : encodeTime(at))
  return {
    id: key.id,
    name: key.name,
    scopes: key.scopes,
    created_at: encodeTime(key.createdAt),
    expires_at: time(key.expiresAt),
    revoked_at: time(key.revokedAt),
    last_used_at: time(key.lastUsedAt),
  }
}
