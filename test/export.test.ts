import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { contradictions, range } from '../src/store/conformance.ts'
import { emptyDirectory, runHere } from './command.ts'
import {
  cleanUp,
  createClient,
  readKept,
  run,
  type Send,
  serve,
  temporaryFolder,
  versionOf,
} from './process.ts'

/** `roster export` and `roster backup`. */

afterEach(cleanUp)

/** Every kind of value and every status, with whatever a text can hold. */
function people(): object[] {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .filter((value) => !/[\p{Cc}]/u.test(value))
  const person = fc.record(
    {
      status: fc.constantFrom('active', 'blocked', 'deleted'),
      created_at: fc.integer({ min: 0, max: Date.UTC(2026, 0) }).map((time) => new Date(time).toISOString()),
      ...{
        first_name: text,
        last_name: fc.constantFrom('=1+1', '"', 'a,b', '-x', '@y'),
        bio: fc.constantFrom('', 'a\r\nb\n', ' '),
      },
      ...{ description: text, email_verified: fc.boolean(), reg_approved: fc.boolean() },
      tags: fc.array(fc.record({ id: fc.nat(), type: text, name: text, description: text, color: text }), {
        maxLength: 3,
      }),
    },
    { requiredKeys: ['status'] },
  )
  const made = fc.sample(person, { numRuns: 300, seed: 7 })
  return made.map((one, n) => ({
    ...one,
    id: (n + 1) * 3,
    email: `p${n}@example.com`,
    ...(n % 2 && { username: `p${n}` }),
  }))
}

async function fill(folder: string): Promise<void> {
  const file = join(temporaryFolder(), 'people.ndjson')
  writeFileSync(
    file,
    people()
      .map((person) => `${JSON.stringify(person)}\n`)
      .join(''),
  )
  expect(await runHere(['import', file], { folder })).toMatchObject({ code: 0, stderr: '' })
  for (const args of [
    ['erase', '9'],
    ['remove', '12'],
    ['update', '15', '{"phone": "1"}'],
  ])
    expect(await runHere(['user', ...args], { folder })).toMatchObject({ code: 0 })
}

describe('an export', () => {
  it.each(['ndjson', 'csv'])(
    'as %s, imported into an empty directory and exported again, is the same byte for byte',
    async (format) => {
      const [folder, other] = [temporaryFolder(), temporaryFolder()]
      await fill(folder)
      const server = await serve([], { folder })
      const first = await run(['export', '--format', format], { folder })
      expect(first).toMatchObject({ code: 0, stderr: '' })
      await server.stop()
      const file = join(temporaryFolder(), `people.${format}`)
      writeFileSync(file, first.stdout)
      expect(await runHere(['import', file], { folder: other })).toMatchObject({ code: 0, stderr: '' })
      const again = await runHere(['export', '--format', format], { folder: other })
      expect(again.stdout).toBe(first.stdout)
      const { users } = readKept(folder)
      const seen = users.filter(
        ({ status }) => format === 'ndjson' || status === 'active' || status === 'blocked',
      )
      const strip = ({ version: _, ...user }: (typeof users)[number]) => user
      expect(readKept(other).users.map(strip)).toEqual(seen.map(strip))
      expect(await runHere(['import', file], { folder })).toMatchObject({
        code: 0,
        stdout: `0 imported, 0 updated, ${seen.length} here already, 0 rejected\n`,
      })
    },
  )

  it('has the words of a contract where that is asked', async () => {
    const folder = temporaryFolder()
    const server = await serve(['--demo'], { folder })
    const exported = async (...args: string[]) =>
      (await runHere(['export', ...args], { folder })).stdout.split(/\r?\n/)
    expect((await exported('--format', 'csv', '--spelling', 'records')).slice(0, 2)).toEqual([
      'lastName,firstName,email,id',
      'Renn,David,drenn08@uw.edu,1',
    ])
    expect((await exported('--format', 'csv', '--spelling', 'adoption'))[4]).toBe(
      'Fiona,Burns,fionab@example.com,222-333-4455,dogs,4',
    )
    expect(JSON.parse((await exported('--format', 'json-server')).join('\n'))).toEqual({
      users: JSON.parse((await createClient(server.url)('GET', '/users')).text) as unknown,
    })
  })

  it('of nobody is sound too', async () => {
    const folder = await emptyDirectory()
    expect(await runHere(['export'], { folder })).toMatchObject({ code: 0, stdout: '' })
    expect(JSON.parse((await runHere(['export', '--format', 'json-server'], { folder })).stdout)).toEqual({
      users: [],
    })
    expect((await runHere(['export', '--format', 'csv', '--spelling', 'records'], { folder })).stdout).toBe(
      'lastName,firstName,email,id\r\n',
    )
  })

  it('is in its place whole or not at all, for its owner only', async () => {
    const [folder, files] = [temporaryFolder(), temporaryFolder()]
    await fill(folder)
    const output = join(files, 'people.ndjson')
    writeFileSync(output, 'the one before')
    const limited = ['sh', '-c', `trap '' XFSZ; ulimit -f 64; exec "$@"`, 'sh']
    const server = await serve([], { folder })
    const full = await run(['export', '--output', output], { folder, under: limited })
    expect(full).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^roster: EFBIG.*\n$/) })
    expect([readdirSync(files), readFileSync(output, 'utf8')]).toEqual([['people.ndjson'], 'the one before'])
    expect(await run(['export', '--output', output], { folder })).toMatchObject({
      code: 0,
      stdout: '',
      stderr: '',
    })
    expect(readFileSync(output, 'utf8')).toBe((await run(['export'], { folder })).stdout)
    expect(statSync(output).mode & 0o777).toBe(0o600)
    expect(readdirSync(files)).toEqual(['people.ndjson'])
    const under = ['sh', '-c', '{ "$@"; echo "code $?" >&2; } | head -n 1', 'sh']
    expect(await run(['export'], { folder, under })).toMatchObject({ stderr: 'code 0\n' })
    await server.stop()
  })

  it.each([
    [['x'], /Usage/],
    [['--format', 'xml'], /--format must be one of json-server, ndjson, csv/],
    [['--format', 'csv', '--spelling', 'v9'], /--spelling must be one of adoption, records/],
    [['--spelling', 'records'], /NDJSON has everything/],
  ])('is not asked for like this: %j', async (args, complaint) => {
    const ended = await runHere(['export', ...args], { folder: temporaryFolder() })
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(complaint) })
  })
})

async function addPeople(send: Send, count: number): Promise<void> {
  for (const id of range(count))
    expect(
      (
        await send('PUT', `/users?id=${id}`, {
          firstName: `p${id}`,
          lastName: 'x',
          email: `p${id}@example.com`,
        })
      ).status,
    ).toBe(201)
}

/** The file as what a data folder begins with. */
function restored(file: string): string {
  const folder = join(temporaryFolder(), 'data')
  mkdirSync(folder)
  renameSync(file, join(folder, 'roster.db'))
  return folder
}

describe('a backup', () => {
  it('taken while the server writes is whole, has all that was acknowledged before, and serves', async () => {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    const send = createClient(server.url, 8)
    await addPeople(send, 40)
    const versions = new Map<number, number>()
    let running = true
    const writing = range(8).map(async (id) => {
      for (let n = 1; running; n++)
        versions.set(id, versionOf(await send('PUT', `/users/${id}`, { phone: `${n}` })))
    })
    const file = join(temporaryFolder(), 'copy.db')
    const before = new Map(versions)
    const ended = await run(['backup', file], { folder })
    running = false
    await Promise.all(writing)
    expect(ended).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    await server.stop()

    const copy = restored(file)
    const { users, log, damage } = readKept(copy)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(users).toHaveLength(40)
    for (const { id, version } of users) {
      expect(version).toBeGreaterThanOrEqual(before.get(id) ?? 1)
      expect(version).toBeLessThanOrEqual(versions.get(id) ?? 1)
    }
    const second = await serve([], { folder: copy })
    const again = createClient(second.url)
    expect(await again('PATCH', '/users/40', { phone: '9' })).toMatchObject({ status: 200 })
    expect(
      await again('POST', '/users', {
        first_name: 'a',
        last_name: 'b',
        email: 'n@example.com',
        phone: '1',
        interested_in: 'cats',
      }),
    ).toMatchObject({ status: 201 })
    expect(await second.stop()).toMatchObject({ code: 0 })
    expect(readKept(copy).damage).toEqual([])
  })

  it('is taken and restored as docs/operations.md has it', async () => {
    const operations = readFileSync(new URL('../docs/operations.md', import.meta.url), 'utf8')
    const [section = ''] = /^## SQLite\n.*?(?=^### A full disk)/ms.exec(operations) ?? []
    const [, block = ''] = /^```sh\n(.*?)^```$/ms.exec(section) ?? []
    const [, name = ''] = /^npm run -s roster -- backup (\S+)\n$/.exec(block) ?? []
    expect(name).not.toBe('')
    const [folder, file] = [temporaryFolder(), join(temporaryFolder(), name)]
    await fill(folder)
    expect(await run(['backup', file], { folder })).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readKept(restored(file))).toEqual(readKept(folder))
  })

  it('has what is only in the log yet, also of a server that was killed', async () => {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    await addPeople(createClient(server.url), 5)
    await server.kill()
    const file = join(temporaryFolder(), 'copy.db')
    expect(await run(['backup', file], { folder })).toMatchObject({ code: 0, stderr: '' })
    expect(readKept(restored(file)).users).toHaveLength(5)
    await (await serve([], { folder })).stop()
    expect(readKept(folder)).toMatchObject({ damage: [], users: range(5).map((id) => ({ id })) })
  })

  it('replaces nothing, leaves nothing by half, and says where it can not be taken', async () => {
    const [folder, files] = [temporaryFolder(), temporaryFolder()]
    const server = await serve([], { folder })
    await addPeople(createClient(server.url), 3)
    const file = join(files, 'copy.db')
    const failed = async (args: string[], options: Partial<Parameters<typeof run>[1]> = {}) => {
      const ended = await run(['backup', ...args], { folder, ...options })
      expect([ended.code, ended.stdout]).toEqual([args.length === 1 ? 1 : 2, ''])
      return ended.stderr
    }
    const limited = ['sh', '-c', `trap '' XFSZ; ulimit -f 8; exec "$@"`, 'sh']
    expect(await failed([file], { under: limited })).toMatch(/full|I\/O/)
    expect(readdirSync(files)).toEqual([])
    writeFileSync(file, 'mine')
    expect(await failed([file])).toBe(`roster: ${file} is there already\n`)
    expect([readdirSync(files), readFileSync(file, 'utf8')]).toEqual([['copy.db'], 'mine'])
    expect(await failed([join(files, 'none', 'copy.db')])).toMatch(/ENOENT/)
    expect(await failed([])).toMatch(/Usage/)
    expect(await failed([file, file])).toMatch(/Usage/)
    const empty = temporaryFolder()
    expect(await failed([join(files, 'x')], { folder: empty })).toMatch(/There is no directory in/)
    const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' }
    expect(await failed([join(files, 'x')], { env })).toMatch(/pg_dump.*pg_basebackup/)
    expect(existsSync(join(files, 'x'))).toBe(false)
    expect(await createClient(server.url)('GET', '/users/3')).toMatchObject({ status: 200 })
  })
})

/** Only the system calls show it; where there is no strace, or it may not trace, nothing is shown. */
const isTraceable = spawnSync('strace', ['-f', '-e', 'trace=none', 'true']).status === 0

it.skipIf(!isTraceable).each([
  ['an export', ['export', '--output']],
  ['a backup', ['backup']],
])('that has ended is on disk, its name as well: %s', async (_what, command) => {
  const [folder, files] = [temporaryFolder(), temporaryFolder()]
  await fill(folder)
  const [file, trace] = [join(files, 'copy'), join(temporaryFolder(), 'trace')]
  const under = [
    'strace',
    '-f',
    '-y',
    '-e',
    'trace=fsync,?rename,?renameat,renameat2,?link,linkat',
    '-o',
    trace,
  ]
  expect(await run([...command, file], { folder, under })).toMatchObject({ code: 0, stderr: '' })
  const calls = readFileSync(trace, 'utf8').split('\n')
  const named = calls.findIndex((call) => /(rename|link)\w*\(/.test(call) && call.includes(`"${file}"`))
  const [before, after] = [calls.slice(0, named), calls.slice(named)]
  expect(before.some((call) => call.includes('fsync(') && call.includes(`<${file}.`))).toBe(true)
  expect(after.some((call) => call.includes('fsync(') && call.includes(`<${files}>`))).toBe(true)
})
