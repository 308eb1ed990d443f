import { afterEach, describe, expect, inject, it } from 'vitest'
import { signSharedSecretToken } from '../src/access/shared-secret.ts'
import { sendBytes } from './app.ts'
import { createDatabase } from './postgres.ts'
import { cleanUp, createClient, run, type Send, serve, temporaryFolder } from './process.ts'

/** What must be in no line of the log, whatever is asked: each word is nowhere else. */
const email = 'Quentin.Zyx@private.example'
const otherEmail = 'wilhelmina@private.example'
const phone = '+49-555-8675309'
const password = 'correct-horse-battery'
const nextPassword = 'staple-of-the-horse'
const jwtSecret = 'only-the-backend-of-the-community-knows-it'
const words = [
  email,
  otherEmail,
  'quentin',
  'zyx',
  'wilhelmina',
  phone,
  '8675309',
  password,
  nextPassword,
  jwtSecret,
  'Llanfair',
  's3cret',
]

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  await cleanUp()
  for (const one of cleanUps.splice(0).reverse()) await one()
})

const person = { first_name: 'Quentin', last_name: 'Zyx', email, phone, interested_in: 'cats' }
const record = { firstName: 'Quentin', lastName: 'Zyx', email }
const account = { email: otherEmail, username: 'wilhelmina', password, first_name: 'Wilhelmina' }

/** Every kind of request, on every contract. */
async function askEverything(send: Send, authorization: string): Promise<number[]> {
  const json = { authorization, 'content-type': 'application/json' }
  const collections = [
    '/users',
    '/adoption/users',
    '/records/users',
    '/v1/users',
    '/api/v2/users',
    `/${email}`,
  ]
  const bodies = [
    person,
    record,
    account,
    { ...record, email: otherEmail },
    `{"email": "${email}"`,
    `"${phone}"`,
    [email],
  ]
  const statuses: number[] = []
  const ask = async (method: string, path: string, body?: unknown, headers: object = json) => {
    statuses.push((await send(method, path, body, { ...headers })).status)
  }
  for (const path of collections) {
    for (const body of bodies) {
      await ask('POST', path, body)
      await ask('PUT', `${path}?id=1`, body)
      await ask('PATCH', `${path}/1`, body)
      await ask('PUT', `${path}/2`, body)
      await ask('PATCH', `${path}/1`, body, { ...json, 'content-type': `text/plain; charset="${email}"` })
      await ask('PATCH', `${path}/1`, body, { ...json, 'if-match': `"${email}"` })
    }
    for (const query of [
      `email=${email}`,
      `q=${encodeURIComponent(email)}`,
      `filter[email]=${email}`,
      `_sort=${phone}`,
    ])
      await ask('GET', `${path}?${query}`)
    for (const id of ['1', '99', email, encodeURIComponent(phone), '%ff', `1/profile?${email}`]) {
      await ask('GET', `${path}/${id}`)
      await ask('DELETE', `${path}/${id}`, undefined, { ...json, 'if-match': '"99"' })
      await ask('BREW', `${path}/${id}`).catch(() => {})
    }
    await ask('POST', path, 'x'.repeat(2_000_000).replace('x', email)).catch(() => {})
    await ask('OPTIONS', path, undefined, {
      origin: `https://${email.split('@')[1]}`,
      'access-control-request-method': 'PUT',
    })
    await ask('GET', path, undefined, {
      ...json,
      'x-request-id': email,
      origin: `https://${email}`,
      referer: email,
    })
    await ask('GET', path, undefined, {
      ...json,
      'user-agent': email,
      'x-forwarded-for': email,
      cookie: email,
    })
  }
  return statuses
}

/** What only v1 has; the keys that it makes are added to those to look for. */
async function askPlatform(send: Send, authorization: string, keys: string[]): Promise<number[]> {
  const headers = { authorization, 'idempotency-key': email }
  const user = { ...account, email: `v1.${email}`, username: 'quentin-v1' }
  const patch = [
    { op: 'test', path: '/email', value: email },
    { op: 'replace', path: '/bio', value: phone },
  ]
  const answers = [
    await send('POST', '/v1/keys', { name: 'Llanfair', scopes: ['read'] }, headers),
    await send('POST', '/v1/keys', { name: 'Llanfair', scopes: ['read'] }, headers),
    await send('POST', '/v1/users', user, headers),
    await send('POST', '/v1/users', { ...user, password: `${password}!` }, headers),
    await send('POST', '/v1/users?dry_run=true', { ...user, password: 'short' }, { authorization }),
    await send('POST', '/v1/users/batch', { operations: [{ op: 'create', data: user }] }, { authorization }),
    await send('POST', '/v1/users', user, { authorization, 'content-type': `text/${email}` }),
    await send('PATCH', '/v1/users/usr_none/profile', patch, {
      authorization,
      'content-type': 'application/json-patch+json',
    }),
  ]
  const { secret } = JSON.parse(answers[0]?.text ?? '') as { secret: string }
  keys.push(secret)
  const { id } = JSON.parse(answers[2]?.text ?? '') as { id: string }
  const type = { authorization, 'content-type': 'application/json-patch+json' }
  for (const path of [`/v1/users/${id}`, `/v1/users/${id}/profile`, `/v1/users/${id}/counters`])
    answers.push(await send('PATCH', path, patch, type), await send('GET', path, undefined, type))
  const own = `/v1/users/${id}/password`
  const writer = { authorization: `Bearer ${keys[0]}` }
  const change = (current: string) => ({ current_password: current, new_password: nextPassword })
  for (const [body, more] of [
    [change(`${password} `), {}],
    [{ ...change(password), [email]: password }, {}],
    [change(password), { 'idempotency-key': 'a-key' }],
    [change(password), { 'idempotency-key': 'a-key' }],
    [{ new_password: `${nextPassword} ` }, { authorization }],
  ] as const)
    answers.push(await send('PUT', own, body, { ...writer, ...more }))
  return answers.map(({ status }) => status)
}

/** OAuth clients and tokens, and those that a backend signs; what is secret of them is added to the keys to look for. */
async function askWithTokens(send: Send, authorization: string, keys: string[]): Promise<number[]> {
  const statuses: number[] = []
  const ask = async (...asked: Parameters<Send>) => {
    const answer = await send(...asked)
    statuses.push(answer.status)
    return answer.text === '' ? {} : (JSON.parse(answer.text) as Record<string, string>)
  }
  const asked = { name: 'Llanfair', scopes: ['read', 'write'] }
  const { client_id, client_secret } = await ask('POST', '/v1/clients', asked, { authorization })
  keys.push(`${client_secret}`)
  const form = 'application/x-www-form-urlencoded'
  const basic = (secret: string) => ({
    authorization: `Basic ${btoa(`${client_id}:${secret}`)}`,
    'content-type': form,
  })
  const grant = 'grant_type=client_credentials&scope=read'
  const { access_token } = await ask('POST', '/oauth/token', grant, basic(`${client_secret}`))
  keys.push(`${access_token}`)
  await ask('POST', '/oauth/token', grant, basic(`${client_secret}x`))
  await ask('POST', '/oauth/token', `grant_type=password&username=${email}&password=${password}`, basic('x'))
  await ask(
    'GET',
    `/oauth/authorize?client_id=${client_id}&login_hint=${email}&redirect_uri=${email}`,
    undefined,
    {},
  ).catch(() => {})
  await ask('GET', '/v1/users', undefined, { authorization: `Bearer ${access_token}` })
  await ask('DELETE', `/v1/clients/${client_id}`, undefined, { authorization })
  await ask('GET', '/v1/users', undefined, { authorization: `Bearer ${access_token}` })
  const issuedAt = Date.now() + 1_000
  for (const secret of [jwtSecret, 'another secret, which is as long as it has to be']) {
    const token = await signSharedSecretToken(secret, { userId: 1, issuedAt, expiresAt: issuedAt + 60_000 })
    keys.push(token)
    const headers = { authorization: `Bearer ${token}` }
    await ask('GET', '/api/v2/user/me/', undefined, headers)
    await ask('PATCH', '/api/v2/user/1/', { bio: phone, real_name: 'Quentin Zyx' }, headers)
    await ask('PATCH', '/api/v2/user/1/', { gender: email }, headers)
    await ask(
      'PATCH',
      '/api/v2/user/1/change_password/',
      { old_password: password, new_password: nextPassword },
      headers,
    )
    await ask('POST', '/api/v2/jwt/verify_token/', { token }, {})
  }
  return statuses
}

/** Addresses that are confirmed: what confirms them is added to the keys to look for. */
async function askForAddresses(send: Send, authorization: string, keys: string[]): Promise<number[]> {
  const statuses: number[] = []
  const ask = async (...asked: Parameters<Send>) => {
    const answer = await send(...asked)
    statuses.push(answer.status)
    return answer.text
  }
  const own = { ...person, email: `old.${email}` }
  const { id } = JSON.parse(await ask('POST', '/users', own, { authorization })) as { id: number }
  const issuedAt = Date.now() + 1_000
  const token = await signSharedSecretToken(jwtSecret, { userId: id, issuedAt, expiresAt: issuedAt + 60_000 })
  const at = `/api/v2/user/${id}`
  const headers = { authorization: `Bearer ${token}` }
  const codes: string[] = []
  for (const new_email of [`new.${email}`, `newer.${email}`]) {
    const body = { new_email, confirm: true, send_email: true }
    const { validation_code: code } = JSON.parse(
      await ask('PATCH', `${at}/change_email/`, body, headers),
    ) as { validation_code: string }
    codes.push(code)
    await ask('GET', `${at}/check_email_token/?token=${code}`, undefined, {})
    await ask('GET', `/email/confirm?token=${code}`, undefined, {})
    await ask('POST', `${at}/confirm_email/`, { new_email: `x${new_email}`, validation_code: code }, {})
  }
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  for (const code of codes) {
    await ask('POST', '/email/confirm', `token=${code}`, form)
    await ask('GET', `/email/undo?token=${code}`, undefined, {})
    keys.push(code, code.split('.')[1] ?? '')
  }
  return statuses
}

const wrongKeys = [
  'rk_0123456789abcdefghijklmnopqrstuv',
  'rk_short',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJRdWVudGluIn0.c2lnbmF0dXJl',
  `bearer-${'k'.repeat(5_000)}`,
]

describe.each(['sqlite', 'postgres'] as const)('the log of a whole run on %s', (store) => {
  it('has no secret, key, e-mail address, phone number or name in it, at any level', {
    timeout: 120_000,
  }, async () => {
    const folder = temporaryFolder()
    const env: Record<string, string> = {
      LOG_LEVEL: 'trace',
      ROSTER_JWT_SECRET: jwtSecret,
      ROSTER_OPEN_CONTRACTS: 'never',
      ROSTER_RATE_LIMIT: '100000/m',
      REDIS_URL: 'redis://roster:s3cret@127.0.0.1:1',
    }
    if (store === 'postgres') {
      const database = await createDatabase(inject('postgresUrl'))
      cleanUps.push(database.drop)
      const url = new URL(database.url)
      // Where it asks for none it takes any.
      if (url.password === '') url.password = 's3cret'
      env.DATABASE_URL = url.href
    }
    const server = await serve([], { folder, env })
    const keys: string[] = []
    for (const scopes of ['read,write', 'read', 'admin', 'read,write']) {
      const { stdout } = await run(['key', 'create', '--name', 'Llanfair', '--scopes', scopes], {
        folder,
        env,
      })
      keys.push(stdout.trim())
    }
    expect(keys.join(' ')).toMatch(/^(rk_\w{32} ?){4}$/)

    const send = createClient(server.url, 4)
    const statuses: number[] = []
    for (const key of keys) statuses.push(...(await askEverything(send, `Bearer ${key}`)))
    statuses.push(...(await askPlatform(send, `Bearer ${keys[2]}`, keys)))
    statuses.push(...(await askWithTokens(send, `Bearer ${keys[2]}`, keys)))
    statuses.push(...(await askForAddresses(send, `Bearer ${keys[2]}`, keys)))
    for (const wrong of wrongKeys) {
      for (const path of ['/users/1', '/records/users/1', '/v1/users', '/nowhere']) {
        for (const scheme of ['Bearer', 'bearer', 'Basic', 'Digest', ''])
          statuses.push((await send('GET', path, undefined, { authorization: `${scheme} ${wrong}` })).status)
      }
    }
    const head = `Host: localhost\r\nAuthorization: Bearer ${keys[0]}\r\nConnection: close\r\n`
    for (const bytes of [
      `GET /users/${email} HTTP/9.9\r\n${head}\r\n`,
      `${email}\r\n\r\n`,
      `GET /users HTTP/1.1\r\n${head}Authorization: Bearer ${keys[1]}\r\n\r\n`,
      `GET /users HTTP/1.1\r\n${head}X-Long: ${email}${'x'.repeat(70_000)}\r\n\r\n`,
      `GET /%ff${email} HTTP/1.1\r\n${head}\r\n`,
      `PATCH /users/1 HTTP/1.1\r\n${head}Content-Length: x${email}\r\n\r\n`,
    ])
      statuses.push((await sendBytes(server.url, bytes)).status)
    // A run in which nothing much happened would prove nothing.
    expect(keys.filter((key) => key.length < 30)).toEqual([])
    for (const status of [200, 201, 204, 400, 401, 403, 404, 405, 409, 410, 412, 415, 422, 429])
      expect(statuses).toContain(status)
    expect(statuses.filter((status) => status >= 500 && status !== 501)).toEqual([])

    const { stdout, stderr, code } = await server.stop()
    expect([code, stdout.split('\n').length > 500]).toEqual([0, true])
    const text = `${stdout}${stderr}`.toLowerCase()
    const encoded = [email, phone, ...keys, ...wrongKeys].flatMap((word) => [
      encodeURIComponent(word),
      Buffer.from(word).toString('base64').replace(/=*$/, ''),
    ])
    const secrets = [...words, ...keys, ...keys.map((key) => key.slice(3)), ...wrongKeys, ...encoded]
    expect(secrets.filter((secret) => text.includes(secret.toLowerCase()))).toEqual([])
  })
})
