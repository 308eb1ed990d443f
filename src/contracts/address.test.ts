import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Community, startCommunity } from '../../test/community.ts'
import { undonePage } from './email/pages.ts'

/** Behind a proxy that takes a path away, as an operator says where that is. */

const publicUrl = 'https://example.com/people'

let roster: Community
let admin: { readonly authorization: string }
beforeAll(async () => {
  roster = await startCommunity({ publicUrl })
  admin = await roster.keyWith('read', 'write', 'admin')
})
afterAll(() => roster.close())

const account = (name: string) => ({
  ...{ email: `${name}@example.org`, username: name, password: 'Staple-of-the-horse-2' },
})
const pet = { phone: '1', interested_in: 'cats', email: 'pet@example.org' }
const record = { firstName: 'A', lastName: 'B', email: 'record@example.org' }
const email = { email: 'other@example.org' }

test.for<[line: string, body: unknown, path: string]>([
  ['POST /users', { first_name: 'A', last_name: 'B', ...pet }, '/users/'],
  ['POST /records/users', record, '/records/users/'],
  ['PUT /users?id=900', { ...record, email: 'put@example.org' }, '/records/users/900'],
  ['POST /v1/users', account('one'), '/v1/users/usr_'],
  ['POST /v1/users/usr_123abc456def/email-changes', email, '/v1/users/usr_123abc456def/email-changes/emc_'],
  ['POST /v1/keys', { name: 'x', scopes: ['read'] }, '/v1/keys/'],
  ['POST /v1/clients', { name: 'x', scopes: ['read'] }, '/v1/clients/'],
  ['POST /api/v2/account/create/', account('two'), '/api/v2/user/'],
  ['GET /api/v2/user/1?x=1', undefined, '/api/v2/user/1/?x=1'],
])('%s is told where it is', async ([line, body, path]) => {
  const { status, headers } = await roster.call(line, body, admin)
  expect([201, 301]).toContain(status)
  expect(headers.location?.startsWith(`${publicUrl}${path}`), headers.location).toBe(true)
})

test.for(['/users', '/records/users'])('pages of %s lead to others', async (path) => {
  const { headers } = await roster.call(`GET ${path}?_page=1&_limit=1`, undefined, admin)
  expect(headers.link).toContain(`<${publicUrl}${path}?_page=2&_limit=1>; rel="next"`)
})

test('the OpenAPI document and its viewer are good there', async () => {
  const { body, text } = await roster.call('GET /docs/json')
  expect(body).toMatchObject({ servers: [{ url: publicUrl }] })
  expect([...text.matchAll(/"(\w+Url)":"([^"]+)"/g)].map(([, name, url]) => [name, url])).toEqual([
    ['authorizationUrl', `${publicUrl}/oauth/authorize`],
    ['tokenUrl', `${publicUrl}/oauth/token`],
    ['refreshUrl', `${publicUrl}/oauth/token`],
    ['tokenUrl', `${publicUrl}/oauth/token`],
  ])
  expect((await roster.app.inject('/docs')).payload).toContain(
    'src="/people/docs/static/swagger-initializer.js"',
  )
})

test('pages behind mails lead to others by addresses that are good wherever they are', () => {
  const links = [...undonePage.html.matchAll(/href="([^"]+)"/g)].map(([, href]) => String(href))
  expect(links.map((href) => new URL(href, `${publicUrl}/email/undo`).href)).toContain(
    `${publicUrl}/oauth/forgot-password`,
  )
})
