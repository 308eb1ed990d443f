import { parseArgs } from 'node:util'
import type { Config } from './config.ts'
import { backupStore } from './stores.ts'
import { UsageError } from './user-command.ts'

export const backupUsage = `  roster backup FILE        copy the SQLite database while it is in use
`

/**
 * @param args what follows `roster backup`
 * @param readConfig called once the arguments make sense
 * @throws Error in words for the terminal
 */
export function runBackupCommand(args: readonly string[], readConfig: () => Config): void {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {} })
  const [file, ...more] = positionals
  if (file === undefined || more.length > 0) throw new UsageError(`Usage:\n${backupUsage}`)
  backupStore(readConfig(), file)
}
