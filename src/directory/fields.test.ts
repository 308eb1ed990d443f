import { describe, expect, test } from 'vitest'
import { catalogue, type FieldName, fieldNames } from './fields.ts'

const at = Date.parse('2026-10-05T12:00:00Z')
const roles = ['user', 'admin', 'editor']

interface Expected {
  /** Accepted as they are. */
  readonly keeps: readonly unknown[]
  /** Accepted in another normal form: as sent, and as kept. */
  readonly composes?: readonly (readonly [sent: unknown, kept: unknown])[]
  readonly refuses: readonly unknown[]
  /** What the documentation says of its size; left out where it says nothing. */
  readonly size?: { readonly minLength?: number; readonly maxLength: number }
}

/** A text without a syntax of its own, at both edges of its limits. */
function plainText(min: number, max: number, lines = false): Expected {
  const breaks = ['one\ntwo', 'one\r\ntwo', 'one\ttwo']
  return {
    keeps: [
      'a'.repeat(min),
      'a'.repeat(max),
      // Characters are code points: each of these is two UTF-16 units.
      '😀'.repeat(max),
      ' never trimmed ',
      '\u00a0\u2003',
      'Łukasz 例え فاطمة',
      "Robert'); DROP TABLE users;--",
      ...(lines ? breaks : []),
    ],
    composes: [
      ['Rene\u0301', 'René'],
      ['\u212bngstro\u0308m', 'Ångström'],
      ['e\u0301'.repeat(max), 'é'.repeat(max)],
      // Four UTF-16 units that compose into one.
      ['\u03b1\u0313\u0300\u0345'.repeat(max), '\u1f82'.repeat(max)],
    ],
    refuses: [
      ...(min > 0 ? ['a'.repeat(min - 1)] : []),
      'a'.repeat(max + 1),
      '😀'.repeat(max + 1),
      'a'.repeat(max * 8 + 1),
      // Excluded from composition: kept as two characters each.
      '\u0958'.repeat(max),
      ...(lines ? [] : breaks),
    ],
    size: { ...(min > 0 && { minLength: min }), maxLength: max },
  }
}

const labels = (count: number) => `${'b'.repeat(61)}.`.repeat(3) + 'c'.repeat(count)

const email: Expected = {
  keeps: [
    'a@b.co',
    'a@b.c',
    'Mixed.Case@Example.COM',
    "!#$%&'*+/=?^_`{|}~-@example.com",
    'a.b.c+tag@sub.domain.example',
    'a@b-c.example',
    'a@1and1.example',
    'a@example.c1',
    `${'a'.repeat(64)}@example.com`,
    `${'𝒜'.repeat(64)}@example.com`,
    `a@${'b'.repeat(63)}.com`,
    // 63 octets in ASCII: xn--, 55 letters and the place of the ü.
    `a@ü${'b'.repeat(55)}.com`,
    `a@${'ü.'.repeat(31)}com`,
    `${'a'.repeat(64)}@${labels(3)}`,
    '用户@例子.广告',
    'jürgen@bücher.example',
    'a@xn--bcher-kva.example',
    'अजय@डाटा.भारत',
    'a@بي.بي',
  ],
  composes: [['ju\u0308rgen@bu\u0308cher.example', 'jürgen@bücher.example']],
  refuses: [
    ...['', 'a', 'a@', '@b.co', 'a@b', '@', 'a b', 'a.b.co', 'a@@b.co', 'a@b@c.co'],
    // Dots
    ...['.a@b.co', 'a.@b.co', 'a..b@b.co', 'a@.b.co', 'a@b..co', 'a@b.co.', 'a@b.', 'a@.'],
    // Spaces, quotes, comments, address literals
    ...[' a@b.co', 'a@b.co ', 'a b@b.co', 'a@b .co', 'a\u00a0b@b.co', 'a@b\u3000c.co'],
    ...['"a"@b.co', '"a b"@b.co', 'a(x)@b.co', 'a,b@b.co', 'a;b@b.co', 'a:b@b.co', 'a<b@b.co', 'a\\b@b.co'],
    ...['Ann <a@b.co>', '<a@b.co>', 'mailto:a@b.co', 'a@[127.0.0.1]', 'a@[::1]', 'a@b.co,c@d.co'],
    // Hosts that are no domain
    ...['a@127.0.0.1', 'a@1.2', 'a@b.1', 'a@b.123', 'a@0x7f.1', 'a@b.0x1', 'a@１.２.３.４'],
    ...['a@-b.co', 'a@b-.co', 'a@b.-co', 'a@b_c.co', 'a@b!c.co', 'a@b%2ec.co', 'a@b/c.co', 'a@b:80.co'],
    ...['a@b\u200dc.co', 'a@b\u3002co', 'a@\u05d1a.com'],
    // Sizes
    `${'a'.repeat(65)}@example.com`,
    `${'𝒜'.repeat(65)}@example.com`,
    `a@${'b'.repeat(64)}.com`,
    `a@ü${'b'.repeat(56)}.com`,
    `a@${'ü.'.repeat(32)}com`,
    `${'a'.repeat(64)}@${labels(4)}`,
    'a@b\n.co',
    'a@b.co\n',
  ],
  size: { minLength: 3, maxLength: 254 },
}

const coordinates: Expected = {
  keeps: ['0,0', '-0,0', '44.49,11.34', '90,180', '-90,-180', '90.0,-180.000', `1.${'0'.repeat(60)},1`],
  refuses: [
    ...['90.0001,0', '-90.1,0', '91,0', '0,180.0001', '0,-181', '999,999', '11.34,191.49'],
    ...['', ',', '44.49', '44.49,', ',11.34', '44.49,11.34,1', '44.49, 11.34', ' 44.49,11.34', '44.49;11.34'],
    ...['a,b', 'NaN,NaN', 'Infinity,0', '1e1,1', '.5,1', '5.,1', '+1,1', '--1,1', '0x1,1', '٤٤,١١', '1,1\n'],
    `1.${'0'.repeat(61)},1`,
  ],
  size: { minLength: 3, maxLength: 64 },
}

const media: Expected = {
  keeps: ['0123456789abcdef'.repeat(4)],
  refuses: [
    '',
    'a'.repeat(63),
    'a'.repeat(65),
    'A'.repeat(64),
    'g'.repeat(64),
    `${'a'.repeat(63)}\n`,
    'https://example.com/a.png',
  ],
  size: { minLength: 64, maxLength: 64 },
}

const flag: Expected = { keeps: [true, false], refuses: ['true', 'false', '', 0, 1] }

const tag = { id: 1, type: 'user', name: 'Staff', description: '', color: '#0000ff' }
const { color: _, ...colourless } = tag

const expected: Readonly<Record<FieldName, Expected>> = {
  email,
  email_verified: flag,
  username: {
    keeps: ['a', 'A', '0', '_', '-', 'Az_09-', 'a'.repeat(255)],
    refuses: [
      '',
      'a'.repeat(256),
      'a b',
      ' a',
      'a.b',
      'a@b',
      'ä',
      'a\u0308',
      '名',
      'ſ',
      'a/b',
      'a%20',
      'a\n',
    ],
    size: { minLength: 1, maxLength: 255 },
  },
  first_name: plainText(1, 255),
  last_name: plainText(1, 255),
  real_name: plainText(0, 255),
  phone: plainText(1, 64),
  interested_in: { keeps: ['cats', 'dogs', 'both'], refuses: ['', 'Cats', ' cats', 'birds', 'cats,dogs'] },
  role: { keeps: roles, refuses: ['', 'Admin', ' user', 'root', 'constructor'] },
  bio: plainText(0, 5000, true),
  location: plainText(0, 100),
  location_lat_lng: coordinates,
  position_lat_lng: coordinates,
  date_of_birth: {
    keeps: ['1990-12-31', '2024-02-29', '2000-02-29', '0001-01-01', '2026-10-04'],
    refuses: [
      ...['2026-10-05', '2026-10-06', '2027-01-01', '9999-12-31'],
      ...['2023-02-29', '1900-02-29', '2024-02-30', '2023-04-31', '2023-13-01', '2023-00-10', '2023-01-00'],
      ...[
        '2023-01-32',
        '1990-1-1',
        '90-01-01',
        '1990/12/31',
        '31-12-1990',
        '19901231',
        '1990-12-31T00:00:00Z',
      ],
      ...['', ' 1990-12-31', '1990-12-31 ', '1990-12-31\n', '+1990-12-3', '-1990-12-3', '１９９０-12-31'],
    ],
    size: { minLength: 10, maxLength: 10 },
  },
  description: plainText(0, 50),
  gender: { keeps: ['Male', 'Female', 'Unspecified'], refuses: ['', 'male', 'M', 'Other'] },
  website: {
    keeps: [
      ...[
        'https://example.com',
        'http://example.com/',
        'HTTPS://EXAMPLE.COM/a?b=c#d',
        'http://localhost:8080',
      ],
      ...['https://bücher.example/ü', 'http://[::1]:8080/', `https://example.com/${'a'.repeat(180)}`],
    ],
    composes: [['https://bu\u0308cher.example', 'https://bücher.example']],
    refuses: [
      ...[
        'javascript:alert(1)',
        'JaVaScRiPt:alert(1)',
        'java\nscript:alert(1)',
        'javascript://example.com/%0aa()',
      ],
      ...['ftp://example.com', 'file:///etc/passwd', 'data:text/html,x', 'mailto:a@b.co', 'ws://example.com'],
      ...['', 'https:', 'https://', 'http://?a', 'http://#a', 'http://:80', 'https:///example.com'],
      ...[
        'example.com',
        '//example.com',
        '/a',
        'https:example.com',
        'https:/example.com',
        'https:\\\\example.com',
      ],
      ...[' https://example.com', 'https://example.com ', 'https://exa mple.com', 'https://example.com/a b'],
      ...['https://example.com/\u00a0', 'https://example.com:99999', 'https://[::1', 'https://%00/'],
      `https://example.com/${'a'.repeat(181)}`,
    ],
    size: { minLength: 1, maxLength: 200 },
  },
  avatar: media,
  cover: media,
  ext_id: plainText(1, 255),
  tags: {
    keeps: [
      [],
      [tag],
      Array(100).fill(tag),
      [{ ...tag, id: -1, name: 'a'.repeat(255) }],
      [{ ...tag, id: Number.MAX_SAFE_INTEGER, name: '😀'.repeat(255) }],
    ],
    composes: [[[{ ...tag, name: 'Rene\u0301' }], [{ ...tag, name: 'René' }]]],
    refuses: [
      ...[{}, tag, '[]', Array(101).fill(tag)],
      ...[null, 1, 'Staff', [], Object.values(tag)].map((element) => [element]),
      ...[colourless, { ...tag, extra: 1 }, { ...colourless, colour: '' }].map((element) => [element]),
      ...['1', 1.5, 2 ** 53, Number.NaN, null].map((id) => [{ ...tag, id }]),
      ...[1, null, [], 'a\0', 'a\nb', '\ud800', 'a'.repeat(256)].map((name) => [{ ...tag, name }]),
      [tag, { ...tag, color: undefined }],
    ],
  },
  community_badge: flag,
  reg_approved: flag,
  company_name: plainText(0, 255),
  company_role: plainText(0, 255),
}

test('every field of the catalogue is judged here', () => {
  expect(Object.keys(expected).sort()).toEqual([...fieldNames].sort())
})

const parse = (name: FieldName, value: unknown) => catalogue[name].parse(value, { roles, at })

describe.each(fieldNames)('%s', (name) => {
  const { keeps, composes = [], refuses, size } = expected[name]

  test.each(keeps.map(shown))('keeps %s', (_text, value) => {
    expect(parse(name, value)).toEqual({ value })
  })

  test.each(composes.map(([sent, kept]) => [...shown(sent), kept] as const))(
    'keeps %s in its composed form',
    (_text, sent, kept) => {
      expect(sent).not.toEqual(kept)
      expect(parse(name, sent)).toEqual({ value: kept })
    },
  )

  test.each(refuses.map(shown))('refuses %s', (_text, value) => {
    expect(parse(name, value)).toEqual({ problem: expect.stringMatching(/^(must|may) /) })
  })

  test.each([null, undefined, 0, 1.5, Number.NaN, 5n, {}, () => 'a', Symbol('a'), ['a']].map(shown))(
    'refuses %s, which is of another type',
    (_text, value) => {
      expect(parse(name, value)).toEqual({ problem: expect.stringMatching(/^must /) })
    },
  )

  test('documents the size that it enforces', () => {
    const { minLength, maxLength } = catalogue[name].schema
    expect({ minLength, maxLength }).toEqual({
      minLength: size?.minLength,
      maxLength: size?.maxLength,
    })
  })
})

const strings = fieldNames.filter((name) => catalogue[name].schema.type === 'string')
const hostile = [
  ...['\0', '\u0001', '\b', '\u000b', '\f', '\u001b', '\u001f', '\u007f', '\u0080', '\u0085', '\u009f'],
  ...['\ud800', '\udbff', '\udc00', '\udfff'],
]

test.each(strings)(
  '%s has no NUL, no control character and no lone surrogate, wherever it stands',
  (name) => {
    const [sound] = expected[name].keeps.filter((value) => typeof value === 'string' && value.length > 0)
    for (const character of hostile) {
      for (const value of [character, `${character}${sound}`, `${sound}${character}`]) {
        expect(parse(name, value), JSON.stringify(value)).toEqual({ problem: expect.any(String) })
      }
    }
  },
)

test('only bio has lines', () => {
  const withLines = strings.filter((name) => 'value' in parse(name, 'one\ntwo'))
  expect(withLines).toEqual(['bio'])
})

test('a role is one of those that the operator allows', () => {
  expect(catalogue.role.parse('editor', { roles: ['user', 'admin'], at })).toEqual({
    problem: 'must be one of user, admin',
  })
  expect(catalogue.role.parse('editor', { roles: ['editor'], at })).toEqual({ value: 'editor' })
})

test('a date of birth is judged at the time of the command, not of the process', () => {
  const judged = (time: string) =>
    catalogue.date_of_birth.parse('1999-12-31', { roles, at: Date.parse(time) })
  expect(judged('1999-12-30T23:59:59.999Z')).toHaveProperty('problem')
  expect(judged('1999-12-31T23:59:59.999Z')).toHaveProperty('problem')
  expect(judged('2000-01-01T00:00:00Z')).toHaveProperty('value')
})

test('what only one user may hold, and what is set once', () => {
  const claims = fieldNames.filter((name) => catalogue[name].claim !== undefined)
  expect(claims.map((name) => [name, catalogue[name].claim])).toEqual([
    ['email', 'email'],
    ['username', 'username'],
    ['ext_id', 'ext_id'],
  ])
  expect(fieldNames.filter((name) => catalogue[name].once)).toEqual(['ext_id'])
})

/** A value with its name for the title of a test. */
function shown(value: unknown): [title: string, value: unknown] {
  const text = typeof value === 'string' || typeof value === 'object' ? JSON.stringify(value) : String(value)
  return [text.length > 60 ? `${text.slice(0, 50)}… (${text.length})` : text, value]
}
