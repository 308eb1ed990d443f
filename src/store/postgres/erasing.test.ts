import { expect, it } from 'vitest'
import { database, open } from '../../../test/postgres-store.ts'
import { committed, create, lifecycle, once } from '../conformance.ts'

it.for(['alone', 'once'])(
  'an erasure is waited for longer where there is much to blank (%s)',
  async (how) => {
    const { url, sql } = await database()
    const store = await open(url)
    const versions = 200_000
    await committed(store, create({ phone: '1' }))
    await sql.unsafe(
      `INSERT INTO changes (change_id, user_id, version, at, actor_kind, contract, request_id, kind, fields)
       SELECT gen_random_uuid(), 1, n, n, 'operator', 'operator', 'r', 'updated', '{"phone": ["1", "2"]}'
       FROM generate_series(2, ${versions}) AS n;
     UPDATE users SET version = ${versions}`,
    )
    const erasing = lifecycle('erase', 1)
    await committed(store, how === 'alone' ? erasing : { ...erasing, once: once('k') })
    const [left] = await sql`SELECT FROM changes WHERE fields->'phone' <> '[null, null]'`
    expect(left).toBeUndefined()
  },
)
