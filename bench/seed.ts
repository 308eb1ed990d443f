import { deepEqual } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import postgres from 'postgres'
import { hashOf } from '../src/access/authenticate.ts'
import { createDirectory } from '../src/directory/directory.ts'
import type { Store } from '../src/directory/store.ts'
import { openPostgres } from '../src/store/postgres/store.ts'
import { openSqlite } from '../src/store/sqlite/store.ts'

/**
 * Directories of any size, in seconds: the store makes the schema, and SQL the rows that a create of
 * each person would have made. `checkSeeding` holds the two against each other.
 */
export const rules = { roles: ['user', 'admin'] }

export const person = (id: number) => ({
  first_name: `First${id}`,
  last_name: `Last${id}`,
  email: `person${id}@example.com`,
  phone: '0',
  interested_in: 'dogs',
})

/** The secret of a key that every seeded directory has: read and write. */
export const apiKey = `rk_${'0'.repeat(32)}`

async function addKey({ keys }: Store): Promise<void> {
  const never = { createdAt: Date.now(), expiresAt: null, revokedAt: null, lastUsedAt: null }
  await keys.add({ id: 'key_bench', name: 'bench', scopes: ['read', 'write'], ...never }, hashOf(apiKey))
}

/** A uid that the load generator can work out, in SQL of SQLite. */
const uidOf = (id: string) => `'usr_' || printf('%016d', ${id})`

const onFatal = (error: Error) => {
  throw error
}
const openFolder = (folder: string) => openSqlite({ folder, rules, onFatal })
const openDatabase = (url: string) => openPostgres({ url, rules, onWarning: () => {}, connections: 2 })
const fileIn = (folder: string) => join(folder, 'roster.db')

const userColumns =
  'id, uid, status, version, created_at, updated_at, email, first_name, last_name, phone, interested_in'
const logColumns = 'change_id, user_id, version, at, actor_kind, actor_id, contract, request_id, kind, fields'
const logText = `'{"email":[null,"' || email || '"],"first_name":[null,"' || first_name || '"],"last_name":[null,"'
  || last_name || '"],"phone":[null,"0"],"interested_in":[null,"dogs"]}'`
const values = (id: string) =>
  `'person' || ${id} || '@example.com', 'First' || ${id}, 'Last' || ${id}, '0', 'dogs'`
const origin = `1, created_at, 'operator', 'bench', 'operator', 'bench', 'created'`

export async function seedSqlite(folder: string, users: number): Promise<void> {
  const store = await openFolder(folder)
  await addKey(store)
  await store.close()
  const db = new DatabaseSync(fileIn(folder))
  const hex = (bytes: number) => `lower(hex(randomblob(${bytes})))`
  const uuid = `${hex(4)} || '-' || ${hex(2)} || '-4' || substr(${hex(2)}, 2) || '-a' || substr(${hex(2)}, 2) || '-' || ${hex(6)}`
  // The store sets its own modes again when it opens the file.
  db.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -524288')
  db.exec(`
    BEGIN IMMEDIATE;
    WITH RECURSIVE ids (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < ${users})
    INSERT INTO users (${userColumns}, last_change)
    SELECT id, ${uidOf('id')}, 'active', 1, ${Date.now()}, ${Date.now()}, ${values('id')}, id FROM ids;
    INSERT INTO claims (kind, key, user_id) SELECT 'email', email, id FROM users ORDER BY email;
    INSERT INTO claims (kind, key, user_id) SELECT 'uid', uid, id FROM users ORDER BY uid;
    INSERT INTO changes (seq, ${logColumns})
    SELECT id, ${uuid}, id, ${origin}, ${logText} FROM users ORDER BY id;
    UPDATE allocator SET next_id = ${users + 1};
    COMMIT`)
  db.close()
  await checkPeople(await openFolder(folder), users)
}

export async function seedPostgres(url: string, users: number): Promise<void> {
  await (await openDatabase(url)).close()
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  const time = Date.now()
  await sql.begin(async (tx) => {
    await tx.unsafe(`
      INSERT INTO users (${userColumns})
      SELECT id, 'usr_' || substr(md5(random()::text || id), 1, 16), 'active', 1, ${time}, ${time}, ${values('id')}
      FROM generate_series(1, ${users}) AS id`)
    await tx`INSERT INTO claims (kind, key, user_id) SELECT 'email', email, id FROM users ORDER BY email COLLATE "C"`
    await tx`INSERT INTO claims (kind, key, user_id) SELECT 'uid', uid, id FROM users ORDER BY uid COLLATE "C"`
    await tx.unsafe(
      `INSERT INTO changes (${logColumns}) SELECT gen_random_uuid(), id, ${origin}, (${logText})::jsonb FROM users`,
    )
    await tx`SELECT setval('user_ids', ${users})`
  })
  // What the server would otherwise do on its own in the middle of a measurement.
  await sql`VACUUM (ANALYZE, FREEZE)`
  await sql`CHECKPOINT`
  await sql.end()
  await checkPeople(await openDatabase(url), users)
}

const firstNames =
  'Ann,Bob,Zoë,Mira,Fiona,David,Tomás,Jürgen,Li,Nadezhda,Amir,Chloe,Óscar,Priya,Noor,Yuki,Łukasz'
const lastNames = 'Smith,Okafor,Sole,Burns,Renn,Nguyen,Åberg,Kowalski,Ivanova,Fernandes,Haddad,Kim,Müller'

/** Sets what people are looked for by, and no claims: nobody is asked for by those. */
const naming = (pick: (names: string, number: string) => string) => `UPDATE users SET
  username = 'p' || (id * 7919 % 1000003) || '_' || substr(lower(uid), 8, 4),
  real_name = ${pick(firstNames, 'id')} || ' ' || ${pick(lastNames, 'id / 4')},
  location = ${pick(lastNames, 'id / 9')} || 'ville',
  location_lat_lng = (id * 31 % 180 - 90) || ',' || (id * 17 % 360 - 180)`

export function nameSqlite(folder: string): void {
  const db = new DatabaseSync(fileIn(folder))
  db.exec(
    naming((names, number) => {
      const list = names.split(',')
      return `json_extract('${JSON.stringify(list)}', '$[' || (${number} % ${list.length}) || ']')`
    }),
  )
  db.close()
}

export async function namePostgres(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await sql.unsafe(
    naming(
      (names, number) => `split_part('${names}', ',', 1 + (${number} % ${names.split(',').length})::int)`,
    ),
  )
  await sql`VACUUM (ANALYZE, FREEZE)`
  await sql.end()
}

/** json-server's file, of the same people. */
export function seedJson(path: string, users: number): void {
  const people = Array.from({ length: users }, (_, index) => ({ ...person(index + 1), id: index + 1 }))
  writeFileSync(path, JSON.stringify({ users: people }))
}

async function checkPeople(store: Store, users: number): Promise<void> {
  for (const id of [1, Math.ceil(users / 2), users]) {
    const user = await store.get(id)
    const { first_name, last_name, email, phone, interested_in } = user ?? {}
    deepEqual({ first_name, last_name, email, phone, interested_in }, person(id))
    deepEqual(await store.find({ kind: 'email', key: person(id).email }), user)
    deepEqual(await store.find({ kind: 'uid', key: user?.uid ?? '' }), user)
  }
  await store.close()
}

/** Creates one more person the usual way and compares every column of every row, but for what is random. */
async function checkSeeding(store: Store, read: (sql: string) => Promise<unknown[]>): Promise<void> {
  const newUid = () => `usr_${randomUUID().replaceAll('-', '').slice(0, 16)}`
  const directory = createDirectory({ store, rules, now: Date.now, newChangeId: randomUUID, newUid })
  const actor = { kind: 'operator', id: 'bench', scopes: ['admin'], contract: 'operator' } as const
  const { user } = await directory.create({ actor, requestId: 'bench' }, { patch: person(4) })
  deepEqual(user.id, 4)
  const rowsOf = async (id: number) => {
    const all = [
      await read(`SELECT * FROM users WHERE id = ${id}`),
      await read(`SELECT * FROM claims WHERE user_id = ${id} ORDER BY kind`),
      await read(`SELECT * FROM changes WHERE user_id = ${id}`),
    ]
    return JSON.stringify(all)
      .replace(/"(\w+_at|at|tx|id|user_id|seq|last_change)":"?\d+"?/g, '"$1":"its own"')
      .replace(/(First|Last|person)\d/g, '$1')
      .replace(/usr_[0-9a-z]{16}/g, 'random')
      .replace(/\w{8}-\w{4}-4\w{3}-\w{4}-\w{12}/g, 'random')
  }
  deepEqual(await rowsOf(3), await rowsOf(4))
}

export async function checkSqliteSeeding(folder: string): Promise<void> {
  await seedSqlite(folder, 3)
  const store = await openFolder(folder)
  const db = new DatabaseSync(fileIn(folder), { readOnly: true })
  await checkSeeding(store, async (sql) => db.prepare(sql).all())
  db.close()
  await store.close()
}

export async function checkPostgresSeeding(url: string): Promise<void> {
  await seedPostgres(url, 3)
  const store = await openDatabase(url)
  const sql = postgres(url, { max: 1 })
  await checkSeeding(store, async (text) => [...(await sql.unsafe(text))])
  await sql.end()
  await store.close()
}
