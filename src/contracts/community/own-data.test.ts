import { readdirSync } from 'node:fs'
import type { OutgoingHttpHeaders } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sendBytes } from '../../../test/app.ts'
import { type Community, faultsOf, formData, startCommunity } from '../../../test/community.ts'
import { authorize, client, createBrowser, password, person, serviceToken } from '../../../test/oauth.ts'
import { pictureIn } from '../../media/samples.ts'

/** Every route of one's own data, with tokens of the authorization server. */

let roster: Community
let shop: { readonly id: string; readonly secret: string }
beforeAll(async () => {
  roster = await startCommunity({ trustProxy: ['127.0.0.1'] })
  shop = await client(roster, { scopes: ['read', 'write'], redirect_uris: [back] })
})
afterAll(() => roster.close())

const back = 'https://app.example.com/back'
const next = 'Staple-of-the-horse-2'

let ann: Awaited<ReturnType<typeof person>>
let id: number
beforeEach(async () => {
  ann = await person(roster)
  const admin = await roster.keyWith('admin')
  const { body } = await roster.call(`GET /api/v2/account/search/?username=${ann.username}`, undefined, admin)
  id = (body as { id: number }).id
})

/** Signs Ann in at the pages, for a token with these scopes. */
async function tokenWith(scope: string) {
  const query = new URLSearchParams({
    ...{ client_id: shop.id, redirect_uri: back, response_type: 'code', scope, state: 's' },
  })
  const to = await authorize(createBrowser(roster.url), `/oauth/authorize?${query}`, ann)
  const form = { grant_type: 'authorization_code', code: String(to.searchParams.get('code')) }
  const answer = await fetch(`${roster.url}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${shop.id}:${shop.secret}`)}` },
    body: new URLSearchParams({ ...form, redirect_uri: back }),
  })
  const { access_token } = (await answer.json()) as { access_token: string }
  return { authorization: `Bearer ${access_token}` }
}

const picture = await pictureIn('png', 32, 32)
const form = new FormData()
form.set('avatar', new Blob([new Uint8Array(picture)], { type: 'image/png' }), 'a.png')
const files = new Response(form)
const filed = {
  body: Buffer.from(await files.arrayBuffer()),
  headers: { 'content-type': String(files.headers.get('content-type')) },
}

type Line = readonly [line: string, body: unknown, status: number, headers?: OutgoingHttpHeaders]
const reads: readonly Line[] = [
  ['GET /api/v2/user/me/', undefined, 200],
  ['GET /api/v2/user/me/avatar/', undefined, 200],
  ['GET /api/v2/user/avatar/', undefined, 200],
  ['GET /api/v2/user/:id/settings/', undefined, 200],
  ['POST /api/v2/sso/signin/', '', 200],
]
/** The last ones end the token, or the person. */
const writes: readonly Line[] = [
  ['PATCH /api/v2/user/:id/', { bio: 'New' }, 200],
  ['PATCH /api/v2/user/:id/', filed.body, 200, filed.headers],
  ['PUT /api/v2/user/:id/', { username: 'mira' }, 200],
  ['POST /api/v2/user/avatar/', { avatar_base64: `image/png;base64,${picture.toString('base64')}` }, 201],
  ['PATCH /api/v2/user/:id/settings/', { qa_frequency: 0 }, 200],
  ['PATCH /api/v2/user/:id/change_password/', { password, new_password: next }, 204],
  ['DELETE /api/v2/user/:id/', undefined, 204],
]
/** The files of pictures, those that are kept and those that are being sent. */
const pictures = () =>
  readdirSync(roster.folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /^(media|uploads)/.test(name),
  )
const to = (line: string, of: number) => line.replace(':id', String(of))
const hasId = ([line]: Line) => line.includes(':id')

/** Does what a person with these scopes may do with what is theirs. */
async function doAll(lines: readonly Line[], scopes: string) {
  let own = await tokenWith(scopes)
  for (const [line, body, status, headers] of lines) {
    const sent = line.startsWith('PUT') ? { username: ann.username } : body
    const answer = await roster.call(to(line, id), sent, { ...own, ...headers })
    expect([line, answer.status]).toEqual([line, status])
    if (line.includes('password')) {
      ann = { ...ann, password: next }
      own = await tokenWith(scopes)
    }
  }
}

describe('with a token that may read and write', () => {
  test('a person does everything with what is theirs, and nothing with what is not', async () => {
    await doAll([...reads, ...writes], 'read write')
  })

  test('others’ is not theirs', async () => {
    const own = await tokenWith('read write')
    const before = await roster.everything()
    for (const [line, body, , headers] of [...reads, ...writes].filter(hasId)) {
      const all = { ...own, ...headers }
      const answer = await roster.call(to(line, 4), body, all)
      expect([line, answer.status, faultsOf(answer)]).toEqual([
        ...[line, 403],
        ['non_field_errors: permission_denied'],
      ])
      expect((await roster.call(to(line, 9_999), body, all)).status).toBe(404)
    }
    expect(await roster.everything()).toEqual(before)
  })
})

test('with a token that may read, a person reads what is theirs, and changes nothing', async () => {
  const own = await tokenWith('read')
  for (const [line, body, status] of reads)
    expect([line, (await roster.call(to(line, id), body, own)).status]).toEqual([line, status])
  const before = await roster.everything()
  const stored = pictures()
  for (const [line, body, , headers] of writes) {
    const answer = await roster.call(to(line, id), body, { ...own, ...headers })
    expect([line, answer.status]).toEqual([line, 403])
    expect(answer.headers['www-authenticate']).toMatch(/error="insufficient_scope", scope="write"/)
  }
  expect(await roster.everything()).toEqual(before)
  expect(pictures()).toEqual(stored)
})

test.for(['POST /api/v2/user/avatar/', 'PATCH /api/v2/user/:id/', 'PUT /api/v2/user/:id/'])(
  'with a token that may read, a person is told of %s before the files have come',
  async (line) => {
    const { authorization } = await tokenWith('read')
    const head = [
      `${to(line, id)} HTTP/1.1`,
      'Host: x',
      'Connection: close',
      `Authorization: ${authorization}`,
    ]
    const type = `Content-Type: ${filed.headers['content-type']}`
    const length = `Content-Length: ${filed.body.length}`
    const bytes = [...head, type, length, '', filed.body.subarray(0, 200).toString('latin1')].join('\r\n')
    expect((await sendBytes(roster.url, bytes)).status).toBe(403)
  },
)

test('with a token that may write, a person changes what is theirs, and is shown what came of it alone', async () => {
  const own = await tokenWith('write')
  for (const [line] of reads) {
    const answer = await roster.call(to(line, id), line.startsWith('POST') ? '' : undefined, own)
    expect([line, answer.status]).toEqual([line, 403])
    expect(answer.headers['www-authenticate']).toMatch(/error="insufficient_scope", scope="read"/)
  }
  const mine = { date_of_birth: '1991-03-08', position_lat_lng: '44.4983,11.3407' }
  for (const sent of [{ body: mine }, formData(mine)]) {
    const { body, headers = {} } = sent as { body: unknown; headers?: object }
    const answer = await roster.call(`PATCH /api/v2/user/${id}/`, body, { ...own, ...headers })
    expect(answer).toMatchObject({ status: 200, body: mine })
  }
  await doAll(writes, 'write')
})

test('with a token that may not read, a person sees of everybody what nobody in particular does', async () => {
  const own = await tokenWith('write')
  for (const line of ['GET /api/v2/user/:id/', 'GET /api/v2/user/:id/counters/', 'GET /api/v2/user/search/'])
    for (const of of [id, 3]) {
      const [seen, shown] = [await roster.call(to(line, of), undefined, own), await roster.call(to(line, of))]
      expect([line, seen.status, seen.body]).toEqual([line, 200, shown.body])
    }
  const near = await roster.call('GET /api/v2/user/search/?user_position=1', undefined, own)
  expect([near.status, faultsOf(near)]).toEqual([403, ['non_field_errors: permission_denied']])
})

test('with a token of a service, nothing is one’s own', async () => {
  const service = await serviceToken(roster)
  for (const [line, body, , headers] of [...reads, ...writes]) {
    const { status, text } = await roster.call(to(line, id), body, { ...service, ...headers })
    expect([line, status, text]).toEqual([
      ...[line, 403],
      expect.stringContaining('an API key or a service is none'),
    ])
  }
})
