import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connected, open, server } from '../../../test/postgres-store.ts'
import { committed, create } from '../conformance.ts'

async function deafPort(listener: (socket: Socket) => void): Promise<number> {
  const deaf = createServer((socket) => {
    socket.on('error', () => {})
    listener(socket)
  })
  await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void deaf.close())
  const address = deaf.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

describe('a DATABASE_URL that can not be used', () => {
  it('is refused with the reason, without the password', async () => {
    const postgres = await server()
    const sql = connected(postgres.url)
    await sql.unsafe("CREATE ROLE ann LOGIN PASSWORD 'right'")
    await sql.unsafe('CREATE DATABASE roster OWNER ann')
    const hba = join(postgres.folder, 'data', 'pg_hba.conf')
    writeFileSync(hba, `host all ann 127.0.0.1/32 scram-sha-256\n${readFileSync(hba, 'utf8')}`)
    await sql`SELECT pg_reload_conf()`
    await sql.unsafe("CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    const silent = await deafPort(() => {})
    const at = `127.0.0.1:${postgres.port}`
    const cases: [url: string, reason: string][] = [
      [`postgres://ann:s3cret@${at}/roster`, 'it refuses the user or the password'],
      [`postgres://nobody@${at}/roster`, 'it refuses the user or the password'],
      [`postgres://roster@${at}/nowhere`, 'it has no database of this name'],
      ['postgres://ann:s3cret@127.0.0.1:1/roster', 'it can not be reached'],
      ['postgres://ann:s3cret@db.invalid/roster', 'it can not be reached'],
      [`postgres://ann:s3cret@127.0.0.1:${silent}/roster`, 'it can not be reached'],
      ['postgres://ann:s3cret@%2Fno%2Fsuch%2Ffolder/roster', 'it can not be reached'],
      [`postgres://ann:s3cret@${at}/roster?sslmode=require`, 'it hangs up'],
      [`postgres://roster@${at}/bytes`, 'the database keeps text in SQL_ASCII, not in UTF8'],
      [`postgres://ann:right@${at}/roster?no_such_setting=1`, 'unrecognized configuration parameter'],
    ]
    for (const [url, reason] of cases) {
      const error = await open(url).then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(String(error), url).toContain(reason)
      expect(String(error)).not.toContain('s3cret')
    }
    await committed(
      await open(`postgres://ann:right@${at}/roster?target_session_attrs=read-write`),
      create({}),
    )
    // A user who is called as the host is.
    await sql.unsafe('CREATE ROLE localhost LOGIN SUPERUSER')
    await committed(await open(`postgres://localhost@localhost:${postgres.port}/roster`), create({}))
  })

  it('is refused with a reason for each of its hosts', async () => {
    const port = await deafPort((socket) => socket.destroy())
    await expect(open(`postgres://roster@127.0.0.1:1,127.0.0.1:${port}/postgres`)).rejects.toThrow(
      `PostgreSQL can not be used (DATABASE_URL): 127.0.0.1:1: it can not be reached; 127.0.0.1:${port}: it hangs up`,
    )
  })
})

describe('a server that does not tell which timeline it writes on', () => {
  it('is used like any other', async () => {
    const postgres = await server()
    const sql = connected(postgres.url)
    await sql.unsafe('CREATE ROLE ann LOGIN')
    await sql.unsafe('CREATE DATABASE roster OWNER ann')
    const admin = connected(postgres.url.replace(/postgres$/, 'roster'))
    await admin.unsafe('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC')
    const store = await open(`postgres://ann@127.0.0.1:${postgres.port}/roster`)
    expect(await committed(store, create({}))).toMatchObject({ id: 1 })
  })
})

describe('a server that would lose what it acknowledged', () => {
  it('is told to wait for its disk, and warned of where it does not', async () => {
    const postgres = await server({ settings: { synchronous_commit: 'off', fsync: 'off' } })
    const warnings: string[] = []
    const store = await open(postgres.url, { onWarning: (warning) => warnings.push(warning) })
    expect(warnings).toEqual([expect.stringContaining('fsync = off')])
    const sql = connected(postgres.url)
    await sql.unsafe(
      `CREATE TABLE seen (synchronous_commit text);
       CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
       CREATE TRIGGER see AFTER INSERT ON users EXECUTE FUNCTION see()`,
    )
    await committed(store, create({}))
    expect(await sql`SELECT * FROM seen`).toEqual([{ synchronous_commit: 'on' }])
  })
})
