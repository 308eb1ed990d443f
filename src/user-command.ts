import type { Config } from './config.ts'
import { type Context, createDirectory, type Directory } from './directory/directory.ts'
import { DirectoryError } from './directory/errors.ts'
import { type FieldName, fieldNames } from './directory/fields.ts'
import type { Patch } from './directory/patch.ts'
import { parseId, type User } from './directory/user.ts'
import { operator } from './operator.ts'
import { joinStore } from './stores.ts'

export const userUsage = `  roster user list          every user, a line of JSON each
  roster user get ID        one user
  roster user update ID '{"phone": "555-0100"}'
                            change fields, named as in docs/reference/fields.md; null clears
  roster user remove ID     hide a user
  roster user restore ID    bring a removed user back
  roster user erase ID      forget a user for ever
`

/** The arguments make no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const context: Context = { actor: operator, requestId: 'command-line' }

/**
 * @param args what follows `roster user`
 * @throws Error in words for the terminal
 */
export async function runUserCommand(args: readonly string[], config: Config): Promise<void> {
  const [verb = '', idText, json, ...more] = args
  const takes = { list: 0, get: 1, update: 2, remove: 1, restore: 1, erase: 1 }[verb]
  if (takes === undefined || args.length !== takes + 1 || more.length > 0)
    throw new UsageError(`Usage:\n${userUsage}`)
  const id = takes === 0 ? 0 : parseId(idText ?? '')
  if (id === undefined)
    throw new UsageError(`ID must be a whole number from 1 on, and is ${JSON.stringify(idText)}`)

  const store = await joinStore(config, {
    onFatal: (error) => {
      throw error
    },
    onWarning: (warning) => process.stderr.write(`roster: ${warning}\n`),
  })
  try {
    const directory = createDirectory({
      store,
      rules: config,
      now: Date.now,
      newChangeId: crypto.randomUUID.bind(crypto),
      newUid: () => {
        throw new Error('commands make no users')
      },
    })
    await run(directory, verb, id, json)
  } catch (error) {
    throw error instanceof DirectoryError ? new Error(describe(error)) : error
  } finally {
    await store.close()
  }
}

async function run(directory: Directory, verb: string, id: number, json: string | undefined): Promise<void> {
  switch (verb) {
    case 'list':
      for await (const users of directory.stream(context, { filters: [] }))
        for (const user of users) print(user)
      return
    case 'get':
      return print(await directory.get(context, id))
    case 'update':
      return print((await directory.update(context, { id, patch: parsePatch(json ?? '') })).user)
    case 'remove':
      return print((await directory.remove(context, { id })).user)
    case 'restore':
      return print((await directory.restore(context, { id })).user)
    case 'erase':
      return print((await directory.erase(context, { id, removedToo: true })).user)
  }
}

function parsePatch(json: string): Patch {
  let patch: unknown
  try {
    patch = JSON.parse(json)
  } catch {
    throw new UsageError('The change must be a JSON object, like \'{"phone": "555-0100"}\'')
  }
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) {
    throw new UsageError('The change must be a JSON object, like \'{"phone": "555-0100"}\'')
  }
  for (const name of Object.keys(patch)) {
    if (!fieldNames.includes(name as FieldName))
      throw new UsageError(`${name} is no field; fields are ${fieldNames.join(', ')}`)
  }
  const { avatar = null, cover = null } = patch as Patch
  if (avatar !== null || cover !== null)
    throw new UsageError('Pictures come through PUT /v1/users/{id}/avatar and …/cover; null removes them')
  return patch
}

function print(user: User): void {
  const times = { created_at: new Date(user.created_at), updated_at: new Date(user.updated_at) }
  process.stdout.write(`${JSON.stringify({ ...user, ...times })}\n`)
}

function describe({ message, problems }: DirectoryError): string {
  return [
    message,
    ...problems.map((problem) => `  ${problem.field ?? problem.property} ${problem.message}`),
  ].join('\n')
}
