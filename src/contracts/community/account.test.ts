import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Community, faultsOf, startCommunity, urlencoded } from '../../../test/community.ts'

let roster: Community
let admin: { readonly authorization: string }
beforeAll(async () => {
  roster = await startCommunity()
  admin = await roster.keyWith('admin')
})
afterAll(() => roster.close())

const account = { username: 'newcomer', email: 'newcomer@example.org', password: 'Correct-horse-1' }

describe('an account', () => {
  const create = (body: unknown, headers = {}) =>
    roster.call('POST /api/v2/account/create/', body, { ...admin, ...headers })

  test('is made by administrators only', async () => {
    const before = await roster.everything()
    expect(await roster.call('POST /api/v2/account/create/', account)).toMatchObject({ status: 401 })
    expect(await roster.as(3, 'POST /api/v2/account/create/', account)).toMatchObject({ status: 403 })
    expect(await roster.everything()).toEqual(before)
  })

  test('is made with what it needs, and is a user then', async () => {
    const more = { ext_id: 77, company_name: 'Bakery', invite_code: 'x' }
    const answer = await create({ ...account, ...more })
    expect(answer).toMatchObject({
      status: 201,
      body: { username: 'newcomer', ext_id: 77, company_name: 'Bakery' },
      headers: { 'roster-ignored': 'invite_code' },
    })
    expect(answer.text).not.toMatch(/password|horse/)
    const { location } = answer.headers
    expect(await roster.call(`GET ${location}`)).toMatchObject({ status: 200, body: { ext_id: 77 } })
    const again = await create(account)
    expect([again.status, faultsOf(again).sort()]).toEqual([400, ['email: unique', 'username: unique']])
  })

  test('can come as a form', async () => {
    const form = new URLSearchParams({ ...account, username: 'formed', email: 'formed@example.org' })
    expect(await create(form.toString(), urlencoded)).toMatchObject({ status: 201 })
  })

  test('lacks nothing that it needs', async () => {
    const answer = await create({})
    expect([answer.status, faultsOf(answer).sort()]).toEqual([
      400,
      ['email: required', 'password: required', 'username: required'],
    ])
  })

  test.for<[password: unknown, code: string]>([
    ['Short-1', 'min_length'],
    [`Aa1${'x'.repeat(126)}`, 'max_length'],
    ['onlysmallletters', 'invalid'],
    ['small-and-dashes', 'invalid'],
    ['SMALL1234', 'invalid'],
    [12_345_678, 'invalid'],
    ['Lone-1-\ud800', 'invalid'],
  ])('has no such password: %j', async ([password, code]) => {
    expect(
      faultsOf(await create({ ...account, username: 'other', email: 'o@example.org', password })),
    ).toEqual([`password: ${code}`])
  })
})

describe('the search for an account', () => {
  const search = (query: string, headers: object = admin) =>
    roster.call(`GET /api/v2/account/search/${query}`, undefined, { ...headers })

  test('finds by one name, whatever its case, with 31 properties', async () => {
    const id = await roster.newPerson({ username: 'sought', email: 'sought@example.org', ext_id: '9' })
    for (const query of ['?username=SOUGHT', '?email=Sought@Example.org', '?ext_id=9&provider=external']) {
      const answer = await search(query)
      expect(answer).toMatchObject({ status: 200, body: { id, email: 'sought@example.org', status: 'a' } })
      expect(Object.keys(answer.body as object)).toEqual([
        ...['id', 'username', 'real_name', 'avatar', 'followings_counter', 'followers_counter'],
        ...['posts_counter', 'discussions_counter', 'polls_counter', 'categories_counter', 'email'],
        ...['email_isvalid', 'date_joined', 'bio', 'location', 'location_lat_lng', 'position_lat_lng'],
        ...['date_of_birth', 'description', 'gender', 'status', 'website', 'cover', 'tags', 'ext_id'],
        ...['reputation', 'community_badge', 'reg_approved', 'deleted', 'company_name', 'company_role'],
      ])
    }
  })

  test('finds who was soft-deleted, since they keep their names, and nobody who was erased', async () => {
    const names = { username: 'leaver', email: 'leaver@example.org' }
    const id = await roster.newPerson({ ...names, ext_id: '10' })
    const at = `/api/v2/user/${id}/`
    expect(await roster.call(`DELETE ${at}`, undefined, admin)).toMatchObject({ status: 204 })
    const account = { ...names, password: 'Correct-horse-1' }
    const refused = await roster.call('POST /api/v2/account/create/', account, admin)
    expect(faultsOf(refused).sort()).toEqual(['email: unique', 'username: unique'])
    const queries = ['?username=leaver', '?email=leaver@example.org', '?ext_id=10&provider=external']
    for (const query of queries)
      expect(await search(query)).toMatchObject({
        status: 200,
        body: { id, email: names.email, status: 'd', deleted: true, deleted_at: expect.any(String) },
      })
    expect(await roster.call(`DELETE ${at}?hard=1`, undefined, admin)).toMatchObject({ status: 204 })
    for (const query of queries) expect(await search(query)).toMatchObject({ status: 404 })
  })

  test.for([
    ['?username=nobody', 404],
    ['', 400],
    ['?username=a&email=b@example.org', 400],
    ['?username=a&username=b', 400],
    ['?ext_id=9', 400],
    ['?ext_id=9&provider=other', 400],
    ['?username=sought&provider=external', 400],
  ] as const)('%s is %i', async ([query, status]) => {
    expect(await search(query)).toMatchObject({ status })
  })

  test('is for administrators only', async () => {
    expect(await search('?username=sought', {})).toMatchObject({ status: 401 })
    expect(await search('?username=sought', await roster.keyWith('read', 'write'))).toMatchObject({
      status: 403,
    })
    expect(await search('?username=sought', await roster.tokenOf(3))).toMatchObject({ status: 403 })
  })
})

describe('jwt/verify_token', () => {
  const verify = (body: unknown, headers = {}) => roster.call('POST /api/v2/jwt/verify_token/', body, headers)

  test('knows the tokens that the backend signs, and no others', async () => {
    const token = (await roster.tokenOf(3)).authorization.slice('Bearer '.length)
    expect(await verify({ token })).toMatchObject({ status: 200, text: '{}' })
    expect(await verify(`token=${token}`, urlencoded)).toMatchObject({ status: 200 })
    const [head, payload, signature] = token.split('.')
    const unsigned = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
    for (const other of ['x', `${head}.${payload}.`, `${unsigned}.${payload}.${signature}`, `${token}x`])
      expect(await verify({ token: other })).toMatchObject({ status: 401 })
  })

  test('needs one', async () => {
    for (const body of [{}, '', { token: '' }])
      expect(faultsOf(await verify(body))).toEqual(['token: required'])
    expect(faultsOf(await verify({ token: 7 }))).toEqual(['token: invalid'])
    expect(await roster.call('GET /api/v2/jwt/verify_token/')).toMatchObject({ status: 405 })
  })
})
