import { afterEach, expect, it } from 'vitest'
import { contradictions, range } from '../src/store/conformance.ts'
import { cleanUp, createClient, readKept, type Send, serve, temporaryFolder, versionOf } from './process.ts'

afterEach(cleanUp)

const kills = 20
const connections = 24

/** What an answer told: this user has reached this version, and with it this field this value. */
interface Told {
  readonly id: number
  readonly version: number
  readonly field: 'phone' | 'first_name'
  readonly value: string
}

/** All that the server ever acknowledged, over all its lives. */
interface Acknowledged {
  readonly told: Told[]
  readonly erased: Set<number>
}

it(`loses no acknowledged update and keeps no half of one, killed ${kills} times under load`, {
  timeout: 180_000,
}, async () => {
  const folder = temporaryFolder()
  const random = createRandom(20_260_101)
  const acknowledged: Acknowledged = { told: [], erased: new Set() }
  for (let life = 1; life <= kills; life++) {
    const server = await serve([], { folder })
    const send = createClient(server.url, connections)
    const last = acknowledged.told.length + 1 + random(life % 4 === 0 ? 1_500 : 400)
    let killed: Promise<unknown> | undefined
    // The answer itself is the signal, so that the kill comes while others are on their way.
    const heard = () => {
      if (acknowledged.told.length >= last) killed ??= server.kill()
    }
    await Promise.all(
      range(connections).map((n) => write({ send, random, acknowledged, heard, name: `${life}-${n}` })),
    )
    expect(await killed).toMatchObject({ signal: 'SIGKILL' })
    expect(contradicted(folder, acknowledged)).toEqual([])
  }

  const server = await serve([], { folder })
  const send = createClient(server.url, connections)
  const shown = await Promise.all(
    readKept(folder).users.map(async ({ id, first_name, phone, status }) => {
      const answer = await send('GET', `/users/${id}`)
      const right = status === 'erased' ? answer.status === 404 : answer.status === 200
      const { first_name: name, phone: number } = JSON.parse(answer.text) as Record<string, unknown>
      return right && (status === 'erased' || (name === first_name && number === phone))
    }),
  )
  expect(shown.length).toBeGreaterThan(50)
  expect(shown).not.toContain(false)
  expect(await server.stop()).toMatchObject({ code: 0 })
  expect(contradicted(folder, acknowledged)).toEqual([])
})

interface Writer {
  readonly send: Send
  readonly random: (below: number) => number
  readonly acknowledged: Acknowledged
  /** To be called after every acknowledgement. */
  readonly heard: () => void
  /** Unlike any other writer's, so that its values are too. */
  readonly name: string
}

/** Sends one request after the other until the server is gone, and notes what it acknowledges. */
async function write({ send, random, acknowledged, heard, name }: Writer): Promise<void> {
  const { told, erased } = acknowledged
  for (let n = 1; ; n++) {
    const value = `v-${name}-${n}`
    const known = told.length === 0 ? undefined : told[random(told.length)]?.id
    const { method, path, field, body } = choose(known, value, random)
    const answer = await send(method, path, body).catch(() => undefined)
    if (answer === undefined) return
    // Somebody else may have erased the user; nothing else gives a reason to refuse.
    if (answer.status === 404) continue
    if (answer.status > 201) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
    if (method === 'DELETE') erased.add(known ?? 0)
    else {
      const { id } = JSON.parse(answer.text) as { id: number }
      told.push({ id, version: versionOf(answer), field, value })
    }
    heard()
  }
}

function choose(id: number | undefined, value: string, random: (below: number) => number) {
  const dice = random(100)
  const email = `${value}@example.com`
  const record = { lastName: 'Load', firstName: value, email }
  const first_name = 'first_name'
  if (id === undefined || dice < 6) {
    const body = { first_name: value, last_name: 'Load', email, phone: '1', interested_in: 'both' }
    return { method: 'POST', path: '/users', field: first_name, body } as const
  }
  if (dice < 10) {
    return {
      method: 'PUT',
      path: `/users?id=${10_000 + random(1_000)}`,
      field: first_name,
      body: record,
    } as const
  }
  if (dice < 20) return { method: 'PUT', path: `/users?id=${id}`, field: first_name, body: record } as const
  if (dice < 23) return { method: 'DELETE', path: `/users/${id}`, field: 'phone', body: undefined } as const
  return { method: 'PATCH', path: `/users/${id}`, field: 'phone', body: { phone: value } } as const
}

/** What was acknowledged and is not there, and what does not fit together, in words. */
function contradicted(folder: string, { told, erased }: Acknowledged): string[] {
  const { users, log, damage } = readKept(folder)
  const rows = new Map(log.map((row) => [`${row.userId} ${row.version}`, row]))
  const known = new Map(users.map((user) => [user.id, user]))
  const lost = told.filter(({ id, version, field, value }) => {
    const user = known.get(id)
    const row = rows.get(`${id} ${version}`)
    if (user === undefined || row === undefined || user.version < version) return true
    // What an erasure blanked, asked for or on its way when the end came, proves no more than that it was.
    return user.status !== 'erased' && row.fields[field]?.[1] !== value
  })
  return [
    ...damage,
    ...contradictions(users, log),
    ...lost.map((one) => `lost: ${JSON.stringify(one)}`),
    ...[...erased].filter((id) => known.get(id)?.status !== 'erased').map((id) => `user ${id} is not erased`),
  ]
}

/** Numerical Recipes' linear congruential generator: the same choices in every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
