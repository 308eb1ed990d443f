import { afterEach, expect, inject, it } from 'vitest'
import { signSharedSecretToken } from '../src/access/shared-secret.ts'
import { createDatabase } from './postgres.ts'
import { cleanUp, createClient, run, type Send, serve, temporaryFolder } from './process.ts'

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  await cleanUp()
  for (const one of cleanUps.splice(0).reverse()) await one()
})

const secret = 'a secret of the nodes, and of whoever asks them'
const rounds = [1, 2, 3, 4, 5, 6]

it('of confirmations that come to several nodes at once one wins, and the others are told', {
  timeout: 120_000,
}, async () => {
  const { url: databaseUrl, drop } = await createDatabase(inject('postgresUrl'))
  cleanUps.push(drop)
  const env = { DATABASE_URL: databaseUrl, ROSTER_RATE_LIMIT: 'off', ROSTER_JWT_SECRET: secret }
  const nodes = await Promise.all([1, 2].map(() => serve([], { folder: temporaryFolder(), env })))
  const [one, other] = nodes.map(({ url }) => createClient(url)) as [Send, Send]
  const made = await run(['key', 'create', '--name', 'n', '--scopes', 'read,write'], {
    folder: temporaryFolder(),
    env: { DATABASE_URL: databaseUrl },
  })
  const key = { authorization: `Bearer ${made.stdout.trim()}` }

  async function person(name: string) {
    const { text } = await one(
      'POST',
      '/users',
      { first_name: name, last_name: 'x', email: `${name}@old.example`, phone: '1', interested_in: 'cats' },
      key,
    )
    const { id } = JSON.parse(text) as { id: number }
    const issuedAt = Date.now() + 1_000
    const token = await signSharedSecretToken(secret, { userId: id, issuedAt, expiresAt: issuedAt + 60_000 })
    const ask = async (new_email: string) => {
      const body = { new_email, confirm: true }
      const answer = await other('PATCH', `/api/v2/user/${id}/change_email/`, body, {
        authorization: `Bearer ${token}`,
      })
      return (JSON.parse(answer.text) as { validation_code: string }).validation_code
    }
    const confirm = (node: Send, new_email: string, validation_code: string) =>
      node('POST', `/api/v2/user/${id}/confirm_email/`, { new_email, validation_code }, {})
    const email = async (node: Send) =>
      (JSON.parse((await node('GET', `/users/${id}`, undefined, key)).text) as { email: string }).email
    return { id, ask, confirm, email }
  }

  for (const n of rounds) {
    const wanted = `wanted${n}@new.example`
    const [ann, bob] = [await person(`ann${n}`), await person(`bob${n}`)]
    const codes = [await ann.ask(wanted), await bob.ask(wanted)] as const
    const both = await Promise.all([ann.confirm(one, wanted, codes[0]), bob.confirm(other, wanted, codes[1])])
    expect(both.map(({ status }) => status).toSorted(), `two people, ${n}`).toEqual([204, 400])
    const annWon = both[0]?.status === 204
    const expected = [annWon ? wanted : `ann${n}@old.example`, annWon ? `bob${n}@old.example` : wanted]
    for (const node of [one, other]) expect([await ann.email(node), await bob.email(node)]).toEqual(expected)

    const next = `next${n}@new.example`
    const code = await ann.ask(next)
    const twice = await Promise.all([ann.confirm(one, next, code), ann.confirm(other, next, code)])
    expect(twice.map(({ status }) => status).toSorted(), `one code, ${n}`).toEqual([204, 400])
    expect(await ann.email(other)).toBe(next)

    const last = `last${n}@new.example`
    const lastCode = await ann.ask(last)
    const direct = { email: `direct${n}@new.example` }
    const [confirmed, set] = await Promise.all([
      ann.confirm(one, last, lastCode),
      other('PATCH', `/users/${ann.id}`, direct, key),
    ])
    expect([[204, 400].includes(confirmed.status), set.status], `an address that is set, ${n}`).toEqual([
      true,
      200,
    ])
    // Confirmed before it was set, or cancelled by that: either way what was set is what is.
    for (const node of [one, other]) expect(await ann.email(node)).toBe(direct.email)
    expect((await ann.confirm(one, last, lastCode)).status).toBe(400)
  }
  for (const node of nodes) expect((await node.stop()).code).toBe(0)
})
