import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type MailServer, parseMail, type Received, says, startMailServer, until } from '../../test/mail.ts'
import { type Mail, noticeLife } from '../directory/mail.ts'
import type { Store } from '../directory/store.ts'
import { openSqlite } from '../store/sqlite/store.ts'
import { type Compose, createCompose } from './compose.ts'
import { createSender, type Pace } from './sender.ts'
import { deliverBySmtp } from './smtp.ts'

const pace: Pace = { poll: 20, lease: 60_000, pause: 10, longestPause: 40, patience: 200 }

let folder: string
let store: Store
let lines: string[]
const log = pino(
  { level: 'debug' },
  new Writable({ write: (line, _encoding, done) => done(void lines.push(`${line}`)) }),
)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'roster-sender-'))
  store = await openSqlite({ folder, rules: { roles: [] }, onFatal: () => {} })
})
afterAll(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})
beforeEach(() => {
  lines = []
})
afterEach(async () => {
  for (const { id } of await store.outbox.take({ at: Date.UTC(2100, 0), until: 0, most: 1_000 }))
    await store.outbox.remove(id)
  // Whatever happens, neither an address nor a token nor what a server said is in the log.
  expect(lines.join('')).not.toMatch(/example\.com|secret-token|quote/)
})

async function mail(over: Partial<Mail> = {}): Promise<Mail> {
  const at = Date.now()
  const about = { to: 'ann@example.com', userId: null, values: { token: 'secret-token' } }
  const one: Mail = {
    id: randomUUID(),
    kind: 'verify_account',
    ...about,
    at,
    expiresAt: at + noticeLife,
    ...over,
  }
  await store.outbox.add(one)
  return one
}

/** @param written makes another writer of mails of the usual one */
function sender(
  url: string,
  over: Partial<Pace> = {},
  written: (whole: Compose) => Compose = (whole) => whole,
) {
  const whole = createCompose({
    userOf: store.get,
    linkFor: async () => undefined,
    isOfUse: async () => true,
    from: { name: 'Roster', address: 'roster@sender.test' },
    url: () => 'https://roster.test',
  })
  const compose = written(whole)
  const made = createSender({
    ...{ outbox: store.outbox, compose, deliver: deliverBySmtp(url), now: Date.now, log },
    pace: { ...pace, ...over },
  })
  onTestFinished(made.close)
  return made
}

async function server(...args: Parameters<typeof startMailServer>): Promise<MailServer> {
  const made = await startMailServer(...args)
  onTestFinished(made.close)
  return made
}

const isEmpty = async () => (await store.outbox.backlog()).count === 0
const told = (part: string) => lines.some((line) => line.includes(part))

describe('the sender', () => {
  test('sends what waits and what comes, each once, and then forgets it', async () => {
    const { url, received } = await server()
    const first = await mail()
    const { start, wake, metrics } = sender(url, { poll: 3_600_000 })
    start()
    await until(isEmpty)
    const more = await Promise.all(Array.from({ length: 23 }, (_, n) => mail({ to: `p${n}@example.com` })))
    wake()
    await until(isEmpty)
    const ids = received.map(({ raw }) => parseMail(raw).headers['message-id'])
    expect(ids.toSorted()).toEqual([first, ...more].map(({ id }) => `<${id}@sender.test>`).toSorted())
    expect(await metrics()).toMatch(/outcome="sent"} 24\n[\s\S]*waiting 0\n[\s\S]*oldest_seconds 0\n/)
  })

  test('looks now and then for what others have left', async () => {
    const { url, received } = await server()
    sender(url).start()
    await mail()
    await until(isEmpty)
    expect(received).toHaveLength(1)
  })

  test('writes a mail that any program can read, to one recipient, and that asks for no answer', async () => {
    const { url, received } = await server()
    const { id } = await mail({ to: 'ann@exämple.com', at: Date.UTC(2026, 0, 2, 3, 4) })
    sender(url).start()
    await until(isEmpty)
    const [{ from, to, raw } = {} as Received] = received
    // smtp-server decodes what it is told.
    expect([from, to]).toEqual(['roster@sender.test', ['ann@exämple.com']])
    const { headers, text } = parseMail(raw)
    expect(headers).toMatchObject({
      ...{ from: 'Roster <roster@sender.test>', to: 'ann@xn--exmple-cua.com' },
      ...{ subject: 'Confirm your address', 'message-id': `<${id}@sender.test>` },
      ...{ date: 'Fri, 02 Jan 2026 03:04:00 +0000', 'auto-submitted': 'auto-generated' },
      'content-type': 'text/plain; charset=utf-8',
    })
    expect(text).toContain('https://roster.test/email/confirm?token=secret-token\n')
  })

  test('tries again what is refused for now, with the same Message-ID, until it is taken', async () => {
    const tries: string[] = []
    const { url, received } = await server(({ raw }) => {
      tries.push(parseMail(raw).headers['message-id'] ?? '')
      return tries.length < 4 ? says(451) : undefined
    })
    const { id } = await mail()
    const { start, metrics, remark } = sender(url)
    start()
    await until(isEmpty)
    expect(tries).toEqual(Array(4).fill(`<${id}@sender.test>`))
    expect(received).toHaveLength(1)
    expect(await metrics()).toMatch(/sent"} 1\n[\s\S]*postponed"} 3\n/)
    expect(remark()).toBeUndefined()
  })

  test.for([
    ['the recipient', { onRcptTo: (_to, _session, done) => done(says(550)) }],
    [
      'the text',
      { onData: (stream, _session, done) => void stream.resume().on('end', () => done(says(554))) },
    ],
  ] as [string, Parameters<typeof startMailServer>[1]][])(
    'gives up what is refused for good: %s',
    async ([_, options]) => {
      const { url } = await server(undefined, options)
      await mail()
      const { start, metrics } = sender(url)
      start()
      await until(isEmpty)
      expect(await metrics()).toMatch(/sent"} 0\n[\s\S]*postponed"} 0\n[\s\S]*given_up"} 1\n/)
      expect(told('"mail given up"')).toBe(true)
    },
  )

  test.for([
    ['greets with 421', { onConnect: (_session, done) => done(says(421)) }],
    ['refuses the sender', { onMailFrom: (_from, _session, done) => done(says(550)) }],
    ['wants a password', { authOptional: false }],
  ] as [string, Parameters<typeof startMailServer>[1]][])(
    'keeps everything while a server takes nothing from anybody: %s',
    async ([_, options]) => {
      const { url, port, close } = await startMailServer(undefined, options)
      for (let n = 0; n < 8; n++) await mail()
      const { start, remark } = sender(url)
      start()
      await until(() => /^not sent since .* \(.*\d{3}.*\); 8 wait, the oldest since/.test(remark() ?? ''))
      expect(await store.outbox.backlog()).toMatchObject({ count: 8 })
      await close()
      const { received } = await server(undefined, {}, port)
      await until(isEmpty)
      expect(received).toHaveLength(8)
      expect(remark()).toBeUndefined()
    },
  )

  test('tries one that a server hangs up on more and more seldom, though others are taken in between', async () => {
    const { url, received } = await server(undefined, {
      onRcptTo: ({ address }, _session, done) => done(address.startsWith('cut') ? says(421) : null),
    })
    const { id } = await mail({ to: 'cut@example.com' })
    const { start, wake } = sender(url, { pause: 50 })
    const failures = () =>
      lines.map((line) => JSON.parse(line)).filter(({ mail, verdict }) => mail === id && verdict === 'away')
    const db = new DatabaseSync(join(folder, 'roster.db'), { readOnly: true })
    onTestFinished(() => db.close())
    const due = db.prepare('SELECT due_at FROM outbox WHERE id = ? AND taken_until IS NULL')
    start()
    for (let n = 1; n <= 5; n++) {
      const { time } = await until(() => failures()[n - 1])
      const at = await until(() => due.get(id)?.due_at)
      expect(Number(at) - time).toBeGreaterThanOrEqual(50 * 2 ** (n - 1))
      await mail()
      wake()
      await until(() => received.length === n)
    }
  })

  test('keeps everything while nobody is there', async () => {
    const { url, port, close } = await startMailServer()
    await close()
    await mail()
    const { start, remark } = sender(url)
    start()
    await until(() => remark()?.includes('ECONNREFUSED'))
    const { received } = await server(undefined, {}, port)
    await until(isEmpty)
    expect(received).toHaveLength(1)
  })

  test('comes to what can be sent at once when a server is back, however much that is for nobody lies before', async () => {
    const { url, port, close } = await startMailServer()
    await close()
    await mail()
    const { start, remark } = sender(url, { pause: 800 })
    start()
    await until(() => remark()?.includes('ECONNREFUSED'))
    const at = Date.now() - 1_000
    for (let n = 0; n < 15; n++) await mail({ kind: 'recover_password', at })
    for (let n = 0; n < 15; n++) await mail({ at, expiresAt: at + 1 })
    await mail()
    const { received } = await server(undefined, {}, port)
    await until(isEmpty)
    expect(received).toHaveLength(2)
  })

  test('knows by a refusal, too, that a server is back', async () => {
    const { url, port, close } = await startMailServer()
    await close()
    await mail()
    const { start, remark } = sender(url)
    start()
    await until(() => remark()?.includes('ECONNREFUSED'))
    await server(undefined, { onRcptTo: (_to, _session, done) => done(says(550)) }, port)
    await until(isEmpty)
    expect(told('"mail given up"')).toBe(true)
    await until(() => remark() === undefined)
  })

  test('sends the others where one can not be written, and says where that went wrong but not what it quotes', async () => {
    const { url, received } = await server()
    const { id } = await mail({ to: 'torn@example.com' })
    await mail()
    const { start } = sender(url, {}, (whole) => async (one) => {
      if (one.to.startsWith('torn')) throw new Error(`quote of ${one.to}`)
      return whole(one)
    })
    start()
    await until(() => received.length === 1)
    await until(() => lines.some((line) => line.includes(id) && line.includes('sender.test.ts')))
    expect(told('"mail can not be written"')).toBe(true)
    expect(told('can not be looked after')).toBe(false)
    await until(async () => (await store.outbox.backlog()).count === 1)
  })

  test('sends again what was cut off before it was said to be taken', async () => {
    let cuts = 3
    const connections: (() => void)[] = []
    const { url, received } = await server(async () => {
      if (cuts-- > 0) for (const cut of connections.splice(0)) cut()
      return undefined
    })
    // Between the two, so that the connection can be cut within an answer.
    const line = createServer((socket) => {
      const to = new URL(url)
      const other = socket.pipe(createConnection(Number(to.port)))
      other.pipe(socket)
      for (const one of [socket, other]) one.on('error', () => {})
      connections.push(() => {
        socket.destroy()
        other.destroy()
      })
    })
    await new Promise<void>((resolve) => line.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void line.close())
    await mail()
    const { port } = line.address() as { port: number }
    sender(`smtp://127.0.0.1:${port}`).start()
    await until(isEmpty)
    expect(new Set(received.map(({ raw }) => parseMail(raw).headers['message-id'])).size).toBe(1)
    expect(received).toHaveLength(4)
  })

  test('is closed in time while a server says nothing, and the mail is there for others', async () => {
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void silent.close())
    const connected = new Promise((resolve) => silent.once('connection', resolve))
    await mail()
    const { port } = silent.address() as { port: number }
    const first = sender(`smtp://127.0.0.1:${port}`)
    first.start()
    await connected
    await first.close()
    expect(await store.outbox.backlog()).toMatchObject({ count: 1 })
    const { url, received } = await server()
    sender(url).start()
    await until(isEmpty)
    expect(received).toHaveLength(1)
  })

  test('lets what a server is taking come to its end before it is closed', async () => {
    const asked = Promise.withResolvers<void>()
    const answered = Promise.withResolvers<undefined>()
    const { url, received } = await server(() => {
      asked.resolve()
      return answered.promise
    })
    await mail()
    const one = sender(url, { patience: 20_000 })
    one.start()
    await asked.promise
    const closed = one.close()
    answered.resolve(undefined)
    await closed
    expect(received).toHaveLength(1)
    expect(await isEmpty()).toBe(true)
  })

  test.for([
    ['the right one', 'p%40ss:w%2Frd', true],
    ['a wrong one', 'hunter2', false],
  ] as const)('tells user and password as the URL has them: %s', async ([_, password, isRight]) => {
    const { port, received } = await server(undefined, {
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: ({ username, password: told }, _session, done) =>
        username === 'us er' && told === 'p@ss:w/rd' ? done(null, { user: 1 }) : done(says(535)),
    })
    await mail()
    const { start, remark } = sender(`smtp://us%20er:${password}@127.0.0.1:${port}`)
    start()
    await until(() => (isRight ? isEmpty() : remark()?.includes('535')))
    expect(received).toHaveLength(isRight ? 1 : 0)
    expect(lines.join('')).not.toMatch(/hunter2|us er|w\/rd/)
  })

  test('sends nothing that has expired', async () => {
    const { url, received } = await server()
    const now = Date.now()
    await mail({ at: now - 10, expiresAt: now - 1 })
    sender(url).start()
    await until(isEmpty)
    expect(received).toEqual([])
    expect(told('it has expired')).toBe(true)
  })

  test('is two that share a store: each mail is sent by one', async () => {
    const { url, received } = await server()
    const mails = await Promise.all(Array.from({ length: 40 }, () => mail()))
    const [one, other] = [sender(url), sender(url)]
    one.start()
    other.start()
    await until(isEmpty)
    expect(received).toHaveLength(mails.length)
  })

  test.for([
    'ann@example.com\r\nBcc: eve@example.com',
    'ann@example.com\nSubject: x',
    'ann@example.com>\r\nRCPT TO:<eve@example.com',
    'ann@example.com, eve@example.com',
    'ann@example.com SIZE=1',
    '<eve@example.com>',
    '"\r\n"@example.com',
  ])('never sends to what is no address, should one get here: %j', async (to) => {
    const { url, received } = await server()
    await mail({ to })
    sender(url).start()
    await until(isEmpty)
    expect(received).toEqual([])
    expect(told('the address is none')).toBe(true)
  })
})
