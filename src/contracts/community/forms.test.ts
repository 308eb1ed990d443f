import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Community, faultsOf, formData, startCommunity, urlencoded } from '../../../test/community.ts'
import { pictureIn } from '../../media/samples.ts'

/** Bodies of every type say the same; what a form can not say has its rules. */

let roster: Community
let id: number
beforeAll(async () => {
  roster = await startCommunity()
})
afterAll(() => roster.close())
beforeEach(async () => {
  names++
  id = await roster.newPerson()
})

const mira = () => `PATCH /api/v2/user/${id}/`
const types = ['json', 'urlencoded', 'multipart'] as const

/** The same fields, as a body of each type. */
function send(type: (typeof types)[number], fields: Record<string, string>) {
  if (type === 'json') return roster.as(id, mira(), fields)
  if (type === 'urlencoded') return roster.as(id, mira(), new URLSearchParams(fields).toString(), urlencoded)
  const { body, headers } = formData(fields)
  return roster.as(id, mira(), body, headers)
}

/** One for each kind of field, with what it is sent as. */
let names = 0
const values = {
  get username() {
    return `Mira_${names}`
  },
  real_name: 'Mirà & Søle = 1+1',
  bio: 'A line.\nAnother: "quoted" 🐕 100%',
  location: 'São Paulo',
  location_lat_lng: '-23.55,-46.63',
  position_lat_lng: '0,180',
  date_of_birth: '2000-02-29',
  description: 'x'.repeat(50),
  gender: 'Male',
  website: 'http://example.org/?a=b&c=d#e',
}

describe.for(types)('a body of type %s', (type) => {
  test('sets every field that can be edited', async () => {
    const answer = await send(type, { ...values })
    expect(answer).toMatchObject({ status: 200, body: { ...values } })
    expect(answer.headers).not.toHaveProperty('roster-ignored')
    expect(await send(type, { ...values })).toMatchObject({
      status: 200,
      headers: { etag: answer.headers.etag },
    })
  })

  test.for(Object.keys(values) as (keyof typeof values)[])('sets %s alone', async (name) => {
    const value = values[name]
    expect(await send(type, { [name]: value })).toMatchObject({ status: 200, body: { [name]: value } })
  })

  test.for(['location_lat_lng', 'position_lat_lng', 'date_of_birth', 'website', 'gender', 'cover', 'avatar'])(
    'empties %s with nothing',
    async (name) => {
      const answer = await send(type, { [name]: '' })
      expect(answer.status).toBe(200)
      const { [name]: shown } = answer.body as Record<string, unknown>
      if (name === 'gender') expect(shown).toBe('Unspecified')
      else if (name === 'avatar') expect(shown).toMatch(/generated/)
      else expect(shown).toBeNull()
    },
  )

  test.for(['real_name', 'bio', 'location', 'description'])('empties %s with nothing', async (name) => {
    // In JSON an empty text is a text; a form can not tell it from no value, and means no value.
    const answer = await send(type, { [name]: '' })
    expect(answer).toMatchObject({ status: 200, body: { [name]: type === 'json' ? '' : null } })
  })

  test('does not empty the username', async () => {
    expect(faultsOf(await send(type, { username: '' }))).toEqual(['username: required'])
  })

  test.for(['avatar_base64', 'cover_base64'])('takes a picture in %s, and no other text', async (name) => {
    expect(faultsOf(await send(type, { [name]: 'image/png;base64,AA==' }))).toEqual([`${name}: invalid`])
    const text = `image/png;base64,${(await pictureIn('png')).toString('base64')}`
    expect(await send(type, { [name]: text })).toMatchObject({
      status: 200,
      body: { [name.replace('_base64', '')]: expect.stringMatching(/\/media\/[0-9a-f]{64}\/\d+\.webp$/) },
    })
  })

  test('leaves alone and names what it does not know', async () => {
    const answer = await send(type, { bio: 'New', tags: '', nickname: 'x' })
    expect(answer).toMatchObject({ status: 200, body: { bio: 'New', tags: [] } })
    expect(answer.headers['roster-ignored']).toBe('tags, nickname')
  })
})

describe('in JSON', () => {
  test.for(['real_name', 'bio', 'location', 'date_of_birth', 'description', 'website', 'cover'])(
    'null empties %s',
    async (name) => {
      expect(await roster.as(id, mira(), { [name]: null })).toMatchObject({
        status: 200,
        body: { [name]: null },
      })
    },
  )
})

describe('in a form', () => {
  const form = (text: string) => roster.as(id, mira(), text, urlencoded)

  test.for(['bio=a&bio=b', 'bio[]=a', 'bio[0]=a', 'bio%5B%5D=a&bio%5B%5D=b', 'bio=a&bio[]=b'])(
    'a value that comes several times is not chosen from: %s',
    async (text) => {
      const answer = await form(text)
      expect(answer.status).toBe(400)
      expect(faultsOf(answer)).toEqual(['bio: invalid'])
    },
  )

  test('a list of what is read-only is left alone', async () => {
    expect(await form('tags[]=1&tags[]=2&bio=x')).toMatchObject({
      status: 200,
      headers: { 'roster-ignored': 'tags' },
    })
  })

  test('a name alone has an empty value, and a plus is a space', async () => {
    expect(await form('website&real_name=a+b%2Bc')).toMatchObject({
      status: 200,
      body: { website: null, real_name: 'a b+c' },
    })
  })

  test.for(['bio=%', 'bio=%zz', 'bio=%ff', '%c3%28=1', '{"bio":"x"}', ' [1]', '"bio"', '--x\r\n'])(
    'what is none is refused: %s',
    async (text) => {
      const answer = await form(text)
      expect(answer.status).toBe(400)
      expect(faultsOf(answer)).toEqual(['non_field_errors: invalid'])
    },
  )

  test('a body in no UTF-8 is refused', async () => {
    const answer = await roster.as(id, mira(), Buffer.from([0x62, 0x69, 0x6f, 0x3d, 0xff]), urlencoded)
    expect(faultsOf(answer)).toEqual(['non_field_errors: invalid'])
  })
})

describe('a form in parts', () => {
  const head = (name: string, more = '') => `--b\r\nContent-Disposition: form-data; name="${name}"${more}\r\n`
  const parts = (text: string | Uint8Array, type = 'multipart/form-data; boundary=b') =>
    roster.as(id, mira(), text, { 'content-type': type })

  test('is read whatever stands around it', async () => {
    const text = `preamble\r\n${head('bio')}Content-Type: text/plain; charset=utf-8\r\n\r\nNew\r\nline\r\n--b--\r\nepilogue`
    expect(await parts(text)).toMatchObject({ status: 200, body: { bio: 'New\r\nline' } })
    expect(await parts(`${head('bio')}\r\nx\r\n--b--`, 'Multipart/Form-Data; boundary="b"')).toMatchObject({
      status: 200,
    })
    expect(await parts('--b--\r\n')).toMatchObject({ status: 200, headers: { etag: '"3"' } })
  })

  test('takes no file that is no picture, nor one for a text, and names it', async () => {
    const before = await roster.everything()
    for (const name of ['avatar', 'cover', 'bio', 'avatar_base64', 'nickname']) {
      const answer = await parts(`${head(name, '; filename="a.png"')}\r\nPNG\r\n${head('bio')}\r\nx\r\n--b--`)
      expect(answer.status).toBe(400)
      expect(faultsOf(answer)).toContain(`${name}: invalid`)
    }
    expect(await roster.everything()).toEqual(before)
  })

  test.for<[about: string, text: string | Uint8Array]>([
    ['JSON', '{"bio":"x"}'],
    ['a form of the other type', 'bio=x'],
    ['without an end', `${head('bio')}\r\nx\r\n`],
    ['that breaks off in a value', `${head('bio')}\r\nx`],
    ['that breaks off in a head', '--b\r\nContent-Disp'],
    ['with another boundary', '--c\r\nContent-Disposition: form-data; name="bio"\r\n\r\nx\r\n--c--'],
    ['with a part without a name', '--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--'],
    ['with a part that has no head', '--b\r\n\r\nx\r\n--b--'],
    ['with a part of another kind', '--b\r\nContent-Disposition: attachment; name="bio"\r\n\r\nx\r\n--b--'],
    ['with a name of two lines', `${head('b\rio')}\r\nx\r\n--b--`],
    ['with a huge head', `--b\r\nX: ${'x'.repeat(9_000)}\r\n${head('bio').slice(5)}\r\nx\r\n--b--`],
    ['with thousands of parts', `${head('x')}\r\ny\r\n`.repeat(5_000).concat('--b--')],
  ])('%s is refused', async ([, text]) => {
    const before = await roster.everything()
    const answer = await parts(text)
    expect(answer.status).toBe(400)
    expect(faultsOf(answer)).toEqual(['non_field_errors: invalid'])
    expect(await roster.everything()).toEqual(before)
  })

  test.for<[about: string, text: string | Uint8Array]>([
    ['too large', `${head('bio')}\r\n${'x'.repeat(70_000)}\r\n--b--`],
    [
      'in no UTF-8',
      Buffer.concat([Buffer.from(`${head('bio')}\r\n`), Buffer.from('ff0d0a2d2d622d2d', 'hex')]),
    ],
    ['in base64', `${head('bio')}Content-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--`],
    ['with NUL', `${head('bio')}\r\na\0b\r\n--b--`],
  ])('a value %s is refused by its name', async ([, text]) => {
    const answer = await parts(text)
    expect(answer.status).toBe(400)
    expect(faultsOf(answer)[0]).toMatch(/^bio: /)
  })

  test.for(['multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; charset=utf-8'])(
    'without a boundary is of a type that can not be read: %s',
    async (type) => {
      const answer = await parts(`${head('bio')}\r\nx\r\n--b--`, type)
      expect(answer.status).toBe(400)
      expect(faultsOf(answer)).toEqual(['non_field_errors: invalid'])
    },
  )
})

describe('another type', () => {
  test.for(['Content-Type', 'Content-Encoding'])('is not what a file called %s is of', async (name) => {
    const { body, headers } = formData({ [name]: new Blob(['x']) })
    const answer = await roster.as(id, mira(), body, headers)
    expect([answer.status, faultsOf(answer)]).toEqual([400, [`${name}: invalid`]])
  })

  test.for(['text/plain', 'application/xml', 'application/json-patch+json', 'json', ';;', undefined])(
    'is 415: %s',
    async (type) => {
      const answer = await roster.as(id, mira(), '{"bio":"x"}', { 'content-type': type })
      expect(answer.status).toBe(415)
      expect(faultsOf(answer)).toEqual(['Content-Type: invalid'])
      expect(answer.headers['accept-patch']).toBe(
        'application/json, application/x-www-form-urlencoded, multipart/form-data',
      )
    },
  )
})
