import { describe, expect, test } from 'vitest'
import { type Config, type Environment, readConfig, settings } from './config.ts'

/** What the operator is told. */
function refusalOf(environment: Environment, demo = false): string[] {
  try {
    readConfig(environment, demo)
  } catch (error) {
    return (error as Error).message.split('\n')
  }
  return []
}

test('nothing set: this machine only, data beside the service, the open contracts closed', () => {
  const config = readConfig({})
  expect(config).toEqual({
    port: 3000,
    host: '127.0.0.1',
    folder: './data',
    databaseUrl: undefined,
    jwtIssuers: [],
    openContracts: 'never',
    rateLimit: { quota: 600, seconds: 60 },
    redisUrl: undefined,
    trustProxy: [],
    corsOrigins: [],
    recordsUpsert: true,
    requireIfMatch: false,
    emailChange: 'direct',
    roles: ['user', 'admin'],
    maxBody: 1_048_576,
    maxPicture: 10_485_760,
    logLevel: 'info',
  })
  expect(Object.isFrozen(config)).toBe(true)
})

test('what is not Roster’s is left alone', () => {
  expect(readConfig({ PATH: '/bin', PORTAL: 'x', ROSTER: 'x', npm_config_port: '1' })).toEqual(readConfig({}))
})

test('the environment of the process is read where none is given', () => {
  expect(readConfig()).toEqual(readConfig(process.env))
})

test.for<[name: string, text: string, key: keyof Config, value: unknown]>([
  ['PORT', '0', 'port', 0],
  ['PORT', '65535', 'port', 65_535],
  ['HOST', '0.0.0.0', 'host', '0.0.0.0'],
  ['HOST', '::', 'host', '::'],
  ['ROSTER_DATA', '/var/lib/roster data', 'folder', '/var/lib/roster data'],
  ['DATABASE_URL', '', 'databaseUrl', undefined],
  ...['postgres://u:p@db/roster', 'postgresql://u@a:5432,b:5433/roster?target_session_attrs=primary'].map(
    (url): [string, string, keyof Config, string] => ['DATABASE_URL', url, 'databaseUrl', url],
  ),
  ['ROSTER_OPEN_CONTRACTS', 'never', 'openContracts', 'never'],
  ['ROSTER_OPEN_CONTRACTS', 'loopback', 'openContracts', 'loopback'],
  ['ROSTER_OPEN_CONTRACTS', 'always', 'openContracts', 'always'],
  ['ROSTER_RATE_LIMIT', 'off', 'rateLimit', undefined],
  ['ROSTER_RATE_LIMIT', '1/s', 'rateLimit', { quota: 1, seconds: 1 }],
  ['ROSTER_RATE_LIMIT', '600/m', 'rateLimit', { quota: 600, seconds: 60 }],
  ['ROSTER_RATE_LIMIT', '999999999/h', 'rateLimit', { quota: 999_999_999, seconds: 3_600 }],
  ['REDIS_URL', '', 'redisUrl', undefined],
  ['ROSTER_JWT_SECRET', '', 'jwtSecret', undefined],
  ['ROSTER_JWT_ISSUERS', '', 'jwtIssuers', []],
  [
    'ROSTER_JWT_ISSUERS',
    'https://a.example/realms/x audience=roster, http://127.0.0.1:9 audience=b person=uid jwks=https://b.example/keys',
    'jwtIssuers',
    [
      { url: 'https://a.example/realms/x', audience: 'roster', person: 'ext_id' },
      { url: 'http://127.0.0.1:9', audience: 'b', person: 'uid', jwks: 'https://b.example/keys' },
    ],
  ],
  [
    'ROSTER_JWT_ISSUERS',
    'https://a.example audience=a person=ext_id:a/,https://b.example audience=b person=ext_id:b:,https://c.example audience=c person=uid,https://d.example audience=d person=uid',
    'jwtIssuers',
    [
      { url: 'https://a.example', audience: 'a', person: 'ext_id', prefix: 'a/' },
      { url: 'https://b.example', audience: 'b', person: 'ext_id', prefix: 'b:' },
      { url: 'https://c.example', audience: 'c', person: 'uid' },
      { url: 'https://d.example', audience: 'd', person: 'uid' },
    ],
  ],
  ['ROSTER_JWT_SECRET', 'hunter2'.repeat(5), 'jwtSecret', 'hunter2'.repeat(5)],
  ['ROSTER_JWT_SECRET', 'é'.repeat(16), 'jwtSecret', 'é'.repeat(16)],
  ...[
    'redis://localhost',
    'redis://127.0.0.1:6379/2?keyPrefix=x:',
    'rediss://u:p%40@redis.example:6380/',
    'redis://:p@[::1]:6379',
  ].map((url): [string, string, keyof Config, string] => ['REDIS_URL', url, 'redisUrl', url]),
  ['SMTP_URL', '', 'smtpUrl', undefined],
  ['ROSTER_MAIL_FROM', '', 'mailFrom', undefined],
  ['ROSTER_MAIL_FROM', 'a@example.com', 'mailFrom', { name: '', address: 'a@example.com' }],
  [
    'ROSTER_MAIL_FROM',
    '"Ann, of Ü" <a@example.com>',
    'mailFrom',
    { name: 'Ann, of Ü', address: 'a@example.com' },
  ],
  ['ROSTER_TRUST_PROXY', '', 'trustProxy', []],
  ['ROSTER_TRUST_PROXY', '10.0.0.0/8, ::1,192.168.0.1', 'trustProxy', ['10.0.0.0/8', '::1', '192.168.0.1']],
  ['ROSTER_TRUST_PROXY', 'fd00::/64', 'trustProxy', ['fd00::/64']],
  ['ROSTER_CORS_ORIGINS', '', 'corsOrigins', []],
  ['ROSTER_CORS_ORIGINS', 'https://a.example', 'corsOrigins', ['https://a.example']],
  [
    'ROSTER_CORS_ORIGINS',
    ' https://a.example ,http://b.example:8080,',
    'corsOrigins',
    ['https://a.example', 'http://b.example:8080'],
  ],
  ['ROSTER_PUBLIC_URL', '', 'publicUrl', undefined],
  ['ROSTER_PUBLIC_URL', 'https://api.example.com', 'publicUrl', 'https://api.example.com'],
  [
    'ROSTER_PUBLIC_URL',
    'http://api.example.com:8080/people/',
    'publicUrl',
    'http://api.example.com:8080/people',
  ],
  ['ROSTER_EMAIL_CHANGE', 'confirm-new', 'emailChange', 'confirm-new'],
  ['ROSTER_EMAIL_CHANGE', 'confirm-both', 'emailChange', 'confirm-both'],
  ['ROSTER_RECORDS_UPSERT', 'on', 'recordsUpsert', true],
  ['ROSTER_RECORDS_UPSERT', 'off', 'recordsUpsert', false],
  ['ROSTER_REQUIRE_IF_MATCH', 'on', 'requireIfMatch', true],
  ['ROSTER_REQUIRE_IF_MATCH', 'off', 'requireIfMatch', false],
  ['ROSTER_ROLES', 'editor, guest_2,user', 'roles', ['user', 'admin', 'editor', 'guest_2']],
  ['ROSTER_MAX_BODY', '1024', 'maxBody', 1024],
  ['ROSTER_MAX_BODY', '999999999', 'maxBody', 999_999_999],
  ['ROSTER_MAX_PICTURE', '2048', 'maxPicture', 2048],
  ['AWS_ACCESS_KEY_ID', 'AKIA1', 'accessKeyId', 'AKIA1'],
  ['AWS_SECRET_ACCESS_KEY', 'a/+=b', 'secretAccessKey', 'a/+=b'],
  ['LOG_LEVEL', 'silent', 'logLevel', 'silent'],
  ['LOG_LEVEL', 'trace', 'logLevel', 'trace'],
])('%s=%s is understood', ([name, text, key, value]) => {
  expect(readConfig({ [name]: text })).toEqual({ ...readConfig({}), [key]: value })
})

const wrong: readonly (readonly [name: string, text: string, hint: string])[] = [
  ...['', '-1', '65536', '1e3', '80a', ' 80', '3000.5', '0x50'].map(
    (text) => ['PORT', text, 'must be a number from 0 to 65535'] as const,
  ),
  ['HOST', '', 'must not be empty'],
  ['HOST', ' ', 'must not be empty'],
  ['ROSTER_DATA', '', 'must not be empty'],
  ...['mysql://u:hunter2@db/roster', 'postgres://u:hunter2@db', 'db', ' postgres://db/roster'].map(
    (text) => ['DATABASE_URL', text, 'must be like postgres://'] as const,
  ),
  ...['', 'yes', 'Loopback', 'loopback '].map(
    (text) => ['ROSTER_OPEN_CONTRACTS', text, 'must be one of never, loopback, always'] as const,
  ),
  ...[
    '*',
    'null',
    'a.example',
    'https://a.example/',
    'https://a.example,*',
    'file://',
    'HTTPS://A.example',
  ].map((text) => ['ROSTER_CORS_ORIGINS', text, 'must list origins like https://app.example.com'] as const),
  ...[
    'https://login.example.com',
    'https://login.example.com audience=',
    'login.example.com audience=a',
    'http://login.example.com audience=a',
    'https://u:hunter2@login.example.com audience=a',
    'https://login.example.com audience=a person=email',
    'https://login.example.com audience=a person=uid:b/',
    'https://login.example.com audience=a person=ext_id:',
    'https://login.example.com audience=a person=ext_id:b',
    'https://login.example.com audience=a person=ext_id:é/',
    'https://login.example.com audience=a colour=red',
    'https://login.example.com audience=a audience=b',
    'https://login.example.com audience=a jwks=http://keys.example.com',
  ].map((text) => ['ROSTER_JWT_ISSUERS', text, 'must list issuers like'] as const),
  [
    'ROSTER_JWT_ISSUERS',
    'https://a.example audience=a,https://a.example audience=b',
    'must list each issuer once',
  ],
  ...[
    'https://a.example audience=a,https://b.example audience=b',
    'https://a.example audience=a,https://b.example audience=b person=ext_id:b/',
    'https://a.example audience=a person=ext_id:b/,https://b.example audience=b person=ext_id:b/',
    'https://a.example audience=a person=ext_id:b/a/,https://b.example audience=b person=ext_id:b/',
  ].map(
    (text) =>
      ['ROSTER_JWT_ISSUERS', text, 'must give each issuer that names people by ext_id its own'] as const,
  ),
  ...['hunter2', 'x'.repeat(31)].map(
    (text) => ['ROSTER_JWT_SECRET', text, 'must have at least 32 bytes'] as const,
  ),
  ...[
    'api.example.com',
    'ftp://api.example.com',
    'https://u:hunter2@api.example.com',
    'https://api.example.com?a=1',
    'https://api.example.com#a',
    'https://',
  ].map((text) => ['ROSTER_PUBLIC_URL', text, 'must be like https://api.example.com'] as const),
  ...['', '0/m', '600', '600/d', '600/10m', '-1/m', '1e3/m', '600 / m', '1000000000/s', 'OFF'].map(
    (text) => ['ROSTER_RATE_LIMIT', text, 'must be like 600/m, or off'] as const,
  ),
  ...['localhost:6379', 'http://u:hunter2@db', 'redis://', 'redis://u:hunter2@db/zero', 'redis:/db'].map(
    (text) => ['REDIS_URL', text, 'must be like redis://user:password@host:6379/0'] as const,
  ),
  ...[
    'localhost:25',
    'http://u:hunter2@mail',
    'smtp://',
    'smtp://u:hunter2@mail/x',
    'smtp://u:hunter2@mail?x=1',
    'smtp://u@mail',
    'smtp://:hunter2@mail',
    'smtp://u:hunter2%@mail',
  ].map((text) => ['SMTP_URL', text, 'must be like smtp://user:password@host:587'] as const),
  ...[
    'ann',
    'a@localhost',
    'Ann a@example.com',
    'Ann\r\nBcc: x <a@example.com>',
    'a@example.com, b@example.com',
  ].map((text) => ['ROSTER_MAIL_FROM', text, 'must be like Example <accounts@example.com>'] as const),
  ...[
    '*',
    'true',
    'proxy.example',
    '10.0.0.0/0',
    '10.0.0.0/33',
    '::/0',
    '::1/129',
    '10.0.0.0/8/8',
    '10.0.0',
  ].map((text) => ['ROSTER_TRUST_PROXY', text, 'must list addresses and networks'] as const),
  ...['', 'confirm', 'Direct', 'confirm-new,confirm-both'].map(
    (text) => ['ROSTER_EMAIL_CHANGE', text, 'must be one of direct, confirm-new, confirm-both'] as const,
  ),
  ...['', 'true', 'On', '1'].map(
    (text) => ['ROSTER_RECORDS_UPSERT', text, 'must be one of on, off'] as const,
  ),
  ...['', 'true', 'On', '1'].map(
    (text) => ['ROSTER_REQUIRE_IF_MATCH', text, 'must be one of on, off'] as const,
  ),
  ...['Editor', 'a b', 'ü', 'x'.repeat(65)].map((text) => ['ROSTER_ROLES', text, 'must list names'] as const),
  ...['', '0', '1023', '1000000000', '-5', '1e6', '1MB'].map(
    (text) => ['ROSTER_MAX_BODY', text, 'must be a number of bytes'] as const,
  ),
  ...['', '0', '1023', '1000000000', '10MB'].map(
    (text) => ['ROSTER_MAX_PICTURE', text, 'must be a number of bytes'] as const,
  ),
  ...[
    ...['bucket', 'http://bucket', 's3://', 's3://B_', 's3://b', 's3://bucket:9', 's3://hunter2@bucket'],
    ...['s3://bucket/a b', 's3://bucket/a//b', 's3://bucket?x=1', 's3://bucket?region=A b', 's3://bucket#x'],
    ...[
      's3://bucket?endpoint=http://s3.example.com',
      's3://bucket?endpoint=s3.example.com',
      's3://bucket?endpoint=https://hunter2@s3.example.com',
    ],
  ].map((text) => ['ROSTER_MEDIA', text, 'must be like s3://bucket/prefix?endpoint='] as const),
  ['AWS_ACCESS_KEY_ID', 'hunter2 ', 'must have no spaces'],
  ['AWS_SECRET_ACCESS_KEY', 'hunter2\n', 'must have no spaces'],
  ...['', 'INFO', 'verbose'].map((text) => ['LOG_LEVEL', text, 'must be one of fatal, error'] as const),
]

test.for(wrong)('%s=%j stops the start, by its name and with what would be right', ([name, text, hint]) => {
  const told = refusalOf({ [name]: text })
  expect(told).toHaveLength(1)
  expect(told[0]).toMatch(new RegExp(`^${name} `))
  expect(told[0]).toContain(hint)
  expect(told[0]).not.toContain('hunter2')
})

test('every setting has a wrong value above, so none is taken as it comes', () => {
  expect(new Set(wrong.map(([name]) => name))).toEqual(
    new Set(Object.values(settings).map(({ name }) => name)),
  )
})

test('a bucket is understood, and needs a key', () => {
  const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }
  const mediaOf = (text: string) => readConfig({ ...keys, ROSTER_MEDIA: text }).media
  expect(mediaOf('s3://pictures')).toEqual({
    ...{ bucket: 'pictures', prefix: '', region: 'us-east-1' },
    endpoint: 'https://s3.us-east-1.amazonaws.com',
  })
  expect(mediaOf('s3://my.pictures/roster/live/?endpoint=http://127.0.0.1:9000&region=eu-1')).toEqual({
    ...{ bucket: 'my.pictures', prefix: 'roster/live', region: 'eu-1' },
    endpoint: 'http://127.0.0.1:9000',
  })
  for (const some of [{}, { AWS_ACCESS_KEY_ID: 'a' }, { AWS_SECRET_ACCESS_KEY: 'b' }])
    expect(refusalOf({ ...some, ROSTER_MEDIA: 's3://pictures' })).toEqual([
      'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set, since ROSTER_MEDIA names a bucket',
    ])
})

test('a setting that does not exist stops the start and is named', () => {
  expect(refusalOf({ ROSTER_PROT: '80' })).toEqual(['ROSTER_PROT is not a setting of Roster'])
  expect(refusalOf({ ROSTER_: '' })).toEqual(['ROSTER_ is not a setting of Roster'])
})

test('all that is wrong is told at once', () => {
  const told = refusalOf({
    PORT: 'x',
    ROSTER_MAX_BODY: '1',
    LOG_LEVEL: 'loud',
    ROSTER_PROT: '80',
    ROSTER_X: '',
    DATABASE_URL: 'db',
  })
  expect(told.map((line) => line.split(' ')[0])).toEqual([
    'PORT',
    'DATABASE_URL',
    'ROSTER_MAX_BODY',
    'LOG_LEVEL',
    'ROSTER_PROT',
    'ROSTER_X',
  ])
})

describe('what is unsafe stops the start', () => {
  test.for([
    ['0.0.0.0', false],
    ['::', false],
    ['192.168.1.5', false],
    ['roster.example', false],
    ['127.0.0.1.evil.example', false],
    ['127.0.0.1', true],
    ['127.0.0.2', true],
    ['::1', true],
    ['localhost', true],
  ] as const)('open to this machine, listening on %s: safe is %s', ([host, safe]) => {
    for (const [environment, demo] of [
      [{ HOST: host, ROSTER_OPEN_CONTRACTS: 'loopback' }, false],
      [{ HOST: host }, true],
      [{ HOST: host, ROSTER_OPEN_CONTRACTS: 'never' }, true],
    ] as const) {
      const told = refusalOf(environment, demo)
      expect(told.map((line) => line.split(' ')[0])).toEqual(safe ? [] : ['HOST'])
      if (!safe) expect(told[0]).toContain(host)
    }
  })

  test.for(['smtp://localhost', 'smtp://u:p%40@mail.example:25', 'smtps://u:p@[::1]:465/'])(
    'a mail server, of whom nobody says whom its mails are from: %s',
    (url) => {
      expect(refusalOf({ SMTP_URL: url })).toEqual([expect.stringMatching(/^ROSTER_MAIL_FROM /)])
      const config = readConfig({ SMTP_URL: url, ROSTER_MAIL_FROM: 'Roster <a@example.com>' })
      expect(config).toMatchObject({ smtpUrl: url, mailFrom: { name: 'Roster', address: 'a@example.com' } })
    },
  )

  test('an open door without --demo may be meant, on any address', () => {
    expect(refusalOf({ HOST: '0.0.0.0', ROSTER_OPEN_CONTRACTS: 'always' })).toEqual([])
    expect(refusalOf({ HOST: '0.0.0.0', ROSTER_OPEN_CONTRACTS: 'never' })).toEqual([])
  })

  test('--demo opens to this machine, may be closed, and is never open to others', () => {
    expect(readConfig({}, true).openContracts).toBe('loopback')
    expect(readConfig({ ROSTER_OPEN_CONTRACTS: 'never' }, true).openContracts).toBe('never')
    expect(refusalOf({ ROSTER_OPEN_CONTRACTS: 'always' }, true)).toEqual([
      expect.stringMatching(/^ROSTER_OPEN_CONTRACTS .*--demo/),
    ])
  })

  test('and is told together with everything else that is wrong', () => {
    const told = refusalOf({ HOST: '0.0.0.0', ROSTER_OPEN_CONTRACTS: 'loopback', ROSTER_PROT: '80' })
    expect(told.map((line) => line.split(' ')[0]).sort()).toEqual(['HOST', 'ROSTER_PROT'])
  })
})
