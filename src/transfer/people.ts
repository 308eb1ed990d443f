import { isUtf8 } from 'node:buffer'
import type { FieldName } from '../directory/fields.ts'
import { parseCells } from './csv.ts'
import { createCutter, type Input } from './input.ts'
import { BrokenFile, type Piece } from './piece.ts'
import { createRows, notUtf8, type Row, type Unsound } from './rows.ts'

/** A row of a file with the line that it starts in. */
export type Person = (Row | Unsound) & { readonly line: number }

export interface Reading {
  readonly spellings: Readonly<Record<string, FieldName>>
  /** Properties that are not known are left out, rather than their rows rejected. */
  readonly ignoreUnknown: boolean
}

/** How often each name that is not known has come up; of very many names only the first ones. */
const maxUnknown = 100

/** Reads the people of a file, one after the other, as fast as they are taken. */
export function readPeople(input: Input, { spellings, ignoreUnknown }: Reading) {
  const unknown = new Map<string, number>()
  let bytesRead = 0
  let isFirst = true
  const rows = createRows({
    spellings,
    onUnknown(name) {
      const count = unknown.get(name)
      if (count !== undefined || unknown.size < maxUnknown) unknown.set(name, (count ?? 0) + 1)
      return ignoreUnknown
    },
  })
  const cutter = createCutter(input.format)
  let read: ((bytes: Buffer) => Row | Unsound) | undefined

  function toPerson(piece: Piece): Person | undefined {
    const { line } = piece
    if (!('bytes' in piece)) return { line, problems: [{ property: 'the row', message: piece.problem }] }
    if (read === undefined) {
      read = input.format === 'csv' ? rows.fromCsv(readHeader(piece.bytes)) : rows.fromJson
      if (input.format === 'csv') return undefined
    }
    const person = { line, ...read(piece.bytes) }
    if (isFirst) refuseUnknown()
    isFirst = false
    return person
  }

  function readHeader(bytes: Buffer): readonly string[] {
    if (!isUtf8(bytes)) throw new BrokenFile(`The header ${notUtf8}`)
    const header = parseCells(bytes.toString())
    if ('problem' in header) throw new BrokenFile(`The header ${header.problem}`)
    const names = header.map((name) => name ?? '')
    if (names.length === 1 && /[;\t|]/.test(names[0] ?? ''))
      throw new BrokenFile('The header has no commas; write the file with commas between the cells')
    const repeated = names.find((name, at) => names.indexOf(name) !== at)
    if (repeated !== undefined) throw new BrokenFile(`The header names ${JSON.stringify(repeated)} twice`)
    for (const name of names) if (!rows.known.includes(name)) unknown.set(name, 0)
    refuseUnknown()
    return names
  }

  /** What the first person shows is likely so for all: better to stop than to reject everybody. */
  function refuseUnknown(): void {
    if (ignoreUnknown || unknown.size === 0) return
    throw new BrokenFile(
      `Not known here: ${listed([...unknown.keys()])}. Known are ${rows.known.join(', ')}. With --ignore-unknown they are left out`,
    )
  }

  async function* people(): AsyncGenerator<Person> {
    for await (const chunk of input.chunks) {
      bytesRead += chunk.length
      for (const piece of cutter.push(chunk)) {
        const person = toPerson(piece)
        if (person !== undefined) yield person
      }
    }
    for (const piece of cutter.end()) {
      const person = toPerson(piece)
      if (person !== undefined) yield person
    }
    if (input.format === 'csv' && read === undefined) throw new BrokenFile('The file is empty')
  }

  return {
    people: people(),
    bytesRead: () => bytesRead,
    unknown: unknown as ReadonlyMap<string, number>,
    /** The collections of a database that are no people. */
    others: (): readonly string[] => ('others' in cutter ? cutter.others : []),
  }
}

export function listed(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name.slice(0, 100))).join(', ')
}
