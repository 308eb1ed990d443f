import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { startApp, type TestApp } from '../../../test/app.ts'

/** Every example of the page "Update User", to the letter, against a directory with the demo's people. */

const requestBody = `{
  "email": "newemail@example.com",
  "username": "newusername",
  "first_name": "Jane",
  "last_name": "Smith",
  "role": "admin"
}`

const response = `{
  "id": "usr_123abc456def",
  "email": "newemail@example.com",
  "username": "newusername",
  "first_name": "Jane",
  "last_name": "Smith",
  "role": "admin",
  "created_at": "2023-01-01T12:00:00Z",
  "updated_at": "2023-01-01T13:00:00Z"
}`

const badRequest = `{
  "error": "validation_error",
  "message": "Invalid request parameters",
  "details": {
    "email": ["Invalid email format"]
  }
}`

const notFound = `{
  "error": "not_found",
  "message": "User not found"
}`

const conflict = `{
  "error": "conflict",
  "message": "Username already taken"
}`

const curl = `curl -X PATCH https://api.example.com/v1/users/usr_123abc456def \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "email": "newemail@example.com",
    "first_name": "Jane",
    "last_name": "Smith"
  }'`

const python = `import requests

headers = {
    'Authorization': 'Bearer YOUR_API_KEY',
    'Content-Type': 'application/json'
}

data = {
    'email': 'newemail@example.com',
    'first_name': 'Jane',
    'last_name': 'Smith'
}

response = requests.patch(
    'https://api.example.com/v1/users/usr_123abc456def',
    headers=headers,
    json=data
)
`

let roster: TestApp
let key: { readonly authorization: string }
beforeEach(async () => {
  roster = await startApp()
  onTestFinished(roster.close)
  key = await roster.keyWith('read', 'write')
})

/** As JSON without the spaces of the page. */
const compact = (text: string) => JSON.stringify(JSON.parse(text))

/** The page's answer; the time of the change is now, and not that of the page. */
function expectUpdated(text: string, expected: string): void {
  const { updated_at } = JSON.parse(text) as { updated_at: string }
  expect(updated_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  expect(Math.abs(Date.parse(updated_at) - Date.now())).toBeLessThan(60_000)
  expect(text).toBe(compact(expected).replace('2023-01-01T13:00:00Z', updated_at))
}

const patch = (body: unknown, id = 'usr_123abc456def') => roster.call(`PATCH /v1/users/${id}`, body, key)

test('the request body is answered with the response', async () => {
  const answer = await patch(requestBody)
  expect(answer.status).toBe(200)
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
  expectUpdated(answer.text, response)
  expect((await roster.call('GET /v1/users/usr_123abc456def', undefined, key)).text).toBe(answer.text)
})

test('400 Bad Request', async () => {
  expect(await patch({ email: 'newemail' })).toMatchObject({ status: 400, text: compact(badRequest) })
})

test('404 Not Found', async () => {
  expect(await patch(requestBody, 'usr_456def')).toMatchObject({ status: 404, text: compact(notFound) })
})

test('409 Conflict', async () => {
  expect(await patch({ username: 'fionab' })).toMatchObject({ status: 409, text: compact(conflict) })
})

/** What the page's calls lead to: they leave username and role out. */
const afterCall = response.replace('newusername', 'johndoe').replace('"role": "admin"', '"role": "user"')

/** The page's own text, but for the host and the key. */
function here(text: string): string {
  return text
    .replace('https://api.example.com', roster.url)
    .replace('YOUR_API_KEY', key.authorization.replace('Bearer ', ''))
}

const env = { PATH: process.env.PATH, no_proxy: '*' }
const run = async (command: string, args: readonly string[]) =>
  (await promisify(execFile)(command, [...args], { env, timeout: 20_000 })).stdout

const hasCurl = spawnSync('curl', ['--version']).status === 0
const hasRequests = spawnSync('python3', ['-c', 'import requests']).status === 0

test.skipIf(!hasCurl)('the line for curl, by curl (skipped where there is none)', async () => {
  expectUpdated(await run('sh', ['-c', `${here(curl)} --silent --show-error`]), afterCall)
})

test.skipIf(!hasRequests)('the lines of Python, by requests (skipped where Python has none)', async () => {
  const printed = await run('python3', [
    '-c',
    `${here(python)}print(response.status_code)\nprint(response.text)`,
  ])
  const [status, text = ''] = printed.split('\n')
  expect(status).toBe('200')
  expectUpdated(text, afterCall)
})

describe('Optional Fields: each alone changes that one', () => {
  let shared: TestApp
  let writer: { readonly authorization: string }
  beforeAll(async () => {
    shared = await startApp()
    writer = await shared.keyWith('read', 'write')
  })
  afterAll(() => shared.close())

  test.for(Object.entries(JSON.parse(requestBody) as object))('%s', async ([name, value]) => {
    const before = await shared.call('GET /v1/users/usr_123abc456def', undefined, writer)
    const after = await shared.call('PATCH /v1/users/usr_123abc456def', { [name]: value }, writer)
    expect(after.status).toBe(200)
    const { updated_at } = after.body as { updated_at: string }
    expect(after.body).toEqual({ ...(before.body as object), [name]: value, updated_at })
  })
})
