import { closeSync, openSync, writeSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import type { Config } from './config.ts'
import { properties as adoption } from './contracts/adoption/wire.ts'
import { properties as records } from './contracts/records/wire.ts'
import { retireDemoPeople } from './demo.ts'
import { type Context, createDirectory } from './directory/directory.ts'
import { DirectoryError } from './directory/errors.ts'
import type { PictureKind } from './directory/picture.ts'
import { operator } from './operator.ts'
import { findPictures } from './pictures.ts'
import { joinStore } from './stores.ts'
import { type Clearable, type Counts, importPeople, importSecret, type Told } from './transfer/import.ts'
import { type Format, formats, type Input, openInput } from './transfer/input.ts'
import { listed, type Person, readPeople } from './transfer/people.ts'
import { BrokenFile } from './transfer/piece.ts'
import { showProgress } from './transfer/progress.ts'
import { newUid } from './uid.ts'
import { UsageError } from './user-command.ts'

export const importUsage = `  roster import FILE        take people from a json-server database, NDJSON or CSV; - reads standard
                            input. --update changes who is there with other values,
                            --duplicate-email=clear, --username=clear and --missing-picture=clear
                            take people without them, --ignore-unknown leaves unknown properties out,
                            --format json-server|ndjson|csv says what FILE is, --report FILE
                            has a line of JSON for each row that was rejected or cut
`

const context: Context = { actor: { ...operator, id: 'import' }, requestId: 'import' }

/** What the command line asks for. */
interface Asked {
  readonly file: string
  readonly format?: Format
  readonly update: boolean
  readonly clear: ReadonlySet<Clearable>
  readonly clearPictures: boolean
  readonly ignoreUnknown: boolean
  readonly report?: string
}

/** Everybody is in, or the file was read to its end and some rows were rejected. */
const exit = { all: 0, some: 3 } as const

/**
 * @param args what follows `roster import`
 * @param readConfig called once the arguments make sense
 * @returns the status to exit with
 * @throws Error in words for the terminal, where it could not be done or not to the end
 */
export async function runImportCommand(args: readonly string[], readConfig: () => Config): Promise<number> {
  const asked = parse(args)
  const config = readConfig()
  // Rows live for a moment. Left alone, V8 takes some 100 MB for such before it looks what can go.
  setFlagsFromString('--semi-space-growth-factor=1')
  const input = await openInput(asked.file, asked.format).catch((error: unknown) => {
    throw inWords(error)
  })
  const report = createReport(asked.report)
  const counts: Counts = { created: 0, updated: 0, skipped: 0, rejected: 0 }
  try {
    await run(asked, config, input, counts, report.tell)
  } catch (error) {
    const { created, updated, skipped, rejected } = counts
    const areIn = created + updated + skipped
    if (areIn + rejected > 0) process.stdout.write(summary(counts))
    if (areIn === 0) throw inWords(error)
    throw new Error(`${inWords(error).message}. What came before is in; the same command goes on from there`)
  } finally {
    report.close()
    await input.close()
  }
  process.stdout.write(summary(counts))
  return counts.rejected > 0 ? exit.some : exit.all
}

async function run(
  { update, clear, clearPictures, ignoreUnknown }: Asked,
  config: Config,
  input: Input,
  counts: Counts,
  onTold: (told: Told) => void,
): Promise<void> {
  const reading = readPeople(input, { spellings: { ...adoption, ...records }, ignoreUnknown })
  const fatal = Promise.withResolvers<never>()
  const onWarning = (warning: string) => process.stderr.write(`roster: ${warning}\n`)
  const store = await joinStore(config, { onFatal: fatal.reject, onWarning }, 'made')
  const newChangeId = crypto.randomUUID.bind(crypto)
  const directory = createDirectory({ store, rules: config, now: Date.now, newChangeId, newUid })
  const vacated = new Map<number, string>()
  const { find, adopt: adoptPicture } = findPictures(config, store.pictures)
  const hasPicture = async (userId: number, kind: PictureKind, picture: string) =>
    // What the record has already is not looked for again.
    (await store.get(userId))?.[kind] === picture || find(userId, kind, picture)
  async function* people(): AsyncGenerator<Person> {
    let isFirst = true
    for await (const person of reading.people) {
      if (isFirst && !('problems' in person)) {
        for (const [id, uid] of await retireDemoPeople(store, directory, context)) vacated.set(id, uid)
        isFirst = false
      }
      yield person
    }
  }
  const { size } = input
  const stop = showProgress(process.stderr, () => ({
    count: counts.created + counts.updated + counts.skipped + counts.rejected,
    done: size === undefined ? undefined : reading.bytesRead() / size,
  }))
  try {
    const secret = await importSecret(store.documents, Date.now())
    const work = importPeople(people(), counts, {
      ...{ directory, context, update, clear, clearPictures, hasPicture, adoptPicture },
      ...{ secret, vacated, onTold },
    })
    await Promise.race([work, fatal.promise])
  } finally {
    stop()
    await store.close()
  }
  const changed = await input.changed()
  if (changed !== undefined) throw new BrokenFile(`The file changed while it was read (${changed})`)
  tellOfRest(reading)
}

/** What was in the file and is not in the directory, so that nothing is left out without a word. */
function tellOfRest({ unknown, others }: Pick<ReturnType<typeof readPeople>, 'unknown' | 'others'>): void {
  if (others().length > 0) process.stdout.write(`Left out, as they are not users: ${listed(others())}\n`)
  if (unknown.size > 0)
    process.stdout.write(`Not known here, and not taken: ${listed([...unknown.keys()])}\n`)
}

function summary({ created, updated, skipped, rejected }: Counts): string {
  const n = (count: number) => count.toLocaleString('en')
  return `${n(created)} imported, ${n(updated)} updated, ${n(skipped)} here already, ${n(rejected)} rejected\n`
}

function createReport(path: string | undefined) {
  const file = path === undefined ? undefined : openSync(path, 'w', 0o600)
  return {
    tell({ line, id, problems, rejected }: Told): void {
      if (file !== undefined) {
        writeSync(file, `${JSON.stringify({ line, id, rejected, problems })}\n`)
        return
      }
      const reasons = problems.map(({ field, property, message }) => `${field ?? property} ${message}`)
      const who = `line ${line}${id === undefined ? '' : ` (id ${id})`}`
      process.stderr.write(`${who}: ${rejected ? '' : 'taken without: '}${reasons.join('; ')}\n`)
    },
    close(): void {
      if (file !== undefined) closeSync(file)
    },
  }
}

function parse(args: readonly string[]): Asked {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      format: { type: 'string' },
      update: { type: 'boolean', default: false },
      'duplicate-email': { type: 'string', default: 'reject' },
      username: { type: 'string', default: 'reject' },
      'missing-picture': { type: 'string', default: 'reject' },
      'ignore-unknown': { type: 'boolean', default: false },
      report: { type: 'string' },
    },
  })
  const [file, ...more] = positionals
  if (file === undefined || more.length > 0) throw new UsageError(`Usage:\n${importUsage}`)
  const format = formats.find((known) => known === values.format)
  if (values.format !== undefined && format === undefined)
    throw new UsageError(`--format must be one of ${formats.join(', ')}`)
  const clear = new Set<Clearable>()
  if (isCleared('duplicate-email', values['duplicate-email'])) clear.add('email')
  if (isCleared('username', values.username)) clear.add('username')
  return {
    ...{ file, clear, update: values.update, ignoreUnknown: values['ignore-unknown'] },
    clearPictures: isCleared('missing-picture', values['missing-picture']),
    ...(format !== undefined && { format }),
    ...(values.report !== undefined && { report: values.report }),
  }
}

function isCleared(option: string, value: string): boolean {
  if (value !== 'reject' && value !== 'clear') throw new UsageError(`--${option} must be reject or clear`)
  return value === 'clear'
}

function inWords(error: unknown): Error {
  if (error instanceof DirectoryError) {
    const { cause } = error
    const reason = cause instanceof Error ? cause.message : cause
    return new Error(reason === undefined ? error.message : `${error.message}: ${reason}`)
  }
  return error instanceof Error ? error : new Error(String(error))
}
