import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../test/app.ts'
import { unavailable } from '../directory/errors.ts'

let app: TestApp
let lines: { msg: string; reqId?: string; err?: object }[]
beforeAll(async () => {
  app = await startApp({}, { log: pino({}, { write: (line) => void lines.push(JSON.parse(line)) }) })
})
afterAll(() => app.close())

const quoting = () => Object.assign(new TypeError('no number: "quentin"\n    at quentin'), { code: '22P02' })
const expected = {
  name: 'TypeError',
  code: '22P02',
  stack: expect.stringMatching(/^ {4}at .*refusals\.test\.ts:/),
}

const type = 'application/x-www-form-urlencoded'
const form = 'grant_type=client_credentials&client_id=client_x'

test.for([
  ['GET /v1/clients', 'request failed'],
  ['POST /oauth/token', 'the authorization server failed'],
] as const)('what is logged of %s has the request, and quotes nothing: %s', async ([line, msg]) => {
  // It signs with the keys that it has found before.
  await app.call(line, form, { 'content-type': type })
  lines = []
  const { documents } = app.store
  const { find, list } = documents
  const fail = () => Promise.reject(quoting())
  Object.assign(documents, { find: fail, list: fail })
  try {
    const { status, headers, text } = await app.call(line, form, {
      ...(line.startsWith('GET') && (await app.keyWith('admin'))),
      ...{ 'content-type': type, 'x-request-id': 'somebody-elses' },
    })
    expect(status).toBe(500)
    expect(text).not.toContain('quentin')
    const told = lines.find((one) => one.msg === msg)
    expect(told).toMatchObject({ reqId: headers['x-request-id'], err: expected })
    expect(JSON.stringify(lines)).not.toContain('quentin')
  } finally {
    Object.assign(documents, { find, list })
  }
})

test('why the store is away is logged in its own words', async () => {
  lines = []
  const { documents } = app.store
  const { list } = documents
  const away = unavailable('The store can not write now', new Error('database or disk is full'))
  Object.assign(documents, { list: () => Promise.reject(away) })
  try {
    expect((await app.call('GET /v1/clients', undefined, await app.keyWith('admin'))).status).toBe(503)
    const told = lines.find((one) => one.msg === 'request turned away')
    expect(told).toMatchObject({ err: { message: 'database or disk is full' } })
  } finally {
    Object.assign(documents, { list })
  }
})
