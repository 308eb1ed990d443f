import type { Client, Clients } from '../../access/oauth-clients.ts'
import type { Kind } from './credentials.ts'
import { encodeTime } from './wire.ts'

/** `/v1/clients`: OAuth clients. */
export function clientsAs(clients: Clients): Kind<Client> {
  return {
    noun: 'client',
    notFound: 'Client not found',
    known: ['name', 'scopes', 'redirect_uris', 'public'],
    list: clients.list,
    create: async (actor, asked, creation) => {
      const { client, secret } = await clients.create(actor, asked, creation)
      return { made: client, secret }
    },
    revoke: clients.revoke,
    encode: encodeClient,
    secretName: 'client_secret',
  }
}

function encodeClient({ id, name, scopes, redirectUris, isPublic, createdAt, revokedAt }: Client) {
  return {
    client_id: id,
    name,
    scopes,
    redirect_uris: redirectUris,
    public: isPublic,
    created_at: encodeTime(createdAt),
    revoked_at: revokedAt === null ? null : encodeTime(revokedAt),
  }
}
