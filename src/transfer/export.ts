import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fieldNames } from '../directory/fields.ts'
import type { Store } from '../directory/store.ts'
import { isVisible, type User } from '../directory/user.ts'
import { formatCell } from './csv.ts'
import type { Format } from './input.ts'

/** How a user is written down: the names in their order, and the values. */
export interface Spelling {
  readonly names: readonly string[]
  readonly encodeUser: (user: User) => Readonly<Record<string, unknown>>
}

/**
 * Every field under its own name, and what a record consists of besides. The version starts anew wherever
 * it goes, and an address that waits to be confirmed stays behind.
 */
export const catalogueSpelling: Spelling = {
  names: ['id', 'uid', 'status', 'created_at', 'updated_at', ...fieldNames],
  encodeUser({ id, uid, status, created_at, updated_at, version: _, email_change: __, ...fields }) {
    const times = { created_at: new Date(created_at), updated_at: new Date(updated_at) }
    return { id, uid, status, ...times, ...fields }
  },
}

/**
 * Everybody as text, page by page: who is changed meanwhile is in it as before or as after. NDJSON has
 * those too who were removed or erased, the others only who can be seen.
 */
export async function* exportPeople(
  store: Pick<Store, 'page'>,
  format: Format,
  spelling: Spelling,
): AsyncGenerator<string> {
  const { before, between, after, write } = layouts[format](spelling)
  let isFirst = true
  yield before
  for (let from: number | undefined = 0; from !== undefined; ) {
    const page: Awaited<ReturnType<Store['page']>> = await store.page({
      ...{ after: from, filters: [], everybody: true },
    })
    const users = format === 'ndjson' ? page.users : page.users.filter(isVisible)
    if (users.length > 0) yield `${isFirst ? '' : between}${users.map(write).join(between)}`
    isFirst &&= users.length === 0
    from = page.next
  }
  yield isFirst ? after.replace(/^\n */, '') : after
}

interface Layout {
  readonly before: string
  readonly between: string
  readonly after: string
  readonly write: (user: User) => string
}

const layouts: Readonly<Record<Format, (spelling: Spelling) => Layout>> = {
  ndjson: ({ encodeUser }) => ({
    ...{ before: '', between: '', after: '' },
    write: (user) => `${JSON.stringify(encodeUser(user))}\n`,
  }),
  'json-server': ({ encodeUser }) => ({
    ...{ before: '{\n  "users": [', between: ',', after: '\n  ]\n}\n' },
    write: (user) => `\n    ${JSON.stringify(encodeUser(user))}`,
  }),
  csv: ({ names, encodeUser }) => ({
    ...{ before: `${names.map(formatCell).join(',')}\r\n`, between: '', after: '' },
    write(user) {
      const values = encodeUser(user)
      return `${names.map((name) => formatCell(toText(values[name]))).join(',')}\r\n`
    },
  }),
}

function toText(value: unknown): string | null {
  if (value === null || value === undefined || typeof value === 'string') return value ?? null
  return value instanceof Date || typeof value !== 'object' ? textOf(value) : JSON.stringify(value)
}

function textOf(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value)
}

/** Writes a file beside its place and puts it there once it is whole and on disk: never half a file. */
export async function writeFile(path: string, parts: AsyncIterable<string>): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.part`
  const file = await open(temporary, 'wx', 0o600)
  try {
    for await (const part of parts) await file.writeFile(part)
    await file.sync()
    await file.close()
    await rename(temporary, path)
    // A name is on disk when its folder is (fsync(2)).
    await using folder = await open(dirname(path), 'r')
    await folder.sync()
  } catch (error) {
    await file.close().catch(() => {})
    await rm(temporary, { force: true })
    throw error
  }
}
