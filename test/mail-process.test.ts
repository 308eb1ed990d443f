import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, inject, onTestFinished, test } from 'vitest'
import { authority, certificate, parseMail, startMailServer, until } from './mail.ts'
import { createDatabase } from './postgres.ts'
import { cleanUp, createClient, parseEntry, type Roster, run, serve, temporaryFolder } from './process.ts'

afterEach(cleanUp)

const from = { ROSTER_MAIL_FROM: 'Roster <roster@sender.test>' }

/** A person, and somebody who may set passwords. */
async function prepare(url: string, secret: string, name: string) {
  const send = createClient(url)
  const headers = { authorization: `Bearer ${secret.trim()}` }
  const made = await send(
    'POST',
    '/v1/users',
    { email: `${name}@example.com`, username: name, password: 'the first of them' },
    headers,
  )
  expect(made.status).toBe(201)
  const { id } = JSON.parse(made.text) as { id: string }
  return async () => {
    const password = { new_password: 'a password nobody has' }
    expect((await send('PUT', `/v1/users/${id}/password`, password, headers)).status).toBe(204)
  }
}

const key = (folder: string, env: Readonly<Record<string, string>> = {}) =>
  run(['key', 'create', '--name', 'test', '--scopes', 'read,write,admin'], { folder, env })

const logOf = ({ log }: Roster) => log().join('\n')

test('a mail of what was acknowledged is sent after the process was killed while it was being sent', async () => {
  const folder = temporaryFolder()
  // It takes the connection, and never says a word.
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void silent.close())
  const connected = new Promise((resolve) => silent.once('connection', resolve))
  const { port } = silent.address() as { port: number }
  const first = await serve([], { folder, env: { SMTP_URL: `smtp://127.0.0.1:${port}`, ...from } })
  const change = await prepare(first.url, (await key(folder)).stdout, 'ann')
  await change()
  await connected
  await first.kill()

  const { url, received, close } = await startMailServer()
  onTestFinished(close)
  const second = await serve([], { folder, env: { SMTP_URL: url, ...from } })
  await until(() => received.length > 0)
  const { metrics } = { metrics: createClient(second.url) }
  await until(async () => (await metrics('GET', '/metrics')).text.includes('roster_mails_waiting 0\n'))
  expect(received.map(({ to }) => to)).toEqual([['ann@example.com']])
  await second.stop()
  expect(logOf(first) + logOf(second)).not.toContain('example.com')
})

test('nodes on one database send each mail once', async () => {
  const database = await createDatabase(inject('postgresUrl'))
  onTestFinished(database.drop)
  const { url: SMTP_URL, received, close } = await startMailServer()
  onTestFinished(close)
  const env = { DATABASE_URL: database.url, SMTP_URL, ...from }
  const nodes = await Promise.all([0, 1].map(() => serve([], { folder: temporaryFolder(), env })))
  const secret = (await key(temporaryFolder(), { DATABASE_URL: database.url })).stdout
  const changes = await Promise.all(
    nodes.flatMap(({ url }, n) => Array.from({ length: 5 }, (_, m) => prepare(url, secret, `p${n}-${m}`))),
  )
  await Promise.all(changes.map((change) => change()))
  await until(async () => {
    const [row] = await database.sql`SELECT count(*)::int AS count FROM outbox`
    return row?.count === 0
  })
  expect(received.flatMap(({ to }) => to).toSorted()).toEqual(
    [0, 1].flatMap((n) => [0, 1, 2, 3, 4].map((m) => `p${n}-${m}@example.com`)),
  )
  const ids = received.map(({ raw }) => parseMail(raw).headers['message-id'])
  expect(new Set(ids).size).toBe(10)
  await Promise.all(nodes.map(({ stop }) => stop()))
})

test('without a mail server mails are files, the log says where, and stopping leaves none half written', async () => {
  const folder = temporaryFolder()
  const roster = await serve([], { folder })
  const change = await prepare(roster.url, (await key(folder)).stdout, 'ann')
  await change()
  await until(() => logOf(roster).includes('"mail sent"'))
  const { code } = await roster.stop()
  expect(code).toBe(0)
  const told = roster
    .log()
    .map(parseEntry)
    .find((entry) => entry?.folder !== undefined)
  expect(told).toMatchObject({ folder: join(folder, 'mail') })
  const [name = '', ...others] = readdirSync(join(folder, 'mail'))
  expect([name.endsWith('.eml'), others]).toEqual([true, []])
  expect(statSync(join(folder, 'mail', name)).mode & 0o777).toBe(0o600)
  const { headers, text } = parseMail(readFileSync(join(folder, 'mail', name), 'utf8'))
  expect(headers).toMatchObject({ to: 'ann@example.com', subject: 'Your password was changed' })
  expect(text).toMatch(/^Hello,\n/)
  expect(logOf(roster)).not.toContain('example.com')
})

test('what keeps mails from being sent is told to who asks whether the service is ready, which it is', async () => {
  const { port, close } = await startMailServer()
  await close()
  const folder = temporaryFolder()
  const SMTP_URL = `smtp://user:hunter2@127.0.0.1:${port}`
  const roster = await serve([], { folder, env: { SMTP_URL, ...from } })
  const change = await prepare(roster.url, (await key(folder)).stdout, 'ann')
  await change()
  const send = createClient(roster.url)
  const ready = await until(async () => {
    const answer = await send('GET', '/readyz')
    return answer.text.includes('mail') && answer
  })
  expect(ready.status).toBe(200)
  expect(JSON.parse(ready.text).mail).toMatch(/^not sent since .*ECONNREFUSED/)
  await until(async () => (await send('GET', '/metrics')).text.includes('roster_mails_waiting 1\n'))
  expect((await roster.stop()).code).toBe(0)
  expect(logOf(roster)).not.toMatch(/hunter2|example\.com/)
})

test('mails wait while nobody vouches for the certificate of the mail server, until its authority is named', async () => {
  const options = { ...certificate('here'), secure: true }
  const { port, received, close } = await startMailServer(undefined, options)
  onTestFinished(close)
  const folder = temporaryFolder()
  const env = { SMTP_URL: `smtps://127.0.0.1:${port}`, ...from }
  const doubtful = await serve([], { folder, env })
  const change = await prepare(doubtful.url, (await key(folder)).stdout, 'ann')
  await change()
  const send = createClient(doubtful.url)
  await until(async () => (await send('GET', '/readyz')).text.includes('UNABLE_TO_VERIFY_LEAF_SIGNATURE'))
  await doubtful.stop()
  expect(received).toEqual([])
  const sure = await serve([], { folder, env: { ...env, NODE_EXTRA_CA_CERTS: authority } })
  await until(() => received.length > 0)
  expect(received.map(({ to }) => to)).toEqual([['ann@example.com']])
  await sure.stop()
})

test('the operator sets an address at once, however others have to confirm it', async () => {
  const folder = temporaryFolder()
  const env = { ROSTER_EMAIL_CHANGE: 'confirm-both' }
  const roster = await serve([], { folder, env })
  const secret = (await key(folder)).stdout
  await prepare(roster.url, secret, 'ann')
  const email = 'new@example.com'
  const set = await run(['user', 'update', '1', JSON.stringify({ email })], { folder, env })
  expect(set.code).toBe(0)
  const headers = { authorization: `Bearer ${secret.trim()}` }
  const { text } = await createClient(roster.url)('GET', '/users/1', undefined, headers)
  expect(JSON.parse(text)).toMatchObject({ email })
  expect((await roster.stop()).code).toBe(0)
  expect(existsSync(join(folder, 'mail'))).toBe(false)
})
