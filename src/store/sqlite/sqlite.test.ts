import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { readAside, readKept } from '../../../test/process.ts'
import { claim } from '../../directory/claims.ts'
import type { Store } from '../../directory/store.ts'
import {
  all,
  codeOf,
  committed,
  contradictions,
  create,
  type Fixture,
  lifecycle,
  many,
  present,
  replace,
  rules,
  storeConformance,
  times,
  update,
} from '../conformance.ts'
import { importConformance } from '../conformance-import.ts'
import { listConformance } from '../conformance-list.ts'
import { newestVersion } from './migrate.ts'
import { joinSqlite, openSqlite, type SqliteOptions } from './store.ts'

async function fixture(): Promise<Fixture> {
  const folder = temporaryFolder()
  const store = await open(folder)
  return {
    store,
    reopen: async () => {
      await close(folder)
      return open(folder)
    },
    readLog: async () => readKept(folder).log,
    readAside: async () => readAside(folder),
    dispose: cleanUp,
  }
}

storeConformance('SQLite', fixture)
listConformance('SQLite', fixture)
importConformance('SQLite', fixture)

const folders = new Set<string>()
const stores = new Map<string, Store>()
const owners = new Set<ReturnType<typeof spawn>>()

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'roster-store-'))
  folders.add(folder)
  return folder
}

async function open(folder: string, more: Partial<SqliteOptions> = {}): Promise<Store> {
  const onFatal = (error: Error) => {
    throw error
  }
  const store = await openSqlite({ folder, rules, onFatal, ...more })
  const close = () => {
    stores.delete(folder)
    return store.close()
  }
  stores.set(folder, { ...store, close })
  return { ...store, close }
}

async function close(folder: string): Promise<void> {
  await stores.get(folder)?.close()
}

async function cleanUp(): Promise<void> {
  for (const owner of owners) owner.kill('SIGKILL')
  owners.clear()
  for (const store of stores.values()) await store.close()
  for (const folder of folders) rmSync(folder, { recursive: true })
  folders.clear()
}

afterEach(cleanUp)

const unavailable = { name: 'DirectoryError', code: 'unavailable' }

/** So few commands that they form one group when they are sent in one turn. */
async function group(store: Store, commands: Parameters<Store['change']>[0][]): Promise<unknown[]> {
  const settled = await Promise.allSettled(commands.map(store.change))
  return settled.map((one) => (one.status === 'fulfilled' ? one.value.outcome : one.reason))
}

describe('a group of commands in SQLite', () => {
  it('fails as a whole on a full disk, keeps nothing, and goes on with what fits', async () => {
    const folder = temporaryFolder()
    const store = await open(folder, { maxPages: 47 })
    await all(store, [create({ username: 'ann' }), create({ username: 'bob' })])
    const users = [await present(store, 1), await present(store, 2)]
    for (let round = 1; round <= 5; round++) {
      const before = readKept(folder)
      const outcomes = await group(store, [
        update(1, { username: `ann-${round}` }),
        ...times(4, (n) => create({ username: `big-${round}-${n}`, bio: 'ü'.repeat(5_000) })),
        replace(7, { phone: '7' }),
        lifecycle('erase', 2),
      ])
      expect(outcomes).toMatchObject(times(7, () => unavailable))
      expect(readKept(folder)).toEqual(before)
      expect([await store.get(1), await store.get(2)]).toEqual(users)
      expect(await store.get(7)).toBeUndefined()
      expect((await store.page({ after: 0, filters: [] })).users).toEqual(users)
      expect(await store.find(claim('username', `big-${round}-1`))).toBeUndefined()
      await store.ready()

      const fits = update(1, { username: `ann-${round}` }, { ifMatch: [round] })
      users[0] = await committed(store, fits)
      expect(users[0].version).toBe(round + 1)
    }
    expect((await committed(store, create({}))).id).toBe(3)
    await close(folder)
    expect(readKept(folder)).toMatchObject({ damage: [], users: [{ username: 'ann-5' }, {}, {}] })
  })

  it('loses only the unit that fails for a reason that nobody expected', async () => {
    const folder = temporaryFolder()
    const store = await open(folder)
    await all(store, [create({ username: 'ann' }), create({ username: 'bob' })])
    trigger(folder, `BEFORE INSERT ON claims WHEN NEW.key = 'boom' BEGIN SELECT RAISE(ABORT, 'broken'); END`)
    const outcomes = await group(store, [
      update(1, { username: 'anna', bio: 'kept' }),
      create({ email: 'boom@example.com', username: 'Boom', bio: 'lost' }),
      update(2, { username: 'boom', bio: 'lost' }),
      create({}, { id: 1 }),
      update(2, { bio: 'kept' }, { ifMatch: [1] }),
      create({ username: 'eve', bio: 'kept' }),
    ])
    const failed = { message: expect.stringContaining('A command failed') }
    expect(outcomes).toMatchObject(['committed', failed, failed, failed, 'committed', 'committed'])
    const { users, log, damage } = readKept(folder)
    expect(users).toMatchObject([
      { id: 1, username: 'anna', bio: 'kept', version: 2 },
      { id: 2, username: 'bob', bio: 'kept', version: 2 },
      { id: 3, username: 'eve', bio: 'kept', version: 1 },
    ])
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(await store.find(claim('email', 'boom@example.com'))).toBeUndefined()
  })

  it('fails as a whole where SQLite itself gave up the transaction', async () => {
    const folder = temporaryFolder()
    const store = await open(folder)
    await all(store, [create({ username: 'ann' }), create({ username: 'bob' })])
    trigger(
      folder,
      `BEFORE INSERT ON claims WHEN NEW.key = 'boom' BEGIN SELECT RAISE(ROLLBACK, 'broken'); END`,
    )
    const before = readKept(folder)
    const outcomes = await group(store, [
      update(1, { bio: 'lost' }),
      create({ username: 'boom' }),
      update(2, { bio: 'lost' }),
    ])
    expect(outcomes).toMatchObject([unavailable, unavailable, unavailable])
    expect(readKept(folder)).toEqual(before)
    expect(await committed(store, update(1, { bio: 'kept' }, { ifMatch: [1] }))).toMatchObject({ version: 2 })
  })

  it('is turned away when too many wait already, and only what came too late', async () => {
    const store = await open(temporaryFolder())
    const waiting = times(50_000, (id) => store.change(update(id, {})))
    const settled = await Promise.allSettled(waiting)
    const turnedAway = settled.findIndex(({ status }) => status === 'rejected')
    expect(turnedAway).toBeGreaterThan(1_000)
    for (const one of settled.slice(0, turnedAway))
      expect('value' in one && codeOf(one.value)).toBe('not_found')
    for (const one of settled.slice(turnedAway))
      expect('reason' in one && one.reason).toMatchObject(unavailable)
    await committed(store, create({}))
  })
})

/** Makes SQLite fail where the store has no reason to expect it. */
function trigger(folder: string, sql: string): void {
  const db = new DatabaseSync(join(folder, 'roster.db'))
  db.exec(`CREATE TRIGGER broken ${sql}`)
  db.close()
}

describe('a SQLite store that ended uncleanly', () => {
  it('has all that was acknowledged, and after a power cut a whole beginning of it', async () => {
    const folder = temporaryFolder()
    const store = await open(folder)
    await many(store, 5, (n) => create({ username: `name-${n}`, bio: 'x'.repeat(n * 900) }))
    for (let n = 1; n <= 30; n++)
      await all(store, [update((n % 5) + 1, { username: `name-${n}-a` }), update(3, { bio: `bio ${n}` })])
    await all(store, [lifecycle('remove', 1), lifecycle('erase', 2), create({ username: 'late' })])
    // By another process, since closing a descriptor of the file here would drop SQLite's locks on it.
    const files = ['roster.db', 'roster.db-wal']
    const copy = temporaryFolder()
    execFileSync('cp', [...files.map((name) => join(folder, name)), copy])
    const { log } = readKept(folder)
    await close(folder)

    const size = statSync(join(copy, 'roster.db-wal')).size
    expect(size).toBeGreaterThan(100_000)
    const lengths: number[] = []
    for (const cut of [0, 1, 31, 2_000, 4_100, 30_001, ...times(12, (n) => Math.floor((n * size) / 12.7))]) {
      const torn = temporaryFolder()
      for (const name of files) cpSync(join(copy, name), join(torn, name))
      truncateSync(join(torn, 'roster.db-wal'), size - cut)
      const reopened = await open(torn)
      const kept = readKept(torn)
      expect(kept.damage).toEqual([])
      // An erasure blanks older rows, so the whole of the log is compared only where it is the same.
      const skeleton = ({ changeId, version }: (typeof log)[number]) => [changeId, version]
      expect(kept.log.map(skeleton)).toEqual(log.slice(0, kept.log.length).map(skeleton))
      expect(contradictions(kept.users, kept.log)).toEqual([])
      if (cut === 0) expect(kept.log).toEqual(log)
      lengths.push(kept.log.length)
      await committed(reopened, create({ username: 'after' }))
      await close(torn)
    }
    expect(new Set(lengths).size).toBeGreaterThan(5)
  })
})

describe('a data folder of SQLite', () => {
  it('has nothing left in any file of what was erased, however long it was, and however long ago replaced', async () => {
    const folder = temporaryFolder()
    const store = await open(folder)
    const secret = (n: number) => `secret-${n}-`.repeat(400)
    await many(store, 10, (n) =>
      create({ bio: secret(n), email: `secret-${n}@example.com`, ext_id: `secret-${n}` }),
    )
    await many(store, 10, (n) => update(n, { bio: secret(n + 10), first_name: `secret-${n}` }))
    await many(store, 10, (n) => lifecycle('erase', n))
    await close(folder)
    const left = readdirSync(folder).filter((name) =>
      readFileSync(join(folder, name), 'latin1').includes('secret-'),
    )
    expect(left).toEqual([])
  })

  it('is readable for its owner only, even where the folder is not', async () => {
    const folder = temporaryFolder()
    chmodSync(folder, 0o755)
    const store = await open(folder)
    await committed(store, create({ email: 'ann@example.com' }))
    // The lock holds nothing.
    const files = readdirSync(folder).filter((name) => name.startsWith('roster.db'))
    const modes = files.map((name) => [name, statSync(join(folder, name)).mode & 0o077])
    expect(modes.filter(([, others]) => others !== 0)).toEqual([])
    expect(files).toContain('roster.db-wal')
  })

  it('has one owner in a process, and is free once that one has closed it', async () => {
    const folder = temporaryFolder()
    const store = await open(folder)
    await expect(open(folder)).rejects.toThrow(`The data folder ${folder} is in use by another process`)
    await committed(store, create({}))
    await close(folder)
    expect(await (await open(folder)).get(1)).toMatchObject({ version: 1 })
  })

  it.each([
    [
      'as its path is too long',
      (folder: string) => join(folder, 'x'.repeat(120)),
      'its path is too long for one',
    ],
    ['as there is none', (folder: string) => folder, 'ENOENT'],
  ])(
    'says that its owner can not be asked for a command where it has no socket, %s',
    async (_why, of, why) => {
      const folder = of(temporaryFolder())
      const store = await open(folder)
      rmSync(join(folder, 'control.sock'), { force: true })
      await expect(joinSqlite({ folder, rules, onFatal: () => {} })).rejects.toThrow(
        new RegExp(
          `^The process that uses the data folder ${folder} has no socket to be asked through \\(.*${why}.*\\)`,
        ),
      )
      await committed(store, create({}))
    },
  )

  it('has one owner among processes, and is free once that one was killed', async () => {
    const folder = temporaryFolder()
    const owner = ownerProcess(folder)
    expect(String((await once(owner.stdout, 'data'))[0])).toBe('owned\n')
    await expect(open(folder)).rejects.toThrow('in use by another process')
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    const store = await open(folder)
    await committed(store, create({}))

    const second = ownerProcess(folder)
    const [complaint, [code]] = await Promise.all([text(second.stderr), once(second, 'exit')])
    expect(code).toBe(1)
    expect(complaint).toContain('in use by another process')
    await committed(store, create({}))
  })

  it('of a newer Roster is refused, naming both versions, and left as it was', async () => {
    const folder = temporaryFolder()
    await committed(await open(folder), create({}))
    await close(folder)
    const setVersion = (version: number) => {
      const db = new DatabaseSync(join(folder, 'roster.db'))
      db.exec(`PRAGMA user_version = ${version}`)
      db.close()
    }
    setVersion(newestVersion + 7)
    const refused = new RegExp(`\\b${newestVersion + 7}\\b.*\\b${newestVersion}\\b`)
    const fatal: Error[] = []
    const onFatal = (error: Error) => fatal.push(error)
    await expect(open(folder, { onFatal })).rejects.toThrow(refused)
    await expect(open(folder, { onFatal })).rejects.toThrow(refused)
    // A store that never was can not fail to go on: who opens it is told once.
    expect(fatal).toEqual([])
    setVersion(newestVersion)
    expect(await (await open(folder)).get(1)).toMatchObject({ version: 1 })
  })
})

function ownerProcess(folder: string) {
  const script = `
    import { openSqlite } from ${JSON.stringify(new URL('./store.ts', import.meta.url).href)}
    await openSqlite({ folder: process.argv[1], rules: { roles: [] }, onFatal: () => {} })
    console.log('owned')`
  const owner = spawn(process.execPath, ['-e', script, folder], { stdio: ['ignore', 'pipe', 'pipe'] })
  owners.add(owner)
  return owner
}
