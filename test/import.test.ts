import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { contradictions, range } from '../src/store/conformance.ts'
import { runHere } from './command.ts'
import { createDatabase, readKept as readKeptInPostgres } from './postgres.ts'
import { begin, cleanUp, createClient, type Ended, readKept, run, serve, temporaryFolder } from './process.ts'

/** `roster import`: what is in afterwards, what it says, and how it ends. */

afterEach(cleanUp)

interface Trial {
  readonly folder: string
  /** Writes a file, and imports it. */
  readonly take: (content: string | Buffer, args?: readonly string[], name?: string) => Promise<Ended>
  readonly path: (name: string) => string
}

function trial(env: Readonly<Record<string, string>> = {}): Trial {
  const folder = temporaryFolder()
  const files = temporaryFolder()
  const path = (name: string) => join(files, name)
  return {
    ...{ folder, path },
    take(content, args = [], name = 'people.json') {
      writeFileSync(path(name), content)
      return runHere(['import', ...args, path(name)], { folder, env })
    },
  }
}

const ann = {
  first_name: 'Ann',
  last_name: 'Lee',
  email: 'ann@example.com',
  phone: '1',
  interested_in: 'cats',
  id: 3,
}
const bob = {
  first_name: 'Bob',
  last_name: 'Ray',
  email: 'bob@example.com',
  phone: '2',
  interested_in: 'dogs',
  id: 9,
}
const lines = (...rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
const named = (id: number, over: object = {}) => ({
  first_name: `p${id}`,
  email: `p${id}@example.com`,
  id,
  ...over,
})

/** What there is, after a look whether it fits together. */
function kept(folder: string) {
  const { users, log, damage } = readKept(folder)
  expect([damage, contradictions(users, log)]).toEqual([[], []])
  return { users, log }
}

/** How many people have ever been there, while others write. */
function rowsIn(folder: string): number {
  const db = new DatabaseSync(join(folder, 'roster.db'), { readOnly: true })
  try {
    return Number(db.prepare('SELECT count(*) AS rows FROM users').get()?.rows)
  } finally {
    db.close()
  }
}

function told(created: number, updated: number, here: number, rejected: number): string {
  const [a, b, c, d] = [created, updated, here, rejected].map((count) => count.toLocaleString('en'))
  return `${a} imported, ${b} updated, ${c} here already, ${d} rejected\n`
}

it('as a process ends with 0, 3 where rows were rejected, 1 where it could not be done, and 2 where it makes no sense', async () => {
  const { folder, path } = trial()
  writeFileSync(path('both'), lines(ann, bob))
  writeFileSync(path('one'), lines({ ...ann, phone: '7' }))
  expect(await run(['import', path('both')], { folder })).toEqual({
    ...{ code: 0, signal: null, stdout: told(2, 0, 0, 0), stderr: '' },
  })
  expect(await run(['import', path('one')], { folder })).toEqual({
    ...{ code: 3, signal: null, stdout: told(0, 0, 0, 1), stderr: 'line 1 (id 3): phone is another here\n' },
  })
  const failed = { signal: null, stdout: '', stderr: expect.stringMatching(/^roster: /) }
  expect(await run(['import', path('none')], { folder })).toEqual({ ...failed, code: 1 })
  expect(await run(['import'], { folder })).toEqual({ ...failed, code: 2 })
})

describe('an import takes', () => {
  it.each([
    [
      'a database of json-server',
      'db.json',
      JSON.stringify({ pets: [{ id: 1 }], users: [ann, bob] }, null, 2),
    ],
    ['a bare list', 'people.json', JSON.stringify([ann, bob])],
    ['NDJSON', 'people.ndjson', lines(ann, bob)],
    ['NDJSON by another name, with a byte order mark', 'people', `\ufeff${lines(ann, bob)}`],
    [
      'CSV',
      'people.csv',
      `id,first_name,last_name,email,phone,interested_in\r\n3,Ann,Lee,ann@example.com,1,cats\r\n9,"Bob","Ray",bob@example.com,2,dogs\r\n`,
    ],
    [
      'CSV by another name, with a byte order mark',
      'people',
      `\ufefffirst_name,id,last_name,email,phone,interested_in\nAnn,3,Lee,ann@example.com,1,cats\nBob,9,Ray,bob@example.com,2,dogs`,
    ],
    [
      'the words of records',
      'db.json',
      JSON.stringify({
        users: [
          { firstName: 'Ann', lastName: 'Lee', email: ann.email, phone: '1', interested_in: 'cats', id: '3' },
          bob,
        ],
      }),
    ],
  ])('%s', async (_what, name, content) => {
    const { folder, take } = trial()
    const ended = await take(content, [], name)
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    const left = content.includes('pets') ? 'Left out, as they are not users: "pets"\n' : ''
    expect(ended.stdout).toBe(`${left}${told(2, 0, 0, 0)}`)
    const { users, log } = kept(folder)
    expect(users).toMatchObject([{ ...ann, status: 'active' }, bob])
    expect(log).toMatchObject([
      { kind: 'created', contract: 'operator', actor: { kind: 'operator', id: 'import' } },
      { userId: 9 },
    ])
  })

  it('standard input, and says at the end how it went', async () => {
    const { folder, path } = trial()
    writeFileSync(path('x'), lines(ann, bob))
    const under = ['sh', '-c', `cat '${path('x')}' | "$@"`, 'sh']
    expect(await run(['import', '-'], { folder, under })).toMatchObject({ code: 0, stdout: told(2, 0, 0, 0) })
  })

  it('every field, also out of CSV, with times, status and uid', async () => {
    const everything = {
      ...{ id: 12, uid: 'usr_abcdefghijkl', status: 'blocked', created_at: '2020-01-31T12:00:00.000Z' },
      ...{ email: 'zoë@bücher.example', email_verified: true, username: 'zoe', first_name: 'Zoë "Z", Ω' },
      ...{ bio: 'one\r\ntwo, "three"', description: '', date_of_birth: '1990-12-31', reg_approved: false },
      tags: [{ id: 1, type: 'user', name: 'a,b', description: '', color: '#fff' }],
    }
    const cells = Object.values(everything).map((value) =>
      typeof value === 'object' ? JSON.stringify(value) : String(value),
    )
    const csv = [Object.keys(everything), cells]
      .map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(','))
      .join('\r\n')
    for (const [name, content] of [
      ['x.csv', csv],
      ['x.ndjson', lines(everything)],
    ] as const) {
      const { folder, take } = trial()
      expect(await take(content, [], name)).toMatchObject({ code: 0, stderr: '' })
      const at = Date.parse(everything.created_at)
      expect(kept(folder).users).toMatchObject([
        { ...everything, created_at: at, updated_at: at, version: 1 },
      ])
    }
  })
})

describe('a person with an id', () => {
  it('who is there with the same values is skipped, with others rejected, or changed where that is asked', async () => {
    const { folder, take } = trial()
    await take(lines(ann, bob))
    const changed = lines(ann, { ...bob, phone: '5', first_name: 'Rob' })
    const refused = await take(changed)
    expect(refused).toMatchObject({ code: 3, stdout: told(0, 0, 1, 1) })
    expect(refused.stderr).toBe('line 2 (id 9): first_name is another here; phone is another here\n')
    expect(kept(folder).users[1]).toMatchObject(bob)
    expect(await take(changed, ['--update'])).toMatchObject({ code: 0, stdout: told(0, 1, 1, 0), stderr: '' })
    expect(kept(folder).users).toMatchObject([{ version: 1 }, { phone: '5', first_name: 'Rob', version: 2 }])
    expect(await take(changed)).toMatchObject({ code: 0, stdout: told(0, 0, 2, 0) })
    expect(kept(folder).log).toHaveLength(3)
  })

  it('twice in a file is one person: the first row counts', async () => {
    const { folder, take } = trial()
    const ended = await take(
      lines(named(1), named(1), named(1, { phone: '2' }), named(1, { email: 'x@example.com' })),
    )
    expect(ended).toMatchObject({ code: 3, stdout: told(1, 0, 1, 2) })
    expect(ended.stderr).toBe('line 3 (id 1): phone is another here\nline 4 (id 1): email is another here\n')
    expect(kept(folder).users).toMatchObject([{ phone: null, version: 1 }])
  })

  it('moves the ids that are given later past the largest, and never gives one back', async () => {
    const { folder, take } = trial()
    await take(lines(named(40), named(2 ** 52)))
    await runHere(['user', 'erase', '40'], { folder })
    const ended = await take(lines(named(40), named(2 ** 52 + 1), { email: 'next@example.com' }))
    expect(ended).toMatchObject({ code: 3, stdout: told(1, 0, 0, 2) })
    expect(ended.stderr).toBe(
      'line 1 (id 40): id named somebody who was erased, and is not given again\n' +
        'line 2 (id 4503599627370497): id must be at most 4503599627370496\n',
    )
    expect(kept(folder).users.map(({ id }) => id)).toEqual([40, 2 ** 52, 2 ** 52 + 1])
  })
})

describe('a person without an id', () => {
  const nobodyElse = { first_name: 'Nemo' }
  const rows = [{ ...ann, id: undefined }, nobodyElse, { first_name: 'Bob', email: 'bob@example.com' }]

  it('is the same person whenever the same row comes, whatever else is in the file', async () => {
    const { folder, take } = trial()
    expect(await take(lines(...rows))).toMatchObject({ code: 0, stdout: told(3, 0, 0, 0) })
    const { users } = kept(folder)
    expect(users.map(({ id, first_name }) => [id, first_name])).toEqual([
      [1, 'Ann'],
      [2, 'Nemo'],
      [3, 'Bob'],
    ])
    const again = await take(lines({ first_name: 'New' }, ...rows.toReversed(), nobodyElse))
    expect(again).toMatchObject({ code: 0, stdout: told(1, 0, 4, 0) })
    expect(kept(folder).users).toMatchObject([...users, { id: 4, first_name: 'New' }])
    // Another directory has other uids for them: nobody can tell who it is from a uid.
    const other = trial()
    await other.take(lines(...rows))
    const uids = (folder: string) => kept(folder).users.map(({ uid }) => uid)
    expect(uids(other.folder).filter((uid) => uids(folder).includes(uid))).toEqual([])
  })

  it('is whoever has the address: skipped, rejected, changed, or without it somebody new', async () => {
    const { folder, take } = trial()
    await take(lines(ann, bob))
    const row = lines({ email: 'ANN@example.com', phone: '7' })
    expect(await take(lines({ email: ann.email, phone: '1' }))).toMatchObject({ stdout: told(0, 0, 1, 0) })
    const refused = await take(row)
    expect(refused).toMatchObject({ code: 3, stdout: told(0, 0, 0, 1) })
    expect(refused.stderr).toBe('line 1 (id 3): email is another here; phone is another here\n')
    for (const stdout of [told(1, 0, 0, 0), told(0, 0, 1, 0)])
      expect(await take(row, ['--duplicate-email=clear'])).toMatchObject({ code: 0, stdout })
    expect(kept(folder).users[2]).toMatchObject({ id: 10, email: null, phone: '7' })
    for (const stdout of [told(0, 1, 0, 0), told(0, 0, 1, 0)])
      expect(await take(lines({ email: ann.email, phone: '8' }), ['--update'])).toMatchObject({
        code: 0,
        stdout,
      })
    expect(kept(folder).users[0]).toMatchObject({ ...ann, phone: '8' })
  })
})

describe('an address or a name that somebody has', () => {
  const rows = lines(
    named(1, { username: 'ann' }),
    named(2, { email: 'P1@example.com' }),
    named(3, { username: 'Ann' }),
    named(4, { username: 'not good' }),
    named(5, { email: 'p1@example.com', username: 'ANN', phone: '5' }),
    named(6, { username: '', phone: '' }),
  )

  it('costs a row its place, which says so by line', async () => {
    const { folder, take, path } = trial()
    const ended = await take(rows)
    expect(ended).toMatchObject({ code: 3, stdout: told(1, 0, 0, 5) })
    expect(ended.stderr).toBe(
      'line 2 (id 2): email is taken by another user\n' +
        'line 3 (id 3): username is taken by another user\n' +
        'line 4 (id 4): username may have only a-z, A-Z, 0-9, _ and -\n' +
        'line 5 (id 5): email is taken by another user; username is taken by another user\n' +
        'line 6 (id 6): username must have 1 to 255 characters; phone must have 1 to 64 characters\n',
    )
    expect(kept(folder).users).toHaveLength(1)
    const report = path('report')
    expect(await take(rows, ['--report', report])).toMatchObject({ code: 3, stderr: '' })
    const reported = readFileSync(report, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    expect(reported).toHaveLength(5)
    expect(reported[0]).toEqual({
      line: 2,
      id: 2,
      rejected: true,
      problems: [{ field: 'email', message: 'is taken by another user' }],
    })
  })

  it('is left out where that is asked, and the row says so too', async () => {
    const { folder, take } = trial()
    const ended = await take(rows, ['--duplicate-email=clear', '--username', 'clear'])
    expect(ended).toMatchObject({ code: 3, stdout: told(5, 0, 0, 1) })
    expect(ended.stderr).toContain(
      'line 5 (id 5): taken without: email is taken by another user; username is taken by another user\n',
    )
    expect(kept(folder).users).toMatchObject([
      { username: 'ann', email: 'p1@example.com' },
      { username: null, email: null },
      { username: null, email: 'p3@example.com' },
      { username: null, email: 'p4@example.com' },
      { username: null, email: null, phone: '5' },
    ])
    const again = await take(rows, ['--duplicate-email=clear', '--username', 'clear'])
    expect(again).toMatchObject({ stdout: told(0, 0, 5, 1) })
  })
})

describe('what a file must not be', () => {
  it.each<[about: string, name: string, content: string | Buffer, complaint: RegExp]>([
    [
      'UTF-16',
      'x.csv',
      Buffer.from('\ufeffid,email\n1,ann@example.com', 'utf16le'),
      /UTF-16 or binary; convert it/,
    ],
    ['UTF-16 without a mark', 'x.csv', Buffer.from('id,email', 'utf16le'), /UTF-16 or binary/],
    [
      'Latin-1',
      'x.csv',
      Buffer.from('first_name\nAnn\nZoë\nBob', 'latin1'),
      /not UTF-8 \(line 3\); convert it, for instance with iconv/,
    ],
    ['no JSON', 'x.json', '{"users": [\n\n]', /ends in the middle, in line 3/],
    ['without users', 'x.json', '{\n"people": []}', /has no "users"/],
    ['CSV with semicolons', 'x.csv', 'id;email\n1;x@example.com\n', /has no commas/],
    [
      'CSV without a header',
      'x.csv',
      '1,ann@example.com\n',
      /Not known here: "1", "ann@example.com"\. Known are .*first_name/,
    ],
    ['CSV with a column twice', 'x.csv', 'id,email,id\n', /names "id" twice/],
    ['empty CSV', 'x.csv', '', /is empty/],
    [
      'with columns that mean nothing',
      'x.csv',
      'id,nickname,email\n1,a,b@example.com\n',
      /Not known here: "nickname"\. .* With --ignore-unknown/,
    ],
    [
      'with properties that mean nothing',
      'x.json',
      JSON.stringify({ users: [{ id: 1, pets: [{}], age: 3 }] }),
      /Not known here: "pets", "age"\./,
    ],
    ['a folder', 'x', 'x', /is a folder|EISDIR/],
    ['missing', 'x', 'x', /ENOENT/],
  ])('%s', async (about, name, content, complaint) => {
    const { folder, take, path } = trial()
    const args = about === 'a folder' ? [folder] : about === 'missing' ? [path('none')] : undefined
    const ended =
      args === undefined ? await take(content, [], name) : await runHere(['import', ...args], { folder })
    expect(ended).toMatchObject({ stderr: expect.stringMatching(complaint) })
    expect(ended.code).toBe(1)
    expect(ended.stderr).not.toMatch(/\n\s+at /)
    if (existsSync(join(folder, 'roster.db'))) expect(kept(folder).users).toEqual([])
  })

  it.each([
    [[]],
    [['a', 'b']],
    [['--format', 'xml', 'x']],
    [['--username', 'maybe', 'x']],
    [['--nope', 'x']],
  ])('asked for like this: %j', async (args) => {
    const folder = temporaryFolder()
    expect(await runHere(['import', ...args], { folder })).toMatchObject({ code: 2, stdout: '' })
    expect(existsSync(join(folder, 'roster.db'))).toBe(false)
  })
})

describe('a row that is not sound', () => {
  it.each<[about: string, name: string, bad: string, complaint: string]>([
    ['broken JSON', 'x.ndjson', '{"id": 5', 'the row is not valid JSON'],
    ['no object', 'x.ndjson', '[1]', 'the row is not a JSON object'],
    ['a name twice', 'x.ndjson', '{"id":5,"phone":"1","phone":"2"}', 'the row names a property twice'],
    [
      'two spellings',
      'x.ndjson',
      '{"id":5,"first_name":"a","firstName":"b"}',
      'firstName gives first_name a second time',
    ],
    ['unknown', 'x.ndjson', '{"id":5,"nickname":"a"}', 'nickname is not known here'],
    ['__proto__', 'x.ndjson', '{"id":5,"__proto__":{"role":"admin"}}', '__proto__ is not known here'],
    ['a number for a string', 'x.ndjson', '{"id":5,"phone":5550100}', 'phone must be a string'],
    ['an id that is none', 'x.ndjson', '{"id":"a3f","phone":"1"}', 'id must be a whole number from 1 on'],
    ['half an id', 'x.ndjson', '{"id":1.5}', 'id must be a whole number from 1 on'],
    ['relations', 'x.ndjson', '{"id":5,"phone":{"home":"1"}}', 'phone must be a string'],
    [
      'very deep',
      'x.ndjson',
      `{"id":5,"tags":${'['.repeat(9_000)}${']'.repeat(9_000)}}`,
      'tags must be a list',
    ],
    [
      'a time that is none',
      'x.ndjson',
      '{"id":5,"created_at":"yesterday"}',
      'created_at must be a time like',
    ],
    [
      'a control character',
      'x.ndjson',
      '{"id":5,"first_name":"a\\u0000"}',
      'first_name must not have control characters',
    ],
    ['broken JSON', 'x.json', '{"id": 5,}', 'the row is not valid JSON'],
    ['too few cells', 'x.csv', '5,a@example.com', 'the row has 2 cells, and the header has 3'],
    ['an open quote', 'x.csv', '5,"a,b', 'the row opens a quote that is not closed'],
    ['a stray quote', 'x.csv', '5,a"b"@example.com,c', 'the row has a quote within cell 2'],
  ])('is rejected by its line, and costs nobody else: %s, %s', async (_about, name, bad, complaint) => {
    const { folder, take } = trial()
    const good = [named(1), named(2)].map((row) => JSON.stringify(row))
    const content = {
      'x.ndjson': `${good[0]}\n${bad}\n${good[1]}\n`,
      'x.json': `{"users": [${good[0]},\n${bad},\n${good[1]}]}`,
      'x.csv': `id,email,first_name\n1,p1@example.com,p1\n${bad}\n2,p2@example.com,p2\n`,
    }[name]
    const ended = await take(content ?? '', [], name)
    expect(ended).toMatchObject({ code: 3, stdout: expect.stringContaining(told(2, 0, 0, 1)) })
    const line = name === 'x.csv' ? 3 : 2
    expect(ended.stderr).toMatch(new RegExp(`^line ${line}( \\(id 5\\))?: `))
    expect(ended.stderr).toContain(complaint)
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(kept(folder).users).toMatchObject([named(1), named(2)])
  })

  it('is rejected past the first 64 KB too, in whatever encoding it is, and however long', async () => {
    const { folder, take } = trial()
    const people = range(2_000).map((id) => JSON.stringify(named(id)))
    const tail = [
      Buffer.from('{"first_name":"Zoë"}\n', 'latin1'),
      Buffer.from(`"${'x'.repeat(9_000_000)}"\n`),
    ]
    const ended = await take(
      Buffer.concat([Buffer.from(`${people.join('\n')}\n`), ...tail, Buffer.from(lines(named(5_000)))]),
      [],
      'x.ndjson',
    )
    expect(ended).toMatchObject({
      code: 3,
      stdout: '2,001 imported, 0 updated, 0 here already, 2 rejected\n',
    })
    expect(ended.stderr).toMatch(/line 2001: the row is not UTF-8; convert/)
    expect(ended.stderr).toMatch(/line 2002: the row is longer than 8 MB/)
    expect(kept(folder).users).toHaveLength(2_001)
  })

  it('has what is unknown left out where that is asked, and named once', async () => {
    const { folder, take } = trial()
    const ended = await take(lines(named(1, { pets: [1], age: 2 }), named(2, { age: 3 })), [
      '--ignore-unknown',
    ])
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(ended.stdout).toBe(`Not known here, and not taken: "pets", "age"\n${told(2, 0, 0, 0)}`)
    expect(kept(folder).users).toMatchObject([named(1), named(2)])
  })
})

describe('sample people', () => {
  it('make room where they were never changed, and only there', async () => {
    const { folder, take } = trial()
    const server = await serve(['--demo'], { folder })
    const send = createClient(server.url)
    await send('PATCH', '/users/2', { phone: '1' })
    // Fiona, under another id than the sample's.
    const fiona = { ...named(1), email: 'fionab@example.com' }
    expect(await take(lines(fiona, named(2), named(4)))).toMatchObject({
      ...{ code: 3, stdout: told(2, 0, 0, 1) },
      stderr: expect.stringContaining('line 2 (id 2): '),
    })
    const list = JSON.parse((await send('GET', '/users')).text) as { id: number; email: string }[]
    expect(list.map(({ id, email }) => [id, email])).toEqual([
      [1, 'fionab@example.com'],
      [2, 'user@example.com'],
      [4, 'p4@example.com'],
    ])
    expect(await take(lines(fiona, named(4)))).toMatchObject({ code: 0, stdout: told(0, 0, 2, 0) })
    await server.stop()
    expect(kept(folder).users.map(({ status }) => status)).toEqual(['active', 'active', 'erased', 'active'])
  })
})

describe('an import that does not come to its end', () => {
  const many = (count: number) =>
    range(count)
      .map((id) => JSON.stringify(named(id)))
      .join('\n')

  it('tells of every row before the place where the file is cut off', async () => {
    const { folder, take, path } = trial()
    const rows = range(100).map((id) => named(id, id === 51 ? { email: 'none' } : {}))
    const cut = JSON.stringify({ users: rows }).slice(0, -2)
    const report = path('report')
    for (const counted of [told(99, 0, 0, 1), told(0, 0, 99, 1)]) {
      const ended = await take(cut, ['--report', report])
      expect(ended).toMatchObject({ code: 1, stdout: counted })
      expect(ended.stderr).toContain('The file ends in the middle, in line 1. What came before is in')
      expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({ line: 1, id: 51, rejected: true })
    }
    expect(kept(folder).users).toHaveLength(99)
  })

  it('tells of who was rejected, also where nobody is in', async () => {
    const { take } = trial()
    const ended = await take(`[${JSON.stringify(named(7, { email: 'none' }))}`)
    expect(ended).toMatchObject({ code: 1, stdout: told(0, 0, 0, 1) })
    expect(ended.stderr).toMatch(/^line 1 \(id 7\): email .*\n.*The file ends in the middle, in line 1\n$/)
  })

  it('says that the file changed while it was read', async () => {
    const { folder, path } = trial()
    const file = path('people.ndjson')
    writeFileSync(file, many(12_000))
    const running = run(['import', file], { folder })
    // The file was opened before the folder was made.
    while (!existsSync(join(folder, 'roster.db'))) await new Promise(setImmediate)
    appendFileSync(file, `\n${lines(named(40_000))}`)
    const ended = await running
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('The file changed while it was read (its size went from '),
    })
    expect(ended.stderr).toContain('the same command goes on from there')
    expect(await run(['import', file], { folder })).toMatchObject({ code: 0 })
    expect(kept(folder).users).toHaveLength(12_001)
  })

  it.each([
    ['on its own', false],
    ['through a server', true],
  ])('is completed by the next one, killed again and again, %s', async (_how, isServed) => {
    const { folder, path } = trial()
    const count = 2_000
    const file = path('people.ndjson')
    // Every third has no id, every ninth no address either.
    const rows = range(count).map((id) =>
      named(id, { ...(id % 3 === 0 && { id: undefined }), ...(id % 9 === 0 && { email: undefined }) }),
    )
    writeFileSync(file, lines(...rows))
    const server = isServed ? await serve([], { folder }) : undefined
    for (const rows of [1, 500, 1_000]) {
      const { kill } = begin(['import', file], { folder })
      await expect.poll(() => rowsIn(folder), { interval: 2, timeout: 60_000 }).toBeGreaterThanOrEqual(rows)
      await kill()
      expect(rowsIn(folder)).toBeLessThan(count)
    }
    const ended = await run(['import', file], { folder })
    expect(ended).toMatchObject({ code: 0 })
    expect(await run(['import', file], { folder })).toMatchObject({
      stdout: told(0, 0, 2_000, 0),
    })
    await server?.stop()
    const { users } = kept(folder)
    expect(users.map(({ first_name }) => first_name).toSorted()).toEqual(
      rows.map(({ first_name }) => first_name).toSorted(),
    )
  })

  it('ends in words where the server goes away, whether it was stopped or killed, and the next one goes on', async () => {
    const { folder, path } = trial()
    const count = 10_000
    const file = path('people.ndjson')
    writeFileSync(file, many(count))
    for (const end of ['kill', 'stop'] as const) {
      const server = await serve([], { folder })
      const running = run(['import', file], { folder })
      const send = createClient(server.url)
      const next = readKept(folder).users.length + 500
      while ((await send('GET', `/users/${next}`)).status !== 200);
      await server[end]()
      expect(await running).toMatchObject({
        ...{
          code: 1,
          stdout: expect.stringMatching(/^[\d,]+ imported, 0 updated, [\d,]+ here already, 0 rejected\n$/),
        },
        stderr: expect.stringMatching(
          /The server has stopped|may or may not have been saved|has been closed/,
        ),
      })
      const { users } = kept(folder)
      expect(users.length).toBeLessThan(count)
      expect(users.map(({ id }) => id)).toEqual(range(users.length))
    }
    expect(await run(['import', file], { folder })).toMatchObject({ code: 0 })
    expect(kept(folder).users).toHaveLength(count)
  })

  it('ends in words on a full disk, what is in stays in, and the next one goes on', async () => {
    const { folder, path } = trial()
    const file = path('people.ndjson')
    writeFileSync(file, many(5_000))
    const limited = ['sh', '-c', `trap '' XFSZ; ulimit -f 2500; exec "$@"`, 'sh']
    const ended = await run(['import', file], { folder, under: limited })
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/The store can not write now: .*What came before is in/),
    })
    const before = kept(folder).users.length
    expect(before).toBeGreaterThan(100)
    expect(before).toBeLessThan(5_000)
    expect(await run(['import', file], { folder })).toMatchObject({ code: 0 })
    expect(kept(folder).users).toHaveLength(5_000)
  })
})

it('leaves the server answering, which serves those who are in, and takes no update away from it', async () => {
  const { folder, path } = trial()
  const server = await serve([], { folder })
  const send = createClient(server.url, 4)
  const file = path('people.ndjson')
  writeFileSync(file, lines(...range(8_000).map((id) => named(id + 10))))
  for (const id of range(4))
    expect(
      (await send('PUT', `/users?id=${id}`, { firstName: 'A', lastName: 'B', email: `s${id}@example.com` }))
        .status,
    ).toBe(201)
  let running = true
  const importing = run(['import', file], { folder }).finally(() => {
    running = false
  })
  const slowest: number[] = []
  await Promise.all(
    range(4).map(async (id) => {
      for (let n = 1; running; n++) {
        const from = performance.now()
        expect(await send('PATCH', `/users/${id}`, { phone: `${n}` })).toMatchObject({ status: 200 })
        slowest.push(performance.now() - from)
        expect(JSON.parse((await send('GET', `/users/${id}`)).text)).toMatchObject({ phone: `${n}` })
      }
    }),
  )
  expect(await importing).toMatchObject({
    code: 0,
    stdout: '8,000 imported, 0 updated, 0 here already, 0 rejected\n',
  })
  expect(slowest.length).toBeGreaterThan(50)
  expect(Math.max(...slowest)).toBeLessThan(2_000)
  expect(await send('GET', '/users/8010')).toMatchObject({ status: 200 })
  expect(await server.stop()).toMatchObject({ code: 0 })
  expect(kept(folder).users).toHaveLength(8_004)
})

it('goes into PostgreSQL the same way, and from there to SQLite', async () => {
  const database = await createDatabase(inject('postgresUrl'))
  try {
    const [here, elsewhere] = [trial({ DATABASE_URL: database.url }), trial({ DATABASE_URL: database.url })]
    const { folder, take } = here
    const rows = lines(
      ...range(300).map((id) => named(id)),
      { first_name: 'Nemo' },
      named(7, { phone: '1' }),
      named(400, { email: 'P1@example.com' }),
    )
    for (const [machine, stdout] of [
      [here, told(301, 0, 0, 2)],
      [elsewhere, told(0, 0, 301, 2)],
    ] as const)
      expect(await machine.take(rows)).toMatchObject({ code: 3, stdout })
    expect(await take(rows, ['--update', '--duplicate-email=clear'])).toMatchObject({
      code: 0,
      stdout: told(1, 1, 301, 0),
    })
    const { users, log, damage } = await readKeptInPostgres(database.sql)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(users.map(({ id }) => id)).toEqual([...range(301), 400])
    const exported = await runHere(['export'], { folder, env: { DATABASE_URL: database.url } })
    const moved = trial()
    expect(await moved.take(exported.stdout, [], 'x.ndjson')).toMatchObject({
      code: 0,
      stdout: told(302, 0, 0, 0),
    })
    expect((await runHere(['export'], { folder: moved.folder })).stdout).toBe(exported.stdout)
  } finally {
    await database.drop()
  }
})
