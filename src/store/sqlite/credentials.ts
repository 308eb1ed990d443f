import type { DatabaseSync } from 'node:sqlite'
import type { Credentials } from '../../directory/credentials.ts'
import type { Status } from '../../directory/user.ts'

export function createCredentialReader(db: DatabaseSync): (id: number) => Credentials | undefined {
  const select = db.prepare(
    `SELECT status, hash, tokens_valid_from FROM users
     LEFT JOIN passwords ON passwords.user_id = users.id LEFT JOIN validity ON validity.user_id = users.id
     WHERE users.id = ?`,
  )
  return (id) => {
    const row = select.get(id)
    if (row === undefined) return undefined
    return {
      status: row.status as Status,
      password: row.hash == null ? null : String(row.hash),
      tokensValidFrom: Number(row.tokens_valid_from ?? 0),
    }
  }
}
