import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Community, faultsOf, startCommunity, urlencoded } from '../../../test/community.ts'

/** One person, seen by anybody and edited by themselves. */

let roster: Community
let id: number
beforeAll(async () => {
  roster = await startCommunity()
})
afterAll(() => roster.close())
beforeEach(async () => {
  id = await roster.newPerson()
})

const mira = () => `/api/v2/user/${id}/`
const name = async () => String((await roster.store.get(id))?.username)
const order = [
  ...['id', 'username', 'real_name', 'avatar', 'ext_id', 'followings_counter', 'followers_counter'],
  ...['posts_counter', 'discussions_counter', 'polls_counter', 'connection_status', 'categories_counter'],
  ...['date_joined', 'bio', 'location', 'location_lat_lng', 'position_lat_lng', 'date_of_birth'],
  ...['description', 'gender', 'website', 'cover', 'tags', 'reputation', 'community_badge'],
  ...['reg_approved', 'deleted', 'company_name', 'company_role'],
]
const ownOrder = [
  ...order.slice(0, 12),
  ...['email', 'email_isvalid'],
  ...order.slice(12, 26),
  ...['permission', 'role', 'unseen_interactions_counter', 'unseen_notification_banners_counter'],
  ...['deleted', 'company_name', 'company_role'],
]

const keysOf = ({ body }: { body: unknown }) => Object.keys(body as object)

describe('a profile', () => {
  test('is for everybody to see, in the documented order, but for what is private', async () => {
    const answer = await roster.call(`GET ${mira()}`)
    expect(answer).toMatchObject({ status: 200, headers: { etag: '"1"' } })
    expect(keysOf(answer)).toEqual([...order, 'can_send_pm_to'])
    expect(answer.body).toMatchObject({
      id,
      username: await name(),
      real_name: 'Mira Sole',
      gender: 'Female',
      location_lat_lng: null,
      position_lat_lng: null,
      date_of_birth: null,
      can_send_pm_to: false,
    })
  })

  test('shows what is private to the person and to services, and to nobody else', async () => {
    const hidden = { location_lat_lng: null, position_lat_lng: null, date_of_birth: null }
    const shown = {
      location_lat_lng: '44.4949,11.3426',
      position_lat_lng: '44.4983,11.3407',
      date_of_birth: '1991-03-08',
    }
    expect((await roster.as(id, `GET ${mira()}`)).body).toMatchObject(shown)
    expect((await roster.call(`GET ${mira()}`, undefined, await roster.keyWith('read'))).body).toMatchObject(
      shown,
    )
    expect((await roster.as(4, `GET ${mira()}`)).body).toMatchObject(hidden)
    const found = (await roster.as(4, `GET /api/v2/user/search/?username=${await name()}`)).body
    expect(found).toMatchObject({ results: [hidden] })
  })

  test('has a value for everything that was never set', async () => {
    const { body } = await roster.call('GET /api/v2/user/1/')
    expect(body).toEqual({
      ...{ id: 1, username: 'drenn', real_name: 'David Renn', ext_id: null },
      avatar: `${roster.url}/media/generated/1-D.svg`,
      ...{ followings_counter: 0, followers_counter: 0, posts_counter: 0, discussions_counter: 0 },
      ...{ polls_counter: 0, connection_status: null, categories_counter: 0 },
      ...{ date_joined: '2025-11-14T09:00:00Z', bio: null, location: null, location_lat_lng: null },
      ...{ position_lat_lng: null, date_of_birth: null, description: null, gender: 'Unspecified' },
      ...{ website: null, cover: null, tags: [], reputation: 0, community_badge: null, reg_approved: null },
      ...{ deleted: false, company_name: null, company_role: null, can_send_pm_to: false },
    })
    const { pathname } = new URL((body as { avatar: string }).avatar)
    const picture = await fetch(`${roster.url}${pathname}`)
    expect([picture.status, picture.headers.get('content-type')]).toEqual([200, 'image/svg+xml'])
  })

  test('of one’s own has 35 properties, in the documented order', async () => {
    const answer = await roster.as(id, 'GET /api/v2/user/me/')
    expect(answer.status).toBe(200)
    expect(keysOf(answer)).toEqual(ownOrder)
    expect(ownOrder).toHaveLength(35)
    expect(answer.body).toMatchObject({ id, role: 'user' })
    expect(answer.body).toHaveProperty('email', expect.stringMatching(/^mira-\d+@example.org$/))
    const { avatar } = answer.body as { avatar: string }
    expect((await roster.as(id, 'GET /api/v2/user/me/avatar/')).body).toEqual({ avatar })
    expect((await roster.as(id, 'POST /api/v2/sso/signin/', '')).body).toEqual({
      ...{ id, ext_id: null, username: await name(), role: 'user', tags: [] },
    })
  })

  test('has counters of its own', async () => {
    const changes = { followers_counter: { set: 7 }, posts_counter: { increment: 2 } }
    const { body } = await roster.call(`GET /v1/users?filter[username]=${await name()}`, undefined, {
      ...(await roster.keyWith('read')),
    })
    const { id } = (body as { data: { id: string }[] }).data[0] ?? {}
    await roster.call(`PATCH /v1/users/${id}/counters`, changes, await roster.keyWith('write'))
    const counters = await roster.call(`GET ${mira()}counters/`)
    expect(counters.text).toBe(
      '{"discussions":0,"polls":0,"posts":2,"statuses":0,"followings":0,"followers":7,"categories":0}',
    )
    expect((await roster.call(`GET ${mira()}`)).body).toMatchObject({
      followers_counter: 7,
      posts_counter: 2,
    })
  })
})

describe('an edit', () => {
  test('changes what it names and nothing else, and shows all of it', async () => {
    const { body: before } = await roster.as(id, `GET ${mira()}`)
    const answer = await roster.as(id, `PATCH ${mira()}`, { bio: 'Less bread.' })
    expect(answer).toMatchObject({ status: 200, headers: { etag: '"2"' } })
    expect(keysOf(answer)).toEqual(order)
    const { can_send_pm_to: _, ...shown } = before as Record<string, unknown>
    expect(answer.body).toEqual({ ...shown, bio: 'Less bread.' })
  })

  test('that says nothing changes nothing, whatever type it declares', async () => {
    for (const type of [
      ...['application/json', 'multipart/form-data', 'multipart/form-data; boundary=x'],
      ...['application/x-www-form-urlencoded', 'text/plain', undefined],
    ]) {
      const answer = await roster.as(id, `PATCH ${mira()}`, '', { 'content-type': type })
      expect({ type, status: answer.status, etag: answer.headers.etag }).toEqual({
        type,
        status: 200,
        etag: '"1"',
      })
    }
    const empty = await roster.as(id, `PATCH ${mira()}`, '{}')
    expect(empty).toMatchObject({ status: 200, headers: { etag: '"1"' } })
  })

  // directus/directus#3558, keycloak/keycloak#19691: people send back what they read.
  test.for([1, 3])('of what was read, sent back whole, changes nothing: user %i', async (id) => {
    const { body } = await roster.as(id, `GET /api/v2/user/${id}/`)
    for (const method of ['PATCH', 'PUT']) {
      const answer = await roster.as(id, `${method} /api/v2/user/${id}/`, body)
      expect(answer).toMatchObject({ status: 200, headers: { etag: '"1"' } })
    }
    const fields = Object.entries(body as object).map(([name, value]) => [name, String(value ?? '')])
    const form = new URLSearchParams(fields).toString()
    const answer = await roster.as(id, `PATCH /api/v2/user/${id}/`, form, urlencoded)
    expect(answer).toMatchObject({ status: 200, headers: { etag: '"1"' } })
  })

  test('leaves alone what is read-only or not known, and says so', async () => {
    const sent = { bio: 'New', id: 4, posts_counter: 9, role: 'admin', 'we, ird\r\n': 1, '\ud800': 1, é: 1 }
    const answer = await roster.as(id, `PATCH ${mira()}`, sent)
    expect(answer).toMatchObject({ status: 200, body: { id, bio: 'New', posts_counter: 0 } })
    expect(answer.headers['roster-ignored']).toBe(
      'id, posts_counter, role, we%2C%20ird%0D%0A, %EF%BF%BD, %C3%A9',
    )
    expect((await roster.as(id, 'GET /api/v2/user/me/')).body).toMatchObject({ role: 'user' })
    expect(await roster.as(id, `PATCH ${mira()}`, { bio: 'Newer' })).not.toHaveProperty(
      'headers.roster-ignored',
    )
  })

  test('may ignore thousands of properties and keep its header short', async () => {
    const many = Object.fromEntries(Array.from({ length: 1_500 }, (_, i) => [`${'x'.repeat(500)}${i}`, i]))
    const { status, headers } = await roster.as(id, `PATCH ${mira()}`, many)
    expect(status).toBe(200)
    expect(String(headers['roster-ignored']).length).toBeLessThan(5_000)
    expect(headers['roster-ignored']).toMatch(/and%201450%20more$/)
  })

  test('as a whole needs the username, and keeps what it leaves out', async () => {
    expect(faultsOf(await roster.as(id, `PUT ${mira()}`, { bio: 'New' }))).toEqual(['username: required'])
    const answer = await roster.as(id, `PUT ${mira()}`, { username: 'another-name' })
    expect(answer).toMatchObject({ status: 200, body: { username: 'another-name', location: 'Bologna' } })
  })

  test('of a username that somebody else has is refused', async () => {
    for (const username of ['fionab', 'FionaB']) {
      const answer = await roster.as(id, `PATCH ${mira()}`, { username })
      expect(answer.status).toBe(400)
      expect(faultsOf(answer)).toEqual(['username: unique'])
    }
    expect(await roster.as(id, `PATCH ${mira()}`, { username: (await name()).toUpperCase() })).toMatchObject({
      status: 200,
    })
  })

  test('tells everything that is wrong, each with a code', async () => {
    const before = await roster.everything()
    const answer = await roster.as(id, `PATCH ${mira()}`, {
      ...{ username: 'no spaces', real_name: 'x'.repeat(256), description: 'x'.repeat(51), bio: 7 },
      ...{ date_of_birth: '2023-02-29', location_lat_lng: '91,0', website: 'javascript:alert(1)' },
      ...{ gender: 'Other', avatar: 'https://elsewhere.example/a.png' },
    })
    expect(answer.status).toBe(400)
    expect(faultsOf(answer)).toEqual([
      ...['avatar: invalid', 'username: invalid', 'real_name: max_length', 'description: max_length'],
      ...['bio: invalid', 'date_of_birth: invalid', 'location_lat_lng: invalid', 'website: invalid'],
      'gender: invalid',
    ])
    expect(await roster.everything()).toEqual(before)
  })

  // seed 003: "valid characters are: a-z A-Z 0-9 _ -"
  test.for(['a', 'Z', '0', '_', '-', 'Aa0_-', 'y'.repeat(255)])('takes the username %s', async (username) => {
    expect(await roster.as(id, `PATCH ${mira()}`, { username })).toMatchObject({
      status: 200,
      body: { username },
    })
  })
  test.for(['', ' ', 'a b', 'é', 'a.b', 'a@b', 'x'.repeat(256), '\u0430bc', null, 7, ['a']])(
    'refuses the username %j',
    async (username) => {
      const answer = await roster.as(id, `PATCH ${mira()}`, { username })
      expect(answer.status).toBe(400)
      expect(faultsOf(answer)[0]).toMatch(/^username: /)
    },
  )

  test('goes by the version that the caller knows', async () => {
    const stale = await roster.as(id, `PATCH ${mira()}`, { bio: 'New' }, { 'if-match': '"7"' })
    expect(stale.status).toBe(412)
    expect(faultsOf(stale)).toEqual(['non_field_errors: precondition_failed'])
    expect(await roster.as(id, `PATCH ${mira()}`, { bio: 'New' }, { 'if-match': '"1"' })).toMatchObject({
      status: 200,
    })
  })
})

describe('one’s own data only', () => {
  const lines = ['PATCH /api/v2/user/:id/', 'PUT /api/v2/user/:id/', 'DELETE /api/v2/user/:id/']
  const to = (line: string, id: number | string) => line.replace(':id', String(id))
  const body = { username: 'new' }

  test.for(lines)('%s: who it is comes first', async (line) => {
    const key = await roster.keyWith('read', 'write')
    const before = await roster.everything()
    for (const of of [id, 99, '03']) {
      const answer = await roster.call(to(line, of), body)
      expect([of, answer.status, faultsOf(answer)]).toEqual([
        ...[of, 401],
        ['non_field_errors: not_authenticated'],
      ])
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="roster"')
    }
    expect(await roster.as(4, to(line, id), body)).toMatchObject({ status: 403 })
    expect(await roster.call(to(line, id), body, key)).toMatchObject({
      status: 403,
    })
    for (const of of [99, 'x', '03', '3.0']) {
      expect(await roster.as(4, to(line, of), body)).toMatchObject({ status: 404 })
    }
    // A broken body is nobody's affair who may not write.
    expect(await roster.as(4, to(line, id), '{"broken')).toMatchObject({ status: 403 })
    expect(await roster.everything()).toEqual(before)
  })

  test('a key is no person', async () => {
    const key = await roster.keyWith('read', 'write')
    for (const line of ['GET /api/v2/user/me/', 'GET /api/v2/user/me/avatar/', 'POST /api/v2/sso/signin/'])
      expect(await roster.call(line, undefined, key)).toMatchObject({ status: 403 })
  })

  test('who is blocked is shown, and may do nothing', async () => {
    await roster.setStatus(id, 'blocked')
    expect(await roster.call(`GET ${mira()}`)).toMatchObject({ status: 200, body: { deleted: false } })
    // Signed in anew, since what was issued before counts no more.
    const headers = await roster.tokenOf(id)
    for (const line of [`PATCH ${mira()}`, `PUT ${mira()}`, `DELETE ${mira()}`, 'GET /api/v2/user/me/'])
      expect(await roster.call(line, line.startsWith('GET') ? undefined : body, headers)).toMatchObject({
        status: 403,
      })
  })
})

describe('a deletion', () => {
  test('hides, keeps the names, and ends the tokens', async () => {
    const headers = await roster.tokenOf(id)
    const username = await name()
    expect(await roster.call(`DELETE ${mira()}`, undefined, headers)).toMatchObject({ status: 204, text: '' })
    const shown = await roster.call(`GET ${mira()}`)
    expect(shown).toMatchObject({ status: 200, body: { deleted: true, username } })
    expect(shown.body).toHaveProperty('deleted_at')
    const { body } = await roster.call(`GET /api/v2/user/search/?user=${username}`)
    expect(body).toMatchObject({ count: 0, results: [] })
    expect(await roster.call(`GET /users/${id}`)).toMatchObject({ status: 404 })
    expect(await roster.as(4, 'PATCH /api/v2/user/4/', { username })).toMatchObject({
      status: 400,
    })
    await expect
      .poll(async () => (await roster.call(`PATCH ${mira()}`, { bio: 'x' }, headers)).status, {
        timeout: 3_000,
      })
      .toBe(401)
  })

  test.for<[asked: string, before: 'active' | 'deleted' | 'erased', status: number]>([
    ['', 'active', 204],
    ['', 'deleted', 400],
    ['', 'erased', 404],
    ['?hard=0', 'active', 204],
    ['?hard=1', 'active', 204],
    ['?hard=true', 'deleted', 204],
    ['?hard=1', 'erased', 404],
    ['?hard=maybe', 'active', 400],
  ])('%s of somebody %s is %i', async ([query, before, status]) => {
    const admin = await roster.keyWith('admin')
    const username = await name()
    const other = await roster.newPerson()
    if (before !== 'active')
      await roster.call(`DELETE ${mira()}${before === 'erased' ? '?hard=1' : ''}`, undefined, admin)
    const answer = await roster.call(`DELETE ${mira()}${query}`, undefined, admin)
    expect(answer.status).toBe(status)
    if (status !== 204) return
    const hard = /1|true/.test(query)
    expect(await roster.call(`GET ${mira()}`)).toMatchObject(
      hard ? { status: 404 } : { status: 200, body: { deleted: true } },
    )
    const taken = await roster.as(other, `PATCH /api/v2/user/${other}/`, { username })
    expect(taken.status).toBe(hard ? 200 : 400)
  })
})

describe('addresses', () => {
  test('end with a slash: who reads without is sent there, who writes finds nothing', async () => {
    const read = await roster.call(`GET /api/v2/user/${id}?a=b`)
    expect(read).toMatchObject({ status: 301, headers: { location: `/api/v2/user/${id}/?a=b` } })
    for (const method of ['PATCH', 'PUT', 'DELETE', 'POST', 'OPTIONS']) {
      const answer = await roster.as(id, `${method} /api/v2/user/${id}`, { username: 'new' })
      expect([method, answer.status]).toEqual([method, 404])
    }
    expect(await roster.as(id, 'POST /api/v2/user/match', [])).toMatchObject({ status: 404 })
  })

  test('know their methods', async () => {
    const answer = await roster.call(`POST ${mira()}`, {})
    expect(answer).toMatchObject({
      status: 405,
      headers: { allow: 'DELETE, GET, HEAD, OPTIONS, PATCH, PUT' },
    })
    expect(faultsOf(answer)).toEqual(['non_field_errors: method_not_allowed'])
  })

  test.for([
    ['application/json', 200],
    ['*/*', 200],
    ['', 200],
    ['text/html, application/*;q=0.5', 200],
    ['text/html', 406],
    ['application/json;q=0', 406],
  ] as const)('answer Accept: %s with %i', async ([accept, status]) => {
    expect(await roster.call(`GET ${mira()}`, undefined, { accept })).toMatchObject({ status })
  })
})
