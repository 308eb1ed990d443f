import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import type { FieldName } from '../../directory/fields.ts'
import type { LogRow } from '../sql/totals.ts'

/**
 * The change log as the news for whatever a reader keeps in memory: what was committed since it was
 * worked out. Nothing is asked of the writer, and what is in the file and acknowledged is in the log.
 */
export function createLogTail(db: DatabaseSync) {
  const newest = db.prepare('SELECT max(seq) AS seq FROM changes')
  const rows = db.prepare(
    `SELECT user_id, kind, fields FROM changes WHERE seq > ? AND
       (kind <> 'updated' OR EXISTS (SELECT 1 FROM json_each(?) WHERE instr(changes.fields, value) > 0))
     ORDER BY seq`,
  )
  rows.setReturnArrays(true)

  return {
    /** The newest row that there is; within a read transaction, everything up to it can be seen. */
    newest: (): number => Number(newest.get()?.seq ?? 0),

    /** The rows after one that may say something of these fields, or of who is to be seen. */
    since(seq: number, fields: readonly FieldName[]): (LogRow & { readonly userId: number })[] {
      const names = JSON.stringify([...fields, 'status'].map((name) => `"${name}":`))
      const found = rows.all(seq, names) as unknown as SQLOutputValue[][]
      return found.map(([userId, kind, text]) => ({
        userId: Number(userId),
        kind: String(kind),
        fields: JSON.parse(String(text)) as LogRow['fields'],
      }))
    },
  }
}

export type LogTail = ReturnType<typeof createLogTail>
