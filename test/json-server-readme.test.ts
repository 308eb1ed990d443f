import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { cleanUp, createClient, run, type Send, serve, temporaryFolder } from './process.ts'
import { byFetch, like, readme, root, takeApart } from './readme.ts'

/** The README's section for those who come from json-server, done as it says. */

afterEach(cleanUp)

const { blocks, examples } = readme.fromJsonServer
const database = blocks.find(({ language }) => language === 'json')?.text ?? ''
const printed = blocks.find(({ language }) => language === 'text')?.text ?? ''

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

/** The real one, as its command line starts it, which writes its file. */
async function startJsonServer(file: string): Promise<string> {
  const port = await freePort()
  const program = new URL('node_modules/json-server/lib/cli/bin.js', root).pathname
  const child = spawn(process.execPath, [
    program,
    file,
    '--quiet',
    '--host',
    '127.0.0.1',
    '--port',
    `${port}`,
  ])
  onTestFinished(() => void child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  while (
    !(await fetch(`${url}/db`)
      .then(({ ok }) => ok)
      .catch(() => false))
  )
    if (child.exitCode !== null) throw new Error(`json-server ended with ${child.exitCode}`)
  return url
}

async function post(send: Send, path: string, record: Readonly<Record<string, unknown>>): Promise<void> {
  const { id: _, ...body } = record
  expect(await send('POST', path, body)).toMatchObject({ status: 201 })
}

type Database = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>

test('a database that json-server wrote is imported, and the same requests get the same answers', async () => {
  const files = temporaryFolder()
  const file = join(files, 'db.json')
  writeFileSync(file, '{"users": [], "pets": []}')
  const before = await startJsonServer(file)
  const send = createClient(before)
  for (const [name, records] of Object.entries(JSON.parse(database) as Database))
    for (const record of records) await post(send, `/${name}`, record)
  // It answers before it writes.
  await vi.waitFor(() => expect(readFileSync(file, 'utf8').trimEnd()).toBe(database))
  const copy = join(files, 'copy.json')
  writeFileSync(copy, readFileSync(file))

  const folder = temporaryFolder()
  const ended = await run(['import', copy], { folder })
  expect(ended).toMatchObject({ code: 0, stderr: '', stdout: `${printed}\n` })
  const after = (await serve(['--demo'], { folder })).url

  expect(examples.length).toBeGreaterThan(3)
  for (const { command, head, body } of examples) {
    const theirs = takeApart(await byFetch(command.replaceAll('http://localhost:3000', before)))
    const ours = takeApart(await byFetch(command.replaceAll('http://localhost:3000', after)))
    expect(ours.head[0]).toBe(head[0])
    expect(ours.body).toMatch(like(body))
    expect(theirs.head[0]).toBe(head[0])
    expect(JSON.parse(theirs.body)).toEqual(JSON.parse(ours.body))
    for (const answer of [ours, theirs])
      expect(answer.head.map((line) => line.toLowerCase())).toEqual(expect.arrayContaining(head.slice(1)))
  }

  const back = join(files, 'back.json')
  const args = ['export', '--format', 'json-server', '--output', back]
  expect(await run(args, { folder })).toMatchObject({ code: 0, stdout: '', stderr: '' })
  const users = JSON.parse((await createClient(after)('GET', '/users')).text) as unknown
  expect(JSON.parse(readFileSync(back, 'utf8'))).toEqual({ users })
  expect(JSON.parse((await createClient(await startJsonServer(back))('GET', '/users')).text)).toEqual(users)
})
