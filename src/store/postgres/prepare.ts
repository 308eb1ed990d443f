import { type Connection, hostsOf, inWords, type Sql } from './connection.ts'
import { migrate } from './migrate.ts'
import { firstConnection } from './pool.ts'
import type { Timelines } from './timeline.ts'

/**
 * Looks at the database and brings it to what this Roster needs.
 * @param timelines learns of those that the hosts write on
 * @throws Error in words when it can not be reached or used, or has a newer schema
 */
export async function prepare(
  url: string,
  timelines: Timelines,
  onWarning: (warning: string) => void,
): Promise<void> {
  let connection: Connection | undefined
  try {
    connection = await firstConnection(url, timelines)
    await refuseOtherEncodings(connection.sql)
    await migrate(connection.sql)
    await warnOfLoss(connection.sql, hostsOf(url).length, onWarning)
  } catch (error) {
    throw new Error(`PostgreSQL can not be used (DATABASE_URL): ${inWords(error)}`, { cause: error })
  } finally {
    await connection?.close(0)
  }
}

/** In any other than UTF-8 there is text that the database can not hold, or does not know for text. */
async function refuseOtherEncodings(sql: Sql): Promise<void> {
  const [row] = await sql`SELECT current_setting('server_encoding') AS encoding`
  if (row?.encoding === 'UTF8') return
  throw new Error(
    `the database keeps text in ${row?.encoding}, not in UTF8: make it with ENCODING 'UTF8' TEMPLATE template0`,
  )
}

/** Tells how the server is set up to lose what it has acknowledged. */
async function warnOfLoss(sql: Sql, hosts: number, onWarning: (warning: string) => void): Promise<void> {
  const [row] = await sql`
    SELECT current_setting('synchronous_standby_names') AS standbys, current_setting('fsync') AS fsync`
  if (hosts > 1 && row?.standbys === '') {
    onWarning(
      'DATABASE_URL names several hosts, but the primary waits for no standby (synchronous_standby_names): a failover can lose updates that were acknowledged',
    )
  }
  if (row?.fsync === 'off') {
    onWarning(
      'The database does not wait for its disk (fsync = off): a crash can lose updates that were acknowledged',
    )
  }
}
