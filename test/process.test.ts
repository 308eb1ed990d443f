import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { contradictions, range } from '../src/store/conformance.ts'
import { runHere } from './command.ts'
import {
  cleanUp,
  createClient,
  type Ended,
  parseEntry,
  readKept,
  run,
  type Send,
  serve,
  temporaryFolder,
} from './process.ts'

afterEach(cleanUp)

const person = (name: string) => ({
  first_name: name,
  last_name: 'Load',
  email: `${name}@example.com`,
  phone: '1',
  interested_in: 'both',
})

const record = { lastName: 'Load', firstName: 'P', email: 'p@example.com' }

async function addPeople(send: Send, count: number): Promise<void> {
  for (const n of range(count))
    expect(await send('POST', '/users', person(`p${n}`))).toMatchObject({ status: 201 })
}

const refusedConnection = { code: 'ECONNREFUSED' }
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

describe('a server that is asked to stop', () => {
  it('answers all that it accepted, ends with 0, leaves no write-ahead log, and refuses connections', async () => {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    const send = createClient(server.url, 16)
    await addPeople(send, 16)
    const answered: string[] = []
    const unanswered: string[] = []
    let ended: Promise<Ended> | undefined
    await Promise.all(
      range(16).map(async (id) => {
        for (let n = 1; ; n++) {
          const phone = `${id}-${n}`
          const answer = await send('PATCH', `/users/${id}`, { phone }).catch(() => undefined)
          if (answer === undefined) return unanswered.push(phone)
          expect(answer.status).toBe(200)
          if (answered.push(phone) === 500) ended = server.stop()
        }
      }),
    )
    expect(await ended).toMatchObject({ code: 0, signal: null, stderr: '' })
    await expect(send('GET', '/users/1')).rejects.toMatchObject(refusedConnection)
    await expect(send('PUT', '/users?id=1', {})).rejects.toMatchObject(refusedConnection)
    expect(readdirSync(folder).filter((name) => /-wal|-shm|\.sock$/.test(name))).toEqual([])

    const { users, log, damage } = readKept(folder)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    const written = new Set(log.map(({ fields }) => fields.phone?.[1]))
    expect(answered.filter((phone) => !written.has(phone))).toEqual([])
    // What it did not answer, it did not accept: it has not been done either.
    expect(unanswered.filter((phone) => written.has(phone))).toEqual([])

    const again = createClient((await serve([], { folder })).url)
    const shown = JSON.parse((await again('GET', '/users')).text) as { id: number; phone: string }[]
    expect(shown.map(({ id, phone }) => [id, phone])).toEqual(users.map(({ id, phone }) => [id, phone]))
  })

  it('finishes a request that it has begun to read, and does not wait for its client to hang up', async () => {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    await addPeople(createClient(server.url), 1)
    const update = await beginUpdate(server.url)
    const ended = server.stop()
    await refusing(server.url)
    expect(await update.finish('late')).toMatch(/^HTTP\/1.1 200 OK[\s\S]*"late"/)
    expect(await ended).toMatchObject({ code: 0 })
    expect(readKept(folder).users).toMatchObject([{ phone: 'late' }])
  })

  it('does not wait for ever for a body that does not come', async () => {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    await addPeople(createClient(server.url), 1)
    await beginUpdate(server.url)
    expect(await server.stop()).toMatchObject({ code: 0 })
    expect(readKept(folder).users).toMatchObject([{ phone: '1', version: 1 }])
  })

  it('is not cut short by being asked again in another way', async () => {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    await addPeople(createClient(server.url), 1)
    const update = await beginUpdate(server.url)
    process.kill(server.pid, 'SIGINT')
    await refusing(server.url)
    process.kill(server.pid, 'SIGTERM')
    expect(await update.finish('late')).toMatch(/^HTTP\/1.1 200 OK/)
    expect(await server.ended).toMatchObject({ code: 0, signal: null })
    expect(existsSync(join(folder, 'roster.db-wal'))).toBe(false)
  })
})

/** An update of user 1 whose head the server has read and whose body is still to come. */
async function beginUpdate(url: string): Promise<{ finish: (phone: 'late') => Promise<string> }> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const head = ['PATCH /users/1 HTTP/1.1', 'Host: localhost', 'Content-Type: application/json']
  socket.write(`${[...head, 'Expect: 100-continue', 'Content-Length: 16'].join('\r\n')}\r\n\r\n`)
  expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 100 /)
  return {
    finish: async (phone) => {
      socket.write(JSON.stringify({ phone }))
      return String((await once(socket, 'data'))[0])
    },
  }
}

/** Resolves once nobody takes connections any more. */
async function refusing(url: string): Promise<void> {
  const { hostname, port } = new URL(url)
  for (let open = true; open; ) {
    open = await new Promise((resolve) => {
      const socket = connect(Number(port), hostname)
      socket.once('connect', () => socket.destroy()).once('error', () => resolve(false))
      socket.once('close', (failed) => resolve(!failed))
    })
  }
}

describe('a start', () => {
  it('is refused in words where another server has the folder, which goes on unharmed', async () => {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    const second = await run(['serve'], { folder })
    expect(second).toMatchObject({ code: 1, stdout: '' })
    expect(second.stderr).toBe(
      `roster: The data folder ${folder} is in use by another process; give this one a folder of its own (ROSTER_DATA)\n`,
    )
    await addPeople(createClient(server.url), 1)
    const { port } = new URL(server.url)
    const third = await run(['serve'], { folder: temporaryFolder(), env: { PORT: port } })
    expect(third).toMatchObject({ code: 1, stderr: expect.stringContaining(port) })
  })

  it.each([
    [{ ROSTER_DATTA: 'x' }, [], 'ROSTER_DATTA is not a setting of Roster'],
    [{ HOST: '0.0.0.0' }, [], 'HOST must be 127.0.0.1, ::1 or localhost'],
    [{ HOST: '0.0.0.0', ROSTER_OPEN_CONTRACTS: 'never' }, ['--demo'], 'ROSTER_OPEN_CONTRACTS|HOST'],
    [{ ROSTER_OPEN_CONTRACTS: 'always' }, ['--demo'], 'ROSTER_OPEN_CONTRACTS must not be always'],
    [{ PORT: 'http' }, [], 'PORT must be a number'],
    [{ DATABASE_URL: 'mysql://x' }, [], 'DATABASE_URL'],
  ])('is refused with %j %j, naming the setting', async (env, args, complaint) => {
    const folder = temporaryFolder()
    const ended = await run(['serve', ...args], { folder, env })
    expect(ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(complaint) })
    expect(ended.stderr).not.toMatch(/\n\s+at /)
    expect(readdirSync(folder)).toEqual([])
  })
})

it('turns updates away on a full disk, goes on reading, and has all that it acknowledged', async () => {
  const folder = temporaryFolder()
  // Blocks of 512 bytes; with the signal ignored a write beyond fails with EFBIG.
  const limited = ['sh', '-c', `trap '' XFSZ; ulimit -f 1000; exec "$@"`, 'sh']
  const server = await serve([], { folder, under: limited })
  const send = createClient(server.url, 8)
  await addPeople(send, 8)
  const answered = new Map<number, string[]>()
  const refused: string[] = []
  await Promise.all(
    range(8).map(async (id) => {
      for (let n = 1; refused.length < 150; n++) {
        const first_name = `${id}-${n}-${'x'.repeat(200)}`
        const { status, headers } = await send('PATCH', `/users/${id}`, { first_name })
        if (status === 200) answered.set(id, [...(answered.get(id) ?? []), first_name])
        else {
          expect([status, Number(headers['retry-after'])]).toEqual([503, expect.any(Number)])
          expect(Number(headers['retry-after'])).toBeGreaterThan(0)
          refused.push(first_name)
        }
        const shown = await send('GET', `/users/${id}`)
        expect(JSON.parse(shown.text)).toMatchObject({ first_name: answered.get(id)?.at(-1) ?? `p${id}` })
      }
    }),
  )
  expect(refused.length).toBeGreaterThanOrEqual(150)
  expect(await send('GET', '/healthz')).toMatchObject({ status: 200 })
  expect(await server.stop()).toMatchObject({ code: 0 })

  const unlimited = await serve([], { folder })
  const again = createClient(unlimited.url)
  const { users, log, damage } = readKept(folder)
  expect([damage, contradictions(users, log)]).toEqual([[], []])
  const written = log.map(({ fields }) => fields.first_name?.[1])
  expect([...answered.values()].flat().filter((name) => !written.includes(name))).toEqual([])
  expect(refused.filter((name) => written.includes(name))).toEqual([])
  expect(await again('PATCH', '/users/1', { first_name: 'Room' })).toMatchObject({ status: 200 })
})

describe.each(['running', 'stopped'])('the command line with the server %s', (state) => {
  async function prepare(): Promise<{ folder: string; user: (...args: string[]) => Promise<Ended> }> {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    await addPeople(createClient(server.url), 2)
    if (state === 'running') expect(modeOf(join(folder, 'control.sock'))).toBe('600')
    else await server.stop()
    return { folder, user: (...args) => run(['user', ...args], { folder }) }
  }

  it('lists, gets, updates, removes, restores and erases users, and the log says who it was', async () => {
    const { folder, user } = await prepare()
    const printed = async (...args: string[]) => {
      const ended = await user(...args)
      expect(ended).toMatchObject({ code: 0, stderr: '' })
      return ended.stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as unknown]))
    }
    expect(await printed('list')).toMatchObject([{ id: 1 }, { id: 2, email: 'p2@example.com' }])
    expect(await printed('update', '1', '{"phone": null, "role": "admin"}')).toMatchObject([
      { id: 1, phone: null, role: 'admin', version: 2, updated_at: expect.stringMatching(/^20.*Z$/) },
    ])
    expect(await printed('get', '1')).toMatchObject([{ id: 1, role: 'admin', version: 2 }])
    expect(await printed('remove', '1')).toMatchObject([{ status: 'deleted', version: 3 }])
    expect(await printed('list')).toMatchObject([{ id: 2 }])
    expect(await printed('restore', '1')).toMatchObject([{ status: 'active', email: 'p1@example.com' }])
    expect(await printed('erase', '2')).toMatchObject([{ status: 'erased', email: null }])
    expect(existsSync(join(folder, 'roster.db-wal'))).toBe(state === 'running')
    const { users, log, damage } = readKept(folder)
    expect([damage, contradictions(users, log)]).toEqual([[], []])
    expect(log.slice(2)).toMatchObject(
      ['updated', 'removed', 'restored', 'erased'].map((kind) => ({
        kind,
        contract: 'operator',
        actor: { kind: 'operator' },
      })),
    )
  })

  it('says what is wrong, and changes nothing', async () => {
    const { folder } = await prepare()
    const before = readKept(folder)
    const cases: [args: string[], code: number, complaint: RegExp][] = [
      [['get', '0'], 2, /ID must be a whole number from 1 on, and is "0"/],
      [['get', '99'], 1, /^roster: User not found\n$/],
      [['erase', '99'], 1, /^roster: User not found\n$/],
      [['update', '1', '{nope'], 2, /must be a JSON object/],
      [['update', '1', '[]'], 2, /must be a JSON object/],
      [['update', '1', '{"nope": 1}'], 2, /nope is no field/],
      [['update', '1', '{"email": "x", "phone": ""}'], 1, /email must .*\n.*phone must /],
      [['update', '1', '{"email": "P2@example.com"}'], 1, /email is taken by another user/],
      [['restore', '1'], 1, /^roster: User not found\n$/],
      [['fly', '1'], 2, /Usage/],
      [['remove'], 2, /Usage/],
    ]
    for (const [args, code, complaint] of cases) {
      const ended = await runHere(['user', ...args], { folder })
      expect([args, ended.code, ended.stdout]).toEqual([args, code, ''])
      expect(ended.stderr).toMatch(complaint)
      expect(ended.stderr).not.toMatch(/\n\s+at /)
    }
    expect(readKept(folder)).toEqual(before)
  })
})

it('ends a list quietly where its reader has read enough', async () => {
  const folder = temporaryFolder()
  const server = await serve([], { folder })
  const send = createClient(server.url, 16)
  // More than a pipe holds.
  await Promise.all(
    range(400).map((id) => send('PUT', `/users?id=${id}`, { ...record, email: `p${id}@example.com` })),
  )
  const under = ['sh', '-c', '{ "$@"; echo "code $?" >&2; } | head -n 1', 'sh']
  const { stdout, stderr } = await run(['user', 'list'], { folder, under })
  expect(JSON.parse(stdout)).toMatchObject({ id: 1 })
  expect(stderr).toBe('code 0\n')
})

describe('--demo', () => {
  it('has the people of the documented examples, credentials for their owner only, and 5 as the next id', async () => {
    const folder = temporaryFolder()
    const env = { ROSTER_OPEN_CONTRACTS: 'loopback' }
    const server = await serve(['--demo'], { folder, env })
    const send = createClient(server.url)
    const json = async (path: string) => JSON.parse((await send('GET', path)).text) as unknown
    expect(await json('/users/1')).toMatchObject({
      first_name: 'David',
      last_name: 'Renn',
      email: 'drenn08@uw.edu',
    })
    expect(await json('/records/users/2')).toEqual({
      lastName: 'Doe',
      firstName: 'John',
      email: 'user@example.com',
      id: 2,
    })
    expect(await send('GET', '/users/4')).toMatchObject({
      text: '{"first_name":"Fiona","last_name":"Burns","email":"fionab@example.com","phone":"222-333-4455","interested_in":"dogs","id":4}',
    })
    expect(await json('/users')).toHaveLength(4)
    expect(await send('POST', '/users', person('next'))).toMatchObject({
      status: 201,
      headers: { location: '/users/5' },
    })
    const credentials = join(folder, 'demo-credentials.json')
    expect(modeOf(credentials)).toBe('600')
    expect(JSON.parse(readFileSync(credentials, 'utf8'))).toMatchObject({ community_user: 3 })

    expect(await server.stop()).toMatchObject({ code: 0 })
    const { users } = readKept(folder)
    expect(users.slice(0, 4).map(({ username }) => typeof username)).toEqual(Array(4).fill('string'))
    expect(users[1]).toMatchObject({
      uid: 'usr_123abc456def',
      username: 'johndoe',
      created_at: Date.UTC(2023, 0, 1, 12),
    })
    await (await serve(['--demo'], { folder })).stop()
    expect(readKept(folder).users).toEqual(users)
  })

  it.each([
    ['is', { id: 7, status: 'active' }, async (send: Send) => send('PUT', '/users?id=7', record)],
    ['was', { id: 1, status: 'erased' }, async (send: Send) => send('DELETE', '/users/1')],
  ])('adds nobody where somebody %s', async (_name, user, prepare) => {
    const folder = temporaryFolder()
    const server = await serve([], { folder })
    const send = createClient(server.url)
    if (user.id === 1) await addPeople(send, 1)
    expect((await prepare(send)).status).toBeLessThan(300)
    await server.stop()
    await (await serve(['--demo'], { folder })).stop()
    expect(readKept(folder).users).toMatchObject([user])
  })
})

it('tells operators whether it lives, serves, and how it does, and newcomers what it offers', async () => {
  const server = await serve([], { folder: temporaryFolder() })
  const send = createClient(server.url)
  await addPeople(send, 1)
  expect(await send('GET', '/healthz')).toMatchObject({ status: 200, text: '{"status":"ok"}' })
  expect(await send('GET', '/readyz')).toMatchObject({ status: 200, text: '{"status":"ready"}' })
  const metrics = await send('GET', '/metrics')
  expect(metrics.headers['content-type']).toContain('text/plain')
  expect(metrics.text).toMatch(/^process_cpu_seconds_total [\d.]+$/m)
  expect(metrics.text).toMatch(
    /^roster_http_request_duration_seconds_count\{method="POST",route="\/users",status="201"\} 1$/m,
  )
  expect((await send('GET', '/docs')).status).toBeLessThan(400)
  const { openapi, paths } = JSON.parse((await send('GET', '/docs/json')).text) as {
    openapi: string
    paths: Record<string, object>
  }
  expect(openapi).toMatch(/^3\.1\./)
  const methods = (path: string) => Object.keys(paths[path] ?? {}).toSorted()
  expect(methods('/users')).toEqual(['get', 'post', 'put'])
  for (const path of ['/users/{id}', '/adoption/users/{id}', '/records/users/{id}'])
    expect([path, methods(path)]).toEqual([path, ['delete', 'get', 'patch', 'put']])
  expect(methods('/records/users')).toEqual(['get', 'post', 'put'])
})

it('logs lines of JSON with the id of every request, and nothing personal', async () => {
  const folder = temporaryFolder()
  const server = await serve([], { folder, env: { LOG_LEVEL: 'trace' } })
  const send = createClient(server.url)
  const zelda = {
    ...person('Zelda'),
    last_name: 'Quartz',
    email: 'zelda.quartz@example.com',
    phone: '555-0199',
  }
  const requests: Parameters<Send>[] = [
    ['POST', '/users', zelda],
    ['POST', '/users', zelda],
    ['POST', '/records/users', { firstName: 'Zelda', lastName: 'Quartz', email: zelda.email }],
    ['PATCH', '/users/1', { email: 'zelda quartz' }],
    ['PATCH', '/users/1', { Zelda: 1, phone: '555-0199 Zelda' }],
    ['PATCH', '/users/1', '{"email": "zelda.quartz@example.com"'],
    ['PATCH', '/users/1', { last_name: 'Quartz-Zelda' }],
    ['GET', `/users?email=${encodeURIComponent(zelda.email)}&first_name=Zelda`],
    ['GET', '/users/zelda.quartz@example.com'],
    ['GET', '/people/Zelda/Quartz'],
    ['GET', '/users/%zelda.quartz@example.com'],
    ['PUT', '/users?id=Zelda', {}],
    ['PURGE', '/users/Zelda'],
    ['POST', '/users', { ...zelda, first_name: 'Zelda '.repeat(200_000) }],
    ['DELETE', '/users/1'],
  ]
  const answers = []
  for (const one of requests) answers.push(await send(...one))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 201, 400, 404, 405, 409]))
  const { hostname, port } = new URL(server.url)
  const broken = connect(Number(port), hostname)
  broken.end('GET /users/1 HTTP/1.1\r\nZelda Quartz: zelda.quartz@example.com\r\n\r\n')
  await once(broken.resume(), 'close')
  await run(['user', 'update', '1', '{"first_name": "Zelda"}'], { folder })
  const { stdout, stderr } = await server.stop()

  expect(stderr).toBe('')
  const lines = stdout.trimEnd().split('\n')
  const entries = lines.map(parseEntry)
  expect(lines.filter((_, n) => entries[n] === undefined)).toEqual([])
  for (const entry of entries)
    expect(entry).toMatchObject({ level: expect.any(Number), msg: expect.any(String) })
  const logged = new Set(entries.map((entry) => entry?.reqId))
  const missing = answers.filter(({ headers }) => !logged.has(headers['x-request-id'] ?? 'none'))
  expect.soft(missing.map(({ status, text }) => `${status} ${text}`)).toEqual([])
  // Bytes that are logged as numbers tell as much.
  const readable = lines.map((line) =>
    line.replace(/\[[\d,]{20,}\]/g, (bytes) => Buffer.from(JSON.parse(bytes) as number[]).toString()),
  )
  expect(readable.filter((line) => /zelda|quartz|555-0199/i.test(line))).toEqual([])
})
