import { failureOf, pause, toReadError, toWriteError } from './connection.ts'
import { type Pool, patience, type Row, type Statement } from './pool.ts'

/**
 * Runs a statement, again while it fails for reasons that pass: so it has to write nothing, or the same however
 * often it is done.
 */
export function createRead(query: Pool['query']) {
  return async (
    statement: Statement,
    ms = patience,
    toError = statement.lane === undefined ? toReadError : toWriteError,
  ): Promise<readonly Row[]> => {
    for (let tries = 1, until = 0; ; tries++) {
      try {
        return await query(statement, until === 0 ? ms : until - Date.now())
      } catch (error) {
        until ||= Date.now() + ms
        await pause(tries)
        if (!['again', 'lost'].includes(failureOf(error)) || Date.now() >= until) throw toError(error)
      }
    }
  }
}
