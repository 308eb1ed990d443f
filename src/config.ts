import { isIP } from 'node:net'
import { isLoopbackAddress, isSafeUrl, type Openness } from './access/door.ts'
import type { Issuer } from './access/outside-issuers.ts'
import type { Rate } from './access/windows.ts'
import { type EmailChangeMode, emailChangeModes } from './directory/email-change.ts'
import { mailFrom, smtpUrl } from './mail/settings.ts'

/** The only reader of the environment: one table gives each setting's parser, default and documentation. */
interface Setting<V> {
  readonly name: string
  readonly doc: string
  /** As it would be written in the environment. */
  readonly fallback: string
  /** @throws Error saying what would be right */
  readonly parse: (text: string) => V
}

export const settings = {
  port: setting('PORT', '3000', 'TCP port to listen on; 0 takes a free one', port),
  host: setting('HOST', '127.0.0.1', 'Address to listen on', nonEmpty),
  folder: setting(
    'ROSTER_DATA',
    './data',
    'Folder that the database and everything else is kept in',
    nonEmpty,
  ),
  databaseUrl: setting(
    'DATABASE_URL',
    '',
    'PostgreSQL to keep the directory in, as postgres://user:password@host:port/database, with several hosts separated by commas; without it, SQLite in the data folder',
    databaseUrl,
  ),
  publicUrl: setting(
    'ROSTER_PUBLIC_URL',
    '',
    'Where callers find the service, as https://api.example.com, for links in answers and mails; without it, as each request says, and in mails this machine',
    publicUrl,
  ),
  smtpUrl: setting(
    'SMTP_URL',
    '',
    'Mail server to send by, as smtp://user:password@host:587, or smtps:// for TLS from the start; without it, mails are written into the folder `mail` of the data folder',
    smtpUrl,
  ),
  mailFrom: setting(
    'ROSTER_MAIL_FROM',
    '',
    'Whom mails are from, as `Example <accounts@example.com>`; needed with SMTP_URL',
    mailFrom,
  ),
  jwtSecret: setting(
    'ROSTER_JWT_SECRET',
    '',
    'Secret of at least 32 bytes that a backend of yours signs HS256 tokens of the community contract with; without it there are none',
    jwtSecret,
  ),
  jwtIssuers: setting(
    'ROSTER_JWT_ISSUERS',
    '',
    'Issuers whose JWTs are believed, separated by commas, each like `https://login.example.com audience=roster`: what `iss` and `aud` have to be. `person=uid` has `sub` name people by uid rather than by ext_id, and `person=ext_id:shop/` by `shop/` and `sub` as the ext_id, which several issuers need; `jwks=https://…` says where the keys are, if the discovery document does not',
    jwtIssuers,
  ),
  openContracts: setting(
    'ROSTER_OPEN_CONTRACTS',
    'never',
    'Who may use the contracts that know no credentials (adoption, records): `never` nobody, `loopback` this machine, `always` whoever reaches the port',
    oneOf<Openness>('never', 'loopback', 'always'),
  ),
  rateLimit: setting(
    'ROSTER_RATE_LIMIT',
    '600/m',
    'How much each API key may ask, and each address that brings none: so many requests a second (`s`), minute (`m`) or hour (`h`), or `off`. While the door is open to loopback, those without a key are not limited',
    rate,
  ),
  redisUrl: setting(
    'REDIS_URL',
    '',
    'Redis to count in, so that limits hold for all nodes together, as redis://user:password@host:port/number; rediss:// encrypts, and ?keyPrefix= sets what all keys begin with. Without it each process counts for itself',
    redisUrl,
  ),
  trustProxy: setting(
    'ROSTER_TRUST_PROXY',
    '',
    'Addresses and networks (like 10.0.0.0/8) of reverse proxies, separated by commas: from these X-Forwarded-For is believed, for the limits of addresses',
    networks,
  ),
  corsOrigins: setting(
    'ROSTER_CORS_ORIGINS',
    '',
    'Origins whose pages may call from a browser, separated by commas; loopback ones may anyway while the door is open to loopback',
    origins,
  ),
  recordsUpsert: setting(
    'ROSTER_RECORDS_UPSERT',
    'on',
    'Whether PUT of the records contract makes a user where nobody ever was (201), `on` or `off` (404)',
    onOff,
  ),
  requireIfMatch: setting(
    'ROSTER_REQUIRE_IF_MATCH',
    'off',
    'Whether who changes, replaces or deletes a user has to send If-Match, through every contract (428 otherwise), `on` or `off`; counters, passwords and e-mail changes have requests of their own and need none',
    onOff,
  ),
  emailChange: setting(
    'ROSTER_EMAIL_CHANGE',
    'direct',
    'How addresses are changed by API keys, and by people for whom your own backend signs tokens: `direct` at once, `confirm-new` when whoever reads the new mailbox has confirmed it, `confirm-both` when the old mailbox has as well (but for keys with `admin`). Other people always confirm by the new one at least',
    oneOf<EmailChangeMode>(...emailChangeModes),
  ),
  roles: setting(
    'ROSTER_ROLES',
    '',
    'Values that `role` may take besides user and admin, separated by commas',
    roles,
  ),
  media: setting(
    'ROSTER_MEDIA',
    '',
    'Where pictures are kept: `s3://bucket/prefix?endpoint=https://…&region=…` for a bucket of Amazon S3 or of anything that speaks like it; without it, the folder `media` in the data folder, which several nodes must share',
    media,
  ),
  accessKeyId: setting(
    'AWS_ACCESS_KEY_ID',
    '',
    'The name of the key to the bucket of ROSTER_MEDIA',
    credential,
  ),
  secretAccessKey: setting('AWS_SECRET_ACCESS_KEY', '', 'The key to the bucket of ROSTER_MEDIA', credential),
  maxPicture: setting('ROSTER_MAX_PICTURE', '10485760', 'Largest picture that is taken, in bytes', bytes),
  maxBody: setting('ROSTER_MAX_BODY', '1048576', 'Largest body of a request, in bytes', bytes),
  logLevel: setting(
    'LOG_LEVEL',
    'info',
    'How much is logged: fatal, error, warn, info, debug, trace or silent',
    oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  ),
} as const

type Settings = typeof settings

export type Config = { readonly [S in keyof Settings]: ReturnType<Settings[S]['parse']> }

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the settings.
 * @param demo whether sample people are wanted and the open contracts open to this machine
 * @throws Error naming every setting that is wrong, unknown or unsafe
 */
export function readConfig(environment: Environment = process.env, demo = false): Config {
  const wrong: string[] = []
  const values: Record<string, unknown> = {}
  for (const [key, { name, fallback, parse }] of Object.entries<Setting<unknown>>(settings)) {
    const text = environment[name] ?? (demo && key === 'openContracts' ? 'loopback' : fallback)
    try {
      values[key] = parse(text)
    } catch (error) {
      wrong.push(`${name} ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const known = new Set<string>(Object.values(settings).map(({ name }) => name))
  for (const name of Object.keys(environment)) {
    if (name.startsWith('ROSTER_') && !known.has(name)) wrong.push(`${name} is not a setting of Roster`)
  }
  const config = Object.freeze(values) as Config
  wrong.push(...unsafe(config, demo))
  if (wrong.length > 0) throw new Error(wrong.join('\n'))
  return config
}

/** Settings that are sound and yet must not come together; one that is not sound is told of already. */
function unsafe(config: Partial<Config>, demo: boolean): string[] {
  const { openContracts, host = '::1', smtpUrl, mailFrom, media, accessKeyId, secretAccessKey } = config
  const told: string[] = []
  if (demo && openContracts === 'always') {
    told.push('ROSTER_OPEN_CONTRACTS must not be always together with --demo, which is for this machine only')
  } else if ((demo || openContracts === 'loopback') && !isLoopbackAddress(host)) {
    told.push(
      `HOST must be 127.0.0.1, ::1 or localhost while the contracts are open to this machine, and is ${host}`,
    )
  }
  if (smtpUrl !== undefined && mailFrom === undefined) {
    told.push('ROSTER_MAIL_FROM must say whom mails are from, since SMTP_URL is set')
  }
  if (media !== undefined && (accessKeyId === undefined || secretAccessKey === undefined)) {
    told.push('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set, since ROSTER_MEDIA names a bucket')
  }
  return told
}

function setting<V>(name: string, fallback: string, doc: string, parse: (text: string) => V): Setting<V> {
  return { name, fallback, doc, parse }
}

function nonEmpty(text: string): string {
  if (text.trim() === '') throw new Error('must not be empty')
  return text
}

/** Says nothing of what it was given: it may hold a password. */
function databaseUrl(text: string): string | undefined {
  if (text === '') return undefined
  if (!/^postgres(ql)?:\/\/[^/\s]+\/[^/\s]+$/.test(text)) {
    throw new Error('must be like postgres://user:password@host:5432/database')
  }
  return text
}

/** RFC 7518, section 3.2: a key of the size of the hash or larger. Says nothing of what it was given. */
function jwtSecret(text: string): string | undefined {
  if (text === '') return undefined
  if (Buffer.byteLength(text) < 32) throw new Error('must have at least 32 bytes')
  return text
}

function jwtIssuers(text: string): readonly Issuer[] {
  const issuers = list(text).map((item): Issuer => {
    const [url = '', ...options] = item.split(/ +/)
    const given = new Map(
      options.map((option) => [option.replace(/=.*/s, ''), option.replace(/^[^=]*=?/s, '')]),
    )
    const { audience, person: named = 'ext_id', jwks, ...others } = Object.fromEntries(given)
    // It ends with what no character after it can become one with (Unicode Normalization Forms).
    const [, person, prefix] = /^(uid$|ext_id)(?::([\w.:/~-]*[.:/_~-]))?$/.exec(named) ?? []
    const isSound = audience && (person === 'ext_id' || person === 'uid') && Object.keys(others).length === 0
    if (
      !isSound ||
      !isSafeUrl(url) ||
      (jwks !== undefined && !isSafeUrl(jwks)) ||
      given.size < options.length
    )
      throw new Error('must list issuers like https://login.example.com audience=roster person=ext_id')
    return { url, audience, person, ...(prefix && { prefix }), ...(jwks !== undefined && { jwks }) }
  })
  if (new Set(issuers.map(({ url }) => url)).size < issuers.length)
    throw new Error('must list each issuer once')
  // Else whoever gives out a sub at one of them is believed about the people of another.
  const prefixes = issuers.filter(({ person }) => person === 'ext_id').map(({ prefix = '' }) => prefix)
  if (prefixes.some((one, n) => prefixes.some((other, m) => n !== m && one.startsWith(other))))
    throw new Error(
      'must give each issuer that names people by ext_id its own person=ext_id:prefix/, none of which begins another',
    )
  return issuers
}

function rate(text: string): Rate | undefined {
  if (text === 'off') return undefined
  const [, quota, unit] = /^([1-9]\d{0,8})\/([smh])$/.exec(text) ?? []
  if (quota === undefined) throw new Error(`must be like 600/m, or off, and is ${JSON.stringify(text)}`)
  return { quota: Number(quota), seconds: { s: 1, m: 60 }[unit ?? ''] ?? 3600 }
}

/** Says nothing of what it was given: it may hold a password. */
function redisUrl(text: string): string | undefined {
  if (text === '') return undefined
  const url = URL.parse(text)
  if (
    url === null ||
    !/^rediss?:$/.test(url.protocol) ||
    url.hostname === '' ||
    !/^\/?\d*$/.test(url.pathname)
  ) {
    throw new Error('must be like redis://user:password@host:6379/0')
  }
  return text
}

/** Not of everybody: then callers could give themselves whatever address they like. */
function networks(text: string): readonly string[] {
  const items = list(text)
  for (const item of items) {
    const [address = '', bits, ...more] = item.split('/')
    const most = { 4: 32, 6: 128 }[isIP(address)] ?? 0
    const isNetwork = bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= most)
    if (most === 0 || !isNetwork || more.length > 0) {
      throw new Error(`must list addresses and networks like 10.0.0.0/8, and has ${JSON.stringify(item)}`)
    }
  }
  return items
}

/** A bucket, and where in it. */
export interface Bucket {
  readonly bucket: string
  /** Without a slash at either end; may be empty. */
  readonly prefix: string
  readonly endpoint: string
  readonly region: string
}

function media(text: string): Bucket | undefined {
  if (text === '') return undefined
  const wrong = new Error(
    'must be like s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1',
  )
  const url = URL.parse(text)
  if (url === null || url.protocol !== 's3:' || url.username + url.password + url.port + url.hash !== '')
    throw wrong
  const { endpoint, region = 'us-east-1', ...others } = Object.fromEntries(url.searchParams)
  const prefix = url.pathname.replace(/^\/|\/$/g, '')
  const isSound =
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(url.hostname) &&
    /^(?:[\w.-]+(?:\/[\w.-]+)*)?$/.test(prefix) &&
    /^[a-z0-9-]+$/.test(region) &&
    Object.keys(others).length === 0
  const at = URL.parse(endpoint ?? `https://s3.${region}.amazonaws.com`)
  if (!isSound || at === null || !isSafeUrl(at.href) || at.username + at.password + at.search !== '')
    throw wrong
  return { bucket: url.hostname, prefix, endpoint: at.href.replace(/\/$/, ''), region }
}

/** Without a slash at the end. */
function publicUrl(text: string): string | undefined {
  if (text === '') return undefined
  const url = URL.parse(text)
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.username + url.password + url.search + url.hash !== ''
  ) {
    throw new Error('must be like https://api.example.com')
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

function port(text: string): number {
  const value = Number(text)
  if (!/^\d{1,5}$/.test(text) || value > 65_535) throw new Error('must be a number from 0 to 65535')
  return value
}

function bytes(text: string): number {
  const value = Number(text)
  if (!/^\d{1,9}$/.test(text) || value < 1024)
    throw new Error('must be a number of bytes from 1024 to 999999999')
  return value
}

/** Says nothing of what it was given. */
function credential(text: string): string | undefined {
  if (text === '') return undefined
  if (!/^[\x21-\x7e]+$/.test(text)) throw new Error('must have no spaces and ASCII characters only')
  return text
}

function onOff(text: string): boolean {
  return oneOf('on', 'off')(text) === 'on'
}

function oneOf<T extends string>(...values: readonly T[]): (text: string) => T {
  return (text) => {
    const value = values.find((candidate) => candidate === text)
    if (value === undefined)
      throw new Error(`must be one of ${values.join(', ')}, and is ${JSON.stringify(text)}`)
    return value
  }
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function origins(text: string): readonly string[] {
  const items = list(text)
  for (const item of items) {
    if (URL.parse(item)?.origin !== item) {
      throw new Error(`must list origins like https://app.example.com, and has ${JSON.stringify(item)}`)
    }
  }
  return items
}

function roles(text: string): readonly string[] {
  const items = list(text)
  for (const item of items) {
    if (!/^[a-z0-9_-]{1,64}$/.test(item))
      throw new Error(`must list names of a-z, 0-9, _ and -, and has ${JSON.stringify(item)}`)
  }
  return [...new Set(['user', 'admin', ...items])]
}
