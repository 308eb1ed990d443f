import { create, rules, update } from '../src/store/conformance/commands.ts'
import { openPostgres } from '../src/store/postgres/store.ts'
import { openSqlite } from '../src/store/sqlite/store.ts'

/**
 * A process to be killed: it carries out batches, and commands and counts with keys, on users 1 to 5, and
 * prints the number of each round once all of it has been acknowledged.
 * @see units-crash.test.ts
 */
const [kind = '', where = '', first = ''] = process.argv.slice(2)
const fail = (problem: unknown) => {
  throw new Error(String(problem))
}
const store =
  kind === 'sqlite'
    ? await openSqlite({ folder: where, rules, onFatal: fail })
    : await openPostgres({ url: where, rules, onWarning: fail })

const once = (key: string) => ({ actor: 'writer', key, hash: key })

for (let n = Number(first); ; n++) {
  const at = Date.now()
  const batch = [1, 2, 3, 4, 5].map((id) => update(id, { bio: `${n}` }, { at, requestId: `batch ${n}` }))
  const made = create(
    { username: `name-${n}` },
    { at, requestId: `batch ${n}`, once: once(`made ${n}`), password: `$argon2id$${n}` },
  )
  const added = { posts_counter: { increment: 1 } }
  const done = await Promise.all([
    store.changeAll([...batch, made]),
    store.change(update(1, { phone: `${n}` }, { at, requestId: `keyed ${n}`, once: once(`keyed ${n}`) })),
    store.counters.change({
      kind: 'count',
      id: 2,
      at,
      changes: added,
      once: once(`counted ${n}`),
    }),
  ])
  if (done.flat().some(({ outcome }) => outcome === 'refused')) fail(JSON.stringify(done))
  process.stdout.write(`${n}\n`)
}
