import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { signSharedSecretToken } from '../src/access/shared-secret.ts'
import { createCollector } from '../src/media/collector.ts'
import { keepOnDisk } from '../src/media/disk.ts'
import { pictureIn } from '../src/media/samples.ts'
import { openSqlite } from '../src/store/sqlite/store.ts'
import { runHere as run } from './command.ts'
import { cleanUp, createClient, readKept, serve, temporaryFolder } from './process.ts'

/** Pictures of people who are exported and imported: the file has references, and their files are elsewhere. */

const secret = 'a secret that the backend of the community has too'
const env = { ROSTER_JWT_SECRET: secret }

interface Person {
  readonly id: number
  readonly avatar: string | null
  readonly cover: string | null
}

/** Where Ann has an avatar and a cover, Bob an avatar, and Eve neither; each test has a copy. */
const made = mkdtempSync(join(tmpdir(), 'roster-test-'))
let home: string
let exported: string
let people: [ann: Person, bob: Person, eve: Person]
beforeAll(async () => {
  const server = await serve([], { folder: made, env })
  const send = createClient(server.url)
  for (const [at, name] of ['ann', 'bob', 'eve'].entries())
    await send('PUT', `/users?id=${at + 1}`, {
      ...{ firstName: name, lastName: 'x', email: `${name}@example.com` },
    })
  const text = async (side: number) =>
    `image/png;base64,${(await pictureIn('png', side, side)).toString('base64')}`
  const issuedAt = Date.now() + 1_000
  for (const [userId, body] of [
    [1, { avatar_base64: await text(24), cover_base64: await text(40) }],
    [2, { avatar_base64: await text(24) }],
  ] as const) {
    const token = await signSharedSecretToken(secret, { userId, issuedAt, expiresAt: issuedAt + 60_000 })
    const headers = { authorization: `Bearer ${token}` }
    expect((await send('PATCH', `/api/v2/user/${userId}/`, body, headers)).status).toBe(200)
  }
  await server.stop()
  exported = (await run(['export'], { folder: made })).stdout
  people = exported
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Person) as typeof people
})
beforeEach(() => {
  home = temporaryFolder()
  cpSync(made, home, { recursive: true })
})
afterEach(cleanUp)
afterAll(() => rmSync(made, { recursive: true }))

const lines = (...rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
const told = (created: number, updated: number, here: number, rejected: number) =>
  `${created} imported, ${updated} updated, ${here} here already, ${rejected} rejected\n`
const notHere = 'is no picture of theirs that is here'

async function take(folder: string, content: string, ...args: readonly string[]) {
  const file = join(temporaryFolder(), 'people.ndjson')
  writeFileSync(file, content)
  return run(['import', ...args, file], { folder })
}

describe('where the files are', () => {
  it('everybody comes with their pictures, and the directory is the same byte for byte', async () => {
    const folder = temporaryFolder()
    cpSync(join(home, 'media'), join(folder, 'media'), { recursive: true })
    expect(await take(folder, exported)).toMatchObject({ code: 0, stderr: '', stdout: told(3, 0, 0, 0) })
    expect((await run(['export'], { folder })).stdout).toBe(exported)
    expect(await take(folder, exported)).toMatchObject({ code: 0, stderr: '', stdout: told(0, 0, 3, 0) })
    const { url } = await serve([], { folder })
    for (const { avatar, cover } of people)
      for (const path of [avatar && `${avatar}/256.webp`, cover && `${cover}/1500.webp`])
        if (path !== null) expect((await fetch(`${url}/media/${path}`)).status).toBe(200)
  })

  it('also beside a server, and in CSV', async () => {
    const folder = temporaryFolder()
    cpSync(join(home, 'media'), join(folder, 'media'), { recursive: true })
    await serve([], { folder })
    const file = join(temporaryFolder(), 'people.csv')
    writeFileSync(file, (await run(['export', '--format', 'csv'], { folder: home })).stdout)
    expect(await run(['import', file], { folder })).toMatchObject({ code: 0, stdout: told(3, 0, 0, 0) })
    expect((await run(['export'], { folder })).stdout).toBe(exported)
  })

  it('what the record has already is no change, even where its files were lost', async () => {
    rmSync(join(home, 'media'), { recursive: true })
    expect(await take(home, exported)).toMatchObject({ code: 0, stderr: '', stdout: told(0, 0, 3, 0) })
    expect((await run(['export'], { folder: home })).stdout).toBe(exported)
  })
})

describe('files that were copied here', () => {
  let folder: string
  beforeEach(() => {
    folder = temporaryFolder()
    cpSync(join(home, 'media'), join(folder, 'media'), { recursive: true })
  })

  /** Which of the files of pictures are there once what nothing refers to has been removed. */
  async function filesTwoDaysLater(...pictures: readonly (string | null)[]): Promise<boolean[]> {
    const store = await openSqlite({ folder, rules: { roles: [] }, onFatal: () => {} })
    const onFailure = (_: number, error: unknown) => {
      throw error
    }
    const files = keepOnDisk(join(folder, 'media'))
    const collect = createCollector({ store: store.pictures, files, onFailure })
    while ((await collect(Date.now() + 2 * 86_400_000)) > 0);
    await store.close()
    return pictures.map((of) => existsSync(join(folder, 'media', String(of).slice(0, 2), String(of))))
  }

  it('stay where the row that names them is rejected', async () => {
    const [ann, bob] = people
    const rows = lines({ ...ann, username: 'same' }, { ...bob, username: 'same' })
    expect(await take(folder, rows)).toMatchObject({ code: 3, stdout: told(1, 0, 0, 1) })
    expect(await filesTwoDaysLater(ann.avatar, ann.cover, bob.avatar)).toEqual([true, true, true])
  })

  it.each([
    ['', 0],
    [', also where the import was cut short, once it has been run again', 1],
  ])('go when the person they came with has given them up%s', async (_about, again) => {
    const [{ avatar, cover }] = people
    expect(await take(folder, exported)).toMatchObject({ code: 0, stdout: told(3, 0, 0, 0) })
    if (again) {
      const db = new DatabaseSync(join(folder, 'roster.db'))
      db.exec('DELETE FROM pictures')
      db.close()
      expect(await take(folder, exported)).toMatchObject({ code: 0, stdout: told(0, 0, 3, 0) })
    }
    expect(await run(['user', 'update', '1', '{"avatar": null}'], { folder })).toMatchObject({ code: 0 })
    expect(await filesTwoDaysLater(avatar, cover)).toEqual([false, true])
  })
})

describe('a row without an id', () => {
  const ofAnn = (patch: object = {}) => {
    const { email, first_name, last_name, avatar } = people[0] as Person & Record<string, unknown>
    return lines({ email, first_name, last_name, avatar, ...patch })
  }

  it.each<[about: string, patch: object, args: string[], counted: string, problems: string]>([
    ['is theirs who has its address, and no change', {}, [], told(0, 0, 1, 0), ''],
    ['is so with --update', {}, ['--update'], told(0, 0, 1, 0), ''],
    ['changes what else they have', { last_name: 'y' }, ['--update'], told(0, 1, 0, 0), ''],
    [
      'is rejected over a picture that is none of theirs',
      { avatar: 'e'.repeat(64) },
      ['--update'],
      told(0, 0, 0, 1),
      `line 1 (id 1): avatar ${notHere}\n`,
    ],
    [
      'is taken without one that is none of theirs',
      { avatar: 'e'.repeat(64) },
      ['--missing-picture=clear'],
      told(0, 0, 1, 0),
      `line 1 (id 1): taken without: avatar ${notHere}\n`,
    ],
    [
      'of somebody new is rejected over any picture',
      { email: 'new@example.com' },
      [],
      told(0, 0, 0, 1),
      `line 1: avatar ${notHere}\n`,
    ],
    [
      'with an address that is given up is of somebody new',
      { last_name: 'y' },
      ['--duplicate-email=clear', '--missing-picture=clear'],
      told(1, 0, 0, 0),
      `line 1 (id 4): taken without: email is taken by another user; avatar ${notHere}\n`,
    ],
  ])('that names a picture %s', async (_about, patch, args, stdout, stderr) => {
    const code = stdout === told(0, 0, 0, 1) ? 3 : 0
    expect(await take(home, ofAnn(patch), ...args)).toMatchObject({ code, stdout, stderr })
    expect(readKept(home).users[0]).toMatchObject({ avatar: people[0].avatar })
  })

  it('that brings one back that they gave up is theirs', async () => {
    expect(await run(['user', 'update', '1', '{"avatar": null}'], { folder: home })).toMatchObject({
      code: 0,
    })
    expect(await take(home, ofAnn(), '--update')).toMatchObject({ code: 0, stdout: told(0, 1, 0, 0) })
    expect(readKept(home).users[0]).toMatchObject({ avatar: people[0].avatar })
  })
})

describe('where they are not', () => {
  it('who has some is rejected, and each is told; the others come in', async () => {
    const folder = temporaryFolder()
    expect(await take(folder, exported)).toMatchObject({
      code: 3,
      stdout: told(1, 0, 0, 2),
      stderr: `line 1 (id 1): avatar ${notHere}; cover ${notHere}\n` + `line 2 (id 2): avatar ${notHere}\n`,
    })
    expect(readKept(folder).users.map(({ id }) => id)).toEqual([3])
    // Once the files are there too, the same command completes it.
    cpSync(join(home, 'media'), join(folder, 'media'), { recursive: true })
    expect(await take(folder, exported)).toMatchObject({ code: 0, stdout: told(2, 0, 1, 0) })
    expect((await run(['export'], { folder })).stdout).toBe(exported)
  })

  it('people are taken without where that is asked, and each is told', async () => {
    const folder = temporaryFolder()
    expect(await take(folder, exported, '--missing-picture=clear')).toMatchObject({
      code: 0,
      stdout: told(3, 0, 0, 0),
      stderr:
        `line 1 (id 1): taken without: avatar ${notHere}; cover ${notHere}\n` +
        `line 2 (id 2): taken without: avatar ${notHere}\n`,
    })
    expect(readKept(folder).users).toMatchObject(people.map(({ id }) => ({ id, avatar: null, cover: null })))
    // Nobody loses one that they have meanwhile.
    const changed = { ...people[1], first_name: 'Rob', avatar: 'e'.repeat(64) }
    expect(await take(home, lines(changed), '--missing-picture=clear', '--update')).toMatchObject({
      code: 0,
      stdout: told(0, 1, 0, 0),
    })
    const { avatar } = people[1]
    expect(readKept(home).users[1]).toMatchObject({ first_name: 'Rob', avatar })
  })

  it('a picture in parts, of somebody else, of another kind, or at an address is none', async () => {
    const folder = temporaryFolder()
    cpSync(join(home, 'media'), join(folder, 'media'), { recursive: true })
    const [ann, bob, eve] = people
    const picture = String(bob.avatar)
    rmSync(join(folder, 'media', picture.slice(0, 2), picture, '64.webp'))
    const rows = [
      bob,
      { ...eve, avatar: ann.avatar },
      { ...ann, cover: ann.avatar },
      { ...ann, id: undefined, uid: undefined },
      { ...ann, avatar: 'https://example.com/ann.png' },
      { ...ann, avatar: '../../roster.db' },
    ]
    const ended = await take(folder, lines(...rows))
    expect(ended).toMatchObject({ code: 3, stdout: told(0, 0, 0, rows.length) })
    expect(ended.stderr.split('\n').slice(0, -1)).toEqual([
      `line 1 (id 2): avatar ${notHere}`,
      `line 2 (id 3): avatar ${notHere}`,
      `line 3 (id 1): cover ${notHere}`,
      `line 4: avatar ${notHere}; cover ${notHere}`,
      `line 5 (id 1): avatar ${notHere}`,
      `line 6 (id 1): avatar ${notHere}`,
    ])
    expect(readKept(folder).users).toEqual([])
  })

  it('what else is wrong is told with it, also in the report', async () => {
    const folder = temporaryFolder()
    const report = join(temporaryFolder(), 'report')
    const rows = lines({ ...people[1], email: 'nobody' })
    expect(await take(folder, rows, '--report', report)).toMatchObject({ code: 3, stderr: '' })
    const { line, rejected, problems } = JSON.parse(readFileSync(report, 'utf8')) as {
      line: number
      rejected: boolean
      problems: readonly { readonly field: string }[]
    }
    expect([line, rejected, problems.map(({ field }) => field).toSorted()]).toEqual([
      1,
      true,
      ['avatar', 'email'],
    ])
  })
})

it('the command line sets no picture, and removes one', async () => {
  const update = (patch: object) => run(['user', 'update', '1', JSON.stringify(patch)], { folder: home })
  for (const patch of [{ avatar: people[1].avatar }, { cover: 'e'.repeat(64), first_name: 'x' }])
    expect(await update(patch)).toMatchObject({ code: 2, stderr: expect.stringMatching(/PUT \/v1\/users/) })
  expect((await run(['export'], { folder: home })).stdout).toBe(exported)
  expect(await update({ avatar: null })).toMatchObject({ code: 0 })
  expect(readKept(home).users[0]).toMatchObject({ avatar: null, cover: people[0].cover })
})
