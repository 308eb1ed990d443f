import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { refusal, unavailable } from '../../directory/errors.ts'
import { lifecycle, times } from '../conformance.ts'
import { type Connection, type Control, connect, listen, type Send } from './control.ts'
import type { Done } from './group.ts'

/** Tells by its id which task it answers. */
const done = (id: number): Done => ({ outcome: 'refused', refusal: refusal('not_found', `about ${id}`) })
const idOf = (task: object) => ('id' in task ? Number(task.id) : 0)
const task = (id: number) => lifecycle('erase', id)

async function open(send: Send): Promise<{ control: Control; connection: Connection; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'roster-control-'))
  const control = await listen(folder, send)
  const connection = await connect(folder)
  onTestFinished(async () => {
    connection.close()
    await control.close()
    rmSync(folder, { recursive: true })
  })
  return { control, connection, folder }
}

it('answers every task of a connection in order, however many are sent at once, and takes on only so many', async () => {
  const turn = Promise.withResolvers<void>()
  let taken = 0
  const { connection } = await open(async (sent) => {
    taken++
    await turn.promise
    return done(idOf(sent))
  })
  const sent = times(5_000, task)
  const answers = Promise.all(sent.map(connection.send))
  // Many times what it takes to read all of them.
  for (let n = 0; n < 500 || taken === 0; n++) await new Promise(setImmediate)
  expect(taken).toBeGreaterThan(100)
  // What had been read when the limit was reached comes on top.
  expect(taken).toBeLessThan(1_500)
  turn.resolve()
  expect(await answers).toEqual(sent.map(({ id }) => done(id)))
})

it('tells what went wrong with a task, to whoever sent it alone', async () => {
  const cause = new Error('database or disk is full')
  const { connection } = await open(async (sent) => {
    if (idOf(sent) === 2) throw unavailable('The store can not write now', cause)
    if (idOf(sent) === 3) throw new Error('broken')
    return done(idOf(sent))
  })
  const settled = await Promise.allSettled([1, 2, 3, 4].map((id) => connection.send(task(id))))
  expect(settled).toMatchObject([
    { value: done(1) },
    { reason: { name: 'DirectoryError', code: 'unavailable', cause: 'database or disk is full' } },
    { reason: { name: 'DirectoryError', code: 'internal', message: 'Error: broken' } },
    { value: done(4) },
  ])
})

it('answers what it has taken before it closes, and takes nothing more', async () => {
  const all = Promise.withResolvers<void>()
  const turn = Promise.withResolvers<void>()
  let taken = 0
  const { control, connection, folder } = await open(async (sent) => {
    if (++taken === 3) all.resolve()
    await turn.promise
    return done(idOf(sent))
  })
  const idle = createConnection(join(folder, 'control.sock'))
  const ended = new Promise((resolve) => idle.once('close', resolve).resume())
  const answers = Promise.all([1, 2, 3].map((id) => connection.send(task(id))))
  await all.promise
  const closed = control.close()
  await ended
  turn.resolve()
  expect(await answers).toEqual([1, 2, 3].map(done))
  await closed
  await expect(connection.send(task(5))).rejects.toMatchObject({ code: 'unavailable' })
  await expect(connect(folder)).rejects.toThrow('ENOENT')
})

it('tells that it can not know what became of a task whose connection broke', async () => {
  const { connection } = await open(() => new Promise(() => {}))
  const answer = connection.send(task(1))
  connection.close()
  await expect(answer).rejects.toMatchObject({ code: 'outcome_unknown' })
})

it('lets in nobody but its user', async () => {
  const { folder } = await open(async (sent) => done(idOf(sent)))
  expect(statSync(join(folder, 'control.sock')).mode & 0o777).toBe(0o600)
})
