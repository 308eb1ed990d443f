import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Server } from '../../../test/postgres.ts'
import { broken, startLoad } from '../../../test/postgres-load.ts'
import { connected, open as openStore, server } from '../../../test/postgres-store.ts'
import { create, many, update } from '../conformance.ts'

const open = (url: string) => openStore(url, { connections: 6 })

/** A small disk of its own. */
function createDisk(megabytes: number, skip: (reason: string) => void) {
  const disk = mkdtempSync(join(tmpdir(), 'roster-disk-'))
  onTestFinished(() => rmSync(disk, { recursive: true, force: true }))
  try {
    const options = `size=${megabytes}m,mode=777`
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', disk], { stdio: 'pipe' })
  } catch {
    skip('a disk that can be filled needs the right to mount one')
  }
  onTestFinished(() => void execFileSync('umount', [disk]))
  const ballast = join(disk, 'ballast')
  return {
    disk,
    fill: () => execFileSync('sh', ['-c', `cat /dev/zero > ${ballast} || true`], { stdio: 'pipe' }),
    makeRoom: () => rmSync(ballast),
  }
}

/** Something that takes up room. */
const long = () => randomUUID().repeat(100)

describe('a full disk of the server', () => {
  it('refuses what does not fit, loses nothing, and goes on once there is room', async ({ skip }) => {
    const { disk, fill, makeRoom } = createDisk(32, skip)
    const postgres = await server()
    const place = join(disk, 'place')
    execFileSync('install', ['-d', '-m', '700', ...ownerOf(postgres), place])
    const admin = connected(postgres.url)
    await admin.unsafe(`CREATE TABLESPACE small LOCATION '${place}'`)
    await admin.unsafe('CREATE DATABASE roster TABLESPACE small')
    const url = postgres.url.replace(/postgres$/, 'roster')
    const store = await open(url)
    await many(store, 30, () => create({}))
    fill()
    const load = startLoad(store, 30, 20, long)
    onTestFinished(load.halt)
    await expect.poll(() => load.refused.length, { timeout: 20_000 }).toBeGreaterThan(100)
    await load.stop()
    expect(load.unknown).toEqual([])
    const sql = connected(url)
    expect(await broken(sql, load)).toEqual([])
    expect(await store.get(1)).toMatchObject({ id: 1 })
    makeRoom()
    await expect
      .poll(async () => (await store.change(update(1, { bio: 'fits' })).catch(() => undefined))?.outcome)
      .toBe('committed')
    expect(await broken(sql, load)).toEqual([])
  })

  it('under its write-ahead log stops it, and nothing that was acknowledged is lost', async ({ skip }) => {
    const { disk, fill, makeRoom } = createDisk(48, skip)
    const postgres = await server()
    await postgres.stop()
    const log = join(postgres.folder, 'data', 'pg_wal')
    execFileSync('cp', ['-a', log, join(disk, 'wal')])
    renameSync(log, `${log}-before`)
    symlinkSync(join(disk, 'wal'), log)
    await postgres.start()
    const store = await open(postgres.url)
    await many(store, 30, () => create({}))
    fill()
    const load = startLoad(store, 30, 20, long)
    onTestFinished(load.halt)
    const failed = () => load.refused.length + load.unknown.length
    await expect.poll(failed, { timeout: 25_000 }).toBeGreaterThan(20)
    makeRoom()
    // It may have ended altogether, or be starting again and again.
    await postgres.crash()
    await postgres.start()
    await load.more(50)
    await load.stop()
    expect(await broken(connected(postgres.url), load)).toEqual([])
  })
})

/** As arguments of `install`. */
function ownerOf({ folder }: Server): string[] {
  const ids = execFileSync('stat', ['-c', '%u %g', join(folder, 'data')], { encoding: 'utf8' })
    .trim()
    .split(' ')
  return ['-o', ids[0] ?? '', '-g', ids[1] ?? '']
}
