import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, startApp, type TestApp } from '../../../test/app.ts'
import type { Scope } from '../../directory/actor.ts'
import { catalogue, type FieldName } from '../../directory/fields.ts'
import { type OperationName, operations } from './operations.ts'
import { profileNames } from './wire.ts'

/** docs/reference/policy.md, cell by cell: actor × endpoint, and actor × field. */

let roster: TestApp
const keys = new Map<string, { readonly authorization: string } | undefined>()
const actors = {
  nobody: undefined,
  read: ['read'],
  write: ['write'],
  'read and write': ['read', 'write'],
  admin: ['admin'],
} as const satisfies Record<string, readonly Scope[] | undefined>
type ActorName = keyof typeof actors

beforeAll(async () => {
  roster = await startApp()
  for (const [name, scopes] of Object.entries(actors))
    keys.set(name, scopes && (await roster.keyWith(...scopes)))
})
afterAll(() => roster.close())

const call = (actor: ActorName, line: string, body?: unknown): Promise<Answer> =>
  roster.call(line, body, { ...keys.get(actor) })

let made = 0
async function create(): Promise<string> {
  made++
  const person = { email: `person${made}@example.org`, username: `person${made}`, password: 'correct horse' }
  const answer = await call('admin', 'POST /v1/users', person)
  return (answer.body as { id: string }).id
}

/** What each actor may do, and no more: written down here, not taken from the code. */
const may: Readonly<Record<OperationName, readonly ActorName[]>> = {
  'GET /v1/users': ['read', 'read and write', 'admin'],
  'POST /v1/users': ['write', 'read and write', 'admin'],
  'POST /v1/users/batch': ['write', 'read and write', 'admin'],
  'GET /v1/users/:id': ['read', 'read and write', 'admin'],
  'PATCH /v1/users/:id': ['write', 'read and write', 'admin'],
  'PUT /v1/users/:id/password': ['write', 'read and write', 'admin'],
  'DELETE /v1/users/:id': ['write', 'read and write', 'admin'],
  'PUT /v1/users/:id/avatar': ['write', 'read and write', 'admin'],
  'DELETE /v1/users/:id/avatar': ['write', 'read and write', 'admin'],
  'PUT /v1/users/:id/cover': ['write', 'read and write', 'admin'],
  'DELETE /v1/users/:id/cover': ['write', 'read and write', 'admin'],
  'GET /v1/users/:id/profile': ['read', 'read and write', 'admin'],
  'PATCH /v1/users/:id/profile': ['write', 'read and write', 'admin'],
  'GET /v1/users/:id/counters': ['read', 'read and write', 'admin'],
  'PATCH /v1/users/:id/counters': ['write', 'read and write', 'admin'],
  'GET /v1/users/:id/email-changes': ['read', 'read and write', 'admin'],
  'POST /v1/users/:id/email-changes': ['write', 'read and write', 'admin'],
  'GET /v1/users/:id/email-changes/:change_id': ['read', 'read and write', 'admin'],
  'PATCH /v1/users/:id/email-changes/:change_id': ['write', 'read and write', 'admin'],
  'DELETE /v1/users/:id/email-changes/:change_id': ['write', 'read and write', 'admin'],
  'POST /v1/users/:id/email-changes/:change_id/resend': ['write', 'read and write', 'admin'],
  'POST /v1/users/:id/email-changes/:change_id/confirm': [
    'nobody',
    'read',
    'write',
    'read and write',
    'admin',
  ],
  'POST /v1/users/:id/email-changes/:change_id/revert': [
    'nobody',
    'read',
    'write',
    'read and write',
    'admin',
  ],
  'GET /v1/user': ['read', 'read and write', 'admin'],
  'GET /v1/keys': ['admin'],
  'POST /v1/keys': ['admin'],
  'DELETE /v1/keys/:id': ['admin'],
  'GET /v1/clients': ['admin'],
  'POST /v1/clients': ['admin'],
  'DELETE /v1/clients/:id': ['admin'],
}

/** A body that is sound. */
const bodies: Readonly<Partial<Record<OperationName, () => unknown>>> = {
  'POST /v1/users': () => ({
    email: `new${++made}@example.org`,
    username: `new${made}`,
    password: 'correct horse',
  }),
  'POST /v1/users/batch': () => ({ operations: [{ op: 'update', id: 'usr_123abc456def', data: {} }] }),
  'PATCH /v1/users/:id': () => ({ first_name: 'Bo' }),
  'PUT /v1/users/:id/password': () => ({
    current_password: 'correct horse',
    new_password: 'another horse',
  }),
  'PATCH /v1/users/:id/profile': () => ({ bio: 'x' }),
  'PATCH /v1/users/:id/counters': () => ({ posts_counter: { increment: 1 } }),
  'POST /v1/users/:id/email-changes': () => ({ email: `other${++made}@example.org` }),
  'PATCH /v1/users/:id/email-changes/:change_id': () => ({ email: `other${++made}@example.org` }),
  'POST /v1/users/:id/email-changes/:change_id/confirm': () => ({ token: 'x' }),
  'POST /v1/users/:id/email-changes/:change_id/revert': () => ({ token: 'x' }),
  'POST /v1/keys': () => ({ name: 'x', scopes: ['read'] }),
  'POST /v1/clients': () => ({ name: 'x', scopes: ['read'] }),
}

const cells = Object.keys(operations).flatMap((name) =>
  (Object.keys(actors) as ActorName[]).map((actor) => [name as OperationName, actor] as const),
)

test('every route of the contract is an operation of the table', () => {
  const routes = Object.keys(operations).map((name) => name.replaceAll(/:(\w+)/g, '{$1}'))
  const document = roster.app.swagger() as { paths: Record<string, object> }
  const documented = Object.entries(document.paths)
    .filter(([path]) => path.startsWith('/v1'))
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
  expect(documented.toSorted()).toEqual(routes.toSorted())
})

test.for(cells)('%s by a caller with %s', async ([name, actor]) => {
  const isOfAdmin = /keys|clients/.test(name)
  const id = isOfAdmin ? 'nobody' : name.includes(':id') ? await create() : ''
  const rows = await roster.everything()
  const { status, body } = await call(
    actor,
    name.replace(':id', id).replace(':change_id', 'emc_none'),
    bodies[name]?.(),
  )
  if (may[name].includes(actor)) return expect([401, 403]).not.toContain(status)
  expect(status).toBe(actor === 'nobody' ? 401 : 403)
  const message = `Insufficient permissions to ${operations[name].words}`
  if (actor !== 'nobody') expect(body).toMatchObject({ error: 'forbidden', message })
  expect(await roster.everything()).toEqual(rows)
})

const tag = { id: 1, type: 'user', name: 'x', description: '', color: '#fff' }
/** A value that every field takes, but for email, username and ext_id, which are one's own. */
const values: Readonly<Record<string, unknown>> = {
  first_name: 'x',
  last_name: 'x',
  real_name: 'x',
  phone: '1',
  interested_in: 'cats',
  role: 'admin',
  bio: 'x',
  location: 'x',
  location_lat_lng: '1,1',
  position_lat_lng: '1,1',
  date_of_birth: '1990-01-01',
  description: 'x',
  gender: 'Female',
  website: 'https://example.org',
  tags: [tag],
  community_badge: true,
  reg_approved: true,
  company_name: 'x',
  company_role: 'x',
  email_verified: true,
}
const unique = (name: FieldName) => (name === 'email' ? `unique${++made}@example.org` : `unique-${++made}`)

describe('fields', () => {
  const every = (['write', 'admin'] as const).flatMap((actor) =>
    profileNames.map((name) => [name, actor] as const),
  )

  test.for(every)('%s by a key with %s', async ([name, actor]) => {
    const id = await create()
    const value = Object.hasOwn(values, name) ? values[name] : unique(name)
    const answer = await call(actor, `PATCH /v1/users/${id}/profile`, { [name]: value })
    // Nobody says of an address that it was shown to be somebody's.
    if (name === 'email_verified') {
      expect(catalogue[name].write).toEqual([])
      expect(answer).toMatchObject({
        status: 403,
        body: { details: { email_verified: [expect.any(String)] } },
      })
    } else expect(answer).toMatchObject({ status: 200, body: { [name]: value } })
  })
})
