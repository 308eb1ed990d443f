import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { emptyDirectory, runHere } from './command.ts'
import { createDatabase } from './postgres.ts'
import { cleanUp, createClient, readKept, run, type Send, serve, temporaryFolder } from './process.ts'

afterEach(cleanUp)

/** The environment of a service on the store, with the folder for it. */
async function place(store: 'sqlite' | 'postgres') {
  const folder = temporaryFolder()
  if (store === 'sqlite') return { folder, env: {} }
  const { url, drop } = await createDatabase(inject('postgresUrl'))
  onTestFinished(drop)
  return { folder, env: { DATABASE_URL: url } }
}

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })

/** The status that a key gets, on a contract that is closed to everybody else. */
async function statusWith(send: Send, secret: string): Promise<number> {
  return (await send('GET', '/users', undefined, bearer(secret))).status
}

describe.each(['sqlite', 'postgres'] as const)('roster key on %s', (store) => {
  it.each(['running', 'stopped'] as const)(
    'makes, lists and revokes keys beside a server that is %s',
    async (state) => {
      const { folder, env } = await place(store)
      const closed = { folder, env: { ...env, ROSTER_OPEN_CONTRACTS: 'never' } }
      let server = await serve([], closed)
      const whileCommands = async <T>(work: () => Promise<T>): Promise<T> => {
        if (state === 'running') return work()
        await server.stop()
        const result = await work()
        server = await serve([], closed)
        return result
      }
      const key = (...args: string[]) => run(['key', ...args], { folder, env })

      const made = await whileCommands(() => key('create', '--name', 'Partner', '--scopes', 'read,write'))
      expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^rk_[0-9A-Za-z]{32}\n$/) })
      expect(made.stderr).toMatch(/^key_[0-9a-z]{16} for read, write; it is not shown again:\n$/)
      const secret = made.stdout.trim()
      const id = made.stderr.split(' ')[0] ?? ''
      const send = createClient(server.url)
      expect(await statusWith(send, secret)).toBe(200)
      expect(await send('GET', '/users')).toMatchObject({ status: 401 })

      const listed = await key('list')
      expect(listed).toMatchObject({ code: 0, stderr: '' })
      expect(JSON.parse(listed.stdout)).toEqual({
        id,
        name: 'Partner',
        scopes: ['read', 'write'],
        created_at: expect.stringMatching(/^20.*Z$/),
        expires_at: null,
        revoked_at: null,
        last_used_at: null,
      })

      const revoked = await whileCommands(() => key('revoke', id))
      expect(revoked).toMatchObject({ code: 0, stdout: '', stderr: `${id} is revoked\n` })
      const again = createClient(server.url)
      await expect.poll(() => statusWith(again, secret), { timeout: 1_000, interval: 25 }).toBe(401)
      // What was used is known by now, or when the server has ended.
      await server.stop()
      expect(JSON.parse((await key('list')).stdout)).toMatchObject({
        id,
        revoked_at: expect.stringMatching(/^20.*Z$/),
        last_used_at: expect.stringMatching(/^20.*Z$/),
      })
    },
  )
})

it('roster key says what is wrong, on standard error, and makes nothing', async () => {
  const folder = await emptyDirectory()
  const cases: [args: string[], code: number, complaint: RegExp][] = [
    [[], 2, /no command of roster key.*roster key create --name/s],
    [['fly'], 2, /no command of roster key/],
    [['create'], 2, /--name and --scopes are needed.*roster key create --name/s],
    [['create', '--name', 'n'], 2, /--name and --scopes are needed/],
    [['create', '--name', '--scopes', 'read'], 2, /--name.*roster key create --name/s],
    [['create', '--name', 'n', '--scopes'], 2, /--scopes.*roster key create --name/s],
    [
      ['create', '--name', 'n', '--scopes', 'read', '--for', 'ever'],
      2,
      /Unknown option '--for'.*roster key/s,
    ],
    [['create', 'n', '--scopes', 'read'], 2, /no command/],
    [['list', 'all'], 2, /no command/],
    [['list', '--name', 'n'], 2, /no command/],
    [['revoke'], 2, /no command/],
    [['revoke', 'a', 'b'], 2, /no command/],
    [['create', '--name', '', '--scopes', 'read,root'], 1, /\n {2}--name must .*\n {2}--scopes must /],
    [['create', '--name', 'n', '--scopes', 'read', '--expires', '0d'], 1, /\n {2}--expires must be a time/],
    [
      ['create', '--name', 'n', '--scopes', 'read', '--expires', '2020-01-01'],
      1,
      /--expires must be in the future/,
    ],
    [['revoke', 'key_none'], 1, /^roster: API key not found\n$/],
  ]
  for (const [args, code, complaint] of cases) {
    const ended = await runHere(['key', ...args], { folder })
    expect([args, ended.code, ended.stdout]).toEqual([args, code, ''])
    expect(ended.stderr).toMatch(complaint)
    expect(ended.stderr).not.toMatch(/\n\s+at /)
  }
  expect(await runHere(['key', 'list'], { folder })).toMatchObject({ code: 0, stdout: '', stderr: '' })
  const elsewhere = await runHere(['key', 'list'], { folder: temporaryFolder() })
  expect(elsewhere).toMatchObject({ code: 1, stderr: expect.stringContaining('There is no directory in') })
})

it('roster key create takes a number of days for an expiry', async () => {
  const folder = await emptyDirectory()
  const before = Date.now()
  await runHere(['key', 'create', '--name', 'n', '--scopes', 'admin', '--expires', '90d'], { folder })
  const { expires_at } = JSON.parse((await runHere(['key', 'list'], { folder })).stdout)
  const days = (Date.parse(expires_at) - before) / 86_400_000
  expect([Math.floor(days), days - 90 < 0.01]).toEqual([90, true])
})

describe('the key of the demo', () => {
  it('reads and writes, is anew at each start, and is worth nothing in earnest', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'demo-credentials.json')
    const start = async (...args: string[]) => {
      const server = await serve(args, {
        folder,
        env: { ROSTER_OPEN_CONTRACTS: args.length ? 'loopback' : 'never' },
      })
      return { server, send: createClient(server.url) }
    }
    const credentials = () => JSON.parse(readFileSync(path, 'utf8')) as { api_key: string }

    const first = await start('--demo')
    const { api_key: old } = credentials()
    expect(credentials()).toEqual({
      api_key: expect.stringMatching(/^rk_/),
      community_user: 3,
      community_password: expect.stringMatching(/^\w{20}$/),
      community_token: expect.stringMatching(/^ey/),
    })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await first.send('PATCH', '/users/4', { phone: '1' }, bearer(old))).toMatchObject({ status: 200 })
    await first.server.stop()
    expect(readKept(folder).log.at(-1)?.actor).toEqual({ kind: 'key', id: 'key_demo' })

    // A file that others may read does not become a secret's.
    writeFileSync(path, '', { mode: 0o666 })
    const second = await start('--demo')
    const { api_key: next } = credentials()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await statusWith(second.send, old)).toBe(401)
    expect(await statusWith(second.send, next)).toBe(200)
    expect(second.server.log().join()).not.toContain(next)
    await second.server.stop()

    const inEarnest = await start()
    expect(await statusWith(inEarnest.send, next)).toBe(401)
  })
})
