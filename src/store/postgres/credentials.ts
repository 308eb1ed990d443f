import type { Credentials } from '../../directory/credentials.ts'
import type { Status } from '../../directory/user.ts'
import type { Run } from './pool.ts'

const text = `SELECT status, hash, tokens_valid_from FROM users
  LEFT JOIN passwords ON passwords.user_id = users.id LEFT JOIN validity ON validity.user_id = users.id
  WHERE users.id = $1`

export function createCredentialReader(run: Run): (id: number) => Promise<Credentials | undefined> {
  return async (id) => {
    const [row] = await run({ text, parameters: [id], prepare: true })
    if (row === undefined) return undefined
    return {
      status: row.status as Status,
      password: row.hash == null ? null : String(row.hash),
      tokensValidFrom: Number(row.tokens_valid_from ?? 0),
    }
  }
}
