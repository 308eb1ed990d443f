import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Community, faultsOf, startCommunity, urlencoded } from '../../../test/community.ts'
import { curl, hasCurl } from '../../../test/curl.ts'
import type { formats } from '../../media/formats.ts'
import { pictureIn } from '../../media/samples.ts'

/** The list that people choose their avatar from. */

let roster: Community
let id: number
beforeAll(async () => {
  roster = await startCommunity()
})
afterAll(() => roster.close())
beforeEach(async () => {
  id = await roster.newPerson()
})

interface Avatar {
  readonly id: number
  readonly primary: boolean
  readonly avatar: string
  readonly date_uploaded: string
  readonly user: number
}

const base64 = async (format: (typeof formats)[number], side = 32) =>
  `image/${format};base64,${(await pictureIn(format, side, side)).toString('base64')}`

async function add(format: (typeof formats)[number] = 'png'): Promise<Avatar> {
  const answer = await roster.as(id, 'POST /api/v2/user/avatar/', { avatar_base64: await base64(format) })
  expect(answer.status).toBe(201)
  return answer.body as Avatar
}

async function list(query = ''): Promise<{ count: number; results: readonly Avatar[] }> {
  const { status, body } = await roster.as(id, `GET /api/v2/user/avatar/${query}`)
  expect(status).toBe(200)
  return body as { count: number; results: readonly Avatar[] }
}

const own = async () =>
  ((await roster.as(id, 'GET /api/v2/user/me/avatar/')).body as { avatar: string }).avatar

describe('adding', () => {
  test('shows the new one, and leaves the profile as it is', async () => {
    const before = await own()
    const added = await add()
    expect(Object.keys(added)).toEqual(['id', 'primary', 'avatar', 'date_uploaded', 'user'])
    expect(added).toEqual({
      ...{ id: expect.any(Number), primary: false, user: id },
      avatar: expect.stringMatching(/\/media\/[0-9a-f]{64}\/256\.webp$/),
      date_uploaded: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    })
    expect((await fetch(added.avatar)).headers.get('content-type')).toBe('image/webp')
    expect(await own()).toBe(before)
    expect(await list()).toMatchObject({ count: 1, results: [added] })
  })

  test('the same again is the same', async () => {
    expect(await add()).toEqual(await add())
  })

  test.skipIf(!hasCurl)('works as the page has it, by curl', async () => {
    const { authorization } = await roster.tokenOf(id)
    const address = `${roster.url}/api/v2/user/avatar/`
    const text = await base64('png')
    const { status, body } = await curl(
      '-H',
      `Authorization: ${authorization}`,
      '--form-string',
      `avatar_base64=${text}`,
      address,
    )
    expect([status, body]).toEqual([201, await add()])
  })

  test.for<[string, unknown, string]>([
    ['nothing', {}, 'avatar: invalid'],
    ['nothing in base64', { avatar_base64: '' }, 'avatar: invalid'],
    ['no picture', { avatar_base64: 'image/png;base64,AAAA' }, 'avatar_base64: invalid'],
    ['no JSON', '{', 'non_field_errors: invalid'],
  ])('%s is refused', async ([, body, fault]) => {
    const before = await roster.everything()
    const answer = await roster.as(id, 'POST /api/v2/user/avatar/', body)
    expect([answer.status, answer.text]).toEqual([400, expect.any(String)])
    expect(faultsOf(answer)[0]?.split(':')[0]).toBe(fault.split(':')[0])
    expect(await roster.everything()).toEqual(before)
  })
})

test('the list has pages, and what the profile shows without having been added', async () => {
  const [first, second] = [await add('png'), await add('jpeg')]
  await roster.as(id, `PATCH /api/v2/user/${id}/`, { avatar_base64: await base64('png', 40) })
  const { results } = await list()
  expect(results).toEqual([first, second, expect.objectContaining({ primary: true, avatar: await own() })])
  expect(await list('?limit=1&offset=1')).toEqual({
    ...{ count: 3, results: [second] },
    next: `${roster.url}/api/v2/user/avatar/?limit=1&offset=2`,
    previous: `${roster.url}/api/v2/user/avatar/?limit=1`,
  })
})

describe('choosing', () => {
  const ways: Record<string, (avatar: number, method: string) => Promise<{ status: number }>> = {
    'in JSON': (avatar, method) => roster.as(id, `${method} /api/v2/user/avatar/`, { avatar_id: avatar }),
    'in a form': (avatar, method) =>
      roster.as(id, `${method} /api/v2/user/avatar/`, `avatar_id=${avatar}`, urlencoded),
    'in the query': (avatar, method) => roster.as(id, `${method} /api/v2/user/avatar/?avatar_id=${avatar}`),
    'in both': (avatar, method) =>
      roster.as(id, `${method} /api/v2/user/avatar/?avatar_id=${avatar}`, { avatar_id: String(avatar) }),
  }

  test.for(Object.keys(ways))('has the profile show it, and removing it too (%s)', async (way) => {
    const generated = await own()
    const [first, second] = [await add('png'), await add('jpeg')]
    const send = ways[way]
    expect((await send?.(second.id, 'PATCH'))?.status).toBe(204)
    expect(await own()).toBe(second.avatar)
    expect((await list()).results.map(({ primary }) => primary)).toEqual([false, true])
    expect((await send?.(first.id, 'DELETE'))?.status).toBe(204)
    expect((await send?.(second.id, 'DELETE'))?.status).toBe(204)
    expect(await own()).toBe(generated)
    expect(await list()).toMatchObject({ count: 0, results: [] })
    const changes = JSON.stringify((await roster.everything()).changes)
    expect(changes).toContain(/[0-9a-f]{64}/.exec(second.avatar)?.[0])
    expect(changes).not.toContain(/[0-9a-f]{64}/.exec(first.avatar)?.[0])
  })

  test.for([{ toString: 1 }, { toString: {} }, {}, [], [3], true, 1.5, null, 'x', ''])(
    'needs an id: %j is none',
    async (avatar) => {
      for (const method of ['PATCH', 'DELETE']) {
        const answer = await roster.as(id, `${method} /api/v2/user/avatar/`, { avatar_id: avatar })
        expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('avatar_id')])
      }
    },
  )

  test('needs the current version where one is named', async () => {
    const { id: avatar_id } = await add()
    for (const method of ['PATCH', 'DELETE'])
      expect(
        (await roster.as(id, `${method} /api/v2/user/avatar/`, { avatar_id }, { 'if-match': '"9"' })).status,
      ).toBe(412)
    expect((await list()).count).toBe(1)
  })

  test.for(['PATCH', 'DELETE'])('%s of none, of two, or of somebody else’s is refused', async (method) => {
    const theirs = await add()
    id = await roster.newPerson()
    const mine = await add()
    const before = await roster.everything()
    const at = async (query: string, body?: unknown) =>
      (await roster.as(id, `${method} /api/v2/user/avatar/${query}`, body)).status
    expect(await at('')).toBe(400)
    expect(await at(`?avatar_id=${mine.id}`, { avatar_id: theirs.id })).toBe(400)
    for (const wrong of ['x', '0', '-1', '1e3', '']) expect(await at(`?avatar_id=${wrong}`)).toBe(400)
    for (const none of [theirs.id, 999_999]) expect(await at('', { avatar_id: none })).toBe(404)
    expect(await roster.everything()).toEqual(before)
  })
})

test('the list is for who is signed in, and not blocked', async () => {
  const lines = ['GET', 'POST', 'PATCH', 'DELETE'].map((method) => `${method} /api/v2/user/avatar/`)
  const key = await roster.keyWith('read', 'write', 'admin')
  await roster.setStatus(id, 'blocked')
  for (const line of lines) {
    expect([line, (await roster.call(line)).status]).toEqual([line, 401])
    expect([line, (await roster.call(line, undefined, key)).status]).toEqual([line, 403])
    expect([line, (await roster.as(id, line)).status]).toEqual([line, 403])
  }
})
