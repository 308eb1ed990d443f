import { once } from 'node:events'
import { parseArgs } from 'node:util'
import type { Config } from './config.ts'
import * as adoption from './contracts/adoption/wire.ts'
import * as records from './contracts/records/wire.ts'
import { joinStore } from './stores.ts'
import { catalogueSpelling, exportPeople, type Spelling, writeFile } from './transfer/export.ts'
import { type Format, formats } from './transfer/input.ts'
import { UsageError } from './user-command.ts'

export const exportUsage = `  roster export             everybody as NDJSON, which import takes back; --format csv or
                            json-server, --spelling adoption|records for a contract's
                            names, --output FILE
`

const spellings: Readonly<Record<string, Spelling>> = {
  adoption: { names: [...Object.keys(adoption.properties), 'id'], encodeUser: adoption.encodeUser },
  records: { names: [...Object.keys(records.properties), 'id'], encodeUser: records.encodeUser },
}

interface Asked {
  readonly format: Format
  readonly spelling: Spelling
  readonly output?: string
}

/**
 * @param args what follows `roster export`
 * @param readConfig called once the arguments make sense
 * @throws Error in words for the terminal
 */
export async function runExportCommand(args: readonly string[], readConfig: () => Config): Promise<void> {
  const { format, spelling, output } = parse(args)
  const store = await joinStore(readConfig(), {
    onFatal: (error) => {
      throw error
    },
    onWarning: (warning) => process.stderr.write(`roster: ${warning}\n`),
  })
  try {
    const parts = exportPeople(store, format, spelling)
    if (output !== undefined) await writeFile(output, parts)
    else for await (const part of parts) if (!process.stdout.write(part)) await once(process.stdout, 'drain')
  } finally {
    await store.close()
  }
}

function parse(args: readonly string[]): Asked {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      format: { type: 'string', default: 'ndjson' },
      spelling: { type: 'string' },
      output: { type: 'string' },
    },
  })
  if (positionals.length > 0) throw new UsageError(`Usage:\n${exportUsage}`)
  const format = formats.find((known) => known === values.format)
  if (format === undefined) throw new UsageError(`--format must be one of ${formats.join(', ')}`)
  const name = values.spelling ?? (format === 'json-server' ? 'adoption' : undefined)
  const spelling =
    name === undefined ? catalogueSpelling : Object.hasOwn(spellings, name) ? spellings[name] : undefined
  if (spelling === undefined)
    throw new UsageError(`--spelling must be one of ${Object.keys(spellings).join(', ')}`)
  if (format === 'ndjson' && name !== undefined)
    throw new UsageError('--spelling is for csv and json-server; NDJSON has everything under its own name')
  return { format, spelling, ...(values.output !== undefined && { output: values.output }) }
}
