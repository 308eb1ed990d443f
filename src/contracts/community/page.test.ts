import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Community, startCommunity } from '../../../test/community.ts'
import { curl, hasCurl } from '../../../test/curl.ts'

/** What the page "Patch a Specific User" says, by real curl; its files are in pictures.test.ts. */

let roster: Community
let token: string
beforeAll(async () => {
  roster = await startCommunity()
  token = (await roster.tokenOf(3)).authorization
})
afterAll(() => roster.close())

/** `PATCH /api/v2/user/{id}/` */
const patch = (id: number, ...options: string[]) =>
  curl('-X', 'PATCH', `${roster.url}/api/v2/user/${id}/`, ...options)
const signedIn = () => ['-H', 'Accept: application/json', '-H', `Authorization: ${token}`]

const inputBody = {
  username: 'string',
  real_name: 'string',
  bio: 'string',
  location: 'string',
  location_lat_lng: '45.46,9.19',
  position_lat_lng: '45.46,9.19',
  date_of_birth: '1990-12-31',
  description: 'string',
  gender: 'Female',
  website: 'https://example.org/',
}

/**
 * As later versions of the page show it: a PNG of 24 × 24 pixels with what drawing programs add, after
 * a type without the scheme of an address.
 */
const avatarBase64 =
  'image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABgAAAAYCAYAAADgdz34AAAABHNCSVQICAgIfAhkiAAAAAlwSFlzAAALEwAACxMBAJqcGAAA' +
  'AA90RVh0U29mdHdhcmUAUm9zdGVyB8tW9wAAAFFJREFUeNpjOGGjwUBLTIyi/0Rgsiz4TwYm2oL/FGCCFvynAsZpwX8qYgwL' +
  '/tMA08+C/7TCoxaMWjBqAcKCoV9U0KU0pUt9QJcajS51MtVaFQDXLVaIs1EYAQAAAABJRU5ErkJggg=='

const response = `{
  "id": "integer",
  "username": "string",
  "real_name": "string",
  "avatar": "string",
  "ext_id": "string",
  "followings_counter": "integer",
  "followers_counter": "integer",
  "posts_counter": "integer",
  "discussions_counter": "integer",
  "polls_counter": "integer",
  "connection_status": "string",
  "categories_counter": "integer",
  "date_joined": "string",
  "bio": "string",
  "location": "string",
  "location_lat_lng": "string",
  "position_lat_lng": "string",
  "date_of_birth": "string",
  "description": "string",
  "gender": "string",
  "website": "string",
  "cover": "string",
  "tags": [],
  "reputation": "integer",
  "community_badge": "boolean",
  "reg_approved": "boolean",
  "deleted" : "boolean",
  "company_name": "string",
  "company_role": "string"
}`

const documented = JSON.parse(response) as Record<string, unknown>

describe.skipIf(!hasCurl)('the page, by curl', () => {
  test('the answer has the properties of the example, in its order and of its types', async () => {
    const { status, body = {} } = await patch(3, ...signedIn())
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual(Object.keys(documented))
    for (const [name, type] of Object.entries(documented)) {
      const value = body[name]
      // What nobody has set is null.
      if (value === null) continue
      if (Array.isArray(type)) expect(value).toEqual([])
      else if (type === 'integer') expect(value, name).toSatisfy(Number.isSafeInteger)
      else expect(typeof value, name).toBe(type)
    }
  })

  // The page's own curl line sends no body, and declares one in parts.
  test('the example line', async () => {
    const { status, body } = await patch(3, '-H', 'Content-Type: multipart/form-data', ...signedIn())
    expect([status, body?.id]).toEqual([200, 3])
  })

  test('the fields of the example, each type of body in turn', async () => {
    const forms = Object.entries(inputBody).flatMap(([name, value]) => ['-F', `${name}=${value}`])
    const encoded = Object.entries(inputBody).flatMap(([name, value]) => [
      '--data-urlencode',
      `${name}=${value}`,
    ])
    const json = ['-H', 'Content-Type: application/json', '-d', JSON.stringify(inputBody)]
    for (const options of [forms, encoded, json]) {
      const { status, body } = await patch(3, ...signedIn(), ...options)
      expect(status).toBe(200)
      expect(body).toMatchObject(inputBody)
    }
  })

  test.for(Object.entries(inputBody))('%s alone, without mandatory fields', async ([name, value]) => {
    for (const option of ['-F', '--data-urlencode']) {
      const { status, body } = await patch(3, ...signedIn(), option, `${name}=${value}`)
      expect([status, body?.[name]]).toEqual([200, value])
    }
  })

  test('the avatar or the cover are no text in a form', async () => {
    for (const name of ['avatar', 'cover'])
      expect((await patch(3, ...signedIn(), '--data-urlencode', `${name}=string`)).status).toBe(400)
  })

  test.for([
    ['a form in parts', (text: string) => ['--form-string', `avatar_base64=${text}`]],
    ['a form', (text: string) => ['--data-urlencode', `avatar_base64=${text}`]],
    [
      'JSON',
      (avatar_base64: string) => [
        '-H',
        'Content-Type: application/json',
        '-d',
        JSON.stringify({ avatar_base64 }),
      ],
    ],
  ] as const)('the example of avatar_base64, in %s', async ([, body]) => {
    const none = await patch(3, ...signedIn(), '-d', 'avatar_base64=')
    expect(none.body?.avatar).toMatch(/\/media\/generated\//)
    const shown = await patch(3, ...signedIn(), ...body(avatarBase64))
    expect([shown.status, Object.keys(shown.body ?? {})]).toEqual([200, Object.keys(documented)])
    const picture = await fetch(String(shown.body?.avatar))
    const { data, info } = await sharp(await picture.arrayBuffer())
      .raw()
      .toBuffer({ resolveWithObject: true })
    expect([picture.status, info.width, info.height]).toEqual([200, 256, 256])
    // A red disc on nothing.
    const [middle, corner] = [data.subarray(4 * (128 * 256 + 128)), data.subarray(0, 4)]
    expect([middle[0], corner[3]]).toEqual([expect.closeTo(200, -1), 0])
  })

  test('the username must be unique and valid', async () => {
    for (const username of ['johndoe', 'not valid', 'ü'])
      expect((await patch(3, ...signedIn(), '--data-urlencode', `username=${username}`)).status).toBe(400)
    for (const username of ['aZ09_-', '-', 'mira_sole']) {
      const { status, body } = await patch(3, ...signedIn(), '--data-urlencode', `username=${username}`)
      expect([status, body?.username]).toEqual([200, username])
    }
  })

  test('authentication is required', async () => {
    expect((await patch(3, '-d', 'bio=x')).status).toBe(401)
    expect((await patch(3, '-d', 'bio=x', '-H', 'Authorization: Bearer x')).status).toBe(401)
  })

  test('a user can only update their personal data', async () => {
    expect((await patch(4, '-d', 'bio=x', ...signedIn())).status).toBe(403)
    expect((await patch(999, '-d', 'bio=x', ...signedIn())).status).toBe(404)
  })

  test('a body that says less than its Content-Length never becomes an edit', async () => {
    const { body } = await patch(3, ...signedIn(), '-d', 'bio=before')
    expect(body?.bio).toBe('before')
    const options = ['-H', 'Content-Length: 500', '-d', 'bio=after', '-m', '1']
    await patch(3, ...signedIn(), ...options).catch(() => undefined)
    expect((await curl(`${roster.url}/api/v2/user/3/`)).body?.bio).toBe('before')
  })
})
