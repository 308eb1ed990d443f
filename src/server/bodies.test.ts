import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Contract } from '../contracts/contract.ts'
import { type Code, DirectoryError, refusal } from '../directory/errors.ts'
import { readBodies } from './bodies.ts'
import { observe } from './observe.ts'
import { createServer } from './server.ts'

/** How bodies come off the wire: bytes on a socket, to the real server with a contract that says what it got. */

const limit = 1_024
const statuses: Partial<Record<Code, number>> = { invalid: 400, too_large: 413, expectation_failed: 417 }

/** What the handler was given, in its order. */
let handled: string[] = []

const echo: Contract = {
  name: 'echo',
  knowsCredentials: false,
  owns: (_method, path) => path.startsWith('/echo'),
  refuse: ({ code, problems }) => ({
    status: statuses[code] ?? 500,
    body: { code, about: problems.map(({ property }) => property) },
  }),
  routes(app) {
    app.route({
      method: ['GET', 'PUT', 'POST', 'DELETE'],
      url: '/echo/:name',
      handler: async ({ method, body, params }) => {
        const { name } = params as { name: string }
        const text = body instanceof Buffer ? body.toString() : null
        handled.push(`${method} ${name} ${text}`)
        if (name === 'refused') throw new DirectoryError(refusal('invalid', 'It is refused'))
        return { name, text }
      },
    })
  },
}

const lines: string[] = []
const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
const app = createServer({ contracts: [echo], log, observed: observe(log), trustProxy: [] })
let port = 0
beforeAll(async () => {
  echo.routes(app, undefined as never)
  readBodies(app, limit)
  port = Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port)
})
afterAll(() => app.close())
beforeEach(() => {
  handled = []
})

interface Told {
  readonly status: number
  readonly head: string
  readonly body: unknown
}

interface Line {
  readonly socket: Socket
  /** Resolves when the system has taken the bytes. */
  readonly send: (bytes: string) => Promise<void>
  /** The next so many answers, as they come. */
  readonly answers: (count: number) => Promise<Told[]>
  /** All that come until the server hangs up. */
  readonly last: () => Promise<Told[]>
}

async function dial(): Promise<Line> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
  await once(socket, 'connect')
  socket
    .setEncoding('latin1')
    .setTimeout(10_000, () => socket.destroy(new Error(`nothing more after ${text}`)))
  let text = ''
  let ended = false
  let failed: Error | undefined
  let wake = () => {}
  socket.on('data', (more) => {
    text += more
    wake()
  })
  socket.on('end', () => {
    ended = true
    wake()
  })
  socket.on('error', (error) => {
    failed = error
    wake()
  })
  const told: Told[] = []
  const take = () => {
    for (let next = cut(text); next !== undefined; next = cut(text)) {
      told.push(next.told)
      text = next.rest
    }
  }
  async function until(enough: () => boolean): Promise<Told[]> {
    for (;;) {
      take()
      if (enough()) return told.splice(0)
      if (failed !== undefined) throw failed
      if (ended) throw new Error(`the server hung up after ${JSON.stringify(told)} ${text}`)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    socket,
    send: (bytes) => new Promise((resolve) => socket.write(bytes, 'latin1', () => resolve())),
    answers: (count) => until(() => told.length >= count),
    last: async () => {
      const all = await until(() => ended)
      socket.destroy()
      return all
    },
  }
}

/** The first whole answer of a text, and what follows. */
function cut(text: string): { readonly told: Told; readonly rest: string } | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = text.slice(0, end)
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
  if (text.length < end + 4 + length) return undefined
  const body = text.slice(end + 4, end + 4 + length)
  const status = Number(head.split(' ', 2)[1])
  return {
    told: { status, head, body: body === '' ? undefined : JSON.parse(body) },
    rest: text.slice(end + 4 + length),
  }
}

const put = (name: string, body: string, ...headers: readonly string[]) =>
  `${headOf('PUT', name, `Content-Length: ${body.length}`, ...headers)}${body}`
const headOf = (method: string, name: string, ...headers: readonly string[]) =>
  `${[`${method} /echo/${name} HTTP/1.1`, 'Host: localhost', ...headers].join('\r\n')}\r\n\r\n`
const chunked = (name: string, body: string) => `${headOf('PUT', name, 'Transfer-Encoding: chunked')}${body}`
const got = (name: string, text: string | null) => ({ status: 200, body: { name, text } })

describe('bodies', () => {
  test('of requests that come together are each their own, and are answered in their order', async () => {
    const line = await dial()
    await line.send(
      `${put('a', 'one')}${put('b', '')}${headOf('GET', 'c')}${chunked('d', '3\r\ntwo\r\n0\r\n\r\n')}${put('e', 'three')}`,
    )
    expect(await line.answers(5)).toMatchObject([
      got('a', 'one'),
      got('b', null),
      got('c', null),
      got('d', 'two'),
      got('e', 'three'),
    ])
    line.socket.destroy()
  })

  test('may come a byte at a time', async () => {
    const line = await dial()
    for (const byte of `${put('a', 'slow')}${chunked('b', '2\r\nsl\r\n2\r\now\r\n0\r\n\r\n')}`)
      await line.send(byte)
    expect(await line.answers(2)).toMatchObject([got('a', 'slow'), got('b', 'slow')])
    line.socket.destroy()
  })

  test.for<[about: string, bytes: string, text: string | null]>([
    ['with a length', put('x', 'body'), 'body'],
    ['with no length', headOf('PUT', 'x'), null],
    ['of no length', put('x', ''), null],
    ['as large as may be', put('x', 'x'.repeat(limit)), 'x'.repeat(limit)],
    ['in chunks', chunked('x', '1\r\na\r\n2\r\nbc\r\n0\r\n\r\n'), 'abc'],
    [
      'in chunks as large as may be',
      chunked('x', `400\r\n${'x'.repeat(limit)}\r\n0\r\n\r\n`),
      'x'.repeat(limit),
    ],
    ['in chunks with extensions and trailers', chunked('x', '3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n'), 'abc'],
    ['in no chunk', chunked('x', '0\r\n\r\n'), null],
    ['of DELETE', `${headOf('DELETE', 'x', 'Content-Length: 4')}body`, 'body'],
    ['of GET, which means nothing', `${headOf('GET', 'x', 'Content-Length: 4')}body`, null],
    ['of GET in chunks', `${headOf('GET', 'x', 'Transfer-Encoding: chunked')}4\r\nbody\r\n0\r\n\r\n`, null],
    ['that is announced', put('x', 'body', 'Expect: 100-continue'), 'body'],
  ])('%s', async ([, bytes, text]) => {
    const line = await dial()
    // What follows on the connection is another request, whatever came before.
    await line.send(`${bytes}${put('next', 'other')}`)
    const isAnnounced = bytes.includes('Expect')
    const answers = await line.answers(isAnnounced ? 3 : 2)
    expect(answers.slice(-2)).toMatchObject([got('x', text), got('next', 'other')])
    line.socket.destroy()
  })

  test('that are announced are asked for before they are sent', async () => {
    const line = await dial()
    await line.send(headOf('PUT', 'x', 'Content-Length: 4', 'Expect: 100-Continue'))
    expect(await line.answers(1)).toMatchObject([{ status: 100 }])
    expect(handled).toEqual([])
    await line.send('body')
    expect(await line.answers(1)).toMatchObject([got('x', 'body')])
    line.socket.destroy()
  })

  test('a refusal leaves the connection as it was', async () => {
    const line = await dial()
    await line.send(`${put('refused', 'one')}${put('refused', 'two')}${put('x', 'three')}`)
    expect(await line.answers(3)).toMatchObject([{ status: 400 }, { status: 400 }, got('x', 'three')])
    await line.send(put('y', 'four'))
    expect(await line.answers(1)).toMatchObject([got('y', 'four')])
    line.socket.destroy()
  })
})

const tooLarge = { status: 413, body: { code: 'too_large', about: ['body'] } }
const unread = { status: 400, body: { code: 'invalid', about: ['request'] } }
const cutShort = expect.objectContaining({ status: 400 })

describe('the connection ends after', () => {
  test.for<[about: string, bytes: string, answers: unknown[], seen?: string[]]>([
    [
      'a length that is too large',
      `${headOf('PUT', 'x', `Content-Length: ${limit + 1}`)}${'x'.repeat(limit + 1)}`,
      [tooLarge],
    ],
    ['a length beyond counting', headOf('PUT', 'x', 'Content-Length: 99999999999999999999'), [unread]],
    [
      'chunks that become too large',
      chunked('x', `400\r\n${'x'.repeat(limit)}\r\n1\r\nx\r\n0\r\n\r\n`),
      [tooLarge],
    ],
    [
      'an expectation that nobody meets',
      put('x', 'body', 'Expect: magic'),
      [{ status: 417, body: { code: 'expectation_failed', about: ['Expect'] } }],
    ],
    ['two expectations', put('x', 'body', 'Expect: 100-continue, magic'), [{ status: 100 }, { status: 417 }]],
    ['two lengths', put('x', 'body', 'Content-Length: 2'), [unread]],
    ['two lengths that are the same', put('x', 'body', 'Content-Length: 4'), [unread]],
    ['a list of lengths', `${headOf('PUT', 'x', 'Content-Length: 4, 4')}body`, [unread]],
    ['a length below 0', `${headOf('PUT', 'x', 'Content-Length: -4')}body`, [unread]],
    ['a length with a sign', `${headOf('PUT', 'x', 'Content-Length: +4')}body`, [unread]],
    [
      'a length and chunks',
      `${headOf('PUT', 'x', 'Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
      [unread],
    ],
    [
      'chunks and a length',
      `${headOf('PUT', 'x', 'Transfer-Encoding: chunked', 'Content-Length: 4')}0\r\n\r\n`,
      [unread],
    ],
    ['a coding that is not chunked', `${headOf('PUT', 'x', 'Transfer-Encoding: gzip')}body`, [unread]],
    [
      'chunked and then another coding',
      `${headOf('PUT', 'x', 'Transfer-Encoding: chunked, gzip')}0\r\n\r\n`,
      [unread],
    ],
    ['a chunk of no size', chunked('x', 'zz\r\nbody\r\n0\r\n\r\n'), [cutShort]],
    ['a chunk that is longer than it says', chunked('x', '2\r\nbody\r\n0\r\n\r\n'), [cutShort]],
    ['a chunk of a size beyond counting', chunked('x', 'fffffffffffffffff\r\nbody\r\n0\r\n\r\n'), [cutShort]],
    ['a header without a name', `PUT /echo/x HTTP/1.1\r\nHost: a\r\n: 4\r\n\r\n`, [unread]],
    ['a header that goes on in the next line', headOf('PUT', 'x', 'Content-Length:', ' 4'), [unread]],
    ['a space before the colon', `${headOf('PUT', 'x', 'Content-Length : 4')}body`, [unread]],
  ])('%s, and what follows is no request', async ([, bytes, answers, seen = []]) => {
    const line = await dial()
    await line.send(`${bytes}${put('next', 'other')}`)
    expect(await line.last()).toMatchObject(answers)
    expect(handled).toEqual(seen)
  })

  test('a body that is longer than it says: what is left of it is no request', async () => {
    const line = await dial()
    await line.send(`${headOf('PUT', 'x', 'Content-Length: 2')}body`)
    const answers = await line.last()
    expect(answers.at(-1)).toMatchObject({ status: 400 })
    expect(handled.filter((one) => one !== 'PUT x bo')).toEqual([])
  })

  test.for<[about: string, bytes: string]>([
    ['a body that is shorter than it says', `${headOf('PUT', 'x', 'Content-Length: 9')}body`],
    ['chunks that do not end', chunked('x', '4\r\nbody\r\n')],
    ['a head that does not end', 'PUT /echo/x HTTP/1.1\r\nHost: local'],
  ])('%s, where the client says that nothing more comes', async ([, bytes]) => {
    const line = await dial()
    await line.send(bytes)
    line.socket.end()
    expect(await line.last()).toMatchObject([{ status: 400 }])
    expect(handled).toEqual([])
  })

  test.for<[about: string, bytes: string]>([
    ['in the middle of a body', `${headOf('PUT', 'x', 'Content-Length: 9')}body`],
    ['in the middle of chunks', chunked('x', '4\r\nbo')],
    ['before a body that is announced', headOf('PUT', 'x', 'Content-Length: 9', 'Expect: 100-continue')],
  ])('a client that leaves %s is not served, and others are', async ([, bytes]) => {
    const left = await dial()
    await left.send(bytes)
    if (bytes.includes('Expect')) await left.answers(1)
    left.socket.resetAndDestroy()
    const line = await dial()
    await line.send(put('y', 'other'))
    expect(await line.answers(1)).toMatchObject([got('y', 'other')])
    expect(handled).toEqual(['PUT y other'])
    line.socket.destroy()
  })
})

test.for([
  ['an expectation that nobody meets', put('x', 'body', 'Expect: magic')],
  ['no Host', 'PUT /echo/x HTTP/1.1\r\nConnection: close\r\n\r\n'],
  ['a body that is too large', headOf('PUT', 'x', `Content-Length: ${limit + 1}`)],
] as const)('the log knows how long it took to refuse %s', async ([, bytes]) => {
  lines.length = 0
  const line = await dial()
  const begun = performance.now()
  await line.send(bytes)
  await line.last()
  const { ms } = JSON.parse(lines.at(-1) ?? '{}') as { ms: number }
  expect(ms).toBeLessThanOrEqual(Math.ceil(performance.now() - begun))
})

describe('a head', () => {
  test('of 30 KB is read, and one that is too large is 431 in the shape of the contract', async () => {
    const line = await dial()
    await line.send(put('x', 'body', `X-Long: ${'x'.repeat(30_000)}`))
    expect(await line.answers(1)).toMatchObject([got('x', 'body')])
    await line.send(put('x', 'body', `X-Long: ${'x'.repeat(40_000)}`))
    const [told] = await line.last()
    expect(told?.status).toBe(431)
    expect(told?.head).toMatch(/^content-type: application\/json; charset=utf-8$/im)
    expect(handled).toHaveLength(1)
  })

  test.for(['garbage\r\n\r\n', '\x16\x03\x01\x02\x00', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'])(
    'that is none (%j) is 400 in a shape that is nobody’s',
    async (bytes) => {
      const line = await dial()
      await line.send(bytes)
      line.socket.end()
      expect(await line.last()).toMatchObject([
        { status: 400, body: { error: 'Bad Request', message: 'The request is no HTTP/1.1 request' } },
      ])
    },
  )
})
