import { spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { seedJson } from './seed.ts'
import { residentMegabytes } from './targets.ts'

/** How `roster import` did: into an empty directory, and once more when everybody was there. */
export interface Imported {
  readonly users: number
  readonly seconds: number
  /** Resident at most, in MB; undefined where the system does not tell. */
  readonly memory: number | undefined
  readonly again: number
}

/** Imports a database of json-server with so many users into SQLite. */
export async function measureImport(folder: string, users: number): Promise<Imported> {
  const file = join(folder, 'db.json')
  const data = join(folder, 'data')
  mkdirSync(folder, { recursive: true })
  seedJson(file, users)
  const words = users.toLocaleString('en')
  const first = await importOnce(file, data, `${words} imported, 0 updated, 0 here already, 0 rejected`)
  const second = await importOnce(file, data, `0 imported, 0 updated, ${words} here already, 0 rejected`)
  rmSync(folder, { recursive: true })
  return { users, seconds: first.seconds, memory: first.memory, again: second.seconds }
}

async function importOnce(file: string, data: string, expected: string) {
  const began = performance.now()
  const child = spawn(process.execPath, ['src/main.js', 'import', file], {
    env: { PATH: process.env.PATH, ROSTER_DATA: data },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let memory: number | undefined
  const look = setInterval(() => {
    memory = residentMegabytes(child.pid ?? 0)?.peak || memory
  }, 50)
  const said = await text(child.stdout)
  clearInterval(look)
  if (!said.includes(expected)) throw new Error(`an import said ${said}`)
  return { seconds: (performance.now() - began) / 1000, memory }
}
