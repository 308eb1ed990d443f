import { settingNames } from '../../directory/settings.ts'

/** The statements about settings, in the words that both databases know. */
const names = settingNames.join(', ')

export const readSettings = (id: string) => `SELECT ${names} FROM settings WHERE user_id = ${id}`

/**
 * Sets those that are not null, of somebody who is to be seen.
 * @param given the parameters: the id, and one for each setting
 * @param lock what has the database hold the user's row, where writers do not come one after the other
 */
export function writeSettings([id, ...values]: readonly string[], lock = ''): string {
  const kept = settingNames.map((name) => `${name} = coalesce(excluded.${name}, settings.${name})`)
  return `INSERT INTO settings (user_id, ${names})
    SELECT users.id, ${values.join(', ')} FROM users WHERE users.id = ${id} AND status IN ('active', 'blocked') ${lock}
    ON CONFLICT (user_id) DO UPDATE SET ${kept.join(', ')}`
}
