import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { backupUsage, runBackupCommand } from './backup-command.ts'
import { clientUsage, runClientCommand } from './client-command.ts'
import { readConfig } from './config.ts'
import { exportUsage, runExportCommand } from './export-command.ts'
import { importUsage, runImportCommand } from './import-command.ts'
import { keyUsage, runKeyCommand } from './key-command.ts'
import { runUserCommand, UsageError, userUsage } from './user-command.ts'

/** The edge of the process: arguments, signals, exit codes. */

const usage = `roster: a user-profile service

  roster serve [--demo]     serve; --demo adds sample people and opens the contracts to this machine
${keyUsage}${clientUsage}${userUsage}${importUsage}${exportUsage}${backupUsage}
Settings come from the environment: see docs/reference/config.md.
`

async function main(argv: readonly string[]): Promise<void> {
  const [first, ...following] = argv
  const isHelp = following.some((arg) => /^(-h|--help)$/.test(arg))
  if (first === 'key' && !isHelp) return runKeyCommand(following, readConfig)
  if (first === 'client' && !isHelp) return runClientCommand(following, readConfig)
  if (first === 'export' && !isHelp) return runExportCommand(following, readConfig)
  if (first === 'backup' && !isHelp) return runBackupCommand(following, readConfig)
  if (first === 'import' && !isHelp) {
    process.exitCode = await runImportCommand(following, readConfig)
    return
  }
  const { positionals, values } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      demo: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [command, ...rest] = positionals
  if (values.help || command === 'help') return void process.stdout.write(usage)
  if (command === 'serve' && rest.length === 0) return serve(values.demo)
  if (command === 'user' && !values.demo) return runUserCommand(rest, readConfig())
  process.stderr.write(usage)
  process.exitCode = 2
}

async function serve(demo: boolean): Promise<void> {
  // The other commands start without all that a server consists of.
  const { startService } = await import('./service.ts')
  const config = readConfig(process.env, demo)
  const destination = pino.destination({ fd: 1, sync: false })
  const log = pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination,
  )
  const end = (code: number) => {
    destination.flushSync()
    process.exit(code)
  }
  const service = await startService({
    config,
    demo,
    log,
    onFatal: (error) => {
      log.fatal({ err: error }, 'the store can not go on')
      // The answers that were just rejected still have to leave.
      setImmediate(() => end(1))
    },
  })
  let stopping = false
  const stop = (signal: string) => {
    log.info({ signal }, 'stopping')
    if (stopping) return
    stopping = true
    service.close().then(
      () => {
        log.info('stopped')
        end(0)
      },
      (error: unknown) => {
        log.error({ err: error }, 'could not stop cleanly')
        end(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

/** Does what the arguments say; failures go to standard error and into the exit code. */
export async function run(argv: readonly string[]): Promise<void> {
  // A reader like `head` that has read enough is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  try {
    await main(argv)
  } catch (error) {
    process.stderr.write(`roster: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = isUsage(error) ? 2 : 1
  }
}

/** Arguments that make no sense, as opposed to a command that could not be done. */
function isUsage(error: unknown): boolean {
  if (error instanceof UsageError) return true
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}
