import type { Sql } from './connection.ts'

/**
 * What a server writes on. The promotion of a standby begins a new one, with the next number, and what
 * the old primary should still write after that is on no other server.
 */
export interface Timeline {
  /** Standbys have that of their primary. */
  readonly system: string
  readonly number: number
}

/** Undefined where the server does not tell, as some that only speak like PostgreSQL do not. */
export async function timelineOf(sql: Sql): Promise<Timeline | undefined> {
  try {
    const [row] = await sql.unsafe(
      `SELECT system_identifier::text AS system,
         ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int AS number
       FROM pg_control_system()`,
    )
    return { system: String(row?.system), number: Number(row?.number) }
  } catch {
    return undefined
  }
}

/** Remembers the newest timeline that was seen, so that nobody goes back behind a failover. */
export interface Timelines {
  readonly note: (timeline: Timeline | undefined) => void
  readonly isOld: (timeline: Timeline | undefined) => boolean
}

export function createTimelines(): Timelines {
  const newest = new Map<string, number>()
  const newestOf = ({ system }: Timeline) => newest.get(system) ?? 0
  return {
    note(timeline) {
      if (timeline !== undefined && timeline.number > newestOf(timeline))
        newest.set(timeline.system, timeline.number)
    },
    isOld: (timeline) => timeline !== undefined && timeline.number < newestOf(timeline),
  }
}
