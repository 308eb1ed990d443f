import type { Credentials } from '../directory/credentials.ts'

export interface People {
  /**
   * Why what was issued to a person is worth nothing any more; undefined where it is. A blocked person is
   * known as such: what that forbids is for the policy to say.
   * @param issuedAt milliseconds since 1970, UTC
   */
  readonly endOf: (id: number, issuedAt: number) => Promise<string | undefined>
}

/** Judges whether what was issued to people still counts. */
export function createPeople(credentials: (id: number) => Promise<Credentials | undefined>): People {
  return {
    async endOf(id, issuedAt) {
      const known = await credentials(id)
      if (known === undefined || known.status === 'deleted' || known.status === 'erased')
        return 'There is no such user any more'
      return issuedAt < known.tokensValidFrom ? 'The token has been ended' : undefined
    },
  }
}
